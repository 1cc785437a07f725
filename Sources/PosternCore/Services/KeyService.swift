import ManagedAgentsAPI
import PosternJSON
import Synchronization

/// API keys, environment keys and workspaces: made, shown once, looked up at each request, ended.
package final class KeyService: Sendable {
    /// What a presented secret turns out to be.
    package enum Lookup: Sendable, Equatable {
        case valid(KeyRecord)
        case revoked(KeyRecord)
        case expired(KeyRecord)
        case unknown
    }

    private let store: any KeyStore & EnvironmentStore & WorkStore
    package let secrets: Secrets
    package let revocations: Revocations
    private let endLeases: @Sendable (_ keyID: String) async -> Void
    private let now: @Sendable () -> Timestamp
    private let expiries = DeadlineClock()

    private let cache = Mutex(RecentKeys())
    /// Keys that no store holds, by their secrets' hashes.
    private let passing = Mutex<[[UInt8]: KeyRecord]>([:])

    package init(
        store: any KeyStore & EnvironmentStore & WorkStore, secrets: Secrets, revocations: Revocations,
        endLeases: @escaping @Sendable (_ keyID: String) async -> Void,
        now: @escaping @Sendable () -> Timestamp = { .now() }
    ) {
        self.store = store
        self.secrets = secrets
        self.revocations = revocations
        self.endLeases = endLeases
        self.now = now
    }

    /// Ends keys whose time is up, until the task is cancelled. Leases that an earlier process granted are held to their keys' ends as well, whether
    /// or not their holders are heard of again.
    package func run() async throws(APIError) {
        let leased = try await stored { () async throws(StoreError) in try await store.leasedWork() }
        for keyID in Set(leased.compactMap(\.keyID)) { _ = try await isValid(keyID) }
        await expiries.run(now: now) { id in await self.end(id) }
    }

    // MARK: Look-up

    package func look(up secret: String) async throws(APIError) -> Lookup {
        let hash = secrets.hash(secret)
        let time = now()
        if let key = passing.withLock({ $0[hash] }) { return .valid(key) }
        let key = try await recent({ $0.key(hash, time) }, at: time) { () async throws(StoreError) in try await store.key(hash: hash) }
        return key.map { judge($0, time) } ?? .unknown
    }

    /// Whether the key is there, not revoked and not expired.
    package func isValid(_ id: String) async throws(APIError) -> Bool {
        let time = now()
        if passing.withLock({ $0.values.contains { $0.id == id } }) { return true }
        let key = try await recent({ $0.key(id, time) }, at: time) { () async throws(StoreError) in try await store.key(id) }
        return key.map { judge($0, time) == .valid($0) } ?? false
    }

    /// The one way to a key that a credential rests on: from memory, else from the store. Each key that is read is watched to its end, so that none
    /// can be in use unwatched.
    private func recent(
        _ remembered: (RecentKeys) -> KeyRecord?, at time: Timestamp, _ read: () async throws(StoreError) -> KeyRecord?
    ) async throws(APIError) -> KeyRecord? {
        if let key = cache.withLock({ remembered($0) }) { return key }
        guard let key = try await stored(read) else { return nil }
        cache.withLock { $0.note(key, readAt: time, now: now()) }
        // One whose time was up before this process knew it is ended too: its leases may have outlived it.
        if let expiresAt = key.expiresAt, key.revokedAt == nil, !revocations.hasEnded(key.id) { expiries.watch(key.id, until: expiresAt) }
        return key
    }

    private func judge(_ key: KeyRecord, _ time: Timestamp) -> Lookup {
        if key.revokedAt != nil { return .revoked(key) }
        if let expiresAt = key.expiresAt, expiresAt <= time { return .expired(key) }
        return .valid(key)
    }

    // MARK: Keys

    package func createAPIKey(
        name: String, role: KeyRecord.Role, workspaceID: String, expiresAt: Timestamp?
    ) async throws(APIError) -> (key: KeyRecord, secret: String) {
        _ = try await workspace(workspaceID)
        return try await create(.apiKey, name: name, expiresAt: expiresAt) { id, hash, hint, time in
            KeyRecord(
                id: id, kind: .api, workspaceID: workspaceID, role: role, name: name, hash: hash, hint: hint, createdAt: time, expiresAt: expiresAt)
        }
    }

    package func createEnvironmentKey(
        name: String, environmentID: String, workspaceID: String, expiresAt: Timestamp?
    ) async throws(APIError) -> (key: KeyRecord, secret: String) {
        try await checkEnvironment(environmentID, workspaceID)
        return try await create(.environmentKey, name: name, expiresAt: expiresAt) { id, hash, hint, time in
            KeyRecord(
                id: id, kind: .environment, workspaceID: workspaceID, environmentID: environmentID, name: name, hash: hash, hint: hint,
                createdAt: time,
                expiresAt: expiresAt)
        }
    }

    private func create(
        _ kind: Secrets.Kind, name: String, expiresAt: Timestamp?, _ make: (String, [UInt8], String, Timestamp) -> KeyRecord
    ) async throws(APIError) -> (key: KeyRecord, secret: String) {
        let time = now()
        if let expiresAt, expiresAt <= time { throw .invalid("expires_at: must be in the future") }
        let secret = secrets.make(kind)
        let key = make(ResourceID.make(kind == .apiKey ? .apiKey : .environmentKey), secrets.hash(secret), Secrets.hint(secret), time)
        try await stored { () async throws(StoreError) in try await store.create(key) }
        return (key, secret)
    }

    package func keys(
        workspaceID: String, kind: KeyRecord.Kind, environmentID: String? = nil, from position: PagePosition?, limit: Int
    ) async throws(APIError) -> Page<KeyRecord> {
        if let environmentID { try await checkEnvironment(environmentID, workspaceID) }
        return try await stored { () async throws(StoreError) in
            try await store.keys(workspaceID: workspaceID, kind: kind, environmentID: environmentID, from: position, limit: limit)
        }
    }

    package func key(_ id: String, kind: KeyRecord.Kind, workspaceID: String?, environmentID: String? = nil) async throws(APIError) -> KeyRecord {
        let key = try await stored { () async throws(StoreError) in try await store.key(id) }
        guard let key, key.kind == kind, workspaceID == nil || key.workspaceID == workspaceID,
            environmentID == nil || key.environmentID == environmentID
        else { throw .notFound("Key \(id) not found.") }
        return key
    }

    /// Ends the key at once: its streams and polls are closed and its leases taken away before this returns. Idempotent.
    package func revoke(_ key: KeyRecord) async throws(APIError) -> KeyRecord {
        let time = now()
        _ = try await stored { () async throws(StoreError) in try await store.revokeKey(key.id, at: time) }
        await end(key.id)
        return try await self.key(key.id, kind: key.kind, workspaceID: nil)
    }

    /// An API key of the first workspace that is in no store and no list: for a child of this process. Whoever made it ends it.
    package func makePassingKey(name: String, role: KeyRecord.Role) async throws(APIError) -> (key: KeyRecord, secret: String) {
        guard let workspace = try await workspaces().first else { throw .internalError }
        let secret = secrets.make(.apiKey)
        let key = KeyRecord(
            id: ResourceID.make(.apiKey), kind: .api, workspaceID: workspace.id, role: role, name: name, hash: secrets.hash(secret),
            hint: Secrets.hint(secret), createdAt: now())
        passing.withLock { $0[key.hash] = key }
        return (key, secret)
    }

    package func endPassingKey(_ key: KeyRecord) async {
        passing.withLock { _ = $0.removeValue(forKey: key.hash) }
        await end(key.id)
    }

    private func end(_ keyID: String) async {
        cache.withLock { $0.forget(keyID, now: now()) }
        expiries.forget(keyID)
        revocations.end(keyID)
        await endLeases(keyID)
    }

    private func checkEnvironment(_ id: String, _ workspaceID: String) async throws(APIError) {
        let environment = try await stored { () async throws(StoreError) in try await store.environment(id) }
        guard environment?.workspaceID == workspaceID else { throw .notFound("Environment \(id) not found.") }
    }

    // MARK: Workspaces

    package func createWorkspace(name: String) async throws(APIError) -> WorkspaceRecord {
        let workspace = WorkspaceRecord(id: ResourceID.make(.workspace), name: name, createdAt: now())
        do {
            try await store.create(workspace)
        } catch .duplicate {
            throw .conflict("A workspace named \"\(name)\" exists already.")
        } catch {
            throw error.apiError
        }
        return workspace
    }

    /// Oldest first.
    package func workspaces() async throws(APIError) -> [WorkspaceRecord] {
        try await stored { () async throws(StoreError) in try await store.workspaces() }
            .sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
    }

    package func workspace(_ id: String) async throws(APIError) -> WorkspaceRecord {
        let workspace = try await stored { () async throws(StoreError) in try await store.workspace(id) }
        guard let workspace else { throw .notFound("Workspace \(id) not found.") }
        return workspace
    }

    /// Whether an admin key rules the whole installation: it belongs to the workspace that was made at the first start. Other workspaces' admins
    /// rule their own keys only.
    package func isOperator(_ key: KeyRecord) async throws(APIError) -> Bool {
        guard key.role == .admin else { return false }
        return try await workspaces().first?.id == key.workspaceID
    }

    /// Whether a key may ask what edges ask: one edge serves every workspace, so only the operator's keys do.
    package func mayServeEdge(_ key: KeyRecord) async throws(APIError) -> Bool {
        guard key.role == .edge || key.role == .admin else { return false }
        return try await workspaces().first?.id == key.workspaceID
    }

    // MARK: First start

    package struct Bootstrap: Sendable {
        package var workspace: WorkspaceRecord
        package var key: KeyRecord?
        /// The admin key's secret if one was made now: to be shown once and kept by whoever started the server.
        package var secret: String?
    }

    /// Makes the first workspace and its admin key at the first start. A given secret becomes an admin key of the first workspace whenever it is
    /// not known yet; without one, later starts change nothing.
    /// - Parameter given: What the operator set, at least 24 bytes.
    package func bootstrapAdmin(secret given: String?) async throws(APIError) -> Bootstrap {
        if let given, given.utf8.count < 24 { throw .invalid("The admin key must have at least 24 bytes.") }
        let existing = try await workspaces().first
        let workspace: WorkspaceRecord
        if let existing { workspace = existing } else { workspace = try await createWorkspace(name: "default") }
        if let given {
            let hash = secrets.hash(given)
            if let known = try await stored({ () async throws(StoreError) in try await store.key(hash: hash) }) {
                guard known.revokedAt == nil else { throw .invalid("The given admin key has been revoked.") }
                guard known.role == .admin else { throw .invalid("The given admin key is stored as a key of another kind.") }
                return Bootstrap(workspace: workspace, key: known, secret: nil)
            }
            let key = KeyRecord(
                id: ResourceID.make(.apiKey), kind: .api, workspaceID: workspace.id, role: .admin, name: "admin", hash: hash,
                hint: Secrets.hint(given),
                createdAt: now())
            try await stored { () async throws(StoreError) in try await store.create(key) }
            return Bootstrap(workspace: workspace, key: key, secret: nil)
        }
        let keys = try await keys(workspaceID: workspace.id, kind: .api, from: nil, limit: 1)
        guard keys.elements.isEmpty else { return Bootstrap(workspace: workspace, key: nil, secret: nil) }
        let (key, secret) = try await createAPIKey(name: "admin", role: .admin, workspaceID: workspace.id, expiresAt: nil)
        return Bootstrap(workspace: workspace, key: key, secret: secret)
    }
}
