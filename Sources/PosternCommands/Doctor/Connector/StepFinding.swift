import PosternJSON

/// What `postern connector doctor` found out about one step of the way.
struct StepFinding: Sendable, Equatable {
    enum Verdict: String, Sendable {
        case good = "ok"
        /// Works; somebody should know of it.
        case warning = "warn"
        case failed = "fail"
    }

    var verdict: Verdict
    /// What the step is of: `edge edge.example.com:443`, `route docs`, `connector`.
    var subject: String
    /// `DNS`, `outer TLS`, `registration`.
    var step: String
    /// What was seen.
    var detail: String
    /// What to do; for everything that is not good.
    var remedy: String?
    /// `nil` for what takes no time.
    var duration: Duration?

    /// To a tenth.
    private var milliseconds: Double? { duration.map { (($0 / .milliseconds(1)) * 10).rounded() / 10 } }

    var json: JSON {
        var object: JSONObject = [
            "verdict": .string(verdict.rawValue), "subject": .string(subject), "step": .string(step), "detail": .string(Terminal.visible(detail)),
        ]
        object["remedy"] = remedy.map(JSON.string)
        object["milliseconds"] = milliseconds.map { .double($0) }
        return .object(object)
    }

    /// Lines for people.
    func lines(_ terminal: Terminal) -> [String] {
        let mark =
            switch verdict {
            case .good: terminal.styled("ok    ", .green)
            case .warning: terminal.styled("warn  ", .yellow)
            case .failed: terminal.styled("fail  ", .red)
            }
        let time = milliseconds.map { terminal.styled("  (\($0) ms)", .dim) } ?? ""
        return ["\(mark)\(subject): \(step): \(Terminal.visible(detail))\(time)"] + (remedy.map { ["      → \($0)"] } ?? [])
    }
}
