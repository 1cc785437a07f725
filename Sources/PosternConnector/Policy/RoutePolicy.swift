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
    /// Of every call.
    package var rules: Rules
    /// Digests of tool definitions; `nil` where none are pinned. A tool that is not among them is refused.
    package var pins: [String: ToolDigest]?
    /// Where they are, if not in the document: `ConnectorConfiguration.readPins` reads them, and until then there are none.
    package var pinsFile: String?
    /// What is pinned may be called: the document says nothing of `tools.allow`.
    var allowsPinned = false
    /// What further narrows some calls.
    package var narrower: [Rule] = []

    /// Bounds of `max_body_bytes`, and what it is where nothing is said.
    package static let bodyBytes = 1_024...(16 << 20)
    package static let usualBodyBytes = 1 << 20
    package static let mostNarrower = 64

    /// Methods that pass unless they are denied: a session with tools needs no others.
    package static let everyday = ["initialize", "ping", "notifications/*", "server/discover", "tools/list", "tools/call"]

    package init(methods: NameRules, tools: NameRules) { rules = Rules(methods: methods, tools: tools) }

    // MARK: Deciding

    /// Why `message` is refused; `nil` when it passes.
    func refusal(of message: RPCMessage, from identity: RuntimeIdentity, _ catalogue: ToolCatalogue) -> PolicyRefusal? {
        // The server has asked for a response, and the caller's program has decided on it.
        if case .response = message.kind { return nil }
        let definition = message.tool.flatMap { catalogue[$0] }
        let all = rules(for: message.method, message.tool, definition, identity)
        if let refusal = refusal(ofMethod: message.method, all) { return refusal }
        guard let tool = message.tool else { return nil }
        if let refusal = refusal(ofTool: tool, all) ?? refusal(ofDefinition: definition, tool, all) { return refusal }
        // A server may not tell case apart, so a schema is for every spelling of its tool.
        let folded = FoldedName.of(tool)
        for rules in all {
            for (name, schema) in rules.arguments where FoldedName.of(name) == folded {
                guard let problem = schema.problem(.object(message.arguments)) else { continue }
                return .denied(rules.prefix + "arguments", problem, "call the tool with other arguments")
            }
        }
        return nil
    }

    /// Whether a caller gets to see the tool.
    func shows(_ tool: String, _ definition: ToolDefinition, to identity: RuntimeIdentity) -> Bool {
        let all = rules(for: RPCMessage.toolCall, tool, definition, identity)
        return refusal(ofMethod: RPCMessage.toolCall, all) == nil && refusal(ofTool: tool, all) == nil
            && refusal(ofDefinition: definition, tool, all) == nil
    }

    /// Whether some caller may be allowed to call the tool.
    func knows(_ tool: String) -> Bool { refusal(ofTool: tool, [rules]) == nil }

    /// The same, with the tool as it is defined.
    func knows(_ tool: String, _ definition: ToolDefinition) -> Bool { knows(tool) && refusal(ofDefinition: definition, tool, [rules]) == nil }

    /// The largest body that is read of a caller, bytes, and the rule that says so.
    func bodyBound(of identity: RuntimeIdentity) -> (bytes: Int, rule: String) {
        var bound = (bytes: rules.maxBodyBytes ?? Self.usualBodyBytes, rule: Self.bodyKey)
        for rule in narrower where rule.scope.isEmpty && rule.isFor(identity) {
            if let bytes = rule.rules.maxBodyBytes, bytes < bound.bytes { bound = (bytes, rule.rules.prefix + Self.bodyKey) }
        }
        return bound
    }

    /// Why a body of that many bytes is too large for one of its messages; `nil` where it is not.
    func refusal(ofBytes bytes: Int, of message: RPCMessage, from identity: RuntimeIdentity, _ catalogue: ToolCatalogue) -> PolicyRefusal? {
        for rules in rules(for: message.method, message.tool, message.tool.flatMap { catalogue[$0] }, identity) {
            if let most = rules.maxBodyBytes, bytes > most { return Self.tooLarge(most, rules.prefix + Self.bodyKey) }
        }
        return nil
    }

    static func tooLarge(_ most: Int, _ rule: String) -> PolicyRefusal {
        .init(.tooLarge, rule, "the body has more than \(most) bytes", remedy: "send less, or ask for a larger max_body_bytes")
    }

    private static let bodyKey = "max_body_bytes"

    // MARK: Parts

    /// The policy's own rules, and those that narrow such a message of that caller.
    private func rules(for method: String, _ tool: String?, _ definition: ToolDefinition?, _ identity: RuntimeIdentity) -> [Rules] {
        [rules] + narrower.filter { $0.isFor(identity) && $0.isFor(method: method, tool: tool, definition?.hints) }.map(\.rules)
    }

    private func refusal(ofMethod method: String, _ all: [Rules]) -> PolicyRefusal? {
        for rules in all {
            switch rules.methods.verdict(method) {
            case .allowed: break
            case .denied: return .denied(rules.prefix + "methods.deny", "the method \(method) is denied", "use another method")
            case .unknown:
                return .denied(
                    rules.prefix + "methods.allow", "the method \(method) is not allowed", "ask for it to be listed in the route's methods.allow")
            }
        }
        return nil
    }

    private func refusal(ofTool tool: String, _ all: [Rules]) -> PolicyRefusal? {
        for rules in all {
            let remedy = "use another tool; tools/list shows which"
            switch rules.tools.verdict(tool) {
            case .allowed: break
            case .denied: return .denied(rules.prefix + "tools.deny", "the tool is denied", remedy)
            case .unknown: return .denied(rules.prefix + "tools.allow", "the tool is not allowed", remedy)
            }
        }
        if let pins, pins[tool] == nil {
            return .denied("tools.pins", "the tool's definition is not pinned", "look at it and add it to the route's tools.pins")
        }
        return nil
    }

    /// - Parameter definition: the one that was last seen; `nil` where none was.
    private func refusal(ofDefinition definition: ToolDefinition?, _ tool: String, _ all: [Rules]) -> PolicyRefusal? {
        guard let pin = pins?[tool] else { return nil }
        guard let definition else {
            return .denied(
                "tools.pins", "this connector has not seen the tool's definition since it started, and cannot tell whether it is the pinned one",
                "send tools/list through this route first")
        }
        guard definition.digest == pin else {
            return .denied("tools.pins", "the tool's definition has changed since it was pinned", "look at it and pin it again")
        }
        for rules in all {
            if rules.readOnly, !definition.hints[.readOnly] {
                return .denied(rules.prefix + "read_only", "the tool is not annotated as read-only", "use a tool that only reads")
            }
            let remedy = "use another tool; tools/list shows which"
            switch rules.hints.verdict(definition.hints) {
            case .allowed: break
            case .denied: return .denied(rules.prefix + "annotations.deny", "the tool has annotations that are denied", remedy)
            case .unknown: return .denied(rules.prefix + "annotations.allow", "the tool has none of the annotations that are allowed", remedy)
            }
        }
        return nil
    }
}
