/// How many bytes may leave. `nil`: no bound. The strictest bound that applies decides.
package struct ByteLimits: Sendable, Equatable {
    /// In one event (a result), or one call (egress, a tunnel's answer).
    package var perEvent: Int?
    /// By one session, over its whole life.
    package var perSession: Int?
    /// By all sessions together in one day of UTC.
    package var perDay: Int?
    /// By one session to one host; a host that is not named has no bound of its own.
    package var perHost: [String: Int]

    package init(perEvent: Int? = nil, perSession: Int? = nil, perDay: Int? = nil, perHost: [String: Int] = [:]) {
        self.perEvent = perEvent
        self.perSession = perSession
        self.perDay = perDay
        self.perHost = perHost
    }

    /// Whether a bound reaches beyond one event, so that what has left before counts.
    var needsMemory: Bool { perSession != nil || perDay != nil || !perHost.isEmpty }
}

/// Bytes that are about to leave.
package struct ByteCharge: Sendable, Equatable {
    package var bytes: Int
    package var session: String
    /// Canonical; `nil` for results.
    package var host: String?
    /// The day of UTC, `YYYY-MM-DD`.
    package var day: String

    package init(bytes: Int, session: String, host: String? = nil, day: String) {
        self.bytes = bytes
        self.session = session
        self.host = host
        self.day = day
    }
}

/// Why bytes may not leave. Nothing was counted.
package struct BudgetRefusal: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Scope: String, Sendable { case event, session, day, host }

    package var scope: Scope
    /// The bound, what was used of it before, and what was wanted, in bytes.
    package var limit: Int
    package var used: Int
    package var wanted: Int
    /// For `host`.
    package var host: String?

    package var description: String {
        switch scope {
        case .event: "\(wanted) bytes are more than the \(limit) bytes that may leave at once"
        case .session: "the session may send \(limit) bytes out of the perimeter and has sent \(used); these \(wanted) bytes are too many"
        case .day: "\(limit) bytes may leave the perimeter in a day and \(used) have left; these \(wanted) bytes are too many"
        case .host: "the session may send \(limit) bytes to \(host ?? "the host") and has sent \(used); these \(wanted) bytes are too many"
        }
    }
}
