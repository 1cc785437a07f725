import PosternJSON

/// What a self-test of the sandbox has found, boundary by boundary.
package struct SelfTestReport: Sendable, Hashable {
    package enum Verdict: String, Sendable {
        /// The boundary was attacked and held.
        case holds
        /// A layer is missing; the boundary itself stands on others.
        case degraded
        /// The attack went through, or could not be made: what is not known to hold does not hold.
        case fails
    }

    package struct Finding: Sendable, Hashable {
        /// Names the boundary, such as `host_files`; the same in every version.
        package var boundary: String
        package var verdict: Verdict
        /// What was seen. Empty for what holds.
        package var detail: String

        package init(_ boundary: String, _ verdict: Verdict, _ detail: String = "") {
            self.boundary = boundary
            self.verdict = verdict
            self.detail = detail
        }
    }

    package var findings: [Finding]
    /// From the start of the sandbox to its end.
    package var milliseconds: Int

    package init(findings: [Finding], milliseconds: Int) {
        self.findings = findings
        self.milliseconds = milliseconds
    }

    package var failures: [Finding] { findings.filter { $0.verdict == .fails } }

    /// Every boundary that is to be tested was, and held. An empty report proves nothing.
    package var holds: Bool { failures.isEmpty && !findings.isEmpty }

    /// For a log line and for the refusal to work.
    package var summary: String {
        guard !findings.isEmpty else { return "nothing was tested" }
        guard holds else { return failures.map { $0.detail.isEmpty ? $0.boundary : "\($0.boundary): \($0.detail)" }.joined(separator: ", ") }
        let degraded = findings.filter { $0.verdict == .degraded }
        let missing = degraded.isEmpty ? "" : "; without " + degraded.map { $0.detail.isEmpty ? $0.boundary : $0.detail }.joined(separator: ", ")
        return "\(findings.count - degraded.count) boundaries hold\(missing)"
    }

    package var json: JSON {
        [
            "type": "sandbox_self_test", "holds": .bool(holds), "milliseconds": JSON(milliseconds),
            "findings": .array(
                findings.map { ["boundary": .string($0.boundary), "verdict": .string($0.verdict.rawValue), "detail": .string($0.detail)] }),
        ]
    }
}
