import PosternJSON
import PosternPolicy
import PosternTunnelWire

/// What a route lets through of the JSON-RPC between a caller and an MCP server. Whatever no rule allows is refused; what one denies is refused
/// whatever others allow.
package struct RoutePolicy: Hashable, Sendable {
    package enum Mode: String, Hashable, Sendable, CaseIterable {
        case enforce
        /// Lets through, and records what would have been refused.
        case dryRun = "dry_run"
    }

    package var mode = Mode.enforce
    /// Besides `everyday`.
    package var methods: NameRules
    /// Of every caller.
    package var rules: Rules
    /// Digests of tool definitions; `nil` where none are pinned. A tool that is not among them is refused.
    package var pins: [String: ToolDigest]?
    /// What further narrows the calls of some callers.
    package var narrower: [Narrower]
    /// Largest body of a request.
    package var maxBodyBytes = 1 << 20
    package var rate: Rate?

    /// Bounds of `maxBodyBytes`.
    package static let bodyBytes = 1_024...(16 << 20)
    package static let mostNarrower = 64

    /// Methods that pass unless they are denied: a session with tools needs no others.
    package static let everyday = ["initialize", "ping", "notifications/*", "server/discover", "tools/list", "tools/call"]

    package struct Rules: Hashable, Sendable {
        package var tools: NameRules
        /// By tool.
        package var arguments: [String: ArgumentSchema] = [:]
        /// Only tools whose definition has the annotation `readOnlyHint: true`.
        package var readOnly = false

        package init(tools: NameRules) { self.tools = tools }
    }

    /// Rules for the callers that are in one of its lists. They only take away.
    package struct Narrower: Hashable, Sendable {
        package var clients: Set<String> = []
        package var agents: Set<String> = []
        package var sessions: Set<String> = []
        package var workspaces: Set<String> = []
        package var deniedMethods: NameRules
        package var rules: Rules

        func isFor(_ identity: RuntimeIdentity) -> Bool {
            func has(_ value: String?, _ list: Set<String>) -> Bool { value.map(list.contains) ?? false }
            return has(identity.client, clients) || has(identity.agentID, agents) || has(identity.sessionID, sessions)
                || workspaces.contains(identity.workspaceID)
        }
    }

    /// Requests of one session, agent or client.
    package struct Rate: Hashable, Sendable {
        package var perMinute: Int
        /// At once, after a pause.
        package var burst: Int

        package static let bounds = 1...1_000_000

        package init(perMinute: Int, burst: Int) {
            self.perMinute = perMinute
            self.burst = burst
        }
    }

    package init(methods: NameRules, tools: NameRules) {
        self.methods = methods
        rules = Rules(tools: tools)
        narrower = []
    }

    // MARK: Deciding

    /// Why `message` is refused; `nil` when it passes.
    func refusal(of message: RPCMessage, from identity: RuntimeIdentity, _ catalogue: ToolCatalogue) -> PolicyRefusal? {
        // The server has asked for a response, and the caller's program has decided on it.
        if case .response = message.kind { return nil }
        let narrower = narrower.filter { $0.isFor(identity) }
        if methods.verdict(message.method) != .allowed || narrower.contains(where: { $0.deniedMethods.verdict(message.method) == .denied }) {
            let isDenied = methods.verdict(message.method) != .unknown
            return .denied(
                isDenied ? "methods.deny" : "methods.allow",
                isDenied ? "the method \(message.method) is denied" : "the method \(message.method) is not allowed",
                isDenied ? "use another method" : "ask for it to be listed in the route's methods.allow")
        }
        guard let tool = message.tool else { return nil }
        if let refusal = refusal(ofTool: tool, narrower) { return refusal }
        if let refusal = refusal(ofDefinition: catalogue[tool], tool, narrower) { return refusal }
        // A server may not tell case apart, so a schema is for every spelling of its tool.
        let folded = FoldedName.of(tool)
        for rules in [rules] + narrower.map(\.rules) {
            for (name, schema) in rules.arguments where FoldedName.of(name) == folded {
                guard let problem = schema.problem(.object(message.arguments)) else { continue }
                return .denied("arguments", problem, "call the tool with other arguments")
            }
        }
        return nil
    }

    /// Whether a caller gets to see the tool.
    func shows(_ tool: String, _ definition: ToolDefinition, to identity: RuntimeIdentity) -> Bool {
        let narrower = narrower.filter { $0.isFor(identity) }
        return refusal(ofTool: tool, narrower) == nil && refusal(ofDefinition: definition, tool, narrower) == nil
    }

    /// Whether some caller may be allowed to call the tool.
    func knows(_ tool: String) -> Bool { refusal(ofTool: tool, []) == nil }

    private func refusal(ofTool tool: String, _ narrower: [Narrower]) -> PolicyRefusal? {
        for rules in [rules] + narrower.map(\.rules) {
            switch rules.tools.verdict(tool) {
            case .allowed: break
            case .denied: return .denied("tools.deny", "the tool is denied", "use another tool; tools/list shows which")
            case .unknown: return .denied("tools.allow", "the tool is not allowed", "use another tool; tools/list shows which")
            }
        }
        if let pins, pins[tool] == nil {
            return .denied("tools.pins", "the tool's definition is not pinned", "look at it and add it to the route's tools.pins")
        }
        return nil
    }

    /// - Parameter definition: the one that was last seen; `nil` where none was.
    private func refusal(ofDefinition definition: ToolDefinition?, _ tool: String, _ narrower: [Narrower]) -> PolicyRefusal? {
        guard let pin = pins?[tool] else { return nil }
        guard let definition else {
            return .denied(
                "tools.pins", "this connector has not seen the tool's definition since it started, and cannot tell whether it is the pinned one",
                "send tools/list through this route first")
        }
        guard definition.digest == pin else {
            return .denied("tools.pins", "the tool's definition has changed since it was pinned", "look at it and pin it again")
        }
        if !definition.isReadOnly, rules.readOnly || narrower.contains(where: \.rules.readOnly) {
            return .denied("read_only", "the tool is not annotated as read-only", "use a tool that only reads")
        }
        return nil
    }
}
