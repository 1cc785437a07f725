import PosternJSON

/// The members that only `web_fetch` and `web_search` have (contract section 3.2).
enum WebToolParams {
    static func add(to config: inout JSONObject, from object: WireObject, name: String) throws(APIError) {
        let allowed = try domains("allowed_domains", object)
        let blocked = try domains("blocked_domains", object)
        guard allowed == nil || blocked == nil else {
            throw .invalid("\(object.path.dotted): allowed_domains and blocked_domains exclude each other")
        }
        config["allowed_domains"] = allowed
        config["blocked_domains"] = blocked
        if name == "web_fetch" {
            if let tokens = try object.int("max_content_tokens") {
                guard tokens > 0 else { throw .invalid("\(object.path.key("max_content_tokens").dotted): must be greater than 0") }
                config["max_content_tokens"] = JSON(tokens)
            }
            config["url_sources"] = try urlSources(object)
        } else if let json = object.value("user_location") {
            let place = object.path.key("user_location")
            let location = try WireObject(json, at: place, allowing: ["type", "city", "country", "region", "timezone"], namesPath: true)
            guard try location.requiredString("type") == "approximate" else {
                throw WireObject.notAChoice(location.members["type"]?.string ?? "", at: place.key("type"), ["approximate"])
            }
            for key in ["city", "country", "region", "timezone"] { _ = try location.string(key, maximum: 255) }
            config["user_location"] = json
        }
    }

    private static func domains(_ key: String, _ object: WireObject) throws(APIError) -> JSON? {
        guard let list = try object.array(key, maximum: 64) else { return nil }
        let place = object.path.key(key)
        guard !list.isEmpty else { throw .invalid("\(place.dotted): must contain at least 1 item") }
        for (index, domain) in list.enumerated() {
            guard let text = domain.string else {
                throw .invalid("Failed to parse request: \(place.index(index).bracketed): expected string, got \(domain.kind)")
            }
            guard !text.isEmpty else { throw .invalid("\(place.index(index).dotted): value is required") }
        }
        return .array(list)
    }

    private static func urlSources(_ object: WireObject) throws(APIError) -> JSON? {
        guard let json = object.value("url_sources") else { return nil }
        let keys = ["user_input", "server_tool_results", "client_tool_results"]
        let sources = try WireObject(json, at: object.path.key("url_sources"), allowing: Set(keys), namesPath: true)
        var resolved: JSONObject = [:]
        for key in keys { resolved[key] = try filter(sources, key, allowsTools: key != "user_input") }
        guard !keys.allSatisfy({ resolved[$0]?["type"] == "none" }) else {
            throw .invalid("\(sources.path.dotted): at least one source must not be \"none\"")
        }
        return .object(resolved)
    }

    private static func filter(_ sources: WireObject, _ key: String, allowsTools: Bool) throws(APIError) -> JSON? {
        guard let json = sources.value(key) else { return nil }
        let place = sources.path.key(key)
        if let text = json.string {
            guard text == "all" || text == "none" else { throw WireObject.notAChoice(text, at: place, ["all", "none"]) }
            return ["type": .string(text)]
        }
        let choices = allowsTools ? ["all", "none", "only", "except"] : ["all", "none"]
        let type = try WireObject.type(of: json, at: place)
        guard choices.contains(type) else { throw WireObject.notAChoice(type, at: place.key("type"), choices) }
        guard type == "only" || type == "except" else {
            _ = try WireObject(json, at: place, allowing: ["type"], namesPath: true)
            return ["type": .string(type)]
        }
        let filter = try WireObject(json, at: place, allowing: ["type", "tools"], namesPath: true)
        let tools = try filter.array("tools", maximum: 128) ?? []
        guard !tools.isEmpty else { throw .invalid("\(place.key("tools").dotted): must contain at least 1 item") }
        for (index, tool) in tools.enumerated() {
            let reference = try WireObject(tool, at: place.key("tools").index(index), allowing: ["type", "name"], namesPath: true)
            _ = try reference.choice("type", ["tool_reference"])
            _ = try reference.requiredString("name", maximum: 128)
        }
        return ["type": .string(type), "tools": .array(tools)]
    }
}
