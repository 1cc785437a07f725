import ManagedAgentsClient
import PosternJSON
import PosternWorker
import Testing

@Suite struct WorkerPollTests {
    @Test func elsewhereTheOfficialCadenceIsKept() async throws {
        let fixture = Fixture(service: FakeService { $0.holdsPolls = false })
        try await fixture.serving(fixture.worker()) {
            // Uniform in 1–3 s; chance is 0.5 here.
            await fixture.clock.asks(1) { $0 == .seconds(2) }
            #expect(fixture.service.current.requests.count == 1)
            fixture.clock.advance(by: .seconds(2))
            await fixture.clock.asks(2) { $0 == .seconds(2) }
            #expect(fixture.service.current.requests.count == 2)
        }
    }

    @Test func aRateLimitIsKept() async throws {
        let fixture = Fixture()
        fixture.service.change {
            $0.faults.append(.init(method: .get, suffix: "/poll", status: 429, headers: ["retry-after": "17", "x-should-retry": "true"]))
        }
        try await fixture.serving(fixture.worker()) {
            await fixture.clock.asks { $0 == .seconds(17) }
            fixture.clock.advance(by: .seconds(17))
            await fixture.service.until { !$0.polls.isEmpty }
        }
    }

    @Test func arevokedKeyEndsTheWorker() async throws {
        let fixture = Fixture()
        fixture.service.change {
            $0.faults.append(
                .init(
                    method: .get, suffix: "/poll", status: 401,
                    body: ["type": "error", "error": ["type": "authentication_error", "message": "OAuth access token has been revoked."]]))
        }
        let worker = fixture.worker()
        let error = await #expect(throws: Worker.Failure.self) { try await worker.run() }
        #expect(error.map { "\($0)" }?.contains("revoked") == true)
        #expect(error.map { "\($0)" }?.contains("env-key") == false)
    }

    @Test func aTransientAcknowledgementDropsTheClaim() async throws {
        let fixture = Fixture()
        fixture.service.change { $0.faults.append(.init(method: .post, suffix: "/ack", status: 500)) }
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            await fixture.clock.asks { $0 == .seconds(2) + .milliseconds(500) }
            #expect(fixture.service.current.stopped.isEmpty)
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "x"]))
            fixture.clock.advance(by: .seconds(3))
            await fixture.service.until { $0.results("sesn_1").count == 1 }
        }
    }

    @Test func aFatalAcknowledgementForceStopsTheItem() async throws {
        let fixture = Fixture()
        fixture.service.change { $0.faults.append(.init(method: .post, suffix: "/ack", status: 404)) }
        try await fixture.serving(fixture.worker()) {
            fixture.service.enqueue("sesn_1")
            await fixture.service.until { $0.stopped == ["sesn_1"] }
        }
        #expect(fixture.driver.current.ran.isEmpty)
    }

    @Test func theWorkerKeepsItsIdAndItsFolder() async throws {
        let fixture = Fixture()
        try await fixture.serving(fixture.worker()) { await fixture.service.until { !$0.polls.isEmpty } }
        let id = fixture.service.current.requests.last?.headers["Anthropic-Worker-ID"]
        let first = fixture.worker()
        try await fixture.serving(first) {
            await fixture.service.until { !$0.polls.isEmpty }
            let second = fixture.worker()
            let error = await #expect(throws: Worker.Failure.self) { try await second.run() }
            #expect(error.map { "\($0)" }?.contains("another worker holds it") == true)
        }
        #expect(fixture.service.current.requests.last?.headers["Anthropic-Worker-ID"] == id)
    }
}
