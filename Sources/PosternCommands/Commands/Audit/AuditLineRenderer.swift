import PosternAudit
import PosternJSON

/// A record for people: one line, the body as `name=value`.
struct AuditLineRenderer {
    let terminal: Terminal

    func render(_ line: AuditLine) -> String {
        var text = terminal.styled(line.time, .dim) + " \(line.seq) " + terminal.styled(line.kind, style(line))
        for key in ["session", "work", "call", "tool"] { if let value = line.json[key] { text += " \(key)=\(value.plain)" } }
        text += members(.object(line.body), prefix: "")
        return Terminal.visible(text).replacing("\n", with: "\\n")
    }

    private func members(_ value: JSON, prefix: String) -> String {
        guard let object = value.object else { return " \(prefix)=\(value.plain)" }
        return object.map { members($0.value, prefix: prefix.isEmpty ? $0.key : "\(prefix).\($0.key)") }.joined()
    }

    private func style(_ line: AuditLine) -> Terminal.Style {
        switch line.kind {
        case "egress_refused", "tunnel_refused", "repeated", "unknown", "torn_tail", "session_suspended", "gap": .yellow
        case "layer_off", "space_exhausted": .red
        case "file_decision": line.body["allowed"]?.bool == true ? .bold : .yellow
        default: .bold
        }
    }
}
