import PosternCore
@testable import PosternStore
import Testing

@Suite struct MigrationTests {
    private let first = Migration(
        version: 1, name: "one", statements: ["CREATE TABLE things (id {key} NOT NULL PRIMARY KEY, data {blob}) {clustered}"])
    private let second = Migration(
        version: 2, name: "two", statements: ["ALTER TABLE things ADD COLUMN more TEXT", "CREATE TABLE others (id {key})"])

    private func open(_ path: String, _ migrations: [Migration], _ purpose: PosternStore.Purpose = .serve) async throws(StoreError) {
        try await PosternStore.open(path: path, for: purpose, migrations: migrations).close()
    }

    @Test func eachRunsOnceInOrder() async throws {
        try await withFolder { folder in
            let path = folder + "/postern.db"
            try await open(path, [first])
            try await open(path, [first])
            try await open(path, [first, second])
            try await open(path, [first, second], .inspect)
        }
    }

    @Test func aNewerSchemaIsRefusedWithTheRemedy() async throws {
        try await withFolder { folder in
            let path = folder + "/postern.db"
            try await open(path, [first, second])
            for purpose in [PosternStore.Purpose.serve, .inspect] {
                let error = await #expect(throws: StoreError.self) { try await open(path, [first], purpose) }
                guard case .unavailable(let message)? = error else { continue }
                #expect(message.contains("schema 2 (two)") && message.contains("newer Postern"))
            }
        }
    }

    @Test func anOlderSchemaIsNotInspected() async throws {
        try await withFolder { folder in
            let path = folder + "/postern.db"
            try await open(path, [first])
            let error = await #expect(throws: StoreError.self) { try await open(path, [first, second], .inspect) }
            guard case .unavailable(let message)? = error else { return }
            #expect(message.contains("older schema"))
        }
    }

    @Test func anEditedMigrationIsRefused() async throws {
        try await withFolder { folder in
            let path = folder + "/postern.db"
            try await open(path, [first])
            let edited = Migration(version: 1, name: "one", statements: ["CREATE TABLE things (id {key})"])
            await #expect(throws: StoreError.self) { try await open(path, [edited]) }
        }
    }

    @Test func oneThatFailsLeavesNothing() async throws {
        try await withFolder { folder in
            let path = folder + "/postern.db"
            let broken = Migration(version: 2, name: "two", statements: second.statements + ["CREATE TABLE things (id TEXT)"])
            await #expect(throws: StoreError.self) { try await open(path, [first, broken]) }
            try await open(path, [first, second])
        }
    }

    @Test func twoProcessesMayMigrateAtOnce() async throws {
        try await withFolder { folder in
            let path = folder + "/postern.db"
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { try await PosternStore.open(path: path).close() } }
                try await group.waitForAll()
            }
        }
    }

    /// Their connectors may lack the key.
    @Test func routesOfTunnelsThatAreOlderThanTheSettingKeepTheirNames() async throws {
        try await withFolder { folder in
            let path = folder + "/postern.db"
            let old = try await PosternStore.open(path: path, for: .serve, migrations: Array(Schema.migrations.prefix(4)))
            var transaction = SQLTransaction()
            transaction.run(
                SQLStatement(
                    """
                    INSERT INTO tunnels (id, workspace_id, domain, token_id, splice, created_at)
                    VALUES ('tnl_1', 'wrkspc_1', 'a.example.com', 'ttok_1', 1, 1)
                    """))
            try await old.database.commit(transaction)
            try old.close()
            let store = try await PosternStore.open(path: path)
            let tunnel = try await store.tunnel("tnl_1")
            #expect(tunnel?.splice == true && tunnel?.hidesRoutes == false)
            try store.close()
        }
    }

    /// The text of a released migration is in every database that ran it.
    @Test func releasedMigrationsAreNumberedFromOne() {
        #expect(Schema.migrations.map(\.version) == Array(1...Schema.migrations.count))
        #expect(Set(Schema.migrations.map(\.checksum)).count == Schema.migrations.count)
    }

    @Test func schemaTextsFitEveryDialect() {
        for statement in Schema.migrations.flatMap(\.statements) {
            for dialect in [SQLDialect.sqlite, .postgres] { #expect(!dialect.render(statement).contains("{")) }
        }
    }
}
