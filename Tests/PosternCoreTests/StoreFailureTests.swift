import ManagedAgentsAPI
import PosternJSON
import PosternTestKit
import Synchronization
import Testing

@testable import PosternCore

/// A store that takes nothing for a while, at each of the moments when the engine must store something that nobody would send again.
@Suite("A store that fails", .timeLimit(.minutes(1))) struct StoreFailureTests {
    private typealias H = MachineHarness

    private static let diskFull: @Sendable (Settlement) -> StoreError? = { _ in .unavailable("the disk is full") }
    private static let line = "session could not be stored"
    private static let refused = "session's step was refused"

    private var quick: SessionLimits {
        var limits = SessionLimits()
        limits.storeRetry = .milliseconds(50)
        limits.refusalRetry = .milliseconds(50)
        return limits
    }

    private func count(_ rows: [EventRow], _ type: String) -> Int { rows.count { $0.type == type } }

    @Test("The model's answer waits for the store; who sends meanwhile is told") func answer() async throws {
        let house = House(limits: quick)
        let session = try await house.create(H.message("go"))
        let stream = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.client)
        house.store.refuseSettlements(Self.diskFull)
        house.model.answer([H.text("done")])
        await house.logged(Self.line)
        let error = await #expect(throws: APIError.self) { try await house.sessions.send([H.message("lost")], to: session.id, by: house.client) }
        #expect(error?.status == 503 && error?.shouldRetry == true)
        house.store.refuseSettlements(nil)
        _ = try await house.wait(stream, for: "session.status_idle")
        let events = try await house.events(session.id)
        #expect(count(events, "agent.message") == 1 && count(events, "user.message") == 1 && count(events, "session.status_idle") == 1)
        #expect(house.model.requests.count == 1, "what the model has said is not asked again")
    }

    @Test("A result that could not be stored counts when it is sent again, once") func result() async throws {
        let house = House(limits: quick)
        let session = try await house.create(H.message("go"))
        house.model.answer([H.use("bash", "t1")], stop: "tool_use")
        let stream = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.client)
        let call = try await house.wait(stream, for: "agent.tool_use")
        _ = try await house.wait(stream, for: "session.status_idle")
        _ = try await house.claim()
        let result = ClientEvent.toolResult(toolUseID: call["id"]?.string ?? "", content: [H.text("ok")], isError: false)
        house.store.refuseSettlements(Self.diskFull)
        for _ in 0..<3 {
            let error = await #expect(throws: APIError.self) { try await house.sessions.send([result], to: session.id, by: house.worker) }
            #expect(error?.status == 503)
        }
        house.store.refuseSettlements(nil)
        for _ in 0..<2 { _ = try await house.sessions.send([result], to: session.id, by: house.worker) }
        house.model.answer([H.text("done")])
        _ = try await house.wait(stream, for: "agent.message")
        #expect(count(try await house.events(session.id), "user.tool_result") == 1)
        #expect(house.model.requests.count == 2)
    }

    @Test("The end of a lease waits for the store, and its calls are settled once") func leaseExpiry() async throws {
        let house = House(limits: quick, leaseSeconds: 2)
        let session = try await house.create(H.message("go"))
        house.model.answer([H.use("bash", "t1")], stop: "tool_use")
        let watch = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.client)
        _ = try await house.wait(watch, for: "session.status_idle")
        let running = Task { try await house.engine.run() }
        _ = try await house.claim()
        let stream = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.worker)
        _ = try await house.wait(stream, for: "agent.tool_use")
        house.store.refuseSettlements(Self.diskFull)
        await house.logged(Self.line)
        #expect(try await house.work.work(session.id, environmentID: "env_1").isLeased, "a lease ends with its transaction")
        house.store.refuseSettlements(nil)
        let result = try await house.wait(watch, for: "user.tool_result")
        #expect(result["is_error"]?.bool == true)
        #expect(try await house.work.isLeaseHeld(session: session.id, by: house.worker) == false)
        house.model.answer([H.text("done")])
        _ = try await house.wait(watch, for: "agent.message")
        #expect(count(try await house.events(session.id), "user.tool_result") == 1)
        running.cancel()
        try await running.value
    }

    @Test("An engine that is asked to end does so though the store is full; the next one goes on") func ending() async throws {
        let store = MemoryStore()
        let old = House(store: store)
        let running = Task { try await old.engine.run() }
        let session = try await old.create(H.message("go"))
        store.refuseSettlements(Self.diskFull)
        old.model.answer([H.text("lost")])
        await old.logged(Self.line)
        running.cancel()
        try await running.value
        store.refuseSettlements(nil)
        let new = House(store: store)
        let again = Task { try await new.engine.run() }
        new.model.answer([H.text("done")])
        let stream = try await new.sessions.subscribe(session.id, after: 0, previews: [], by: new.client)
        _ = try await new.wait(stream, for: "session.status_idle")
        let said = try await new.events(session.id).filter { $0.type == "agent.message" }
        #expect(said.count == 1 && String(decoding: said.first?.bytes ?? [], as: UTF8.self).contains("done"))
        again.cancel()
        try await again.value
    }

    @Test(
        "An answer that the store does not take ends the turn with an error; the next turn runs",
        arguments: [
            StoreError.invalid("string or blob too big"), .duplicate("events"), .conflict,
        ]) func refusedAnswer(error: StoreError) async throws
    {
        let house = House(limits: quick)
        let session = try await house.create(H.message("go"))
        let stream = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.client)
        let tries = Mutex(0)
        house.store.refuseSettlements { settlement in
            guard settlement.rows.contains(where: { $0.type == "agent.message" }) else { return nil }
            tries.withLock { $0 += 1 }
            return error
        }
        house.model.answer([H.text("too much")])
        let failure = try await house.wait(stream, for: "session.error")
        #expect(failure["error"]?["message"] == "The model's answer could not be stored.")
        _ = try await house.wait(stream, for: "session.status_idle")
        #expect(tries.withLock { $0 } == (error == .conflict ? SettlementRetry.maximumConflicts + 1 : 1), "not for ever")
        house.store.refuseSettlements(nil)
        _ = try await house.sessions.send([H.message("again")], to: session.id, by: house.client)
        house.model.answer([H.text("done")])
        _ = try await house.wait(stream, for: "agent.message")
    }

    @Test("What has no other way out is tried again once in a while, not at once") func refusedTwice() async throws {
        let house = House(limits: quick)
        let session = try await house.create(H.message("go"))
        let stream = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.client)
        house.store.refuseSettlements { _ in .duplicate("events") }
        house.model.answer([H.text("lost")])
        for _ in 0..<3 { await house.logged(Self.refused) }
        house.store.refuseSettlements(nil)
        _ = try await house.wait(stream, for: "session.error")
        _ = try await house.wait(stream, for: "session.status_idle")
    }

    @Test("A sender is told of a refusal that it is final") func refusedSender() async throws {
        let house = House(limits: quick)
        let session = try await house.create()
        house.store.refuseSettlements { _ in .invalid("string or blob too big") }
        let error = await #expect(throws: APIError.self) { try await house.sessions.send([H.message("x")], to: session.id, by: house.client) }
        #expect(error?.status == 500 && error?.shouldRetry == false)
        house.store.refuseSettlements(nil)
        _ = try await house.sessions.send([H.message("x")], to: session.id, by: house.client)
        #expect(count(try await house.events(session.id), "user.message") == 1)
    }

    @Test("What the store refuses of a sender does not cost the answer that came beside it") func refusedBesideAnswer() async throws {
        let house = House()
        let session = try await house.create(H.message("go"))
        let stream = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.client)
        house.store.refuseSettlements(Self.diskFull)
        house.model.answer([H.text("done")])
        await house.logged(Self.line)
        // While the answer waits for the store, a message joins it that will not be taken.
        let sending = Task { try await house.sessions.send([H.message("bad")], to: session.id, by: house.client) }
        house.store.refuseSettlements { settlement in
            settlement.rows.contains { $0.type == "user.message" } ? .invalid("string or blob too big") : nil
        }
        let said = try await house.wait(stream, for: "agent.message")
        #expect(said["content"] == [H.text("done")])
        let error = await #expect(throws: APIError.self) { try await sending.value }
        #expect(error?.status == 500)
    }
}
