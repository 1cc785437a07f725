import Logging
import ManagedAgentsAPI
import PosternJSON
import PosternTestKit
import Testing

@testable import PosternCore

/// The engine over the in-memory store: what the services promise to routes.
@Suite("Session engine") struct EngineTests {
    private typealias H = MachineHarness

    @Test("A session runs from its first message through a tool call to its end") func wholeTurn() async throws {
        let house = House()
        let session = try await house.create(H.message("go"))
        #expect(session.status == .running)
        let stream = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.worker)
        house.model.answer([H.use("bash", "t1")], stop: "tool_use")
        let call = try await house.wait(stream, for: "agent.tool_use")
        let claimed = try await house.claim()
        #expect(claimed.state == .starting)
        #expect(try await house.work.isLeaseHeld(session: session.id, by: house.worker))
        _ = try await house.sessions.send(
            [.toolResult(toolUseID: call["id"]?.string ?? "", content: [H.text("ok")], isError: false)], to: session.id, by: house.worker)
        house.model.answer([H.text("done")])
        let idle = try await house.wait(stream, for: "session.status_idle") { $0["stop_reason"]?["type"]?.string == "end_turn" }
        #expect(idle["processed_at"]?.string != nil)
        #expect(try await house.sessions.session(session.id, workspaceID: "w").status == .idle)
        let page = try await house.sessions.events(session.id, filter: .init(), order: .ascending, from: nil, limit: 100, by: house.client)
        #expect(page.elements.last?.type == "session.status_idle")
        #expect(Set(page.elements.map(\.eventID)).count == page.elements.count)
    }

    @Test("Previews carry the ids of the events that follow") func previews() async throws {
        let house = House()
        let session = try await house.create()
        let stream = try await house.sessions.subscribe(session.id, after: nil, previews: ["agent.message"], by: house.client)
        _ = try await house.sessions.send([H.message("hi")], to: session.id, by: house.client)
        house.model.answer([H.text("hello")])
        var previewed: String?
        while let item = try await stream.next() {
            switch item {
            case .preview("event_start", let bytes): previewed = try JSON(parsing: bytes)["event"]?["id"]?.string
            case .event(let row) where row.type == "agent.message":
                #expect(row.eventID == previewed)
                return
            default: continue
            }
        }
    }

    @Test("A worker's credential may post results only") func workerEvents() async throws {
        let house = House()
        let session = try await house.create()
        for event: ClientEvent in [
            H.message("x"), .interrupt(threadID: nil), .toolConfirmation(toolUseID: "e", allow: true, denyMessage: nil),
            .systemMessage(content: [H.text("x")]),
        ] {
            await #expect(throws: APIError.self) { try await house.sessions.send([event], to: session.id, by: house.worker) }
        }
    }

    @Test("A poll that waits is woken by a new session") func longPoll() async throws {
        let house = House()
        async let polled = house.work.poll(environmentID: "env_1", key: house.key, workerID: nil, reclaimAfter: .seconds(5), wait: .seconds(60))
        let session = try await house.create()
        #expect(try await polled?.work.sessionID == session.id)
        #expect(try await house.work.poll(environmentID: "env_1", key: house.key, workerID: nil, reclaimAfter: .seconds(5), wait: nil) == nil)
    }

    @Test("Two polls of one unacknowledged item share its token; the second acknowledgement is refused") func doublePoll() async throws {
        let house = House()
        let session = try await house.create()
        let first = try #require(try await house.work.poll(environmentID: "env_1", key: house.key, workerID: "a", reclaimAfter: .zero, wait: nil))
        let second = try #require(try await house.work.poll(environmentID: "env_1", key: house.key, workerID: "b", reclaimAfter: .zero, wait: nil))
        #expect(first.sessionsToken == second.sessionsToken)
        _ = try await house.work.acknowledge(session.id, environmentID: "env_1", key: house.key)
        let error = await #expect(throws: APIError.self) { try await house.work.acknowledge(session.id, environmentID: "env_1", key: house.key) }
        #expect(error?.status == 409 && error?.shouldRetry == false)
    }

    @Test("A holder's stop settles what it was handed, and the item goes back when something is left to run") func stopWithOpenCalls() async throws {
        let house = House()
        let session = try await house.create(H.message("go"))
        _ = try await house.claim()
        let stream = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.worker)
        house.model.answer([H.use("bash", "t1"), H.use("read", "t2")], stop: "tool_use")
        _ = try await house.wait(stream, for: "session.status_idle")
        let watch = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.client)
        #expect(try await house.work.stop(session.id, environmentID: "env_1", force: true, by: house.worker).state == .stopped)
        let result = try await house.wait(watch, for: "user.tool_result")
        #expect(result["is_error"]?.bool == true)
        #expect(try await house.work.work(session.id, environmentID: "env_1").state == .queued, "the read is offered again")
        #expect(try await house.work.isLeaseHeld(session: session.id, by: house.worker) == false)
    }

    @Test("An item stopped in the queue comes back with the next message, for the calls that wait") func stopInQueue() async throws {
        let house = House()
        let session = try await house.create(H.message("go"))
        house.model.answer([H.use("bash", "t1")], stop: "tool_use")
        let stream = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.client)
        _ = try await house.wait(stream, for: "session.status_idle")
        _ = try await house.work.stop(session.id, environmentID: "env_1", force: true, by: house.worker)
        #expect(try await house.work.work(session.id, environmentID: "env_1").state == .queued, "somebody must still run the call")
    }

    @Test("A graceful stop that ends by time leaves nothing stranded, and closes the old holder's stream") func stoppingExpires() async throws {
        let house = House()
        let session = try await house.create(H.message("go"))
        _ = try await house.claim()
        let stream = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.worker)
        house.model.answer([H.use("read", "t1")], stop: "tool_use")
        _ = try await house.wait(stream, for: "session.status_idle")
        _ = try await house.work.stop(session.id, environmentID: "env_1", force: false, by: house.worker)
        await house.work.endLeases(ofKey: house.key.id)
        #expect(try await stream.next() == nil, "the stream ended with the lease")
        let again = try await house.work.poll(environmentID: "env_1", key: house.key, workerID: "w2", reclaimAfter: .seconds(5), wait: .seconds(5))
        #expect(again?.work.sessionID == session.id, "the read is offered again")
    }

    @Test("A token of one key is not given to another") func tokensOfKeys() async throws {
        let house = House()
        let session = try await house.create()
        var other = house.key
        other.id = "ekey_2"
        let first = try #require(try await house.work.poll(environmentID: "env_1", key: house.key, workerID: "a", reclaimAfter: .zero, wait: nil))
        let second = try #require(try await house.work.poll(environmentID: "env_1", key: other, workerID: "b", reclaimAfter: .zero, wait: nil))
        #expect(first.sessionsToken != second.sessionsToken)
        let leased = try await house.work.acknowledge(session.id, environmentID: "env_1", key: house.key)
        #expect(leased.keyID == house.key.id, "the lease is the key's that acknowledged")
    }

    @Test("A revoked key loses its leases") func revokedKey() async throws {
        let house = House()
        let session = try await house.create(H.message("go"))
        _ = try await house.claim()
        let stream = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.worker)
        house.model.answer([H.use("bash", "t1")], stop: "tool_use")
        _ = try await house.wait(stream, for: "agent.tool_use")
        let watch = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.client)
        await house.work.endLeases(ofKey: house.key.id)
        _ = try await house.wait(watch, for: "user.tool_result")
        #expect(try await house.work.isLeaseHeld(session: session.id, by: house.worker) == false)
    }

    @Test("A new process goes on with what the old one left") func restart() async throws {
        let store = MemoryStore()
        let old = House(store: store)
        let session = try await old.create(H.message("go"))
        let new = House(store: store)
        let running = Task { try await new.engine.run() }
        new.model.answer([H.text("done")])
        let stream = try await new.sessions.subscribe(session.id, after: 0, previews: [], by: new.client)
        _ = try await new.wait(stream, for: "session.status_idle")
        // The old process wakes up late: its answer finds a longer log and changes nothing.
        let length = try await new.sessions.session(session.id, workspaceID: "w").lastSequence
        old.model.answer([H.text("late")])
        _ = try? await old.sessions.send([.interrupt(threadID: nil)], to: session.id, by: old.client)
        let rows = try await store.rows(session: session.id, after: length, limit: 10)
        #expect(!rows.contains { $0.type == "agent.message" })
        running.cancel()
        try await running.value
    }

    @Test("Sessions that were dropped from memory are read again") func eviction() async throws {
        let house = House(capacity: 4)
        var ids: [String] = []
        for index in 0..<12 { ids.append(try await house.create(H.message("m\(index)")).id) }
        for _ in ids { house.model.answer([H.text("ok")]) }
        for id in ids {
            let stream = try await house.sessions.subscribe(id, after: 0, previews: [], by: house.client)
            _ = try await house.wait(stream, for: "session.status_idle")
        }
        for id in ids {
            _ = try await house.sessions.update(id, workspaceID: "w", SessionPatch(title: .some("t")))
            #expect(try await house.sessions.session(id, workspaceID: "w").title == "t")
        }
    }

    @Test("Archived sessions take nothing more; deleted ones end their streams") func endings() async throws {
        let house = House()
        let session = try await house.create()
        let stream = try await house.sessions.subscribe(session.id, after: nil, previews: [], by: house.client)
        #expect(try await house.sessions.archive(session.id, workspaceID: "w").status == .terminated)
        await #expect(throws: APIError.self) { try await house.sessions.send([H.message("x")], to: session.id, by: house.client) }
        #expect(try await house.work.work(session.id, environmentID: "env_1").state == .stopped)
        try await house.sessions.delete(session.id, workspaceID: "w")
        guard case .preview("session.deleted", _)? = try await stream.next() else {
            Issue.record("the stream did not end with session.deleted")
            return
        }
        #expect(try await stream.next() == nil)
        await #expect(throws: APIError.self) { try await house.sessions.session(session.id, workspaceID: "w") }
    }

    @Test("A running session cannot be deleted or archived") func running() async throws {
        let house = House()
        let session = try await house.create(H.message("go"))
        await #expect(throws: APIError.self) { try await house.sessions.archive(session.id, workspaceID: "w") }
        await #expect(throws: APIError.self) { try await house.sessions.delete(session.id, workspaceID: "w") }
        await #expect(throws: APIError.self) { try await house.sessions.session(session.id, workspaceID: "other") }
    }
}
