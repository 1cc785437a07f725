import ManagedAgentsClient
import PosternJSON
import PosternWorker
import Testing

@Suite struct WorkerLeaseTests {
    @Test func aLostLeaseStopsEverythingAndPostsNothing() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["hang": true]))
            await fixture.driver.until { $0.ran == ["sevt_1"] }
            await fixture.service.until { $0.beatCount == 1 }
            await fixture.clock.asks { $0 == .seconds(30) }
            fixture.service.change { $0.beats["sesn_1"] = "somebody else's" }
            fixture.clock.advance(by: .seconds(30))
            await fixture.driver.until { $0.cancelled == ["sevt_1"] && $0.stopped == 1 }
        }
        #expect(fixture.service.current.results("sesn_1").isEmpty)
        #expect(fixture.service.current.stopped.isEmpty)
        // The intent stays: if the session comes back, the call is answered "unknown" instead of run again.
        #expect(fixture.contents(".postern/sessions/sesn_1.journal").contains("intent"))
    }

    @Test func afterALostLeaseTheSameCallIsNeverRunAgain() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["hang": true]))
            await fixture.driver.until { $0.ran == ["sevt_1"] }
            await fixture.clock.asks { $0 == .seconds(30) }
            fixture.service.change { $0.beats["sesn_1"] = "somebody else's" }
            fixture.clock.advance(by: .seconds(30))
            await fixture.driver.until { $0.stopped == 1 }
            fixture.service.enqueue("sesn_1")
            await fixture.service.until { $0.results("sesn_1").count == 1 }
        }
        #expect(fixture.driver.current.ran == ["sevt_1"])
        let text = fixture.service.current.results("sesn_1").first?["content"]?.array?.first?["text"]?.string
        #expect(text == "The worker was stopped while this call ran; its outcome is unknown and it was not repeated.")
    }

    @Test func aLeaseNobodyAnswersForIsTakenForLost() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker { $0.toolTimeout = .seconds(1_000_000_000) }) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["hang": true]))
            await fixture.driver.until { $0.ran == ["sevt_1"] }
            await fixture.clock.asks { $0 == .seconds(30) }
            fixture.service.change { $0.faults.append(.init(method: .post, suffix: "/heartbeat", status: 500, times: 1000)) }
            let ticking = Task {
                while !Task.isCancelled {
                    fixture.clock.advance(by: .seconds(10))
                    await Task.yield()
                }
            }
            defer { ticking.cancel() }
            await fixture.driver.until { $0.stopped == 1 }
        }
        #expect(fixture.service.current.results("sesn_1").isEmpty)
        #expect(fixture.service.current.stopped.isEmpty)
    }

    @Test func stoppingEndsTheRunAndStopsTheItem() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["hang": true]))
            await fixture.driver.until { $0.ran == ["sevt_1"] }
            await fixture.clock.asks { $0 == .seconds(30) }
            fixture.service.change { $0.heartbeatState = "stopping" }
            fixture.clock.advance(by: .seconds(30))
            await fixture.service.until { $0.stopped == ["sesn_1"] }
        }
        #expect(fixture.driver.current.cancelled == ["sevt_1"])
        #expect(fixture.service.current.results("sesn_1").isEmpty)
    }

    @Test func aSecondClaimOfTheSameSessionTakesTheFirstOnesPlace() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            await fixture.service.until { $0.streamsOpened == 1 }
            fixture.service.enqueue("sesn_1")
            await fixture.service.until { $0.streamsOpened == 2 }
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "x"]))
            await fixture.service.until { $0.results("sesn_1").count == 1 }
        }
        #expect(fixture.driver.current.ran == ["sevt_1"])
        #expect(fixture.service.current.stopped == ["sesn_1"])
    }

    @Test func drainAnswersTheRunningCallAndReleasesTheItem() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["hang": true]), FakeService.use("sevt_2", ["say": "never"]))
            await fixture.driver.until { $0.ran == ["sevt_1"] }
        }
        let results = fixture.service.current.results("sesn_1")
        #expect(results.count == 1)
        #expect(results.first?["tool_use_id"] == "sevt_1")
        #expect(results.first?["is_error"] == true)
        #expect(fixture.driver.current.ran == ["sevt_1"])
        #expect(fixture.service.current.stopped == ["sesn_1"])
        #expect(!fixture.exists(".postern/sessions/sesn_1.journal"))
    }

    @Test func cancellingRunDrainsToo() async throws {
        let fixture = Fixture()
        let worker = fixture.worker()
        let running = Task { try await worker.run() }
        fixture.service.enqueue("sesn_1")
        fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["hang": true]))
        await fixture.driver.until { $0.ran == ["sevt_1"] }
        running.cancel()
        try await running.value
        #expect(fixture.service.current.results("sesn_1").count == 1)
        #expect(fixture.service.current.stopped == ["sesn_1"])
    }

    @Test func drainIsBounded() async throws {
        let fixture = Fixture()
        let worker = fixture.worker()
        let running = Task { try await worker.run() }
        fixture.service.change { $0.faults.append(.init(method: .post, suffix: "/events", status: 500, times: 10_000)) }
        fixture.service.enqueue("sesn_1")
        fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["hang": true]))
        await fixture.driver.until { $0.ran == ["sevt_1"] }
        worker.shutDown()
        await fixture.service.until { !$0.posts("/events").isEmpty }
        // The limit, not the 30 s between beats, which are as long here: both are due at once.
        await fixture.clock.asks(2) { $0 == .seconds(30) }
        fixture.clock.advance(by: .seconds(30))
        try await running.value
        #expect(fixture.service.current.results("sesn_1").isEmpty)
        #expect(fixture.contents(".postern/sessions/sesn_1.journal").contains("outcome"))
    }

    @Test func drainModeEndsWithTheQueue() async throws {
        let fixture = Fixture()
        let worker = fixture.worker { $0.drain = true }
        fixture.service.change { $0.holdsPolls = false }
        fixture.service.enqueue("sesn_1")
        fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "x"]))
        let running = Task { try await worker.run() }
        await fixture.service.until { $0.results("sesn_1").count == 1 }
        fixture.service.emit("sesn_1", ["type": "session.status_terminated"])
        try await running.value
        #expect(fixture.service.current.stopped == ["sesn_1"])
    }

    @Test func oneItemModeServesWithoutPolling() async throws {
        let fixture = Fixture()
        fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "x"]))
        let item = WorkItem(id: "sesn_1", environmentID: "env_1", sessionID: "sesn_1", secret: Secret(FakeService.secret), needsAck: false)
        let worker = fixture.worker(mode: .item(item)) { $0.environmentKey = nil }
        let running = Task { try await worker.run() }
        await fixture.service.until { $0.results("sesn_1").count == 1 }
        fixture.service.emit("sesn_1", ["type": "session.deleted"])
        try await running.value
        #expect(fixture.service.current.stopped == ["sesn_1"])
        #expect(fixture.service.current.acked.isEmpty)
        #expect(!fixture.service.current.requests.contains { $0.target.contains("/poll") })
    }
}
