import PosternJSON

/// What the bridge carries from one side to the other, whatever revision each speaks. A value without I/O.
enum BridgedMethods {
    /// The capability of the server that a method needs; nil for methods that are not carried.
    private static let capabilities = [
        "tools/list": "tools", "tools/call": "tools", "prompts/list": "prompts", "prompts/get": "prompts", "resources/list": "resources",
        "resources/read": "resources", "resources/templates/list": "resources", "completion/complete": "completions",
        "logging/setLevel": "logging",
    ]
    /// Results that say for how long they may be kept (2026-07-28, "Caching").
    private static let cached: Set<String> = ["tools/list", "prompts/list", "resources/list", "resources/read", "resources/templates/list"]

    /// What the caller is told that the server can: its own capabilities without those that need the server to ask the caller something, or that
    /// another revision than the caller's has.
    static func capabilities(of server: ServerDescription, for caller: Revision) -> JSONObject {
        var told: JSONObject = [:]
        for name in ["tools", "prompts", "resources", "completions", "logging"] {
            guard var capability = server.capabilities[name]?.object, name != "logging" || server.era == caller.era else { continue }
            // Subscriptions to a resource are not carried.
            if name == "resources" { capability["subscribe"] = nil }
            told[name] = .object(capability)
        }
        return told
    }

    static func check(_ method: String, _ server: ServerDescription, for caller: Revision) throws(RPCError) {
        guard let capability = capabilities[method] else {
            throw RPCError(code: RPCError.methodNotFound, message: "the bridge does not carry \(method)")
        }
        guard capabilities(of: server, for: caller)[capability] != nil, method != "logging/setLevel" || caller.era == .handshake else {
            throw RPCError(code: RPCError.methodNotFound, message: "the server behind the bridge does not offer \(method)")
        }
    }

    /// The parameters for a server of that era.
    static func params(_ params: JSONObject, for era: Era) -> JSONObject {
        guard era == .handshake, var meta = params["_meta"]?.object, meta.contains(StdioServerMachine.logLevelKey) else { return params }
        var params = params
        meta[StdioServerMachine.logLevelKey] = nil
        params["_meta"] = meta.isEmpty ? nil : .object(meta)
        return params
    }

    /// The result for the caller: as it came, with what 2026-07-28 demands and an older server does not say. A `resultType` of that one's own is no
    /// word of its revision, and could ask the caller for what is not carried.
    static func result(_ result: JSONObject, of method: String, from server: Era, for caller: Revision) -> JSONObject {
        guard caller.era == .modern, server == .handshake else { return result }
        var result = result
        result["resultType"] = "complete"
        if cached.contains(method) {
            result["ttlMs"] = result["ttlMs"] ?? 0
            result["cacheScope"] = result["cacheScope"] ?? "private"
        }
        return result
    }
}
