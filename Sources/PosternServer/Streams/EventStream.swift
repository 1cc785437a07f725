import Hummingbird
import HummingbirdCore
import ManagedAgentsAPI
import NIOCore
import PosternCore
import PosternJSON
import Synchronization

/// Serves event streams: server-sent events with the event's log position as `id:`, so that a client that comes back with `Last-Event-ID` gets
/// what it missed, once.
struct EventStreams: Sendable {
    let slots: StreamSlots
    let wheel: StreamWheel
    let revocations: Revocations
    /// Whether the credential still opens the session; asked once a turn of the wheel for workers' credentials.
    let isStillOpen: @Sendable (_ session: String, _ principal: Principal) async -> Bool

    /// - Parameters:
    ///   - open: Subscribes; runs before the answer begins, so that its errors are answers.
    func serve(
        _ call: Call, session: String, open: () async throws(APIError) -> EventSubscription
    ) async throws(APIError) -> Answer {
        let principal = try call.caller()
        let holder = principal.keyID ?? "none"
        try slots.take(holder)
        let subscription: EventSubscription
        do {
            subscription = try await open()
        } catch {
            slots.give(holder)
            throw error
        }
        let ticket = StreamTicket { [slots] in
            subscription.close()
            slots.give(holder)
        }
        return .stream(
            ResponseBody { writer in
                defer { ticket.release() }
                try await write(&writer, subscription, call, session, principal)
            })
    }

    private func write(
        _ writer: inout any ResponseBodyWriter, _ subscription: EventSubscription, _ call: Call, _ session: String, _ principal: Principal
    ) async throws {
        let feed = StreamFeed()
        let watch = principal.keyID.map { revocations.watch($0) { feed.close() } }
        let unregister = wheel.add { keepAlive(feed, session, principal) }
        ConnectionGuard.whenEnding(call.channel) { feed.close() }
        defer {
            watch?.cancel()
            unregister()
            ConnectionGuard.forget(call.channel)
            subscription.close()
        }
        // The first bytes go out at once: they tell the client that the stream is open and nothing that happens from now on is missed.
        try await writer.write(ByteBuffer(string: ": open\n\n"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await Self.fill(feed, from: subscription) }
            defer { group.cancelAll() }
            while let bytes = await feed.take() { try await writer.write(bytes) }
            subscription.close()
            feed.close()
        }
        try await writer.finish(nil)
    }

    private func keepAlive(_ feed: StreamFeed, _ session: String, _ principal: Principal) {
        feed.ping()
        guard !principal.isClient else { return }
        // A worker that lost its lease reads no further. The task ends by itself with one look into the store.
        Task { if await !isStillOpen(session, principal) { feed.close() } }
    }

    private static func fill(_ feed: StreamFeed, from subscription: EventSubscription) async {
        do {
            while let item = try await subscription.next() {
                guard await feed.put(frame(item)) else { return }
            }
        } catch is CancellationError {
            return feed.close()
        } catch {
            let body = APIError(503, .api, "The session's events cannot be read at the moment; open the stream again.").body(requestID: nil)
            _ = await feed.put(ByteBuffer(string: "event: error\ndata: \(body.text)\n\n"))
        }
        feed.finish()
    }

    /// An event's JSON holds no line break, so one `data:` line holds it.
    static func frame(_ item: StreamItem) -> ByteBuffer {
        var buffer = ByteBuffer()
        switch item {
        case .event(let row):
            buffer.reserveCapacity(row.bytes.count + row.type.utf8.count + 48)
            buffer.writeString("event: \(row.type)\nid: \(row.sequence)\ndata: ")
            buffer.writeBytes(row.bytes)
        case .preview(let type, let bytes):
            buffer.writeString("event: \(type)\ndata: ")
            buffer.writeBytes(bytes)
        }
        buffer.writeString("\n\n")
        return buffer
    }
}

/// Runs its action once: when released, or when the answer that holds it was never written.
private final class StreamTicket: Sendable {
    private let action: @Sendable () -> Void
    private let isReleased = Atomic(false)

    init(_ action: @escaping @Sendable () -> Void) { self.action = action }
    deinit { release() }

    func release() {
        guard isReleased.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged else { return }
        action()
    }
}
