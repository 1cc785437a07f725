import PosternJSON
import PosternWorker
import Testing

@Suite struct JournalTests {
    private static let records: [JournalRecord] = [
        .item(workID: "sesn_1", environmentID: "env_1", secret: "s", repeatsCalls: true), .beat("b1"), .intent(callID: "1", tool: "bash"),
        .outcome(callID: "1", event: Array("{}".utf8)), .settled(callID: "1"), .intent(callID: "2", tool: "write"), .beat("b2"), .released,
    ]

    @Test func recordsComeBack() throws {
        for record in Self.records + [.item(workID: "w", environmentID: "e", secret: nil)] {
            #expect(JournalRecord(try JSON(parsing: record.json.encoded)) == record)
        }
        #expect(JournalRecord(["k": "later"]) == nil)
        #expect(JournalRecord(["k": "intent", "call": "1"]) == nil)
    }

    /// The shortest form says the same, whatever the point at which the worker was killed.
    @Test func everyPrefixCompacts() {
        for count in 0...Self.records.count {
            let state = JournalState(Self.records.prefix(count))
            #expect(JournalState(state.records) == state)
        }
    }

    @Test func dispositions() {
        var state = JournalState()
        #expect(state.disposition(of: "1") == .run)
        state.apply(.intent(callID: "1", tool: "bash"))
        state.apply(.intent(callID: "2", tool: "grep"))
        #expect(state.disposition(of: "1") == .unknown)
        #expect(state.disposition(of: "2") == .run)
        state.apply(.outcome(callID: "1", event: [1]))
        #expect(state.disposition(of: "1") == .send([1]))
        state.apply(.settled(callID: "1"))
        state.apply(.settled(callID: "2"))
        #expect(state.isSpent)
        state.apply(.outcome(callID: "9", event: [1]))
        #expect(state.disposition(of: "9") == .run)  // an outcome without an intent is not believed
    }
}
