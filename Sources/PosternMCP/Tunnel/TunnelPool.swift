import NIOCore

/// Which connection serves which request, and which ones end. A value without I/O: connections and requests are numbers.
///
/// A connection serves one request at a time and requests of its own key only.
package struct TunnelPool<Key: Hashable & Sendable>: Sendable {
    package struct Limits: Sendable {
        /// Connections of one key, dialled ones included.
        package var perKey = 16
        /// Connections in all.
        package var total = 256
        package var idle = TunnelTimes().idle

        package init() {}
    }

    /// What a request is told.
    package enum Decision: Sendable, Equatable {
        /// Use this connection, which was idle.
        case use(Int)
        /// Dial one under this number; `evict` is to be closed for it.
        case dial(Int, evict: Int?)
        /// There are as many as there may be: the decision comes later.
        case wait
    }

    private enum State: Sendable, Equatable {
        case dialling
        case busy
        case idle(since: NIODeadline)
    }

    private struct Entry: Sendable {
        let key: Key
        var state: State
        var expires = NIODeadline.distantFuture
    }

    private let limits: Limits
    private var entries: [Int: Entry] = [:]
    /// Of each key; the last one was used last.
    private var idle: [Key: [Int]] = [:]
    private var waiting: [(ticket: Int, key: Key)] = []
    private var nextID = 0

    package init(_ limits: Limits = Limits()) { self.limits = limits }

    package var count: Int { entries.count }
    package var idleCount: Int { idle.values.reduce(0) { $0 + $1.count } }

    /// A request wants a connection.
    package mutating func take(_ key: Key, ticket: Int, now: NIODeadline) -> Decision {
        if let decision = decide(key, now) { return decision }
        waiting.append((ticket, key))
        return .wait
    }

    /// The connection stands, and ends with its certificate.
    package mutating func dialled(_ id: Int, expires: NIODeadline) {
        entries[id]?.expires = expires
        entries[id]?.state = .busy
    }

    /// The connection's call goes on past the certificate that it was dialled with; it carries no other one after that.
    package mutating func prolong(_ id: Int, expires: NIODeadline) { entries[id]?.expires = expires }

    /// The answer is whole and the connection may carry another request. Decisions for those that waited.
    package mutating func giveBack(_ id: Int, now: NIODeadline) -> [(ticket: Int, decision: Decision)] {
        guard let entry = entries[id], entry.state == .busy else { return [] }
        guard entry.expires > now else { return [] }
        entries[id]?.state = .idle(since: now)
        idle[entry.key, default: []].append(id)
        return serve(now)
    }

    /// The connection is gone, was never made, or is of no use.
    package mutating func gone(_ id: Int, now: NIODeadline) -> [(ticket: Int, decision: Decision)] {
        forget(id)
        return serve(now)
    }

    /// Nobody waits under this ticket any more.
    package mutating func giveUp(_ ticket: Int) { waiting.removeAll { $0.ticket == ticket } }

    /// What is idle for too long, and what has outlived its certificate, used or not. The caller closes these, and says `gone` of those in use.
    package mutating func due(_ now: NIODeadline) -> [Int] {
        let due = entries.filter { _, entry in
            if entry.expires <= now { return true }
            if case .idle(let since) = entry.state { return now - since >= limits.idle }
            return false
        }.keys.sorted()
        for id in due where isIdle(id) { forget(id) }
        return due
    }

    private func isIdle(_ id: Int) -> Bool { if case .idle? = entries[id]?.state { true } else { false } }

    private mutating func decide(_ key: Key, _ now: NIODeadline) -> Decision? {
        // The one that was used last is the likeliest to stand.
        while let id = idle[key]?.popLast() {
            guard let entry = entries[id], entry.expires > now else { continue }
            entries[id]?.state = .busy
            return .use(id)
        }
        guard entries.values.count(where: { $0.key == key }) < limits.perKey else { return nil }
        var evicted: Int?
        if entries.count >= limits.total {
            guard let oldest = oldestIdle else { return nil }
            forget(oldest)
            evicted = oldest
        }
        nextID += 1
        entries[nextID] = Entry(key: key, state: .dialling)
        return .dial(nextID, evict: evicted)
    }

    private var oldestIdle: Int? {
        var oldest: (id: Int, since: NIODeadline)?
        for (id, entry) in entries {
            if case .idle(let since) = entry.state, oldest.map({ (since, id) < ($0.since, $0.id) }) ?? true { oldest = (id, since) }
        }
        return oldest?.id
    }

    private mutating func forget(_ id: Int) {
        guard let entry = entries.removeValue(forKey: id) else { return }
        idle[entry.key]?.removeAll { $0 == id }
        if idle[entry.key]?.isEmpty == true { idle[entry.key] = nil }
    }

    /// Those that waited longest come first, where what they want is there.
    private mutating func serve(_ now: NIODeadline) -> [(ticket: Int, decision: Decision)] {
        var served: [(ticket: Int, decision: Decision)] = []
        var index = 0
        while index < waiting.count {
            if let decision = decide(waiting[index].key, now) {
                served.append((waiting.remove(at: index).ticket, decision))
            } else {
                index += 1
            }
        }
        return served
    }
}
