import Foundation
import Logging
import NIOCore
import NIOPosix
import PosternPolicy
import Synchronization
import Testing

@testable import PosternEgress

/// What passes once a session has begun: against a real server, with psql, pgbench and psycopg2.
@Suite(.enabled(if: ForwardPostgresCluster.isInstalled, "needs the packages postgresql and postgresql-client"), .timeLimit(.minutes(3)))
struct ForwardPostgresTrafficTests {
    @Test func noStatementRunsBeforeItIsRecorded() async throws {
        let (gate, open) = AsyncStream<Void>.makeStream()
        let audit = ForwardTestAudit { intent in
            if case .statement(let statement) = intent, statement.keyword == "INSERT" { for await _ in gate {} }
        }
        try await withForward(audit: audit) { running, cluster in
            _ = try await running.psql("CREATE TABLE recorded (n int)")
            async let insert = running.psql("INSERT INTO recorded VALUES (1)")
            for await entry in audit.news { if case .intent(.statement(let statement), _) = entry, statement.keyword == "INSERT" { break } }
            // The record is not durable yet: the database has not heard of the statement.
            #expect(try await cluster.administer("SELECT count(*) FROM recorded", database: "shop") == "0")
            #expect(try await cluster.administer("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO recorded%'") == "0")
            open.finish()
            #expect(try await insert.status == 0)
            #expect(try await cluster.administer("SELECT count(*) FROM recorded", database: "shop") == "1")
        }
    }

    @Test func whatCannotBeRecordedIsNotRun() async throws {
        struct DiskFull: Error {}
        let audit = ForwardTestAudit { intent in
            if case .statement(let statement) = intent, statement.keyword == "CREATE" { throw DiskFull() }
        }
        try await withForward(audit: audit) { running, cluster in
            let result = try await running.psql("SELECT 1; CREATE TABLE unrecorded (n int)")
            #expect(result.status != 0)
            let second = try await running.psql("CREATE TABLE unrecorded (n int)")
            #expect(second.status != 0 && second.errors.contains("could not be recorded"), "\(second.errors)")
            #expect(try await cluster.administer("SELECT count(*) FROM pg_tables WHERE tablename = 'unrecorded'", database: "shop") == "0")
        }
    }

    @Test func fiftyMegabytesGoInAndOutByCopy() async throws {
        let folder = NSTemporaryDirectory() + "postern-copy-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        // 50 MB in lines of 100 bytes that differ.
        var text = Data(capacity: 50_000_000)
        for line in 0..<500_000 {
            let number = String(line)
            text.append(contentsOf: number.utf8)
            text.append(contentsOf: [UInt8](repeating: UInt8(ascii: "a") + UInt8(line % 26), count: 99 - number.utf8.count))
            text.append(0x0A)
        }
        try text.write(to: URL(fileURLWithPath: "\(folder)/in"))
        try await withForward { running, _ in
            let into = try await running.psql("CREATE TABLE big (t text);\n\\copy big FROM '\(folder)/in'\nSELECT count(*), sum(length(t)) FROM big")
            #expect(into.output == "500000|49500000\n", "\(into.errors)")
            let out = try await running.psql("COPY (SELECT t FROM big) TO STDOUT", output: "\(folder)/out")
            #expect(out.status == 0, "\(out.errors)")
            #expect(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out")) == text)
            // One row of 50 MB.
            let row = try await running.psql("SELECT string_agg(t, '') FROM big", output: "\(folder)/row")
            #expect(row.status == 0, "\(row.errors)")
            #expect(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/row")).count == 49_500_001)
        }
    }

