import PosternCore
import PosternJSON
import PosternMCP

/// What MCP servers say, in the words of the contract: definitions of tools, results of calls, failures.
package enum ServerAnswers {
    /// Characters of text that a result keeps: beyond it the beginning stays, and a line says how much was cut. There is no sandbox here to keep the
    /// whole in.
    package static let mostText = 100_000
    /// Bytes of base64 of one image or document, and pieces of them in one result.
    package static let mostMedia = 5 << 20
    package static let mostMediaPieces = 8

    static func definition(_ tool: Tool) -> JSON {
        ["name": .string(tool.name), "description": .string(tool.text ?? tool.title ?? ""), "input_schema": tool.inputSchema]
    }

    // MARK: Results

    package static func result(_ result: ToolResult) -> MCPCallResult {
        var blocks: [JSON] = []
        var room = mostText
        var cut = 0
        var pieces = 0
        func add(_ text: String) {
            let kept = text.unicodeScalars.prefix(room)
            if !kept.isEmpty { blocks.append(block(String(kept))) }
            let length = text.unicodeScalars.count
            room -= kept.count
            cut += length - kept.count
        }
        func add(_ type: String, _ mediaType: String, _ base64: String) {
            guard base64.utf8.count <= mostMedia, pieces < mostMediaPieces else {
                return blocks.append(
                    block("[\(type) of the type \(mediaType.prefix(80)), \(base64.utf8.count) bytes of base64: too much to be passed on]"))
            }
            pieces += 1
            blocks.append([
                "type": .string(type), "source": ["type": "base64", "media_type": .string(mediaType), "data": .string(base64)],
            ])
        }
        for content in result.content {
            switch content {
            case .text(let text): add(text)
            case .media("image", let type, let data): add("image", type, data)
            case .media(let kind, let type, let data):
                blocks.append(block("[\(kind.prefix(20)) of the type \(type.prefix(80)), \(data.utf8.count) bytes of base64: not passed on]"))
            case .resource(_, _, let text?, _): add(text)
            case .resource(_, let type?, nil, let data?) where type.hasPrefix("image/"): add("image", type, data)
            case .resource(_, "application/pdf", nil, let data?): add("document", "application/pdf", data)
            case .resource(let uri, let type, nil, let data):
                add("[resource \(uri), type \(type ?? "unknown"), \(data?.utf8.count ?? 0) bytes of base64: not passed on]")
            case .link(let uri, let name, let type): add("[resource \(name): \(uri)\(type.map { ", \($0)" } ?? "")]")
            case .other(let json): add(json.text)
            }
        }
        // What says it twice says it in content too; what has no content says it here only.
        if blocks.isEmpty, let structured = result.structured { add(structured.text) }
        if cut > 0 { blocks.append(block("[\(cut) more characters were cut: a result keeps \(mostText). Ask for less.]")) }
        return MCPCallResult(content: blocks, isError: result.isError)
    }

    private static func block(_ text: String) -> JSON { ["type": "text", "text": .string(text)] }

    // MARK: Failures

    /// Characters of a failure's text: what a server says of itself goes into events and to the model.
    package static let longestFailure = 2000

    package static func failure(_ error: MCPError, of server: MCPServer) -> MCPFailure {
        var failure = told(error, server)
        failure.message = String(failure.message.unicodeScalars.prefix(longestFailure))
        return failure
    }

    private static func told(_ error: MCPError, _ server: MCPServer) -> MCPFailure {
        let name = "The MCP server \"\(server.name)\""
        switch error {
        case .unauthorized, .insufficientScope, .oauth:
            return MCPFailure(
                .authentication,
                "\(name) wants a credential that the session does not have. A connector puts one in: `headers` of the route, in its document.")
        case .outcomeUnknown(let reason):
            return MCPFailure(
                .call,
                "Whether the call took effect at the MCP server \"\(server.name)\" is unknown; it was not repeated. Check before you run it again. (\(reason))"
            )
        case .timedOut(_, let seconds, _):
            return MCPFailure(
                isCall(error) ? .call : .connection,
                "\(name) did not answer within \(seconds) s."
                    + (isCall(error) ? " The call was cancelled there; whether it took effect is unknown, and it was not repeated." : ""))
        case .server, .inputRequired, .malformed, .tooLarge, .refused, .notOffered, .cancelled:
            return MCPFailure(isOfCall(error) ? .call : .connection, "\(name): \(error)")
        case .connector("policy", let message), .connector("route_busy", let message), .connector("caller_busy", let message):
            return MCPFailure(.call, "\(name): the tunnel's connector did not pass the call on: \(message)")
        case .unreachable, .status, .connector, .redirected, .sessionLost, .revision, .ended:
            return MCPFailure(.connection, "\(name) cannot be used: \(error)")
        }
    }

    /// An error of a call, told for what it is: where the request has gone and the answer does not say what came of it, nobody knows.
    static func ofCall(_ error: MCPError) -> MCPError {
        switch error {
        case .status(500..., _), .malformed, .tooLarge: .outcomeUnknown("\(error)")
        default: error
        }
    }

    /// Whether a connector has refused a call because it has not seen the tool's definition, or another one: it then goes by what a list shows.
    static func wantsListing(_ error: MCPError) -> Bool {
        guard case .server(let answer) = error, answer.data?["reason"] == "policy" else { return false }
        return answer.data?["rule"] == "tools.pins"
    }

    private static func isCall(_ error: MCPError) -> Bool { if case .timedOut("tools/call", _, _) = error { true } else { false } }

    /// `refused` is also what is told where no certificate can be had.
    private static func isOfCall(_ error: MCPError) -> Bool { if case .refused = error { false } else { true } }
}
