import PosternJSON

/// The tools that a session's agent configuration gives to the model, and what the policy says of each.
struct Toolset: Sendable, Equatable {
    /// Who runs a call.
    enum Owner: String, Sendable {
        /// A worker, which answers with `user.tool_result`.
        case worker
        /// The customer's own code, which answers with `user.custom_tool_result`.
        case client
        /// The control plane itself, at an MCP server; it answers with `agent.mcp_tool_result`.
        case server
    }

    struct Entry: Sendable, Equatable {
        var owner: Owner
        var policy: PermissionPolicy
        /// For ``Owner/server``: whose tool it is, and the tool's own name.
        var mcp: MCPTool?
    }

    /// A tool of an MCP server.
    struct MCPTool: Sendable, Equatable {
        var server: String
        var name: String
    }

    private(set) var entries: [String: Entry] = [:]
    /// Definitions for the model, in the configuration's order.
    private(set) var definitions: [JSON] = []

    /// Reads the resolved `tools` of an agent snapshot (contract section 3.2). A set that Postern does not serve yet adds nothing.
    /// - Parameter listed: What MCP servers were found to have, by the server's name.
    init(_ tools: [JSON], listed: [String: [JSON]] = [:]) {
        for tool in tools {
            switch tool["type"]?.string {
            case "agent_toolset_20260401": addAgentToolset(tool)
            case "custom": addCustomTool(tool)
            case "mcp_toolset": add(MCPToolset(tool), listed)
            default: break
            }
        }
    }

    private mutating func add(_ set: MCPToolset, _ listed: [String: [JSON]]) {
        for tool in listed[set.server] ?? [] {
            guard let own = tool["name"]?.string, set.isEnabled(own) else { continue }
            let name = MCPToolset.name(set.server, own) { entries[$0] != nil }
            entries[name] = Entry(owner: .server, policy: set.policy(of: own), mcp: MCPTool(server: set.server, name: own))
            definitions.append(MCPToolset.definition(tool, name: name))
        }
    }

    private mutating func addAgentToolset(_ tool: JSON) {
        let defaultPolicy = PermissionPolicy(tool["default_config"]?["permission_policy"]) ?? .alwaysAllow
        let defaultEnabled = tool["default_config"]?["enabled"]?.bool ?? true
        for definition in AgentToolset.definitions {
            let config = tool["configs"]?.array?.first { $0["name"]?.string == definition.name }
            guard config?["enabled"]?.bool ?? defaultEnabled else { continue }
            let policy = PermissionPolicy(config?["permission_policy"]) ?? defaultPolicy
            entries[definition.name] = Entry(owner: .worker, policy: policy)
            definitions.append(definition.json)
        }
    }

    private mutating func addCustomTool(_ tool: JSON) {
        guard let name = tool["name"]?.string else { return }
        entries[name] = Entry(owner: .client, policy: .alwaysAllow)
        definitions.append([
            "name": .string(name), "description": tool["description"] ?? "", "input_schema": tool["input_schema"] ?? ["type": "object"],
        ])
    }
}

/// Contract section 3.3.
enum PermissionPolicy: String, Sendable {
    case alwaysAllow = "always_allow"
    case alwaysAsk = "always_ask"
    /// The server judges each call. Postern has no judge, so it asks: doubt is decided by a person.
    case auto

    init?(_ json: JSON?) {
        guard let policy = json?["type"]?.string.flatMap(Self.init(rawValue:)) else { return nil }
        self = policy
    }

    var permission: Permission { self == .alwaysAllow ? .allow : .ask }

    /// The `evaluation` member of the tool-use event.
    var evaluation: JSON {
        switch self {
        case .alwaysAllow, .alwaysAsk: ["type": .string(rawValue)]
        case .auto: ["type": "auto", "evaluated_permission": ["type": "ask", "reason_code": "indeterminate"]]
        }
    }
}

enum Permission: String, Sendable {
    case allow, ask
    /// The server refused before any policy applied: no such tool, or it is switched off.
    case deny
}
