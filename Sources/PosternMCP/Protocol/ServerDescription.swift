import PosternJSON

/// What a server has said of itself when the connection began, and the revision that is spoken with it.
package struct ServerDescription: Sendable, Equatable {
    package var revision: Revision
    /// Nil where the server gives no name; in 2026-07-28 it need not.
    package var server: Implementation?
    package var capabilities: JSONObject
    package var instructions: String?
    /// The `Mcp-Session-Id` of the handshake era over HTTP; nil where the server keeps no session.
    package var sessionID: String?

    package init(
        revision: Revision, server: Implementation? = nil, capabilities: JSONObject = [:], instructions: String? = nil, sessionID: String? = nil
    ) {
        self.revision = revision
        self.server = server
        self.capabilities = capabilities
        self.instructions = instructions
        self.sessionID = sessionID
    }

    package var era: Era { revision.era }

    /// Whether the server has tools at all.
    package var hasTools: Bool { capabilities["tools"]?.object != nil }

    /// Whether it tells when its list of tools has changed.
    package var announcesToolChanges: Bool { announcesChanges(of: .tools) }

    /// Whether it tells when that list has changed.
    package func announcesChanges(of kind: ListKind) -> Bool { capabilities[kind.rawValue]?["listChanged"]?.bool == true }
}
