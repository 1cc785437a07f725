import GRDB
import ManagedAgentsAPI
import PosternCore
import PosternJSON

/// What a durable append costs here, against bare SQLite commits on the same disk in the same run.
package enum StoreBenchmark {
    package struct Report: Sendable {
        /// One-row commits with `synchronous=FULL`, one after the other on a connection of GRDB's.
        package var bareCommitsPerSecond: Double
        /// The middle of single bare commits, in microseconds.
        package var bareMedian: Double
        /// Appends of one event by settlement, by as many tasks at once.
        package var appendsPerSecond: [(writers: Int, perSecond: Double, median: Double)]

        /// How many times faster than bare commits, with the most writers.
        package var ratio: Double { (appendsPerSecond.last?.perSecond ?? 0) / bareCommitsPerSecond }
    }

    /// Measures in a fresh folder that the caller removes. Runs `count` commits of each kind.
    package static func run(folder: String, count: Int = 4000, eventBytes: Int = 300, writers: [Int] = [1, 8, 64]) async throws -> Report {
        let bytes = [UInt8](repeating: UInt8(ascii: "x"), count: eventBytes)
        let bare = try bareCommits(path: folder + "/bare.db", count: count, bytes: bytes)
        var report = Report(bareCommitsPerSecond: rate(bare.total, count), bareMedian: bare.median, appendsPerSecond: [])
        let store = try await PosternStore.open(path: folder + "/store.db")
        for (round, writers) in writers.enumerated() {
            let each = max(1, count / writers)
            let sessions = (0..<writers).map { "sesn_bench_\(round)_\($0)" }
            for session in sessions { try await create(session, in: store) }
            let clock = ContinuousClock()
            let start = clock.now
            let times = try await withThrowingTaskGroup(of: [Duration].self) { group in
                for session in sessions {
                    group.addTask {
                        var times: [Duration] = []
                        for sequence in 1...each {
                            let begin = clock.now
                            try await append(sequence, bytes, to: session, in: store)
                            times.append(clock.now - begin)
                        }
                        return times
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            report.appendsPerSecond.append((writers, rate(clock.now - start, each * writers), median(times)))
        }
        try await close(store)
        return report
    }

    private static func bareCommits(path: String, count: Int, bytes: [UInt8]) throws -> (total: Duration, median: Double) {
        let queue = try DatabaseQueue(path: path)
        defer { try? queue.close() }
        return try queue.writeWithoutTransaction { connection in
            _ = try String.fetchOne(connection, sql: "PRAGMA journal_mode = WAL")
            try connection.execute(sql: "PRAGMA synchronous = FULL")
            try connection.execute(
                sql: "CREATE TABLE events (session TEXT NOT NULL, sequence INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (session, sequence))")
            let statement = try connection.makeStatement(sql: "INSERT INTO events (session, sequence, bytes) VALUES (?, ?, ?)")
            let event = String(decoding: bytes, as: UTF8.self)
            let clock = ContinuousClock()
            var times: [Duration] = []
            let start = clock.now
            for sequence in 1...count {
                let begin = clock.now
                try statement.execute(arguments: ["session", sequence, event])
                times.append(clock.now - begin)
            }
            return (clock.now - start, median(times))
        }
    }

    private static func create(_ id: String, in store: PosternStore) async throws {
        let now = Timestamp.now()
        try await store.create(
            SessionRecord(
                id: id, workspaceID: "wrkspc_bench", environmentID: "env_bench", agentID: "agent_bench", agentVersion: 1, threadID: "sthr_bench",
                agent: [:], createdAt: now, updatedAt: now),
            rows: [], work: WorkRecord(sessionID: id, environmentID: "env_bench", workspaceID: "wrkspc_bench", createdAt: now, queuedAt: now))
    }

    private static func append(_ sequence: Int, _ bytes: [UInt8], to session: String, in store: PosternStore) async throws {
        let now = Timestamp.now()
        let row = EventRow(
            sequence: sequence, eventID: "\(session)_\(sequence)", view: .processed, type: "agent.message", processedAt: now, bytes: bytes)
        try await store.settle(
            Settlement(
                sessionID: session, expectedSequence: sequence - 1, rows: [row], status: .running, usage: SessionUsage(), updatedAt: now))
    }

    private static func close(_ store: PosternStore) async throws {
        try await Task.detached { try store.close() }.value
    }

    private static func rate(_ time: Duration, _ count: Int) -> Double { Double(count) / (time / .seconds(1)) }

    private static func median(_ times: [Duration]) -> Double {
        let sorted = times.sorted()
        return sorted.isEmpty ? 0 : sorted[sorted.count / 2] / .microseconds(1)
    }
}

extension StoreBenchmark.Report: CustomStringConvertible {
    package var description: String {
        var lines = ["bare commit: \(Int(bareCommitsPerSecond))/s, median \(Int(bareMedian)) µs"]
        for (writers, perSecond, median) in appendsPerSecond {
            let ratio = (perSecond / bareCommitsPerSecond * 100).rounded() / 100
            lines.append("\(writers) writers: \(Int(perSecond)) appends/s (\(ratio) × bare), median \(Int(median)) µs")
        }
        return lines.joined(separator: "\n")
    }
}
