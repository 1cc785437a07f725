import PosternJSON
import Synchronization

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
        let params: JSONObject = ["name": .string(tool), "arguments": .object(arguments)]
        let result: JSONObject
        do throws(MCPError) {
            result = try await request("tools/call", params, fields: try await fields(of: tool, arguments), onProgress: onProgress)
        } catch {
            // Which arguments stand in the head as well, only the tool's schema says.
            guard case .server(let answer) = error, answer.code == RPCError.headerMismatch, header(of: tool) == nil else { throw error }
            _ = try await tools()
            guard header(of: tool) != nil else { throw error }
            result = try await request("tools/call", params, fields: try await fields(of: tool, arguments), onProgress: onProgress)
        }
        do { return try ToolResult(result) } catch { throw .malformed("\(error)") }
    }

    /// Over stdio there is no head, and in the older era no such field.
    private func fields(of tool: String, _ arguments: JSONObject) async throws(MCPError) -> [(name: String, value: String)] {
        guard hasHeads, try await open().era == .modern else { return [] }
        switch header(of: tool) {
        case nil: return []
        case .success(let headers)?: return headers.fields(arguments: arguments)
        case .failure(let error)?: throw .refused("the tool \(tool) is not called: \(error)")
        }
    }

    /// How often in a row a lost stream of notices is asked for, and how long it is waited before.
    private static let maximumListens = 5, listenDelay = Duration.seconds(1)

    /// Tells whenever the list of tools may have changed, until the task is cancelled or the server stops to tell: after each, `tools()` gives the
    /// new list.
    /// - Parameter begun: called when the server listens, and again after its stream was lost: what has changed in between is not told.
    package func toolChanges(begun: @escaping @Sendable () -> Void = {}, _ changed: @escaping @Sendable () async -> Void) async throws(MCPError) {
        // Nil before the server has listened once: what has never worked is not tried again.
        let failures = Mutex<Int?>(nil)
        while true {
            do throws(MCPError) {
                try await listenForToolChanges(
                    begun: {
                        failures.withLock { $0 = 0 }
                        begun()
                    }, changed)
                throw .ended("it has ended the notices of changes")
            } catch {
                let count = failures.withLock { count in
                    count = count.map { $0 + 1 }
                    return count
                }
                guard let count, count <= Self.maximumListens, Self.isLost(error) else { throw error }
            }
            do { try await Task.sleep(for: Self.listenDelay) } catch { throw .cancelled }
        }
    }

    /// Whether asking again may help.
    private static func isLost(_ error: MCPError) -> Bool {
        switch error {
        case .sessionLost, .outcomeUnknown, .unreachable, .status(500..., _), .connector("upstream_connection", _): true
        default: false
        }
    }

    private func listenForToolChanges(
        begun: @escaping @Sendable () -> Void, _ changed: @escaping @Sendable () async -> Void
    ) async throws(MCPError) {
        let server = try await open()
        guard server.announcesToolChanges else { throw .notOffered("notices of changes of its tools") }
        guard server.era == .modern else {
            begun()
            return try await listen { message in if Self.isToolChange(message) { await changed() } }
        }
        try await subscribe("subscriptions/listen", ["notifications": ["toolsListChanged": true]]) { message in
            if case .notification("notifications/subscriptions/acknowledged", let params) = message {
                guard params?["notifications"]?["toolsListChanged"]?.bool == true else {
                    return .refused(.notOffered("notices of changes of its tools"))
                }
                begun()
                return .agreed
            }
            if Self.isToolChange(message) { await changed() }
            return .nothing
        }
    }

    private static func isToolChange(_ message: JSONRPCMessage) -> Bool {
        if case .notification("notifications/tools/list_changed", _) = message { return true }
        return false
    }
}
