import PosternJSON

/// What has left, by session, host and day: a value without I/O. Counts only ever grow, except that a new day begins at zero; a clock that
/// is set back does not begin a day again.
package struct ByteLedger: Sendable, Equatable {
    /// A session's counts.
    package struct Session: Sendable, Equatable {
        package var bytes = 0
        package var byHost: [String: Int] = [:]
        /// The day of its last charge.
        package var lastDay = ""
    }

    /// Hosts counted one by one for a session; further ones share the count of `otherHosts`, so that names made up by a sandbox take no
    /// memory.
    package static let mostHosts = 256
    package static let otherHosts = "*"

    package private(set) var day = ""
    package private(set) var dayBytes = 0
    package private(set) var sessions: [String: Session] = [:]

    package init() {}

    /// Counts the bytes, or says why they may not leave and counts nothing.
    package mutating func charge(_ charge: ByteCharge, _ limits: ByteLimits) -> BudgetRefusal? {
        let bytes = max(0, charge.bytes)
        let session = sessions[charge.session] ?? Session()
        let today = charge.day > day ? 0 : dayBytes
        if let refusal = Self.refuse(.event, limits.perEvent, used: 0, bytes) { return refusal }
        if let refusal = Self.refuse(.session, limits.perSession, used: session.bytes, bytes) { return refusal }
        if let refusal = Self.refuse(.day, limits.perDay, used: today, bytes) { return refusal }
        if let host = charge.host, let limit = limits.perHost[host],
            let refusal = Self.refuse(.host, limit, used: session.byHost[host] ?? 0, bytes, host: host)
        {
            return refusal
        }
        add(charge, keeping: Set(limits.perHost.keys))
        return nil
    }

    /// Counts bytes that have left already, whatever the limits say. Hosts in `keeping` are always counted by name.
    package mutating func add(_ charge: ByteCharge, keeping: Set<String> = []) {
        let bytes = max(0, charge.bytes)
        if charge.day > day { (day, dayBytes) = (charge.day, 0) }
        dayBytes = Self.sum(dayBytes, bytes)
        var session = sessions[charge.session] ?? Session()
        session.bytes = Self.sum(session.bytes, bytes)
        session.lastDay = max(session.lastDay, day)
        if let host = charge.host {
            let isNamed = session.byHost[host] != nil || keeping.contains(host) || session.byHost.count < Self.mostHosts
            session.byHost[isNamed ? host : Self.otherHosts, default: 0] += bytes
        }
        sessions[charge.session] = session
    }

    /// Drops a session that is over.
    package mutating func forget(session id: String) { sessions[id] = nil }

    /// Drops sessions whose last charge was before that day.
    package mutating func forget(sessionsBefore day: String) { sessions = sessions.filter { $0.value.lastDay >= day } }

    /// Raises the day's count, and those of the sessions that were charged in it, by `margin`.
    mutating func raise(by margin: Int) {
        dayBytes = Self.sum(dayBytes, margin)
        for (id, session) in sessions where session.lastDay == day {
            sessions[id]?.bytes = Self.sum(session.bytes, margin)
            for (host, bytes) in session.byHost { sessions[id]?.byHost[host] = Self.sum(bytes, margin) }
        }
    }

    private static func refuse(_ scope: BudgetRefusal.Scope, _ limit: Int?, used: Int, _ wanted: Int, host: String? = nil) -> BudgetRefusal? {
        guard let limit, sum(used, wanted) > limit else { return nil }
        return BudgetRefusal(scope: scope, limit: limit, used: used, wanted: wanted, host: host)
    }

    private static func sum(_ left: Int, _ right: Int) -> Int {
        let (sum, overflows) = left.addingReportingOverflow(right)
        return overflows ? .max : sum
    }
}

extension ByteLedger {
    /// A ledger as a file holds it; `nil` if it is none.
    package init?(json: JSON) {
        guard json["v"] == 1, let day = json["day"]?.string, let bytes = json["bytes"]?.int, bytes >= 0, let sessions = json["sessions"]?.object
        else {
            return nil
        }
        self.day = day
        dayBytes = bytes
        for (id, value) in sessions {
            guard let count = value["bytes"]?.int, count >= 0, let last = value["day"]?.string else { return nil }
            var session = Session(bytes: count, lastDay: last)
            for (host, value) in value["hosts"]?.object ?? [:] {
                guard let count = value.int, count >= 0 else { return nil }
                session.byHost[host] = count
            }
            self.sessions[id] = session
        }
    }

    package var json: JSON {
        let sessions = sessions.sorted { $0.key < $1.key }.map { id, session -> (String, JSON) in
            let hosts = JSONObject(session.byHost.sorted { $0.key < $1.key }.map { ($0.key, JSON($0.value)) })
            return (id, ["bytes": JSON(session.bytes), "day": .string(session.lastDay), "hosts": .object(hosts)])
        }
        return ["v": 1, "day": .string(day), "bytes": JSON(dayBytes), "sessions": .object(JSONObject(sessions))]
    }
}
