import ManagedAgentsAPI
import PosternJSON

/// One version of an agent. `body` is the API object as it is answered (contract section 2.1), complete but for `archived_at`.
package struct AgentRecord: Sendable, Equatable {
    package var id: String
    package var workspaceID: String
    package var version: Int
    package var body: JSONObject
    package var createdAt: Timestamp
    package var updatedAt: Timestamp
    package var archivedAt: Timestamp?
    package init(
        id: String, workspaceID: String, version: Int, body: JSONObject, createdAt: Timestamp, updatedAt: Timestamp, archivedAt: Timestamp? = nil
    ) {
        self.id = id
        self.workspaceID = workspaceID
        self.version = version
        self.body = body
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.archivedAt = archivedAt
    }
}

package protocol AgentStore: Sendable {
    /// Stores version 1.
    func create(_ agent: AgentRecord) async throws(StoreError)
    /// The newest version, or the one named.
    func agent(_ id: String, version: Int?) async throws(StoreError) -> AgentRecord?
    /// Adds `agent.version`, which must follow the stored newest one; `.conflict` otherwise.
    func addVersion(_ agent: AgentRecord) async throws(StoreError)
    func archiveAgent(_ id: String, at time: Timestamp) async throws(StoreError)
    /// Newest first by `createdAt`.
    func agents(
        workspaceID: String, includeArchived: Bool, createdAt: TimeRange, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<AgentRecord>
    /// Newest version first.
    func agentVersions(_ id: String, from: PagePosition?, limit: Int) async throws(StoreError) -> Page<AgentRecord>
}

package struct EnvironmentRecord: Sendable, Equatable {
    package var id: String
    package var workspaceID: String
    package var name: String
    /// The API object (contract section 2.2), complete but for `archived_at`.
    package var body: JSONObject
    package var createdAt: Timestamp
    package var updatedAt: Timestamp
    package var archivedAt: Timestamp?
    package init(
        id: String, workspaceID: String, name: String, body: JSONObject, createdAt: Timestamp, updatedAt: Timestamp, archivedAt: Timestamp? = nil
    ) {
        self.id = id
        self.workspaceID = workspaceID
        self.name = name
        self.body = body
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.archivedAt = archivedAt
    }
}

package protocol EnvironmentStore: Sendable {
    /// `.duplicate("name")` when another environment of the workspace that is not archived has the name.
    func create(_ environment: EnvironmentRecord) async throws(StoreError)
    func environment(_ id: String) async throws(StoreError) -> EnvironmentRecord?
    func update(_ environment: EnvironmentRecord) async throws(StoreError)
    func deleteEnvironment(_ id: String) async throws(StoreError) -> Bool
    func environments(
        workspaceID: String, includeArchived: Bool, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<EnvironmentRecord>
    /// Sessions of the environment that are not archived, for the delete guard.
    func activeSessionCount(environmentID: String) async throws(StoreError) -> Int
}

/// A credential for clients or for workers. The secret is stored as its SHA-256: it has 256 random bits, so a slow hash adds nothing.
package struct KeyRecord: Sendable, Equatable {
    package enum Kind: String, Sendable { case api, environment }
    package enum Role: String, Sendable, CaseIterable, Comparable {
        /// `edge` opens what edges ask for and nothing else: it comes before every role that routes for clients demand.
        case edge, viewer, developer, admin
        package static func < (left: Role, right: Role) -> Bool { left.rank < right.rank }
        private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    }

    package var id: String
    package var kind: Kind
    package var workspaceID: String
    /// API keys only.
    package var role: Role?
    /// Environment keys only.
    package var environmentID: String?
    package var name: String
    package var hash: [UInt8]
    /// The secret's first characters, enough to tell keys apart in a list and no more.
    package var hint: String
    package var createdAt: Timestamp
    package var expiresAt: Timestamp?
    package var revokedAt: Timestamp?

    package init(
        id: String, kind: Kind, workspaceID: String, role: Role? = nil, environmentID: String? = nil, name: String, hash: [UInt8], hint: String,
        createdAt: Timestamp, expiresAt: Timestamp? = nil, revokedAt: Timestamp? = nil
    ) {
        self.id = id
        self.kind = kind
        self.workspaceID = workspaceID
        self.role = role
        self.environmentID = environmentID
        self.name = name
        self.hash = hash
        self.hint = hint
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.revokedAt = revokedAt
    }
}

package struct WorkspaceRecord: Sendable, Equatable {
    package var id: String
    package var name: String
    package var createdAt: Timestamp
    package init(id: String, name: String, createdAt: Timestamp) {
        self.id = id
        self.name = name
        self.createdAt = createdAt
    }
}

package protocol KeyStore: Sendable {
    func create(_ key: KeyRecord) async throws(StoreError)
    func key(hash: [UInt8]) async throws(StoreError) -> KeyRecord?
    func key(_ id: String) async throws(StoreError) -> KeyRecord?
    /// False when there is no such key or it is revoked already.
    func revokeKey(_ id: String, at time: Timestamp) async throws(StoreError) -> Bool
    /// Newest first; nil for every environment's.
    func keys(workspaceID: String, kind: KeyRecord.Kind, environmentID: String?, from: PagePosition?, limit: Int) async throws(StoreError) -> Page<
        KeyRecord
    >
    func create(_ workspace: WorkspaceRecord) async throws(StoreError)
    func workspace(_ id: String) async throws(StoreError) -> WorkspaceRecord?
    func workspaces() async throws(StoreError) -> [WorkspaceRecord]
}

/// All that the control plane keeps.
package typealias Store = AgentStore & EnvironmentStore & KeyStore & SessionStore & WorkStore & FigureStore & TunnelStore
