import PosternJSON

/// Bounds on the bytes that leave a sandbox through the egress proxy; what comes back does not count. `nil` is no bound.
package struct ByteBudgets: Sendable, Hashable {
    package enum Overrun: String, Sendable, Hashable, CaseIterable {
        /// The perimeter is asked and the call waits.
        case ask
        case fail
    }

    /// Bytes of one request, or of one opaque connection.
    package var call: Int?
    /// Bytes to one host in one session.
    package var host: Int?
    /// Bytes of one session.
    package var session: Int?
    /// Bytes of one session from midnight to midnight UTC; the worker keeps the count over restarts.
    package var day: Int?
    package var overrun: Overrun

    package init(call: Int? = nil, host: Int? = nil, session: Int? = nil, day: Int? = nil, overrun: Overrun = .fail) {
        self.call = call
        self.host = host
        self.session = session
        self.day = day
        self.overrun = overrun
    }

    /// The smaller of each pair; `fail` where either fails.
    package func narrowed(by other: ByteBudgets) -> ByteBudgets {
        ByteBudgets(
            call: smaller(call, other.call), host: smaller(host, other.host), session: smaller(session, other.session),
            day: smaller(day, other.day), overrun: overrun == .fail ? .fail : other.overrun)
    }

    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        let bounds = 0...Int.max
        call = try fields.int("call", in: bounds)
        host = try fields.int("host", in: bounds)
        session = try fields.int("session", in: bounds)
        day = try fields.int("day", in: bounds)
        overrun = try fields.choice("overrun", Overrun.self) ?? .fail
        try fields.finish()
    }

    package var json: JSON {
        var object: JSONObject = ["overrun": .string(overrun.rawValue)]
        for (key, value) in [("call", call), ("host", host), ("session", session), ("day", day)] {
            if let value { object[key] = JSON(value) }
        }
        return .object(object)
    }
}

/// The smaller bound of two, where `nil` is none.
func smaller(_ left: Int?, _ right: Int?) -> Int? {
    guard let left, let right else { return left ?? right }
    return min(left, right)
}
