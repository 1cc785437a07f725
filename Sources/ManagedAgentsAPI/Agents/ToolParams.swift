import PosternJSON

/// `tools` of an agent (contract section 3.2), turned into the form of the answers: every default written out.
package enum ToolParams {
    package static let maximum = 256
    static let builtIn = ["bash", "edit", "glob", "grep", "read", "write", "web_fetch", "web_search"]

    package static func resolve(_ list: [JSON], at path: WirePath) throws(APIError) -> [JSON] {
        guard list.count <= maximum else { throw .invalid("\(path.dotted): must contain at most \(maximum) items") }
        var resolved: [JSON] = []
        var names: Set<String> = []
        var hasAgentToolset = false
        for (index, json) in list.enumerated() {
            let place = path.index(index)
            let type = try WireObject.type(of: json, at: place)
            switch type {
            case "agent_toolset_20260401":
                if hasAgentToolset { throw .invalid("\(place.dotted): only one agent_toolset_20260401 is allowed") }
                hasAgentToolset = true
                resolved.append(try agentToolset(json, place.variant("agent_toolset_20260401")))
            case "mcp_toolset": resolved.append(try mcpToolset(json, place.variant("mcp_toolset")))
            case "custom":
                let tool = try customTool(json, place.variant("custom"))
                let name = tool["name"]?.string ?? ""
                guard names.insert(name).inserted else {
                    throw .invalid("\(place.variant("custom").key("name").dotted): duplicate tool name \"\(name)\"")
                }
                resolved.append(tool)
            default: throw WireObject.notAChoice(type, at: place.key("type"))
            }
        }
        try checkCollisions(resolved, path)
        return resolved
    }

    /// A custom tool may take the name of a built-in one only where that is switched off.
    private static func checkCollisions(_ tools: [JSON], _ path: WirePath) throws(APIError) {
        guard let toolset = tools.first(where: { $0["type"] == "agent_toolset_20260401" }) else { return }
        let byDefault = toolset["default_config"]?["enabled"]?.bool ?? true
        for (index, tool) in tools.enumerated() where tool["type"] == "custom" {
            guard let name = tool["name"]?.string, builtIn.contains(name) else { continue }
            let config = toolset["configs"]?.array?.first { $0["name"]?.string == name }
            guard !(config?["enabled"]?.bool ?? byDefault) else {
                throw .invalid("\(path.index(index).variant("custom").key("name").dotted): \"\(name)\" is the name of an enabled built-in tool")
            }
        }
    }

    // MARK: Toolsets

    private static func agentToolset(_ json: JSON, _ path: WirePath) throws(APIError) -> JSON {
        let object = try WireObject(json, at: path, allowing: ["type", "default_config", "configs"])
        let defaults = try defaultConfig(object, policy: "always_allow")
        var configs: [JSON] = []
        var names: Set<String> = []
        for (index, config) in (try object.array("configs") ?? []).enumerated() {
            let place = path.key("configs").index(index)
            guard config.object != nil else {
                throw .invalid("Failed to parse request: \(place.bracketed): expected object, got \(config.kind)")
            }
            guard let name = config["name"]?.string ?? config["type"]?.string else {
                throw .invalid("\(place.key("name").dotted): value is required")
            }
            guard builtIn.contains(name) else { throw WireObject.notAChoice(name, at: place.key("name"), builtIn) }
            guard names.insert(name).inserted else { throw .invalid("\(place.key("name").dotted): duplicate tool name \"\(name)\"") }
            configs.append(try self.config(config, name: name, at: place, defaults: defaults))
        }
        return ["type": "agent_toolset_20260401", "default_config": .object(defaults), "configs": .array(configs)]
    }

    private static func config(_ json: JSON, name: String, at path: WirePath, defaults: JSONObject) throws(APIError) -> JSON {
        var keys: Set<String> = ["type", "name", "enabled", "permission_policy"]
        switch name {
        case "web_fetch": keys.formUnion(["allowed_domains", "blocked_domains", "max_content_tokens", "url_sources"])
        case "web_search": keys.formUnion(["allowed_domains", "blocked_domains", "user_location"])
        default: break
        }
        let object = try WireObject(json, at: path, allowing: keys, namesPath: true)
        _ = try object.requiredString("name")
        if let type = try object.string("type"), type != name { throw WireObject.notAChoice(type, at: path.key("type"), [name]) }
        var config: JSONObject = ["type": .string(name), "name": .string(name)]
        config["enabled"] = try object.bool("enabled").map(JSON.bool) ?? defaults["enabled"]
        config["permission_policy"] = try policy(object) ?? defaults["permission_policy"]
        if name.hasPrefix("web_") { try WebToolParams.add(to: &config, from: object, name: name) }
        return .object(config)
    }

    private static func mcpToolset(_ json: JSON, _ path: WirePath) throws(APIError) -> JSON {
        let object = try WireObject(json, at: path, allowing: ["type", "mcp_server_name", "default_config", "configs"])
        let server = try object.requiredString("mcp_server_name", maximum: 255)
        let defaults = try defaultConfig(object, policy: "always_ask")
        var configs: [JSON] = []
        var names: Set<String> = []
        for (index, json) in (try object.array("configs") ?? []).enumerated() {
            let place = path.key("configs").index(index)
            let config = try WireObject(json, at: place, allowing: ["name", "enabled", "permission_policy"], namesPath: true)
            let name = try config.requiredString("name", maximum: 128)
            guard names.insert(name).inserted else { throw .invalid("\(place.key("name").dotted): duplicate tool name \"\(name)\"") }
            configs.append([
                "name": .string(name), "enabled": try config.bool("enabled").map(JSON.bool) ?? defaults["enabled"] ?? true,
                "permission_policy": try policy(config) ?? defaults["permission_policy"] ?? ["type": "always_ask"],
            ])
        }
        return [
            "type": "mcp_toolset", "mcp_server_name": .string(server), "default_config": .object(defaults), "configs": .array(configs),
        ]
    }

    private static func defaultConfig(_ object: WireObject, policy fallback: String) throws(APIError) -> JSONObject {
        let given = object.value("default_config") ?? [:]
        let config = try WireObject(given, at: object.path.key("default_config"), allowing: ["enabled", "permission_policy"])
        return [
            "enabled": .bool(try config.bool("enabled") ?? true), "permission_policy": try policy(config) ?? ["type": .string(fallback)],
        ]
    }

    private static func policy(_ object: WireObject) throws(APIError) -> JSON? {
        guard let json = object.value("permission_policy") else { return nil }
        let place = object.path.key("permission_policy")
        let policy = try WireObject(json, at: place, allowing: ["type"])
        _ = try policy.required("type")
        guard let type = try policy.choice("type", ["always_allow", "always_ask", "auto"]) else { return nil }
        return ["type": .string(type)]
    }

    // MARK: Custom tools

    private static func customTool(_ json: JSON, _ path: WirePath) throws(APIError) -> JSON {
        let object = try WireObject(json, at: path, allowing: ["type", "name", "description", "input_schema"])
        let name = try object.requiredString("name", maximum: 128)
        guard name.utf8.allSatisfy({ ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || (0x30...0x39).contains($0) || $0 == 0x5F || $0 == 0x2D }) else {
            throw .invalid("\(path.key("name").dotted): may hold only letters, digits, _ and -")
        }
        guard !name.hasPrefix("mcp__") else {
            throw .invalid("\(path.key("name").dotted): custom tool name \"\(name)\" uses reserved MCP tool prefix")
        }
        let description = try object.requiredString("description", maximum: 65_536)
        let place = path.key("input_schema")
        let schema = try object.required("input_schema")
        guard var members = schema.object else { throw object.mistyped("input_schema", "object") }
        guard let type = members["type"]?.string else { throw .invalid("\(place.key("type").dotted): value is required") }
        guard type == "object" else { throw WireObject.notAChoice(type, at: place.key("type"), ["object"]) }
        if let properties = members["properties"], !properties.isNull, properties.object == nil {
            throw .invalid("Failed to parse request: \(place.key("properties").bracketed): expected object, got \(properties.kind)")
        }
        if let required = members["required"], !required.isNull {
            guard let list = required.array, list.allSatisfy({ $0.string != nil }) else {
                throw .invalid("Failed to parse request: \(place.key("required").bracketed): expected array of strings")
            }
        }
        for key in ["properties", "required"] where members[key]?.isNull == true { members[key] = nil }
        return ["type": "custom", "name": .string(name), "description": .string(description), "input_schema": .object(members)]
    }
}
