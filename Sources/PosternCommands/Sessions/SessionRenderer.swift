import PosternJSON

/// Turns a session's events into text for people, as they come. A value without I/O: events in, text out.
package struct SessionRenderer: Sendable {
    private let terminal: Terminal
    /// Lines of a tool's result that are shown.
    private let resultLines: Int
    /// The message whose preview is on the screen without its line feed.
    private var openPreview: (id: String, block: Int)?
    /// Messages that were shown while they streamed.
    private var previewed: Set<String> = []

    package init(terminal: Terminal, resultLines: Int = 8) {
        self.terminal = terminal
        self.resultLines = resultLines
    }

    /// The text to print, with its line feeds; empty for what people need not see.
    package mutating func render(_ event: JSON) -> String {
        let type = event["type"]?.string ?? ""
        if type == "event_delta" { return delta(event) }
        if type == "event_start" { return "" }
        let id = event["id"]?.string ?? ""
        if type == "agent.message", previewed.contains(id) { return closePreview() }
        let text = block(event, type)
        return text.isEmpty ? "" : closePreview() + text + "\n"
    }

    private mutating func delta(_ event: JSON) -> String {
        guard let id = event["event_id"]?.string, let text = event.at("delta.content.text")?.string, !text.isEmpty else { return "" }
        let block = event.at("delta.index")?.int ?? 0
        // Another message, or the next block of this one.
        let isNew = openPreview.map { $0 != (id, block) } ?? false
        openPreview = (id, block)
        previewed.insert(id)
        return (isNew ? "\n" : "") + Terminal.visible(text)
    }

    private mutating func closePreview() -> String {
        guard openPreview != nil else { return "" }
        openPreview = nil
        return "\n"
    }

    private func block(_ event: JSON, _ type: String) -> String {
        switch type {
        case "user.message":
            // A client's event comes twice: received, and processed.
            return event["processed_at"]?.string == nil ? "" : terminal.styled("> " + text(event["content"]), .bold)
        case "system.message": return terminal.styled("system: " + text(event["content"]), .dim)
        case "agent.message": return text(event["content"])
        case "agent.thinking": return terminal.styled("(thinking)", .dim)
        case "agent.tool_use", "agent.custom_tool_use", "agent.mcp_tool_use": return call(event)
        case "user.tool_result", "user.custom_tool_result", "agent.tool_result", "agent.mcp_tool_result":
            return event["processed_at"]?.string == nil && type.hasPrefix("user.") ? "" : result(event)
        case "user.tool_confirmation": return terminal.styled("confirmation: \(event["result"]?.string ?? "")", .yellow)
        case "user.interrupt": return terminal.styled("interrupted", .yellow)
        case "session.error": return terminal.styled("error: " + Terminal.visible(event.at("error.message")?.string ?? "unknown"), .red)
        case "session.status_rescheduled": return terminal.styled("will be tried again", .yellow)
        case "session.status_terminated": return terminal.styled("terminated", .red)
        case "session.status_idle":
            let reason = event.at("stop_reason.type")?.string ?? "idle"
            return reason == "requires_action" ? "" : terminal.styled("idle: \(reason)", .dim)
        default: return ""
        }
    }

    private func call(_ event: JSON) -> String {
        let name = event["name"]?.string ?? "?"
        let asks = event["evaluated_permission"]?.string == "ask" ? terminal.styled("  waits for confirmation", .yellow) : ""
        let input = Terminal.visible(Self.summary(of: event["input"] ?? .null))
        return terminal.styled("→ \(name)", .cyan) + (input.isEmpty ? "" : "  " + input.replacing("\n", with: "\n    ")) + asks
    }

    /// What matters of a call's input: the command, the path, else all of it in short.
    static func summary(of input: JSON) -> String {
        if let command = input["command"]?.string { return shortened(command, to: 400) }
        if input["restart"]?.bool == true { return "restart" }
        var parts: [String] = []
        for key in ["file_path", "pattern", "path"] { if let value = input[key]?.string { parts.append(value) } }
        if let range = input["view_range"] { parts.append(range.text) }
        if let content = input["content"]?.string { parts.append("(\(content.utf8.count) bytes)") }
        if !parts.isEmpty { return parts.joined(separator: "  ") }
        return input.object?.isEmpty == false ? shortened(input.text, to: 200) : ""
    }

    private func result(_ event: JSON) -> String {
        let failed = event["is_error"]?.bool == true
        var body = text(event["content"])
        while body.last?.isNewline == true { body.removeLast() }
        let lines = body.split(separator: "\n", omittingEmptySubsequences: false)
        var shown = lines.prefix(resultLines).map { Self.shortened(String($0), to: 160) }
        if lines.count > resultLines { shown.append("… \(lines.count - resultLines) more lines, \(SessionSummary.size(body.utf8.count)) in all") }
        let mark = failed ? terminal.styled("✗", .red) : terminal.styled("✓", .green)
        return shown.enumerated().map { index, line in (index == 0 ? "\(mark) " : "  ") + terminal.styled(line, .dim) }.joined(separator: "\n")
    }

    private func text(_ content: JSON?) -> String {
        let parts = (content?.array ?? []).map { block -> String in
            block["text"]?.string.map(Terminal.visible) ?? "[\(block["type"]?.string ?? "content")]"
        }
        return parts.joined(separator: "\n")
    }

    private static func shortened(_ text: String, to count: Int) -> String {
        text.count > count ? text.prefix(count) + "…" : text
    }
}
