import PosternWorker

/// A decision for people: one line.
struct EgressLineRenderer {
    let terminal: Terminal

    func render(_ line: EgressFollowing.Line) -> String {
        switch line {
        case .decision(let decision): render(decision)
        case .missed(let lines): terminal.styled("… \(lines) lines are missing: this end was slow", .yellow)
        }
    }

    private func render(_ decision: EgressDecision) -> String {
        var words = [terminal.styled(decision.time, .dim), event(decision.event), decision.session]
        if let method = decision.method { words.append(visible(method)) }
        words.append((decision.destination.map { "\($0)" } ?? "-") + visible(decision.path ?? ""))
        words.append(terminal.styled("rule=\(decision.rule.map(visible) ?? "none")", .dim))
        let numbers: [(String, Int?)] = [
            ("status", decision.status), ("sent", decision.sent), ("received", decision.received), ("ms", decision.milliseconds),
        ]
        for (name, number) in numbers { if let number { words.append("\(name)=\(number)") } }
        if let call = decision.call { words.append(terminal.styled(visible(call), .dim)) }
        if let reason = decision.reason { words.append("(\(visible(reason)))") }
        return words.joined(separator: " ")
    }

    private func event(_ event: EgressDecision.Event) -> String {
        switch event {
        case .allowed: terminal.styled("allowed", .green)
        case .refused: terminal.styled("refused", .red)
        case .ended: terminal.styled("ended", .dim) + "  "
        }
    }

    /// Hosts, paths and reasons come from inside the sandbox.
    private func visible(_ text: String) -> String { Terminal.visible(text).replacing("\n", with: "\\n") }
}