    @Test func aCancelReachesTheQueryAndNoOther() async throws {
        try await withForward { running, cluster in
            let process = Mutex<Int32>(0)
            // Through perl, because a child of this process inherits the signals that its threads block.
            let unblock = ["-MPOSIX", "-e", "sigprocmask(SIG_SETMASK, POSIX::SigSet->new); exec @ARGV", "/usr/bin/psql"]
            async let sleeper = ForwardCommand(
                path: "/usr/bin/perl", arguments: unblock + ["-X", "-w", "-h", "127.0.0.1", "-p", "\(running.port)", "-c", "SELECT pg_sleep(100)"],
                environment: ["PGUSER": "agent"]
            ).run { pid in process.withLock { $0 = pid } }
            async let other = running.psql("SELECT pg_sleep(1.5), 'unharmed'")
            try await cluster.waitUntil(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(100)%' AND state = 'active'", is: "1")
            kill(process.withLock { $0 }, SIGINT)
            let result = try await sleeper
            #expect(try await other.output.contains("unharmed"))
            #expect(result.errors.contains("canceling statement due to user request"), "\(result.errors)")
            #expect(running.audit.all.contains { if case .intent(.cancel, _) = $0 { true } else { false } })
        }
    }

    @Test func aLostDatabaseIsReportedToTheClient() async throws {
        try await withForward { running, cluster in
            async let sleeper = running.psql("SELECT pg_sleep(101)")
            try await cluster.waitUntil(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(101)%' AND state = 'active'", is: "1")
            for channel in running.dialer.dialled { try await channel.close() }
            let result = try await sleeper
            #expect(result.status != 0 && result.errors.contains("postern: the database closed the connection"), "\(result.errors)")
            #expect(await running.audit.nextEnd()?.end != .client)
            try await cluster.administer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(101)%'")
        }
    }

    @Test func anUnreachableDatabaseIsNamed() async throws {
        let descriptor = try ForwardSockets.refusing()
        defer { close(descriptor) }
        let port = try ForwardSockets.port(of: descriptor)
        try await withForward(port: port) { running, _ in
            let result = try await running.psql("SELECT 1")
            #expect(result.status != 0 && result.errors.contains("db.internal:5432 cannot be reached"), "\(result.errors)")
        }
    }

    @Test func errorsNoticesAndTransactionsPass() async throws {
        try await withForward { running, _ in
            let result = try await running.psql(
                "BEGIN; DO $$ BEGIN RAISE NOTICE 'hear this'; END $$;\n\\set ON_ERROR_STOP 0\nSELECT 1/0;\nSELECT 2;\nROLLBACK; SELECT 3")
            #expect(result.output.hasSuffix("3\n"))
            #expect(
                result.errors.contains("hear this") && result.errors.contains("division by zero")
                    && result.errors.contains("current transaction is aborted"))
        }
    }

    @Test func manyClientsInEveryProtocol() async throws {
        let programs = try #require(ForwardPostgresCluster.programs)
        try await withForward { running, _ in
            func pgbench(_ arguments: [String]) async throws -> ForwardCommand.Result {
                try await ForwardCommand(
                    path: "\(programs)/pgbench", arguments: ["-h", "127.0.0.1", "-p", "\(running.port)"] + arguments + ["shop"],
                    environment: ["PGUSER": "agent"]
                ).run()
            }
            let made = try await pgbench(["-i", "-q"])
            #expect(made.status == 0, "\(made.errors)")
            for mode in ["simple", "extended", "prepared"] {
                let before = running.audit.statements.count
                let ran = try await pgbench(["-M", mode, "-c", "4", "-j", "2", "-t", "25", "-n"])
                #expect(ran.status == 0 && ran.output.contains("number of transactions actually processed: 100/100"), "\(ran.output)\(ran.errors)")
                let recorded = running.audit.statements.count - before
                // Seven statements a transaction; prepared ones are parsed once a client.
                #expect(mode == "prepared" ? recorded >= 28 && recorded < 100 : recorded >= 700, "\(mode): \(recorded)")
            }
        }
    }

    @Test(.enabled(if: hasPsycopg, "needs the package python3-psycopg2"))
    func psycopgWorks() async throws {
        try await withForward { running, _ in
            let script = """
                import psycopg2
                c = psycopg2.connect(host='127.0.0.1', port=\(running.port), dbname='shop', user='anyone', password='its own')
                k = c.cursor()
                k.execute('CREATE TABLE IF NOT EXISTS items (id int, name text)')
                k.executemany('INSERT INTO items VALUES (%s, %s)', [(n, 'x' * n) for n in range(200)])
                c.commit()
                k.execute('SELECT count(*), sum(length(name)), current_user FROM items')
                print(k.fetchone())
                """
            let result = try await ForwardCommand(path: "/usr/bin/python3", arguments: ["-c", script]).run()
            #expect(result.output == "(200, 19900, 'app')\n", "\(result.errors)")
        }
    }

    @Test func aStatementBeyondTheBoundIsRefusedLegibly() async throws {
        var options = PostgresForward.Options()
        options.longestStatement = 10_000
        try await withForward(options: options) { running, _ in
            let result = try await running.psql("SELECT '\(String(repeating: "x", count: 20_000))'")
            #expect(result.status != 0 && result.errors.contains("larger than the 10000"), "\(result.errors)")
        }
    }

    @Test func endingTheForwardEndsItsSessions() async throws {
        let cluster = try await ForwardPostgresCluster.shared
        var sleeper: Task<ForwardCommand.Result, any Error>?
        try await withForward { running, cluster in
            sleeper = Task { try await running.psql("SELECT pg_sleep(102)") }
            try await cluster.waitUntil(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(102)%' AND state = 'active'", is: "1")
        }
        let result = try #require(try await sleeper?.value)
        #expect(result.status != 0 && !result.errors.isEmpty)
        try await cluster.administer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(102)%'")
    }

    static let hasPsycopg = FileManager.default.fileExists(atPath: "/usr/lib/python3/dist-packages/psycopg2/__init__.py")
}
