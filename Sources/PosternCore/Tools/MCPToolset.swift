import PosternJSON

/// The tools of one `mcp_toolset` (contract section 3.2) as the model is told of them.
struct MCPToolset: Sendable, Equatable {
    /// Tools of one server that a model is told of at most, and the bytes of their definitions. A server with more gives none: whoever runs the agent
    /// chooses by `configs`, nobody guesses.
    static let mostTools = 256
    static let mostBytes = 512 << 10

    let server: String
    private let defaults: JSON?
    private let configs: [String: JSON]

    init(_ config: JSON) {
        server = config["mcp_server_name"]?.string ?? ""
        defaults = config["default_config"]
        let named = (config["configs"]?.array ?? []).compactMap { config in config["name"]?.string.map { ($0, config) } }
        configs = Dictionary(named) { first, _ in first }
    }

    func isEnabled(_ tool: String) -> Bool { configs[tool]?["enabled"]?.bool ?? defaults?["enabled"]?.bool ?? true }

    func policy(of tool: String) -> PermissionPolicy {
        PermissionPolicy(configs[tool]?["permission_policy"]) ?? PermissionPolicy(defaults?["permission_policy"]) ?? .alwaysAsk
    }

    /// What of a server's list counts: the tools that are switched on, each name once.
    func selected(of tools: [JSON]) throws(MCPFailure) -> [JSON] {
        var names: Set<String> = []
        var selected: [JSON] = []
        var bytes = 0
        for tool in tools {
            guard let name = tool["name"]?.string, isEnabled(name), names.insert(name).inserted else { continue }
            selected.append(tool)
            bytes += tool.encoded.count
        }
        guard selected.count <= Self.mostTools, bytes <= Self.mostBytes else {
            throw MCPFailure(
                .connection,
                "The MCP server \"\(server)\" offers \(selected.count) tools in \(bytes) bytes; a model is told of \(Self.mostTools) tools in "
                    + "\(Self.mostBytes) bytes of one server at most. Switch tools off in the toolset's default_config and configs.")
        }
        return selected
    }

    // MARK: Names

    /// Longest name of a tool that model services take.
    private static let longestName = 128

    /// `mcp__{server}__{tool}`, of letters, digits, `_` and `-`. Where that is taken already, because two names differ only in what is not allowed, a
    /// number makes the second one its own.
    static func name(_ server: String, _ tool: String, taken: (String) -> Bool) -> String {
        let whole = String(plain("mcp__\(server)__\(tool)").prefix(longestName))
        guard taken(whole) else { return whole }
        var number = 2
        while true {
            let ending = "_\(number)"
            let name = whole.prefix(longestName - ending.count) + ending
            if !taken(String(name)) { return String(name) }
            number += 1
        }
    }

    private static func plain(_ text: String) -> String {
        String(
            decoding: text.utf8.map { byte in
                let isPlain =
                    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
                return isPlain ? byte : UInt8(ascii: "_")
            }, as: UTF8.self)
    }

    /// The definition under the name that the model knows.
    static func definition(_ tool: JSON, name: String) -> JSON {
        ["name": .string(name), "description": tool["description"] ?? "", "input_schema": schema(tool["input_schema"])]
    }

    /// Model services want an object and no choice at the top. The server checks arguments itself, so what is left out here is only not told.
    private static func schema(_ given: JSON?) -> JSON {
        var schema = given?.object ?? [:]
        schema["type"] = "object"
        for key in ["oneOf", "anyOf", "allOf"] { schema[key] = nil }
        return .object(schema)
    }
}
