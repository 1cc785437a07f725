import PosternJSON

/// Bounds on the bytes of tool results that leave the perimeter through the gate; `nil` is no bound.
package struct ResultBudgets: Sendable, Hashable {
    /// One result, as it is sent.
    package var result: Int?
    /// All results of one session.
    package var session: Int?
    /// Bytes of results from midnight to midnight UTC, those of all sessions of the worker together: a result of a session with this bound is
    /// held back once the worker's count has reached it. The worker keeps the count over restarts.
    package var day: Int?

    package init(result: Int? = nil, session: Int? = nil, day: Int? = nil) {
        self.result = result
        self.session = session
        self.day = day
    }

    /// The smaller of each pair.
    package func narrowed(by other: ResultBudgets) -> ResultBudgets {
        ResultBudgets(result: smaller(result, other.result), session: smaller(session, other.session), day: smaller(day, other.day))
    }

    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        result = try fields.int("result", in: 0...Int.max)
        session = try fields.int("session", in: 0...Int.max)
        day = try fields.int("day", in: 0...Int.max)
        try fields.finish()
    }

    package var json: JSON {
        var object = JSONObject()
        for (key, value) in [("result", result), ("session", session), ("day", day)] {
            if let value { object[key] = JSON(value) }
        }
        return .object(object)
    }
}
