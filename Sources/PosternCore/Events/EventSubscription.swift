import DequeModule
import Synchronization

package enum StreamItem: Sendable, Equatable {
    case event(EventRow)
    /// A frame that is never stored; `type` is `event_start`, `event_delta` or `session.deleted`.
    case preview(type: String, bytes: [UInt8])
}

/// One reader of a session's events. What it has not read yet is held up to a bound; beyond that it is dropped from memory and read from the log, so
/// a slow reader costs no memory and still misses no event. Previews are shed instead: they are hints.
package final class EventSubscription: Sendable {
    /// `agent.message`, `agent.thinking`: what the reader wants previews of.
    package let previews: Set<String>
    /// Opened by a lease and closed with it.
    let isWorker: Bool

    private static let heldItems = 512
    private static let heldBytes = 1 << 20
    private static let page = ReadLimit(rows: 256, bytes: heldBytes)

    private struct State {
        var queue = Deque<StreamItem>()
        var queuedBytes = 0
        /// The last event handed to the reader; older ones in the queue are skipped.
        var cursor: Int
        /// What comes after the queue is in the log and not here; nothing is queued until the log has been read to its end.
        var isBehind = true
        /// Something was pushed while the log was being read, so that its end was not the end.
        var hasMissed = false
        /// Handed out after everything else.
        var last: StreamItem?
        var isOver = false
        var waiter: CheckedContinuation<Void, Never>?
        var isCancelled = false
        var onClose: (@Sendable () -> Void)?
    }

    private let state: Mutex<State>
    private let read: @Sendable (_ after: Int, _ limit: ReadLimit) async throws(StoreError) -> [EventRow]
    private let delivered: @Sendable (_ sequence: Int) -> Void

    /// - Parameters:
    ///   - cursor: The last event that the reader has.
    ///   - read: Reads the session's log.
    ///   - delivered: Told of each event that is handed to the reader, before it is.
    init(
        after cursor: Int, previews: Set<String>, isWorker: Bool = false,
        read: @escaping @Sendable (_ after: Int, _ limit: ReadLimit) async throws(StoreError) -> [EventRow],
        delivered: @escaping @Sendable (_ sequence: Int) -> Void = { _ in }
    ) {
        self.previews = previews
        self.isWorker = isWorker
        self.read = read
        self.delivered = delivered
        state = Mutex(State(cursor: cursor))
    }

    /// The next item; nil when the stream is over. One reader at a time.
    /// - Throws: `StoreError` when the log cannot be read; the stream can be resumed later.
    package func next() async throws -> StreamItem? {
        while true {
            switch take() {
            case .item(let item): return item
            case .over: return nil
            case .behind: try await catchUp()
            case .nothing: await wait()
            }
            try Task.checkCancellation()
        }
    }

    /// Ends the stream. Idempotent.
    package func close() {
        let (waiter, onClose) = state.withLock { state in
            defer {
                state.isOver = true
                state.isBehind = false
                state.last = nil
                state.queue = []
                state.waiter = nil
                state.onClose = nil
            }
            return (state.waiter, state.onClose)
        }
        waiter?.resume()
        onClose?()
    }

    func onClose(_ action: @escaping @Sendable () -> Void) { state.withLock { $0.onClose = action } }

    func push(_ rows: [EventRow]) { enqueue(rows.map { ($0.bytes.count, .event($0)) }) }

    func push(preview type: String, _ bytes: [UInt8]) { enqueue([(bytes.count, .preview(type: type, bytes: bytes))]) }

    func end(with last: StreamItem) {
        wake { state in
            guard !state.isOver else { return }
            state.last = last
            state.isOver = true
        }
    }

    // MARK: Inside

    private enum Taken { case item(StreamItem), over, behind, nothing }

    private func wake(_ change: (inout sending State) -> Void) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            change(&state)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    private func enqueue(_ items: [(size: Int, item: StreamItem)]) {
        wake { state in
            guard !state.isOver else { return }
            for (size, item) in items {
                if state.isBehind || state.queue.count >= Self.heldItems || state.queuedBytes >= Self.heldBytes {
                    state.isBehind = true
                    state.hasMissed = true
                    continue
                }
                state.queue.append(item)
                state.queuedBytes += size
            }
        }
    }

    private func take() -> Taken {
        state.withLock { state in
            while let item = state.queue.popFirst() {
                switch item {
                case .event(let row):
                    state.queuedBytes -= row.bytes.count
                    guard row.sequence > state.cursor else { continue }
                    state.cursor = row.sequence
                    // Under the lock, so that once the stream is closed nothing more is handed out without a mark.
                    delivered(row.sequence)
                case .preview(_, let bytes): state.queuedBytes -= bytes.count
                }
                return .item(item)
            }
            if state.isBehind { return .behind }
            if let last = state.last {
                state.last = nil
                return .item(last)
            }
            return state.isOver ? .over : .nothing
        }
    }

    /// Reads the next page of the log.
    private func catchUp() async throws(StoreError) {
        let cursor = state.withLock { state in
            state.hasMissed = false
            return state.cursor
        }
        let rows = try await read(cursor, Self.page)
        state.withLock { state in
            state.isBehind = Self.page.isReached(by: rows) || state.hasMissed
            for row in rows where row.view != .hidden {
                state.queue.append(.event(row))
                state.queuedBytes += row.bytes.count
            }
            // Hidden rows are passed over, or a page of nothing else would be read for ever.
            if state.queue.isEmpty, let last = rows.last { state.cursor = max(state.cursor, last.sequence) }
        }
    }

    private func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if !state.queue.isEmpty || state.isBehind || state.isOver || state.isCancelled { return true }
                    state.waiter = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            state.withLock { state -> CheckedContinuation<Void, Never>? in
                state.isCancelled = true
                defer { state.waiter = nil }
                return state.waiter
            }?.resume()
        }
    }
}
