import ManagedAgentsAPI
import Synchronization
import Testing

@testable import PosternCore

/// A log that grows while readers read it: each reader gets each visible event once, in order, however slow it is.
@Suite("Event subscription") struct EventSubscriptionTests {
    private final class Log: Sendable {
        let rows = Mutex<[EventRow]>([])
        let hub = EventHub()

        func append(_ count: Int) {
            let new = rows.withLock { rows in
                let new = (0..<count).map { offset in
                    let sequence = rows.count + offset + 1
                    return EventRow(
                        sequence: sequence, eventID: "e\(sequence)", view: sequence % 5 == 0 ? .hidden : .processed, type: "t", processedAt: nil,
                        bytes: [0])
                }
                rows += new
                return new
            }
            hub.publish(new, session: "s")
        }

        func subscribe(after: Int) -> EventSubscription {
            let subscription = EventSubscription(after: after, previews: ["agent.message"]) { (after, limit) async throws(StoreError) in
                self.rows.withLock { limit.prefix(of: $0.dropFirst(after)) }
            }
            hub.add(subscription, session: "s")
            return subscription
        }
    }

    private func read(_ subscription: EventSubscription, until last: Int) async throws -> [Int] {
        var seen: [Int] = []
        while seen.last != last, let item = try await subscription.next() {
            if case .event(let row) = item { seen.append(row.sequence) }
        }
        return seen
    }

    private func visible(_ range: ClosedRange<Int>) -> [Int] { range.filter { $0 % 5 != 0 } }

    @Test("Resumes from the log, goes on live, exactly once", arguments: [0, 3, 1999]) func resume(after: Int) async throws {
        let log = Log()
        log.append(2001)
        let subscription = log.subscribe(after: after)
        async let seen = read(subscription, until: 6001)
        for _ in 0..<40 {
            log.append(100)
            await Task.yield()
        }
        #expect(try await seen == visible(after + 1...6001))
    }

    @Test("A reader that does not read costs a bounded queue and still misses nothing") func slowReader() async throws {
        let log = Log()
        let subscription = log.subscribe(after: 0)
        for _ in 0..<100 { log.append(99) }
        log.append(1)
        log.append(1)
        #expect(try await read(subscription, until: 9901) == visible(1...9901))
    }

    @Test("The end comes last, and a closed stream is over") func end() async throws {
        let log = Log()
        let subscription = log.subscribe(after: 0)
        log.append(3)
        log.hub.end(session: "s", with: .preview(type: "session.deleted", bytes: [1]))
        #expect(try await read(subscription, until: 3) == [1, 2, 3])
        #expect(try await subscription.next() == .preview(type: "session.deleted", bytes: [1]))
        #expect(try await subscription.next() == nil)
        let other = log.subscribe(after: 3)
        other.close()
        #expect(try await other.next() == nil)
    }

    @Test("A waiting reader ends when it is cancelled") func cancellation() async throws {
        let log = Log()
        let subscription = log.subscribe(after: 0)
        let task = Task { try await subscription.next() }
        await Task.yield()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
