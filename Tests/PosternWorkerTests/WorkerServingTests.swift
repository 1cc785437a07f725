import ManagedAgentsClient
import PosternJSON
import PosternWorker
import Testing

private func text(_ result: JSON?) -> String? { result?["content"]?.array?.first?["text"]?.string }

@Suite struct WorkerServingTests {
    @Test func servesACallFromClaimToRelease() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "hello"]))
            await fixture.service.until { $0.results("sesn_1").count == 1 }
            #expect(text(fixture.service.current.results("sesn_1").first) == "hello")
            #expect(fixture.service.current.results("sesn_1").first?["is_error"] == false)
            #expect(fixture.service.current.acked == ["sesn_1"])
            await fixture.service.until { !$0.beats.isEmpty }

            fixture.service.emit("sesn_1", FakeService.idle())
            await fixture.clock.asks { $0 == .seconds(60) }
            fixture.clock.advance(by: .seconds(60))
            await fixture.service.until { $0.stopped == ["sesn_1"] }
        }
        #expect(fixture.driver.current.stopped == 1)
        #expect(!fixture.exists(".postern/sessions/sesn_1.journal"))
        #expect(fixture.exists(".postern/worker-id"))
        let stop = fixture.service.current.posts("/stop").first
        #expect(stop.map { String(decoding: $0.body, as: UTF8.self) } == #"{"force":true}"#)
    }

    /// While a changed session is fetched, a call that comes after the change waits for it; the end of another call does not.
    @Test func anInterruptDoesNotWaitForAChange() async throws {
        let driver = FakeDriver()
        let fixture = Fixture()
        try await fixture.serving(fixture.worker(driver: driver)) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["hang": true]))
            await driver.until { $0.ran == ["sevt_1"] }
            fixture.service.change { $0.holdsSessions = true }
            let asked = { @Sendable (state: FakeService.State) in state.requests.count { $0.method == .get && $0.target.hasSuffix("/sesn_1") } }
            let before = asked(fixture.service.current)
            fixture.service.emit("sesn_1", ["id": "sevt_u", "type": "session.updated", "metadata": [:]])
            await fixture.service.until { asked($0) > before }
            fixture.service.emit("sesn_1", FakeService.use("sevt_2", ["say": "after"]))
            // As an interrupt has it: the control plane answers what runs.
            fixture.service.emit("sesn_1", ["id": "sevt_r", "type": "user.tool_result", "tool_use_id": "sevt_1", "is_error": true, "content": []])
            await driver.until { $0.cancelled == ["sevt_1"] }
            #expect(driver.current.ran == ["sevt_1"])
            fixture.service.change { $0.holdsSessions = false }
            await driver.until { $0.ran == ["sevt_1", "sevt_2"] }
        }
    }

    @Test func usesTheRightCredentialForEachRequest() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "x"]))
            await fixture.service.until { $0.results("sesn_1").count == 1 }
        }
        for request in fixture.service.current.requests {
            let isQueue = request.target.contains("/poll") || request.target.hasSuffix("/ack")
            #expect(request.headers["authorization"] == (isQueue ? "Bearer env-key" : "Bearer tok-1"), "\(request.target)")
            if request.target.contains("/poll") {
                #expect(request.headers["Postern-Poll-Seconds"] == "30")
                #expect(request.target.contains("block_ms=999"))
                #expect(request.headers["Anthropic-Worker-ID"]?.hasPrefix("worker-") == true)
            }
        }
    }

    @Test func anUndecodableSecretFallsBackToTheEnvironmentKey() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1", secret: "%%%")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "x"]))
            await fixture.service.until { $0.results("sesn_1").count == 1 }
        }
        #expect(fixture.service.current.requests.allSatisfy { $0.headers["authorization"] == "Bearer env-key" })
    }

    @Test func anItemThatIsNoSessionIsStopped() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("hc_1", kind: "healthcheck")
            await fixture.service.until { $0.stopped == ["hc_1"] }
        }
        #expect(fixture.driver.current.specs.isEmpty)
        #expect(fixture.service.current.beatCount == 0)
    }

    @Test func aSessionIdThatIsAPathIsNotServed() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("..%2Fx")
            await fixture.service.until { !$0.stopped.isEmpty }
        }
        #expect(fixture.driver.current.specs.isEmpty)
    }

    @Test func aSessionWithMemoryStoresFails() async throws {
        let service = FakeService { $0.sessions["sesn_1"] = .init(resources: [["type": "memory_store", "memory_store_id": "memstore_1"]]) }
        let fixture = Fixture(service: service)
        try await fixture.serving(fixture.worker()) {
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "x"]))
            fixture.service.enqueue("sesn_1")
            await fixture.service.until { $0.stopped == ["sesn_1"] }
        }
        #expect(fixture.driver.current.ran.isEmpty)
    }

    @Test func aTerminatedSessionIsStoppedAndItsWorkspaceRemoved() async throws {
        let service = FakeService { $0.sessions["sesn_1"] = .init(status: "terminated") }
        let fixture = Fixture(service: service)
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            await fixture.service.until { $0.stopped == ["sesn_1"] }
        }
        #expect(fixture.driver.current.ran.isEmpty)
        #expect(!fixture.exists(".postern/workspaces/sesn_1"))
    }

    @Test func asksAndVerdictsAreKept() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit(
                "sesn_1", FakeService.use("sevt_ask", ["say": "a"], permission: "ask"),
                FakeService.use("sevt_odd", ["say": "b"], permission: "later"),
                FakeService.use("sevt_deny", ["say": "c"], permission: "deny"), FakeService.use("sevt_free", ["say": "d"], permission: nil),
                FakeService.use("sevt_other", ["say": "e"], name: "deploy"))
            await fixture.service.until { $0.results("sesn_1").count == 1 }
            #expect(fixture.driver.current.ran == ["sevt_free"])
            fixture.service.emit("sesn_1", ["type": "user.tool_confirmation", "tool_use_id": "sevt_odd", "result": "deny"])
            fixture.service.emit("sesn_1", ["type": "user.tool_confirmation", "tool_use_id": "sevt_deny", "result": "allow"])
            fixture.service.emit("sesn_1", ["type": "user.tool_confirmation", "tool_use_id": "sevt_ask", "result": "allow"])
            await fixture.service.until { $0.results("sesn_1").count == 2 }
            #expect(fixture.driver.current.ran == ["sevt_free", "sevt_ask"])
        }
    }

    @Test func aBrokenStreamIsOpenedAgainAndReconciled() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "x"]))
            await fixture.service.until { $0.results("sesn_1").count == 1 }
            fixture.service.breakStreams("sesn_1", error: true)
            fixture.service.emit("sesn_1", FakeService.use("sevt_2", ["say": "y"]))
            await fixture.clock.asks { $0 == .milliseconds(500) }
            fixture.clock.advance(by: .milliseconds(500))
            await fixture.service.until { $0.results("sesn_1").count == 2 }
            #expect(fixture.driver.current.ran == ["sevt_1", "sevt_2"])
        }
    }

    @Test func aSandboxThatCannotStartAnswersWithTheReason() async throws {
        let fixture = Fixture(driver: FakeDriver(refusesToStart: true))
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "x"]))
            await fixture.service.until { $0.results("sesn_1").count == 1 }
            let result = fixture.service.current.results("sesn_1").first
            #expect(result?["is_error"] == true)
            #expect(text(result)?.contains("no user namespaces") == true)
        }
    }

    @Test func aLostSandboxIsStartedAgain() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["lose": true]), FakeService.use("sevt_2", ["say": "back"]))
            await fixture.service.until { $0.results("sesn_1").count == 2 }
            #expect(Set(fixture.service.current.results("sesn_1").compactMap(text)) == ["bash: the sandbox failed: killed", "back"])
            #expect(fixture.driver.current.specs.count == 2)
        }
    }

    @Test func theOuterTimeOutAnswers() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["hang": true]))
            await fixture.driver.until { $0.ran == ["sevt_1"] }
            await fixture.clock.asks { $0 == .seconds(150) }
            fixture.clock.advance(by: .seconds(150))
            await fixture.service.until { $0.results("sesn_1").count == 1 }
            #expect(text(fixture.service.current.results("sesn_1").first) == "tool 'bash' timed out")
            #expect(fixture.driver.current.cancelled == ["sevt_1"])
        }
    }

    @Test func anInterruptedCallIsCancelledAndNotAnswered() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["hang": true]))
            await fixture.driver.until { $0.ran == ["sevt_1"] }
            fixture.service.emit("sesn_1", ["type": "agent.tool_result", "tool_use_id": "sevt_1", "is_error": true])
            await fixture.driver.until { $0.cancelled == ["sevt_1"] }
            fixture.service.emit("sesn_1", FakeService.use("sevt_2", ["say": "next"]))
            await fixture.service.until { $0.results("sesn_1").count == 1 }
            #expect(fixture.service.current.results("sesn_1").first?["tool_use_id"] == "sevt_2")
        }
    }

    @Test func servesManySessionsAtOnceAndNoMoreThanAllowed() async throws {
        let fixture = Fixture()
        let worker = fixture.worker { $0.maxSessions = 2 }
        try await fixture.serving(worker) {
            for id in ["sesn_1", "sesn_2", "sesn_3"] {
                fixture.service.enqueue(id)
                fixture.service.emit(id, FakeService.use("sevt_\(id)", ["say": .string(id)]))
            }
            await fixture.service.until { $0.results("sesn_1").count == 1 && $0.results("sesn_2").count == 1 }
            #expect(fixture.service.current.acked.count == 2)
            fixture.service.emit("sesn_1", ["type": "session.status_terminated"])
            await fixture.service.until { $0.results("sesn_3").count == 1 }
        }
        #expect(worker.statistics.sessions == 3)
        #expect(worker.statistics.calls == 3)
        #expect(worker.statistics.active == 0)
    }

    @Test func keysAndSecretsAppearInNoAuditAndTheAuditIsWritten() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "private words"]))
            await fixture.service.until { $0.results("sesn_1").count == 1 }
        }
        let lines = fixture.contents(".postern/audit.jsonl").split(separator: "\n").map(String.init)
        let kinds = try lines.map { try JSON(parsing: $0)["kind"]?.string }
        #expect(kinds.filter { ["intent", "outcome"].contains($0) } == ["intent", "outcome"])
        #expect(!lines.joined().contains("private words"))
        #expect(!lines.joined().contains("tok-1"))
    }
}
