import Synchronization

/// Tells subscribers of a session what was appended, after it was stored. Holds no history: a subscriber that fell behind reads the log.
final class EventHub: Sendable {
    private struct Topic {
        var nextID = 0
        var subscribers: [Int: EventSubscription] = [:]
    }

    private let topics = Mutex<[String: Topic]>([:])

    /// Rows that lists and streams show, in log order.
    func publish(_ rows: [EventRow], session: String) {
        let visible = rows.filter { $0.view != .hidden }
        guard !visible.isEmpty else { return }
        for subscriber in subscribers(of: session) { subscriber.push(visible) }
    }

    /// A preview for those who asked for previews of `kind`.
    func publishPreview(_ kind: String, type: String, bytes: [UInt8], session: String) {
        for subscriber in subscribers(of: session) where subscriber.previews.contains(kind) {
            subscriber.push(preview: type, bytes)
        }
    }

    /// The last thing on every stream of a session that is no more.
    func end(session: String, with last: StreamItem) {
        for subscriber in subscribers(of: session) { subscriber.end(with: last) }
    }

    /// Ends the streams of workers: the lease that opened them is over.
    func closeWorkers(session: String) {
        for subscriber in subscribers(of: session) where subscriber.isWorker { subscriber.close() }
    }

    func add(_ subscription: EventSubscription, session: String) {
        let id = topics.withLock { topics in
            topics[session, default: Topic()].nextID += 1
            let id = topics[session]?.nextID ?? 0
            topics[session]?.subscribers[id] = subscription
            return id
        }
        subscription.onClose { [weak self] in self?.remove(id, session: session) }
    }

    private func remove(_ id: Int, session: String) {
        topics.withLock { topics in
            topics[session]?.subscribers.removeValue(forKey: id)
            if topics[session]?.subscribers.isEmpty == true { topics.removeValue(forKey: session) }
        }
    }

    private func subscribers(of session: String) -> [EventSubscription] {
        topics.withLock { $0[session].map { Array($0.subscribers.values) } ?? [] }
    }
}
