import ManagedAgentsClient
import PosternJSON
import PosternWorker
import Testing

/// What a worker does that was killed and comes back within its lease, for each point at which it may have been killed.
@Suite struct WorkerResumeTests {
    private static let item = JournalRecord.item(workID: "sesn_1", environmentID: "env_1", secret: FakeService.secret)
    private static let event = Array(
        #"{"type":"user.tool_result","tool_use_id":"sevt_1","is_error":false,"content":[{"type":"text","text":"kept"}]}"#.utf8)

    private func resume(
        _ records: [JournalRecord], tool: String = "bash", heartbeat: String? = "beat-7"
    ) async throws -> (ran: [String], results: [JSON], fixture: Fixture) {
        let fixture = Fixture()
        fixture.service.change { state in
            state.sessions["sesn_1"] = .init()
            state.beats["sesn_1"] = heartbeat
        }
        fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "ran"], name: tool))
        fixture.leaveJournal("sesn_1", records)
        try await fixture.serving(fixture.worker()) { await fixture.service.until { $0.results("sesn_1").count == 1 } }
        return (fixture.driver.current.ran, fixture.service.current.results("sesn_1"), fixture)
    }

    private func text(_ results: [JSON]) -> String? { results.first?["content"]?.array?.first?["text"]?.string }

    @Test func killedBeforeTheFirstBeat() async throws {
        let after = try await resume([Self.item], heartbeat: nil)
        #expect(after.ran == ["sevt_1"])
        #expect(after.fixture.service.current.acked.isEmpty)
    }

    @Test func killedBeforeAnyIntent() async throws {
        let after = try await resume([Self.item, .beat("beat-7")])
        #expect(after.ran == ["sevt_1"])
        #expect(text(after.results) == "ran")
    }

    @Test func killedAfterTheIntent() async throws {
        let after = try await resume([Self.item, .beat("beat-7"), .intent(callID: "sevt_1", tool: "bash")])
        #expect(after.ran.isEmpty)
        #expect(after.results.first?["is_error"] == true)
        #expect(text(after.results) == "The worker was stopped while this call ran; its outcome is unknown and it was not repeated.")
    }

    @Test func killedAfterTheIntentWhereCallsAreRepeated() async throws {
        let item = JournalRecord.item(workID: "sesn_1", environmentID: "env_1", secret: FakeService.secret, repeatsCalls: true)
        let after = try await resume([item, .beat("beat-7"), .intent(callID: "sevt_1", tool: "bash")])
        #expect(after.ran == ["sevt_1"])
        #expect(text(after.results) == "ran")
    }

    @Test(arguments: ["read", "glob", "grep"]) func idempotentToolsRunAgain(_ tool: String) async throws {
        let after = try await resume([Self.item, .beat("beat-7"), .intent(callID: "sevt_1", tool: tool)], tool: tool)
        #expect(after.ran == ["sevt_1"])
    }

    @Test func killedAfterTheOutcome() async throws {
        let after = try await resume([
            Self.item, .beat("beat-7"), .intent(callID: "sevt_1", tool: "bash"), .outcome(callID: "sevt_1", event: Self.event),
        ])
        #expect(after.ran.isEmpty)
        #expect(text(after.results) == "kept")
    }

    @Test func anotherHoldsTheItemMeanwhile() async throws {
        let fixture = Fixture()
        fixture.service.change { state in
            state.sessions["sesn_1"] = .init()
            state.beats["sesn_1"] = "another's"
        }
        fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "x"]))
        fixture.leaveJournal("sesn_1", [Self.item, .beat("beat-7"), .intent(callID: "sevt_1", tool: "bash")])
        try await fixture.serving(fixture.worker()) {
            await fixture.service.until { state in state.requests.contains { $0.target.contains("/heartbeat") } }
        }
        // Nothing was started for it, not even a sandbox.
        #expect(fixture.driver.current.specs.isEmpty)
        #expect(fixture.driver.current.ran.isEmpty)
        #expect(fixture.service.current.results("sesn_1").isEmpty)
        #expect(fixture.service.current.stopped.isEmpty)
        let requests = fixture.service.current.requests.filter { $0.headers["authorization"] == "Bearer tok-1" }
        #expect(!requests.isEmpty)
        #expect(requests.allSatisfy { $0.target.contains("/heartbeat") })
        let journal = fixture.contents(".postern/sessions/sesn_1.journal")
        #expect(journal.contains("released") && journal.contains("intent"))
    }

    @Test func aTornLastLineCountsForNothing() async throws {
        let fixture = Fixture()
        fixture.service.change { $0.sessions["sesn_1"] = .init() }
        fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "ran"]))
        fixture.leaveJournal("sesn_1", [Self.item])
        fixture.append(".postern/sessions/sesn_1.journal", #"{"k":"intent","call":"sev"#)
        try await fixture.serving(fixture.worker()) { await fixture.service.until { $0.results("sesn_1").count == 1 } }
        #expect(fixture.driver.current.ran == ["sevt_1"])
    }

    @Test func aRefusedResultIsKeptAndSentAgainAtTheNextReconcile() async throws {
        let fixture = Fixture()
        fixture.service.change { $0.faults.append(.init(method: .post, suffix: "/events", status: 400)) }
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "once"]))
            await fixture.service.until { $0.posts("/events").count == 1 }
            fixture.service.breakStreams("sesn_1", error: false)
            await fixture.clock.asks { $0 == .milliseconds(500) }
            fixture.clock.advance(by: .milliseconds(500))
            await fixture.service.until { $0.results("sesn_1").count == 1 }
        }
        #expect(fixture.driver.current.ran == ["sevt_1"])
    }
}
