import ManagedAgentsAPI
import PosternCore
import PosternJSON

extension StoreContract {
    private typealias Make = StoreFixtures

    private static func agent(_ id: String, version: Int = 1, at second: Int = 0) -> AgentRecord {
        AgentRecord(
            id: id, workspaceID: "wrkspc_1", version: version, body: ["id": .string(id), "version": .int(Int64(version))],
            createdAt: Make.time(second), updatedAt: Make.time(second + version))
    }

    private static func environment(_ id: String, name: String, at second: Int = 0) -> EnvironmentRecord {
        EnvironmentRecord(
            id: id, workspaceID: "wrkspc_1", name: name, body: ["id": .string(id), "name": .string(name)], createdAt: Make.time(second),
            updatedAt: Make.time(second))
    }

    private static func key(_ id: String, _ kind: KeyRecord.Kind = .api, hash: UInt8, at second: Int = 0) -> KeyRecord {
        KeyRecord(
            id: id, kind: kind, workspaceID: "wrkspc_1", role: kind == .api ? .developer : nil, environmentID: kind == .api ? nil : "env_1",
            name: "key " + id, hash: [hash, 0], hint: "pk_…", createdAt: Make.time(second), expiresAt: kind == .api ? nil : Make.time(99))
    }

    static let resourceCases: [Case] = [
        Case("agents have versions that follow one another") { store in
            try await store.create(agent("agent_1"))
            try await refused(.conflict) { () async throws(StoreError) in try await store.create(agent("agent_1")) }
            try await refused(.conflict) { () async throws(StoreError) in try await store.addVersion(agent("agent_1", version: 3)) }
            try await refused(.conflict) { () async throws(StoreError) in try await store.addVersion(agent("agent_1", version: 1)) }
            try await refused(.conflict) { () async throws(StoreError) in try await store.addVersion(agent("agent_2", version: 2)) }
            for version in 2...5 { try await store.addVersion(agent("agent_1", version: version)) }
            try equal(try await store.agent("agent_1", version: nil), agent("agent_1", version: 5))
            try equal(try await store.agent("agent_1", version: 2), agent("agent_1", version: 2))
            try expect(try await store.agent("agent_1", version: 6) == nil, "a version that is not there")
            let pages = try await walk { try await store.agentVersions("agent_1", from: $0, limit: 2) }
            try equal(pages.map { $0.map(\.version) }, [[5, 4], [3, 2], [1]])
        },
        Case("an archived agent stays as it is") { store in
            try await store.create(agent("agent_1"))
            try await store.addVersion(agent("agent_1", version: 2))
            try await store.archiveAgent("agent_1", at: Make.time(50))
            try await store.archiveAgent("agent_1", at: Make.time(60))
            try equal(try await store.agent("agent_1", version: nil)?.archivedAt, Make.time(50))
            try equal(try await store.agent("agent_1", version: 1)?.archivedAt, Make.time(50))
            try await refused(.conflict) { () async throws(StoreError) in try await store.addVersion(agent("agent_1", version: 3)) }
        },
        Case("agents list newest first, archived ones when asked") { store in
            for index in 0..<7 { try await store.create(agent("agent_\(index)", at: index / 2)) }
            try await store.addVersion(agent("agent_3", version: 2, at: 1))
            try await store.archiveAgent("agent_6", at: Make.time(9))
            let pages = try await walk {
                try await store.agents(workspaceID: "wrkspc_1", includeArchived: false, createdAt: TimeRange(), from: $0, limit: 4)
            }
            try equal(pages.map { $0.map(\.id) }, [["agent_5", "agent_4", "agent_3", "agent_2"], ["agent_1", "agent_0"]])
            try equal(pages[0][2].version, 2)
            let all = try await store.agents(
                workspaceID: "wrkspc_1", includeArchived: true, createdAt: TimeRange(atOrAfter: Make.time(2)), from: nil, limit: 9)
            try equal(all.elements.map(\.id), ["agent_6", "agent_5", "agent_4"])
            let none = try await store.agents(workspaceID: "other", includeArchived: true, createdAt: TimeRange(), from: nil, limit: 9)
            try expect(none.elements.isEmpty, "agents of another workspace")
        },
        Case("an environment's name is taken once among those that are not archived") { store in
            try await store.create(environment("env_1", name: "prod"))
            try await refused(.duplicate("name")) { () async throws(StoreError) in try await store.create(environment("env_2", name: "prod")) }
            try await refused(.conflict) { () async throws(StoreError) in try await store.create(environment("env_1", name: "else")) }
            var other = environment("env_2", name: "prod")
            other.workspaceID = "wrkspc_2"
            try await store.create(other)
            try await store.create(environment("env_3", name: "test"))
            try await refused(.duplicate("name")) { () async throws(StoreError) in try await store.update(environment("env_3", name: "prod")) }
            var archived = environment("env_1", name: "prod")
            archived.archivedAt = Make.time(4)
            try await store.update(archived)
            try equal(try await store.environment("env_1"), archived)
            try await store.update(environment("env_3", name: "prod"))
            try await refused(.conflict) { () async throws(StoreError) in try await store.update(environment("env_9", name: "new")) }
        },
        Case("an environment with sessions is not deleted") { store in
            try await store.create(environment("env_1", name: "prod"))
            try await store.create(key("ekey_1", .environment, hash: 1))
            try await store.create(Make.session("sesn_1"), rows: [], work: Make.work("sesn_1"))
            try equal(try await store.activeSessionCount(environmentID: "env_1"), 1)
            try await refused(.conflict) { () async throws(StoreError) in _ = try await store.deleteEnvironment("env_1") }
            var archive = Make.settlement("sesn_1", after: 0, [])
            archive.archivedAt = Make.time(1)
            try await store.settle(archive)
            try equal(try await store.activeSessionCount(environmentID: "env_1"), 0)
            try expect(try await store.deleteEnvironment("env_1"), "not deleted")
            try expect(!(try await store.deleteEnvironment("env_1")), "deleted twice")
            try expect(try await store.environment("env_1") == nil, "still there")
            try expect(try await store.key("ekey_1") != nil, "its key is gone")
        },
        Case("environments list newest first") { store in
            for index in 0..<5 { try await store.create(environment("env_\(index)", name: "n\(index)", at: index)) }
            var archived = environment("env_2", name: "n2", at: 2)
            archived.archivedAt = Make.time(9)
            try await store.update(archived)
            let pages = try await walk { try await store.environments(workspaceID: "wrkspc_1", includeArchived: false, from: $0, limit: 3) }
            try equal(pages.map { $0.map(\.id) }, [["env_4", "env_3", "env_1"], ["env_0"]])
            let all = try await store.environments(workspaceID: "wrkspc_1", includeArchived: true, from: nil, limit: 9)
            try equal(all.elements.count, 5)
        },
    ]

