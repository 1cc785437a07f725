import PosternJSON

extension MCPClient {
    /// Most pages of a list, and most tools of all of them: a server that goes on for ever is stopped.
    private static let maximumPages = 1000, maximumTools = 10_000

    /// Every tool of the server, page by page. None where it has no tools.
    package func tools() async throws(MCPError) -> [Tool] {
        guard try await open().hasTools else { return [] }
        var tools: [Tool] = []
        var cursor: String?
        var seen: Set<String> = []
        var size = 0
        for _ in 0..<Self.maximumPages {
            var params: JSONObject = [:]
            if let cursor { params["cursor"] = .string(cursor) }
            let (client, page) = (self, params)
            let result = try await measured("tools/list") { () async throws(MCPError) -> JSONObject in
                try await client.request("tools/list", page)
            }.get()
            guard let list = result["tools"]?.array else { throw .malformed("the answer to tools/list has no list of tools") }
            for element in list {
                guard let tool = Tool(element) else { throw .malformed("a tool of tools/list has no name or no inputSchema") }
                tools.append(tool)
                size += element.encoded.count
            }
            guard size <= options.listBytes else { throw .tooLarge("the list of tools", limit: options.listBytes) }
            guard tools.count <= Self.maximumTools else { throw .malformed("tools/list names more than \(Self.maximumTools) tools") }
            guard let next = result["nextCursor"]?.string else {
                learn(tools)
                return tools
            }
            guard seen.insert(next).inserted else { throw .malformed("tools/list gives the same cursor twice") }
            cursor = next
        }
        throw .malformed("tools/list has more than \(Self.maximumPages) pages")
    }

    /// Calls a tool. It is not called twice: only where the server has refused the call unread, for a lost session or for header fields that were
    /// missing, is it sent again.
    package func call(
        tool: String, arguments: JSONObject, onProgress: (@Sendable (Progress) -> Void)? = nil
    ) async throws(MCPError) -> ToolResult {
        let result = try await call(["name": .string(tool), "arguments": .object(arguments)], onProgress: onProgress)
        do { return try ToolResult(result) } catch { throw .malformed("\(error)") }
    }

    /// The same by the parameters of `tools/call` as they are: the result as it came.
    package func call(
        _ params: JSONObject, onProgress: (@Sendable (Progress) -> Void)? = nil, onNotice: Notice? = nil
    ) async throws(MCPError) -> JSONObject {
        let (tool, arguments) = (params["name"]?.string ?? "", params["arguments"]?.object ?? [:])
        let sent = try await fields(of: tool, arguments)
        let wasKnown = header(of: tool) != nil
        do throws(MCPError) {
            return try await request("tools/call", params, fields: sent, onProgress: onProgress, onNotice: onNotice)
        } catch {
            // Which arguments stand in the head as well, only the tool's schema says, and what was learnt of that may be old.
            guard case .server(let answer) = error, answer.code == RPCError.headerMismatch else { throw error }
            _ = try await tools()
            let wanted = try await fields(of: tool, arguments, isFresh: true)
            guard header(of: tool) != nil, !wasKnown || !sent.elementsEqual(wanted, by: { $0 == $1 }) else { throw error }
            return try await request("tools/call", params, fields: wanted, onProgress: onProgress, onNotice: onNotice)
        }
    }

    /// Over stdio there is no head, and in the older era no such field.
    /// - Parameter isFresh: whether the list of tools was read just now.
    private func fields(
        of tool: String, _ arguments: JSONObject, isFresh: Bool = false
    ) async throws(MCPError) -> [(name: String, value: String)] {
        guard hasHeads, try await open().era == .modern else { return [] }
        // A schema that was wrong once may have been mended since.
        if !isFresh, case .failure? = header(of: tool) { _ = try await tools() }
        switch header(of: tool) {
        case nil: return []
        case .success(let headers)?: return headers.fields(arguments: arguments)
        case .failure(let error)?: throw .refused("the tool \(tool) is not called: \(error)")
        }
    }
}
