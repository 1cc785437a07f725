import Foundation
import PosternCore
@testable import PosternStore
import PosternTestKit
import Testing

@Suite struct MaintenanceTests {
    private typealias Make = StoreFixtures

    @Test func nobodyElseMayReadTheFiles() async throws {
        try await withFolder { folder in
            let path = folder + "/data/deep/postern.db"
            let store = try await PosternStore.open(path: path)
            try await store.create(Make.session("sesn_1"), rows: [], work: Make.work("sesn_1"))
            for suffix in ["", "-wal", "-shm"] { #expect(try mode(path + suffix) == 0o600) }
            #expect(try mode(folder + "/data") == 0o700)
            #expect(try mode(folder + "/data/deep") == 0o700)
            try store.close()
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
            let again = try await PosternStore.open(path: path)
            defer { try? again.close() }
            #expect(try mode(path) == 0o600)
            #expect(try await again.session("sesn_1") != nil)
        }
    }

    @Test func aPathThatCannotBeOpenedIsNamed() async throws {
        try await withFolder { folder in
            let error = await #expect(throws: StoreError.self) { _ = try await PosternStore.open(path: folder) }
            guard case .unavailable(let message)? = error else { return }
            #expect(message.contains(folder))
            try Data("this is no database, but a text that is long enough".utf8).write(to: URL(fileURLWithPath: folder + "/text"))
            await #expect(throws: StoreError.self) { _ = try await PosternStore.open(path: folder + "/text") }
            #expect(try String(contentsOfFile: folder + "/text", encoding: .utf8).hasPrefix("this is"))
        }
    }

    @Test func inspectingMakesNothing() async throws {
        try await withFolder { folder in
            let path = folder + "/postern.db"
            await #expect(throws: StoreError.unavailable("there is no database at \(path)")) {
                _ = try await PosternStore.open(path: path, for: .inspect)
            }
            #expect(!FileManager.default.fileExists(atPath: path))
            let store = try await PosternStore.open(path: path)
            let beside = try await PosternStore.open(path: path, for: .inspect)
            #expect(try await beside.check() == [])
            try beside.close()
            try store.close()
        }
    }

    @Test func aBackupIsWholeWhileWritersGoOn() async throws {
        try await withFolder { folder in
            let store = try await PosternStore.open(path: folder + "/postern.db")
            defer { try? store.close() }
            try await store.create(Make.session("sesn_1"), rows: [], work: Make.work("sesn_1"))
            let writer = Task {
                var count = 0
                while !Task.isCancelled {
                    try await store.settle(Make.settlement("sesn_1", after: count, [Make.row(count + 1), Make.row(count + 2)]))
                    count += 2
                }
                return count
            }
            while try await store.session("sesn_1")?.lastSequence ?? 0 < 50 { await Task.yield() }
            let before = try await store.session("sesn_1")?.lastSequence ?? 0
            try await store.backup(to: folder + "/copy.db")
            writer.cancel()
            let after = try await writer.value
            #expect(try mode(folder + "/copy.db") == 0o600)
            let copy = try await PosternStore.open(path: folder + "/copy.db", for: .inspect)
            defer { try? copy.close() }
            #expect(try await copy.check() == [])
            let copied = try await copy.session("sesn_1")?.lastSequence ?? 0
            #expect(copied >= before && copied <= after)

            let bytes = try Data(contentsOf: URL(fileURLWithPath: folder + "/postern.db"))
            await #expect(throws: StoreError.self) { try await store.backup(to: folder + "/postern.db") }
            await #expect(throws: StoreError.self) { try await store.backup(to: folder + "/copy.db") }
            await #expect(throws: StoreError.self) { try await store.backup(to: folder + "/none/copy.db") }
            #expect(try Data(contentsOf: URL(fileURLWithPath: folder + "/postern.db")) == bytes)
        }
    }

    @Test(
        "a damaged log is found",
        arguments: [
            ("DELETE FROM events WHERE sequence = 2", "the log of a session has a gap"),
            ("UPDATE sessions SET last_sequence = 9", "a session's last sequence is not that of its last row"),
            ("UPDATE events SET event_id = 'sevt_4', view = 'processed' WHERE sequence = 3", "an event is processed twice"),
            ("INSERT INTO events VALUES ('ghost', 1, 'e', 'processed', 't', 1, x'00')", "events without a session"),
            ("INSERT INTO waiting_events VALUES ('sesn_1', 'none', 7)", "a waiting event without its received row"),
            ("DELETE FROM waiting_events", "a received event neither waits nor is processed"),
            ("UPDATE events SET view = 'processed' WHERE sequence = 3", "an event waits that is processed"),
            ("DELETE FROM work_items", "a session without its work item"),
            ("DELETE FROM session_documents", "a session without its documents"),
            ("UPDATE sessions SET status = 'lost'", "an unknown session status"),
        ])
    func damage(_ statement: String, _ rule: String) async throws {
        try await withStore { store in
            let rows = [Make.row(1), Make.row(2), Make.row(3, view: .received), Make.row(4)]
            try await store.create(Make.session("sesn_1", rows: 4), rows: rows, work: Make.work("sesn_1"))
            #expect(try await store.check() == [])
            try await store.commit(SQLTransaction(SQLStatement(statement)))
            #expect(try await store.check().map(\.rule).contains(rule))
        }
    }

    @Test(
        "damaged tunnels are found",
        arguments: [
            ("UPDATE tunnels SET token_id = 'ttok_none'", "a tunnel without its token"),
            ("UPDATE tunnel_tokens SET rotated_at = 1", "a tunnel whose token is rotated"),
            ("DELETE FROM tunnel_registrations WHERE position = 0", "a log of registrations with a gap"),
            ("UPDATE tunnels SET archived_at = 1", "an archived tunnel with a certificate or key that is not"),
        ])
    func damagedTunnels(_ statement: String, _ rule: String) async throws {
        try await withStore { store in
            try await store.create(
                TunnelRecord(id: "tnl_1", workspaceID: "w", domain: "a.example.com", tokenID: "ttok_1", createdAt: Make.time(0)), mostLive: 1,
                first: [1])
            try await store.enrol(
                ConnectorKeyRecord(fingerprint: "f", tunnelID: "tnl_1", tokenID: "ttok_1", enrolledAt: Make.time(0)), mostLive: 1,
                logging: RegistrationAppend(position: 1, entry: [2]))
            #expect(try await store.check() == [])
            try await store.commit(SQLTransaction(SQLStatement(statement)))
            #expect(try await store.check().map(\.rule) == [rule])
        }
    }

    @Test func aRowOfAForeignHandIsAnErrorNotACrash() async throws {
        try await withStore { store in
            try await store.create(Make.session("sesn_1", rows: 1), rows: [Make.row(1)], work: Make.work("sesn_1"))
            try await store.commit(
                SQLTransaction(
                    SQLStatement("UPDATE events SET view = 'odd'"), SQLStatement("UPDATE session_documents SET agent = '{'")))
            await #expect(throws: StoreError.self) { try await store.session("sesn_1") }
            await #expect(throws: StoreError.self) { try await store.rows(session: "sesn_1", after: 0, limit: 9) }
        }
    }
}
