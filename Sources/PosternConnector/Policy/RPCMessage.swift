import PosternJSON

/// One message of JSON-RPC 2.0 as MCP uses it, read so that it has one reading only.
package struct RPCMessage: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// The id is a text or a whole number.
        case request(id: JSON)
        case notification
        /// To a request of the server.
        case response(id: JSON)
    }

    package var kind: Kind
    /// Empty for a response.
    package var method: String
    package var params: JSONObject

    /// The tool that is called; `nil` where none is.
    package var tool: String? { method == Self.toolCall ? params["name"]?.string : nil }
    /// Of a tool call; empty where it has none.
    package var arguments: JSONObject { params["arguments"]?.object ?? [:] }

    /// What an answer to it carries as `id`; `nil` where there is no answer to it.
    package var requestID: JSON? { if case .request(let id) = kind { id } else { nil } }

    static let toolCall = "tools/call"
    static let notifications = "notifications/"
    /// Longest method and longest name of a tool, bytes.
    static let longestMethod = 128
    static let longestTool = 256
    /// The member of `_meta` that repeats the revision since 2026-07-28.
    static let versionKey = "io.modelcontextprotocol/protocolVersion"

    /// `object` holds no two keys that differ in case only.
    init(_ json: JSON) throws(PolicyRefusal) {
        guard let object = json.object else {
            throw .malformed("body.message", "a message must be an object, not \(json.kind)", "send a JSON-RPC 2.0 message")
        }
        try Self.exact(object, ["jsonrpc", "id", "method", "params", "result", "error"], in: "the message")
        guard object["jsonrpc"]?.string.map({ $0.utf8.elementsEqual("2.0".utf8) }) == true else {
            throw .malformed("body.message", "the member \"jsonrpc\" must be \"2.0\"", "send a JSON-RPC 2.0 message")
        }
        let id = try object["id"].map(Self.id)
        guard let named = object["method"] else {
            guard let id, (object["result"] != nil) != (object["error"] != nil), object["params"] == nil else {
                throw .malformed(
                    "body.message", "the message is neither a request nor a response",
                    "send a \"method\", or an \"id\" with a \"result\" or an \"error\"")
            }
            (kind, method, params) = (.response(id: id), "", [:])
            return
        }
        guard object["result"] == nil, object["error"] == nil else {
            throw .malformed("body.message", "the message has a \"method\" and is a response too", "send one of both")
        }
        guard let method = named.string, Self.isMethod(method) else {
            throw .malformed(
                "body.method", "the method must be 1 to \(Self.longestMethod) of the characters a-z, A-Z, 0-9, '/', '_', '-', '.' and '$'",
                "send a method of MCP")
        }
        // A request without an id would run unanswered, and unseen by those who go by the id.
        guard method.hasPrefix(Self.notifications) == (id == nil) else {
            throw .malformed(
                "body.id", id == nil ? "a request of \(method) needs an \"id\"" : "a notification has no \"id\"", "send an \"id\" with requests only")
        }
        kind = id.map { .request(id: $0) } ?? .notification
        self.method = method
        switch object["params"] {
        case nil: params = [:]
        case .object(let object)?: params = object
        case let other?: throw .malformed("body.params", "\"params\" must be an object, not \(other.kind)", "name the parameters")
        }
        try Self.exact(params, ["name", "arguments", "uri", "_meta"], in: "\"params\"")
        if let meta = params["_meta"] {
            guard let meta = meta.object else { throw .malformed("body.params", "\"_meta\" must be an object", "leave it out") }
            try Self.exact(meta, [Self.versionKey], in: "\"_meta\"")
        }
        if method == Self.toolCall { try Self.checkTool(params) }
    }

    private static func exact(_ object: JSONObject, _ names: [String], in place: String) throws(PolicyRefusal) {
        guard let key = FoldedName.lookAlike(in: object, of: names) else { return }
        throw .malformed(
            "body.keys", "a key of \(place) is \"\(names.first { FoldedName.of($0) == FoldedName.of(key) } ?? "")\" in another case",
            "write it as the protocol does")
    }

    private static func id(_ json: JSON) throws(PolicyRefusal) -> JSON {
        switch json {
        case .int: return json
        case .string(let text) where text.utf8.count <= 256: return json
        default: throw .malformed("body.id", "an \"id\" must be a whole number or a text of at most 256 bytes", "send such an id")
        }
    }

    private static func isMethod(_ text: String) -> Bool {
        (1...longestMethod).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
                default: "/_-.$".utf8.contains(byte)
                }
            }
    }

    private static func checkTool(_ params: JSONObject) throws(PolicyRefusal) {
        guard let name = params["name"]?.string, isToolName(name) else {
            throw .malformed(
                "body.name", "a tool's name must be a text of 1 to \(longestTool) bytes of printable ASCII", "name the tool in \"params.name\"")
        }
        if let arguments = params["arguments"], arguments.object == nil {
            throw .malformed("body.arguments", "\"arguments\" must be an object, not \(arguments.kind)", "name the arguments")
        }
    }

    /// Printable ASCII: two spellings of one accented letter, and letters of other scripts that look alike, are two names for a server and may be one
    /// for a reader.
    static func isToolName(_ name: String) -> Bool {
        (1...longestTool).contains(name.utf8.count) && name.utf8.allSatisfy { (0x20...0x7E).contains($0) }
    }
}
