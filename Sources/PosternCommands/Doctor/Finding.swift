import PosternJSON

/// What `doctor` found out about one thing.
struct Finding: Sendable, Equatable {
    enum Verdict: String, Sendable {
        case good = "ok"
        /// Works, with less than there could be.
        case limited
        case missing
    }

    var verdict: Verdict
    /// `user namespaces`
    var subject: String
    /// What was seen.
    var detail: String
    /// What to do; for everything that is not good.
    var remedy: String?

    static func good(_ subject: String, _ detail: String) -> Finding { Finding(verdict: .good, subject: subject, detail: detail) }
    static func limited(_ subject: String, _ detail: String, _ remedy: String) -> Finding {
        Finding(verdict: .limited, subject: subject, detail: detail, remedy: remedy)
    }
    static func missing(_ subject: String, _ detail: String, _ remedy: String) -> Finding {
        Finding(verdict: .missing, subject: subject, detail: detail, remedy: remedy)
    }

    var json: JSON {
        var object: JSONObject = ["verdict": .string(verdict.rawValue), "subject": .string(subject), "detail": .string(detail)]
        if let remedy { object["remedy"] = .string(remedy) }
        return .object(object)
    }
}
