import ManagedAgentsAPI
import PosternJSON

/// A server of an agent's `mcp_servers` (contract section 3.4).
package struct MCPServer: Sendable, Hashable {
    package var name: String
    package var url: String

    package init(name: String, url: String) {
        self.name = name
        self.url = url
    }

    /// The servers of an agent snapshot, in its order.
    package static func all(of agent: JSONObject) -> [MCPServer] {
        (agent["mcp_servers"]?.array ?? []).compactMap { server in
            guard let name = server["name"]?.string, let url = server["url"]?.string else { return nil }
            return MCPServer(name: name, url: url)
        }
    }
}

/// In whose name servers are called.
package struct MCPCaller: Sendable, Equatable {
    package var sessionID: String
    package var workspaceID: String
    /// The base agent and its version; what overrides have changed is in `agent`.
    package var agentID: String
    package var agentVersion: Int
    /// The id of the API key that made the session; nil where that is not known any more.
    package var person: String?
    /// The snapshot that the session runs with now.
    package var agent: JSONObject

    package init(_ record: SessionRecord) {
        sessionID = record.id
        workspaceID = record.workspaceID
        agentID = record.agentID
        agentVersion = record.agentVersion
        person = record.createdBy
        agent = record.agent
    }
}

/// Why a server could not be used. The message is safe to show to a client.
package struct MCPFailure: Error, Sendable, Equatable {
    package enum Kind: String, Sendable {
        /// `mcp_connection_failed_error`
        case connection
        /// `mcp_authentication_failed_error`: the server wants a credential, or another one.
        case authentication
        /// The server stands and has refused or spoilt this one call: the session is told nothing, the model is.
        case call
    }

    package var kind: Kind
    package var message: String

    package init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }
}

/// What a call of a tool came to, as content blocks of the contract (section 4.4).
package struct MCPCallResult: Sendable, Equatable {
    package var content: [JSON]
    /// The tool itself has failed.
    package var isError: Bool

    package init(content: [JSON], isError: Bool) {
        self.content = content
        self.isError = isError
    }
}

/// The port to MCP servers. Connections are the implementation's: kept per session, bounded in number, ended by `end` at the latest.
package protocol MCPServers: Sendable {
    /// Every tool of the server, as definitions for a model: `name` (the server's own), `description`, `input_schema`.
    func tools(of server: MCPServer, for caller: MCPCaller) async throws(MCPFailure) -> [JSON]
    /// Calls a tool, once: what may have run is never repeated. Cancelling the task cancels the call at the server.
    func call(_ tool: String, _ arguments: JSONObject, of server: MCPServer, for caller: MCPCaller) async throws(MCPFailure) -> MCPCallResult
    /// The session is over: its connections are closed, its keys and certificates forgotten.
    func end(session id: String) async
}

/// Where no servers can be reached.
package struct NoMCPServers: MCPServers {
    private static let failure = MCPFailure(
        .connection, "This server reaches no MCP servers: its operator has named no edge of tunnels (--tunnel-edge, or --with-edge).")

    package init() {}
    package func tools(of server: MCPServer, for caller: MCPCaller) async throws(MCPFailure) -> [JSON] { throw Self.failure }
    package func call(
        _ tool: String, _ arguments: JSONObject, of server: MCPServer, for caller: MCPCaller
    ) async throws(MCPFailure) -> MCPCallResult { throw Self.failure }
    package func end(session id: String) async {}
}
