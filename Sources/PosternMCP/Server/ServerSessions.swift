/// The sessions of one server: whose they are, how many there may be, and which of them nobody uses any more. Times are milliseconds of a clock
/// that never goes back. A value without I/O.
package struct ServerSessions<Owner: Hashable & Sendable>: Sendable {
    package enum Refusal: Error, Sendable, Hashable {
        /// As many as there may be, and each of the caller's own is in use.
        case tooManyOfCaller
        case tooMany
    }

    private struct Session {
        var owner: Owner
        /// Calls and listeners that run.
        var uses = 0
        var lastUse: Int
    }

    private let most: Int
    private let mostOfOwner: Int
    private let idleTime: Int
    private var sessions: [String: Session] = [:]

    package init(most: Int, mostOfOwner: Int, idleTime: Int) {
        self.most = most
        self.mostOfOwner = mostOfOwner
        self.idleTime = idleTime
    }

    package var count: Int { sessions.count }

    /// Takes up a session. A caller that has as many as it may gives up the one of its own that was unused for longest, which is the answer.
    package mutating func open(_ id: String, of owner: Owner, at now: Int) throws(Refusal) -> String? {
        var given: String?
        if sessions.values.count(where: { $0.owner == owner }) >= mostOfOwner {
            let unused = sessions.filter { $0.value.owner == owner && $0.value.uses == 0 }
            guard let oldest = unused.min(by: { ($0.value.lastUse, $0.key) < ($1.value.lastUse, $1.key) })?.key else { throw .tooManyOfCaller }
            given = oldest
        } else if sessions.count >= most {
            throw .tooMany
        }
        if let given { sessions[given] = nil }
        sessions[id] = Session(owner: owner, lastUse: now)
        return given
    }

    /// Whether there is such a session of that caller; others are told nothing of it.
    package func has(_ id: String, of owner: Owner) -> Bool { sessions[id]?.owner == owner }

    /// A call begins. False where there is no such session of that caller.
    package mutating func enter(_ id: String, of owner: Owner, at now: Int) -> Bool {
        guard has(id, of: owner) else { return false }
        sessions[id]?.uses += 1
        sessions[id]?.lastUse = now
        return true
    }

    /// A call has ended.
    package mutating func leave(_ id: String, at now: Int) {
        sessions[id]?.uses -= 1
        sessions[id]?.lastUse = now
    }

    package mutating func end(_ id: String) { sessions[id] = nil }

    /// Takes away the sessions that were unused for too long.
    package mutating func takeIdle(at now: Int) -> [String] {
        let idle = sessions.filter { $0.value.uses == 0 && now - $0.value.lastUse >= idleTime }.keys.sorted()
        for id in idle { sessions[id] = nil }
        return idle
    }
}
