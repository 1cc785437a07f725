import PosternAudit
import PosternJSON
import Testing

@Suite struct ReconcileTests {
    private static let key = LogFixture.key

    /// A session of four calls that agrees: the perimeter's records and the control plane's events.
    private static func session() async throws -> (records: [AuditLine], events: [JSON]) {
        let fixture = LogFixture()
        let log = try fixture.open()
        var events: [JSON] = [["id": "sevt_m", "type": "user.message", "content": []]]
        for index in 0..<4 {
            let id = "sevt_\(index)"
            let input: JSON = ["command": .string("echo \(index)"), "b": 1, "a": 2]
            let content: JSON = [["type": "text", "text": .string("out \(index)")]]
            var intent = fixture.record(.intent(input: log.digest(.input, of: input)), call: id)
            intent.tool = "bash"
            try await log.append(intent, durable: false)
            var outcome = fixture.record(
                .outcome(
                    .init(
                        output: log.digest(.output, of: content), isError: false, producedBytes: 5, offloadedTo: nil, exitCode: 0, milliseconds: 1,
                        timedOut: false, reason: nil)), call: id)
            outcome.tool = "bash"
            try await log.append(outcome, durable: false)
            // The control plane may keep the members in another order.
            events.append([
                "id": .string(id), "type": "agent.tool_use", "name": "bash", "input": ["a": 2, "b": 1, "command": .string("echo \(index)")],
            ])
            events.append(
                ["id": .string("sevt_r\(index)"), "type": "user.tool_result", "tool_use_id": .string(id), "is_error": false, "content": content])
        }
        try await log.append(fixture.intent("sevt_other", session: "sesn_2"), durable: true)
        await log.finish()
        let lines = try fixture.files.flatMap { try $0.bytes.split(separator: 0x0A).map { try AuditLine(parsing: $0) } }
        return (lines, events)
    }

    private static func reconcile(_ records: [AuditLine], _ events: [JSON], key: AuditKey? = key) -> ReconcileReport {
        var reconciler = AuditReconciler(session: "sesn_1", key: key)
        for record in records { reconciler.take(record: record) }
        for event in events { reconciler.take(event: event) }
        return reconciler.finish()
    }

    @Test func twoLogsThatAgree() async throws {
        let (records, events) = try await Self.session()
        let report = Self.reconcile(records, events)
        #expect(report.calls == 4 && report.agreeing == 4 && report.violations == 0 && report.notes == 0 && report.results == 4)
        #expect(Self.reconcile(records, events, key: nil).agreeing == 4)
    }

    /// Each way in which the control plane's log can say something else.
    @Test func everyDisagreementIsFound() async throws {
        let (records, events) = try await Self.session()
        func changed(_ index: Int, _ change: (inout JSONObject) -> Void) -> [JSON] {
            var copy = events
            var object = events[index].object ?? [:]
            change(&object)
            copy[index] = .object(object)
            return copy
        }
        let cases: [(name: String, events: [JSON], violations: Int, notes: Int)] = [
            ("another input", changed(1) { $0["input"] = ["command": "echo 9"] }, 1, 0),
            ("another tool", changed(1) { $0["name"] = "write" }, 1, 0),
            ("another result", changed(2) { $0["content"] = [["type": "text", "text": "forged"]] }, 1, 0),
            (
                "another result, as an error",
                changed(2) {
                    $0["content"] = []; $0["is_error"] = true
                }, 0, 1
            ),
            ("a call taken away", events.enumerated().filter { $0.offset != 1 }.map(\.element), 1, 0),
            ("a result taken away", events.enumerated().filter { $0.offset != 2 }.map(\.element), 0, 1),
            (
                "a call and result that no worker ran",
                events + [
                    ["id": "sevt_x", "type": "agent.tool_use", "name": "bash", "input": [:]],
                    ["id": "sevt_y", "type": "user.tool_result", "tool_use_id": "sevt_x", "content": []],
                ], 1, 0
            ),
            (
                "a call that was refused there",
                events + [
                    ["id": "sevt_x", "type": "agent.tool_use", "name": "bash", "input": [:]],
                    ["id": "sevt_y", "type": "agent.tool_result", "tool_use_id": "sevt_x", "is_error": true, "content": []],
                ], 0, 0
            ),
        ]
        for one in cases {
            let report = Self.reconcile(records, one.events)
            #expect(report.violations == one.violations && report.notes == one.notes, "\(one.name): \(report.findings)")
        }
    }

    @Test func whatAWorkerLostIsANote() async throws {
        let (records, events) = try await Self.session()
        let report = Self.reconcile(records.filter { !($0.kind == "outcome" && $0.call == "sevt_2") }, Array(events.dropLast(3)))
        #expect(report.violations == 1)  // sevt_3: the call's event is gone, its intent is not.
        #expect(report.findings.contains { $0.call == "sevt_2" && !$0.isViolation })
    }
}
