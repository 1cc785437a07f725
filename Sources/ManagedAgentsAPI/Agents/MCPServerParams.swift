import PosternJSON

/// `mcp_servers` of an agent (contract section 3.4), and the rule that ties them to the toolsets.
package enum MCPServerParams {
    package static func resolve(_ list: [JSON], at path: WirePath) throws(APIError) -> [JSON] {
        guard list.count <= 20 else { throw .invalid("\(path.dotted): must contain at most 20 items") }
        var names: Set<String> = []
        var resolved: [JSON] = []
        for (index, json) in list.enumerated() {
            let place = path.index(index)
            let type = try WireObject.type(of: json, at: place)
            guard type == "url" else { throw WireObject.notAChoice(type, at: place.key("type"), ["url"]) }
            let server = try WireObject(json, at: place, allowing: ["type", "name", "url"])
            let name = try server.requiredString("name", maximum: 255)
            let url = try server.requiredString("url", maximum: 2048)
            guard isAcceptable(url) else { throw .invalid("\(place.key("url").dotted): must be an http or https URL without credentials") }
            guard names.insert(name).inserted else { throw .invalid("\(path.dotted): duplicate server name \"\(name)\"") }
            resolved.append(["type": "url", "name": .string(name), "url": .string(url)])
        }
        return resolved
    }

    /// Every server is named by a toolset and every toolset names a server.
    /// - Parameters: Resolved forms.
    package static func check(tools: [JSON], servers: [JSON], at path: WirePath = WirePath()) throws(APIError) {
        let declared = servers.compactMap { $0["name"]?.string }
        var named: Set<String> = []
        for (index, tool) in tools.enumerated() where tool["type"] == "mcp_toolset" {
            let name = tool["mcp_server_name"]?.string ?? ""
            let place = path.key("tools").index(index).variant("mcp_toolset").key("mcp_server_name").dotted
            guard declared.contains(name) else { throw .invalid("\(place): no entry of mcp_servers is named \"\(name)\"") }
            guard named.insert(name).inserted else { throw .invalid("\(place): server \"\(name)\" has a toolset already") }
        }
        for (index, name) in declared.enumerated() where !named.contains(name) {
            throw .invalid("\(path.key("mcp_servers").index(index).dotted): server \"\(name)\" is named by no mcp_toolset in tools")
        }
    }

    private static func isAcceptable(_ url: String) -> Bool {
        let lower = url.lowercased()
        guard let scheme = ["https://", "http://"].first(where: lower.hasPrefix) else { return false }
        let authority = url.dropFirst(scheme.count).prefix { !"/?#".contains($0) }
        return !authority.isEmpty && !authority.contains("@") && url.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}
