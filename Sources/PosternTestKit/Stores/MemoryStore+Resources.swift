import ManagedAgentsAPI
import PosternCore

extension MemoryStore: AgentStore {
    package func create(_ agent: AgentRecord) async throws(StoreError) {
        try with { state throws(StoreError) in
            guard state.agents[agent.id] == nil else { throw .conflict }
            state.agents[agent.id] = [agent]
        }
    }

    package func agent(_ id: String, version: Int?) async throws(StoreError) -> AgentRecord? {
        try with { state throws(StoreError) in
            guard let version else { return state.agents[id]?.last }
            return state.agents[id]?.first { $0.version == version }
        }
    }

    package func addVersion(_ agent: AgentRecord) async throws(StoreError) {
        try with { state throws(StoreError) in
            guard let newest = state.agents[agent.id]?.last, newest.version == agent.version - 1, newest.archivedAt == nil else {
                throw .conflict
            }
            state.agents[agent.id]?.append(agent)
        }
    }

    package func archiveAgent(_ id: String, at time: Timestamp) async throws(StoreError) {
        try with { state throws(StoreError) in
            state.agents[id] = state.agents[id]?.map { agent in
                var agent = agent
                agent.archivedAt = agent.archivedAt ?? time
                return agent
            }
        }
    }

    package func agents(
        workspaceID: String, includeArchived: Bool, createdAt: TimeRange, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<AgentRecord> {
        try with { state throws(StoreError) in
            let found = state.agents.values.compactMap(\.last).filter {
                $0.workspaceID == workspaceID && (includeArchived || $0.archivedAt == nil) && createdAt.contains($0.createdAt)
            }
            return Self.pageByTime(found, from: from, limit: limit) { ($0.createdAt, $0.id) }
        }
    }

    package func agentVersions(_ id: String, from: PagePosition?, limit: Int) async throws(StoreError) -> Page<AgentRecord> {
        try with { state throws(StoreError) in
            let versions: [AgentRecord] = (state.agents[id] ?? []).reversed()
            return Self.page(versions, from: from, limit: limit, position: { PagePosition(major: Int64($0.version), minor: "") }) {
                $0.major > $1.major
            }
        }
    }
}

extension MemoryStore: EnvironmentStore {
    private static func checkName(_ environment: EnvironmentRecord, in state: State) throws(StoreError) {
        guard environment.archivedAt == nil else { return }
        let isTaken = state.environments.values.contains {
            $0.id != environment.id && $0.workspaceID == environment.workspaceID && $0.name == environment.name && $0.archivedAt == nil
        }
        if isTaken { throw .duplicate("name") }
    }

    package func create(_ environment: EnvironmentRecord) async throws(StoreError) {
        try with { state throws(StoreError) in
            guard state.environments[environment.id] == nil else { throw .conflict }
            try Self.checkName(environment, in: state)
            state.environments[environment.id] = environment
        }
    }

    package func environment(_ id: String) async throws(StoreError) -> EnvironmentRecord? {
        try with { state throws(StoreError) in state.environments[id] }
    }

    package func update(_ environment: EnvironmentRecord) async throws(StoreError) {
        try with { state throws(StoreError) in
            guard var stored = state.environments[environment.id] else { throw .conflict }
            stored.name = environment.name
            stored.body = environment.body
            stored.updatedAt = environment.updatedAt
            stored.archivedAt = environment.archivedAt
            try Self.checkName(stored, in: state)
            state.environments[stored.id] = stored
        }
    }

    package func deleteEnvironment(_ id: String) async throws(StoreError) -> Bool {
        try with { state throws(StoreError) in
            guard state.environments[id] != nil else { return false }
            guard !state.sessions.values.contains(where: { $0.record.environmentID == id && $0.record.archivedAt == nil }) else { throw .conflict }
            state.environments[id] = nil
            return true
        }
    }

    package func environments(
        workspaceID: String, includeArchived: Bool, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<EnvironmentRecord> {
        try with { state throws(StoreError) in
            let found = state.environments.values.filter { $0.workspaceID == workspaceID && (includeArchived || $0.archivedAt == nil) }
            return Self.pageByTime(found, from: from, limit: limit) { ($0.createdAt, $0.id) }
        }
    }

    package func activeSessionCount(environmentID: String) async throws(StoreError) -> Int {
        try with { state throws(StoreError) in
            state.sessions.values.count { $0.record.environmentID == environmentID && $0.record.archivedAt == nil }
        }
    }
}

extension MemoryStore: KeyStore {
    package func create(_ key: KeyRecord) async throws(StoreError) {
        try with { state throws(StoreError) in
            guard state.keys[key.id] == nil, !state.keys.values.contains(where: { $0.hash == key.hash }) else { throw .conflict }
            state.keys[key.id] = key
        }
    }

    package func key(hash: [UInt8]) async throws(StoreError) -> KeyRecord? {
        try with { state throws(StoreError) in state.keys.values.first { $0.hash == hash } }
    }

    package func key(_ id: String) async throws(StoreError) -> KeyRecord? {
        try with { state throws(StoreError) in state.keys[id] }
    }

    package func revokeKey(_ id: String, at time: Timestamp) async throws(StoreError) -> Bool {
        try with { state throws(StoreError) in
            guard let key = state.keys[id], key.revokedAt == nil else { return false }
            state.keys[id]?.revokedAt = time
            return true
        }
    }

    package func keys(
        workspaceID: String, kind: KeyRecord.Kind, environmentID: String?, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<KeyRecord> {
        try with { state throws(StoreError) in
            let found = state.keys.values.filter {
                $0.workspaceID == workspaceID && $0.kind == kind && (environmentID == nil || $0.environmentID == environmentID)
            }
            return Self.pageByTime(found, from: from, limit: limit) { ($0.createdAt, $0.id) }
        }
    }

    package func create(_ workspace: WorkspaceRecord) async throws(StoreError) {
        try with { state throws(StoreError) in
            guard state.workspaces[workspace.id] == nil else { throw .conflict }
            state.workspaces[workspace.id] = workspace
        }
    }

    package func workspace(_ id: String) async throws(StoreError) -> WorkspaceRecord? {
        try with { state throws(StoreError) in state.workspaces[id] }
    }

    package func workspaces() async throws(StoreError) -> [WorkspaceRecord] {
        try with { state throws(StoreError) in state.workspaces.values.sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) } }
    }
}