    static let keyCases: [Case] = [
        Case("a key is found by its hash and revoked once") { store in
            let api = key("apikey_1", hash: 1)
            try await store.create(api)
            try await refused(.conflict) { () async throws(StoreError) in try await store.create(key("apikey_2", hash: 1)) }
            try await refused(.conflict) { () async throws(StoreError) in try await store.create(key("apikey_1", hash: 2)) }
            try equal(try await store.key(hash: [1, 0]), api)
            try equal(try await store.key("apikey_1"), api)
            try expect(try await store.key(hash: [1]) == nil, "a part of a hash opens")
            try expect(try await store.revokeKey("apikey_1", at: Make.time(3)), "not revoked")
            try expect(!(try await store.revokeKey("apikey_1", at: Make.time(4))), "revoked twice")
            try expect(!(try await store.revokeKey("apikey_9", at: Make.time(4))), "an unknown key is revoked")
            try equal(try await store.key("apikey_1")?.revokedAt, Make.time(3))
        },
        Case("keys list newest first by kind and environment") { store in
            for index in 0..<5 { try await store.create(key("k\(index)", .environment, hash: UInt8(index), at: index)) }
            try await store.create(key("api", hash: 9))
            let pages = try await walk {
                try await store.keys(workspaceID: "wrkspc_1", kind: .environment, environmentID: "env_1", from: $0, limit: 2)
            }
            try equal(pages.map { $0.map(\.id) }, [["k4", "k3"], ["k2", "k1"], ["k0"]])
            try equal(
                try await store.keys(workspaceID: "wrkspc_1", kind: .environment, environmentID: nil, from: nil, limit: 9).elements.count, 5)
            try equal(
                try await store.keys(workspaceID: "wrkspc_1", kind: .api, environmentID: nil, from: nil, limit: 9).elements.map(\.id), ["api"])
            try expect(
                try await store.keys(workspaceID: "wrkspc_1", kind: .environment, environmentID: "env_2", from: nil, limit: 9).elements.isEmpty,
                "keys of another environment")
        },
        Case("workspaces") { store in
            let first = WorkspaceRecord(id: "wrkspc_1", name: "default", createdAt: Make.time(1))
            let second = WorkspaceRecord(id: "wrkspc_2", name: "lab", createdAt: Make.time(2))
            try await store.create(second)
            try await store.create(first)
            try await refused(.conflict) { () async throws(StoreError) in try await store.create(first) }
            try equal(try await store.workspace("wrkspc_1"), first)
            try expect(try await store.workspace("wrkspc_3") == nil, "an unknown workspace")
            try equal(try await store.workspaces(), [first, second])
        },
    ]
}
