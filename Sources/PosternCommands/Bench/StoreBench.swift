import GRDB
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import PosternStore

/// Durable event appends against bare SQLite commits, both with `synchronous=FULL`, and the cost of an append late in a session.
struct StoreBench {
    let isQuick: Bool

    private static let writers = 64
    /// A tool result of ordinary size.
    private static let event: [UInt8] = Array(
        #"{"id":"sevt_01","type":"agent.message","content":[{"type":"text","text":""#.utf8) + Array(repeating: UInt8(ascii: "x"), count: 600)
        + Array(#""}],"processed_at":"2026-01-01T00:00:00.000000Z"}"#.utf8)

    func rows() async throws -> [BenchRow] {
        let scratch = try ScratchFolder("postern-bench")
        defer { scratch.remove() }
        let store = try await PosternStore.open(path: scratch.path + "/postern.sqlite")
        let bare = try Self.bareDatabase(scratch.path + "/bare.sqlite")
        let rounds = isQuick ? 5 : 15
        let perWriter = isQuick ? 10 : 25
        var sessions: [Writer] = []
        for number in 0..<Self.writers { sessions.append(try await Writer(store, number)) }
        var together: [Double] = []
        var alone: [Double] = []
        var commits: [Double] = []
        // In turns, so that what the disk does meanwhile meets all alike. The first round warms up.
        for round in 0...rounds {
            let all = try await Self.appends(&sessions, perWriter)
            var one = [sessions[0]]
            let single = try await Self.appends(&one, perWriter)
            sessions[0] = one[0]
            let count = Self.writers * perWriter
            let peer = try await BenchClock.milliseconds { try await Self.bareCommits(bare, perWriter * 4) } / Double(perWriter * 4)
            guard round > 0 else { continue }
            together.append(all / Double(count))
            alone.append(single / Double(perWriter))
            commits.append(peer)
        }
        try bare.close()
        try store.close()
        return [
            BenchRow(
                name: "event append, durable, 64 writers", unit: "ms", samples: together, peerName: "bare SQLite commit, FULL", peer: commits, sense: "faster",
                floor: 3, aim: 10, note: "per append"),
            BenchRow(
                name: "event append, durable, 1 writer", unit: "ms", samples: alone, peerName: "bare SQLite commit, FULL", peer: commits, sense: "cost",
                note: "per append"),
        ]
    }

    private static func appends(_ writers: inout [Writer], _ count: Int) async throws -> Double {
        let start = ContinuousClock.now
        writers = try await withThrowingTaskGroup(of: (Int, Writer).self) { group in
            for (index, writer) in writers.enumerated() {
                group.addTask {
                    var writer = writer
                    for _ in 0..<count { try await writer.append(event) }
                    return (index, writer)
                }
            }
            var result = writers
            for try await (index, writer) in group { result[index] = writer }
            return result
        }
        return (ContinuousClock.now - start) / .milliseconds(1)
    }

    private static func bareDatabase(_ path: String) throws -> DatabasePool {
        let pool = try DatabasePool(path: path)
        try pool.writeWithoutTransaction { connection in
            try connection.execute(sql: "PRAGMA synchronous = FULL")
            try connection.execute(sql: "CREATE TABLE events (session TEXT, seq INTEGER, bytes BLOB, PRIMARY KEY (session, seq)) WITHOUT ROWID")
        }
        return pool
    }

    /// One insert of the same bytes per commit, one after another on one connection: as fast as SQLite alone is.
    private static func bareCommits(_ pool: DatabasePool, _ count: Int) async throws {
        let data = event
        try await pool.writeWithoutTransaction { connection in
            let next = try Int.fetchOne(connection, sql: "SELECT coalesce(max(seq), 0) + 1 FROM events") ?? 1
            let insert = try connection.cachedStatement(sql: "INSERT INTO events VALUES ('s', ?, ?)")
            for number in next..<next + count {
                try connection.inTransaction(.immediate) {
                    try insert.execute(arguments: [number, DatabaseBytes(data)])
                    return .commit
                }
            }
        }
    }

    /// One session that is appended to.
    private struct Writer {
        let store: PosternStore
        let id: String
        var sequence = 0

        init(_ store: PosternStore, _ number: Int) async throws {
            self.store = store
            id = "sesn_bench\(number)"
            let now = Timestamp.now()
            let session = SessionRecord(
                id: id, workspaceID: "wrkspc_bench", environmentID: "env_bench", agentID: "agent_bench", agentVersion: 1, threadID: "sthr_\(number)",
                status: .running, agent: [:], createdAt: now, updatedAt: now)
            let work = WorkRecord(sessionID: id, environmentID: "env_bench", workspaceID: "wrkspc_bench", createdAt: now, queuedAt: now)
            try await store.create(session, rows: [], work: work)
        }

        mutating func append(_ bytes: [UInt8]) async throws {
            let now = Timestamp.now()
            let row = EventRow(
                sequence: sequence + 1, eventID: "sevt_\(id)_\(sequence + 1)", view: .processed, type: "agent.message", processedAt: now, bytes: bytes)
            try await store.settle(
                Settlement(sessionID: id, expectedSequence: sequence, rows: [row], status: .running, usage: SessionUsage(), updatedAt: now))
            sequence += 1
        }
    }
}

/// The event's bytes as text, which SQLite stores the same way as a blob.
private struct DatabaseBytes: DatabaseValueConvertible {
    let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var databaseValue: DatabaseValue { String(decoding: bytes, as: UTF8.self).databaseValue }
    static func fromDatabaseValue(_ value: DatabaseValue) -> DatabaseBytes? { String.fromDatabaseValue(value).map { DatabaseBytes(Array($0.utf8)) } }
}
