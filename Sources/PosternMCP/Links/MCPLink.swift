import PosternJSON

/// Carries requests to one MCP server, over whatever leads to it. The port of this target: `HTTPLink` speaks Streamable HTTP, `StdioLink` the stdio
/// transport; tests bring their own.
package protocol MCPLink: Sendable {
    var medium: Negotiation.Medium { get }
    /// What the era of this server is remembered by.
    var origin: String { get }

    /// Sends a request and waits for its answer. Where the task is cancelled, the server is told by the rules of its era.
    /// - Parameter hear: gets the notifications that come before the answer, in their order.
    func exchange(_ request: LinkRequest, hear: @escaping @Sendable (JSONRPCMessage) async -> Void) async throws(MCPError) -> LinkAnswer

    /// Sends a notification; returns when it was taken.
    func post(_ message: JSONRPCMessage, _ context: WireContext) async throws(MCPError)

    /// Listens to what the server says unasked, until the task is cancelled or the server stops (handshake era).
    /// - Parameter begun: called once, when the server has begun to tell and before anything of it is heard; never where it does not begin.
    func listen(
        _ context: WireContext, begun: @escaping @Sendable () async -> Void, hear: @escaping @Sendable (JSONRPCMessage) async -> Void
    ) async throws(MCPError)

    /// Ends the session where there is one. What fails is not told: it is over either way.
    func end(_ context: WireContext) async
}

/// What is known of the connection when a message is sent.
package struct WireContext: Sendable, Equatable {
    /// Nil before a revision was agreed on, for `initialize`.
    package var revision: Revision?
    package var sessionID: String?

    package init(revision: Revision?, sessionID: String? = nil) {
        self.revision = revision
        self.sessionID = sessionID
    }
}

/// One request, ready to be sent.
package struct LinkRequest: Sendable {
    package var id: RequestID
    package var method: String
    package var params: JSONObject?
    package var context: WireContext
    /// Header fields of this request, where the link has headers: those that repeat the body (2026-07-28).
    package var fields: [(name: String, value: String)] = []
    /// `initialize` is never cancelled (utilities, "Cancellation").
    package var canBeCancelled = true

    package init(id: RequestID, method: String, params: JSONObject?, context: WireContext) {
        self.id = id
        self.method = method
        self.params = params
        self.context = context
    }

    package var message: JSONRPCMessage { .request(id: id, method: method, params: params) }
}

/// What a request came to.
package struct LinkAnswer: Sendable, Equatable {
    package var result: JSONObject
    /// The `Mcp-Session-Id` of the answer's head.
    package var sessionID: String?

    package init(result: JSONObject, sessionID: String? = nil) {
        self.result = result
        self.sessionID = sessionID
    }
}

/// Does what must be done even though the task is cancelled, and takes no longer than `limit`.
func despiteCancellation(_ limit: Duration = .seconds(5), _ action: @escaping @Sendable () async -> Void) async {
    await Task {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await action() }
            group.addTask { try? await Task.sleep(for: limit) }
            await group.next()
            group.cancelAll()
        }
    }.value
}
