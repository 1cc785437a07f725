import PosternJSON

/// Digests of tools for a route's `tools.pins`, out of what a server answers to `tools/list`.
package struct ToolPins: Hashable, Sendable {
    package struct Pin: Hashable, Sendable {
        package var tool: String
        package var digest: ToolDigest
        package var isReadOnly: Bool
        /// As the server gave it.
        package var definition: JSON
    }

    /// In the order of the list.
    package var pins: [Pin] = []
    /// The list has further pages, which were not read.
    package var isPartial: Bool

    /// From the JSON-RPC response, its `result`, or the array of definitions alone.
    package init(_ bytes: [UInt8]) throws(ConnectorError) {
        let json: JSON
        do throws(JSONParseError) {
            json = try JSON(parsing: bytes, options: .init(rejectsLoneSurrogates: true))
        } catch {
            throw ConnectorError("this is no list of tools: \(error)")
        }
        let result = json["result"] ?? json
        guard let tools = (result["tools"] ?? result).array else {
            throw ConnectorError("this is no list of tools: there is no array \"tools\" in it; give the answer to tools/list")
        }
        isPartial = result["nextCursor"]?.string != nil
        for tool in tools {
            guard let name = tool["name"]?.string, RPCMessage.isToolName(name) else {
                throw ConnectorError("a tool in the list has no name of at most \(RPCMessage.longestTool) of printable ASCII")
            }
            guard !pins.contains(where: { $0.tool == name }) else { throw ConnectorError("the tool \"\(name)\" is in the list twice") }
            let definition = ToolDefinition(tool)
            pins.append(Pin(tool: name, digest: definition.digest, isReadOnly: definition.hints[.readOnly], definition: tool))
        }
    }

    /// `pins:` as it stands in `connector.yaml` below `tools`.
    package var yaml: String {
        "pins:\n" + pins.map { "  \(JSON.string($0.tool).text): \($0.digest)\($0.isReadOnly ? "   # read-only" : "")\n" }.joined()
    }
}
