import FoundationEssentials
import PosternHTTP
import PosternJSON

/// Header fields that say again what the body says (MCP 2026-07-28: `Mcp-Method`, `Mcp-Name`, `Mcp-Param-…`), and those that say how to read it. A
/// server, or what stands before it, may go by either: both have to say the same.
enum RoutingHeaders {
    /// Where one argument of a tool is said again: the header's name after `Mcp-Param-`, lower case, and the way to the argument.
    typealias Parameters = [String: [String]]

    static let batchVersion = "2025-03-26"
    /// The revisions whose messages are known here.
    static let versions: Set<String> = ["2024-11-05", batchVersion, "2025-06-18", "2025-11-25", "2026-07-28"]
    private static let parameterPrefix = "mcp-param-"
    private static let names = ["tools/call": "name", "prompts/get": "name", "resources/read": "uri"]

    /// What can be said without the body: before it is read.
    static func checkForm(_ fields: HTTPFields) throws(PolicyRefusal) {
        for field in fields.all {
            let spelling = field.spelling
            guard spelling != field.key, spelling.hasPrefix("mcp-") || spelling.hasPrefix("content-") || spelling.hasPrefix("x-http-method") else {
                continue
            }
            throw .malformed("headers.names", "the header \(field.name) looks like \(spelling)", "leave it out")
        }
        if let field = fields.methodOverride {
            throw .malformed("headers.names", "the header \(field.name) would make it another HTTP method", "leave it out")
        }
        guard fields.named("content-encoding").allSatisfy({ $0.tokens == ["identity"] }) else {
            throw .init(.encoded, "body.encoding", "the body has a content coding", remedy: "send it without Content-Encoding")
        }
        let types = fields.named("content-type")
        guard types.count == 1, isJSON(types[0].text) else {
            throw .init(.encoded, "body.type", "the body must be application/json in UTF-8", remedy: "send one Content-Type: application/json")
        }
        if let version = try only("mcp-protocol-version", fields), !versions.contains(version) {
            throw .malformed(
                "headers.version", "the revision in MCP-Protocol-Version is not known here", "use one of \(versions.sorted().joined(separator: ", "))"
            )
        }
        _ = try only("mcp-session-id", fields)
    }

    /// - Parameter parameters: of a tool, as its definition has them; `nil` where no definition was seen.
    static func check(_ fields: HTTPFields, _ body: RPCBody, parameters: (String) -> Parameters?) throws(PolicyRefusal) {
        let version = try only("mcp-protocol-version", fields)
        let method = try only("mcp-method", fields)
        let name = try only("mcp-name", fields)
        let said = fields.all.filter { $0.key.hasPrefix(parameterPrefix) }
        for message in body.messages { try checkVersion(version, message) }
        if body.isBatch {
            // A batch without the header is read by the revision that had no such header.
            guard version == nil || version == batchVersion else {
                throw .malformed("body.batch", "a batch belongs to revision \(batchVersion) alone", "send each message by itself")
            }
            guard method == nil, name == nil, said.isEmpty else {
                throw unequal("Mcp-Method, Mcp-Name and Mcp-Param-… are of one message, not of a batch")
            }
            return
        }
        guard let message = body.messages.first else { return }
        if let method, !method.utf8.elementsEqual(message.method.utf8) { throw unequal("Mcp-Method is not the method in the body") }
        if let name {
            let expected = names[message.method].flatMap { message.params[$0]?.string }
            guard let expected, equal(name, expected) else { throw unequal("Mcp-Name is not the name in the body") }
        }
        guard !said.isEmpty else { return }
        guard let tool = message.tool else { throw unequal("Mcp-Param-… belongs to tool calls") }
        guard let parameters = parameters(tool) else {
            throw .malformed(
                "headers.parameters", "this connector has not seen the tool's definition, which says what its Mcp-Param-… headers mean",
                "send tools/list through this route first")
        }
        for field in said {
            let key = String(field.key.dropFirst(parameterPrefix.count))
            _ = try only(field.key, fields)
            guard let path = parameters[key] else { throw unequal("\(field.name) is no header of this tool") }
            guard let value = text(at: path, message.arguments), equal(field.text, value) else {
                throw unequal("\(field.name) is not the argument in the body")
            }
        }
    }

    private static func unequal(_ message: String) -> PolicyRefusal { .malformed("headers.equal", message, "let headers and body say the same") }

    private static func checkVersion(_ version: String?, _ message: RPCMessage) throws(PolicyRefusal) {
        guard let said = message.params["_meta"]?[RPCMessage.versionKey] else { return }
        guard let version, said.string.map({ $0.utf8.elementsEqual(version.utf8) }) == true else {
            throw unequal("MCP-Protocol-Version is not the revision in \"_meta\"")
        }
    }

    /// The value of a field that may stand once; `nil` where it does not stand.
    private static func only(_ key: String, _ fields: HTTPFields) throws(PolicyRefusal) -> String? {
        let all = fields.named(key)
        guard all.count <= 1 else { throw .malformed("headers.names", "the header \(all[0].name) is given more than once", "send it once") }
        guard let field = all.first else { return nil }
        guard field.value.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
            throw .malformed("headers.names", "the header \(field.name) holds a byte that is not printable ASCII", "write it as =?base64?…?=")
        }
        return field.text
    }

    /// `application/json`, and a character set of UTF-8 if any: a body that is read in another one has another meaning.
    private static func isJSON(_ text: String) -> Bool {
        let parts = Array(text.utf8).split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
            .map { String(decoding: HTTPText.trimmed($0), as: UTF8.self).lowercased() }
        guard parts.first == "application/json" else { return false }
        let rest = parts.dropFirst()
        return rest.isEmpty || rest.count == 1 && ["charset=utf-8", "charset=\"utf-8\""].contains(rest[1])
    }

    /// Whether a header's value says `value`, as it is or in the form `=?base64?…?=`.
    private static func equal(_ header: String, _ value: String) -> Bool {
        let (start, end) = ("=?base64?", "?=")
        guard header.lowercased().hasPrefix(start), header.hasSuffix(end), header.utf8.count >= start.utf8.count + end.utf8.count else {
            return header.utf8.elementsEqual(value.utf8)
        }
        return header.dropFirst(start.count).dropLast(end.count).utf8.elementsEqual(Data(value.utf8).base64EncodedString().utf8)
    }

    private static func text(at path: [String], _ arguments: JSONObject) -> String? {
        var value: JSON? = .object(arguments)
        for key in path { value = value?[key] }
        switch value {
        case .string(let text)?: return text
        case .bool(let flag)?: return flag ? "true" : "false"
        case .int, .double, .bigNumber: return value?.text
        default: return nil
        }
    }
}
