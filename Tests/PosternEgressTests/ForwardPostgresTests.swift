import Foundation
import Logging
import NIOCore
import NIOPosix
import PosternPolicy
import Synchronization
import Testing

@testable import PosternEgress

/// The PostgreSQL forward against a real server, with real clients.
@Suite(.enabled(if: ForwardPostgresCluster.isInstalled, "needs the packages postgresql and postgresql-client"), .timeLimit(.minutes(3)))
struct ForwardPostgresTests {
    /// A running forward and what it recorded.
    struct Running: Sendable {
        var port: Int
        var audit: ForwardTestAudit
        var dialer: ForwardTestDialer

        /// Runs psql through the forward, without a password and as nobody in particular.
        func psql(
            _ sql: String, _ arguments: [String] = [], environment: [String: String] = [:], output: String? = nil,
            started: @Sendable (Int32) -> Void = { _ in }
        )
            async throws -> ForwardCommand.Result
        {
            try await ForwardCommand(
                path: "/usr/bin/psql", arguments: ["-X", "-q", "-At", "-w", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", "\(port)"] + arguments,
                environment: ["PGUSER": "agent"].merging(environment) { $1 }, input: sql, outputPath: output
            ).run(started: started)
        }
    }

    private func withForward(
        role: String = "app", database: String = "shop", host: String = "db.internal", tls: Forward.Postgres.TLS = .verifyFull,
        authority: String? = nil,
        password: SecretValue? = SecretValue(ForwardPostgresCluster.password), recordsText: Bool = true, options: PostgresForward.Options = .init(),
        audit: ForwardTestAudit = ForwardTestAudit(), port: Int? = nil, _ body: (Running, ForwardPostgresCluster) async throws -> Void
    ) async throws {
        let cluster = try await ForwardPostgresCluster.shared
        let dialer = ForwardTestDialer(port: port ?? cluster.port)
        var postgres = Forward.Postgres(role: role, database: database)
        postgres.tls = tls
        postgres.recordsText = recordsText
        let forward = Forward(
            name: "shop", listenPort: 5_432, target: Authority(host: try CanonicalHost(host), port: 5_432), kind: .postgres(postgres))
        let pem = try authority ?? cluster.authority.pem
        let handler = try #require(
            try PostgresForward(
                forward, authorities: Array(pem.utf8), digestKey: Array("digest key".utf8), options: options, dial: dialer.dial, audit: audit,
                password: { password }))
        let descriptor = try ForwardSockets.listen()
        let running = Running(port: try ForwardSockets.port(of: descriptor), audit: audit, dialer: dialer)
        let server = ForwardServer(handler, group: .singletonMultiThreadedEventLoopGroup, logger: Logger(label: "test"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run(descriptor: descriptor) }
            try await body(running, cluster)
            group.cancelAll()
            while let result = await group.nextResult() {
                if case .failure(let error) = result, !(error is CancellationError) { throw error }
            }
        }
    }

    @Test func aClientWithoutCredentialIsTheRoleOfThePolicy() async throws {
        try await withForward { running, _ in
            let result = try await running.psql("SELECT current_user, current_database(), session_user")
            #expect(result.output == "app|shop|app\n", "\(result.errors)")
            #expect(running.audit.statements.map(\.keyword) == ["SELECT"])
            #expect(running.audit.statements.first?.text == "SELECT current_user, current_database(), session_user")
            let outcome = try #require(await running.audit.nextEnd())
            #expect(outcome.end == .client && outcome.statements == 1 && outcome.errors == 0 && outcome.sent > 0 && outcome.received > 0)
        }
    }

    @Test func theUpstreamIsEncrypted() async throws {
        try await withForward { running, _ in
            let result = try await running.psql("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            #expect(result.output == "t|TLSv1.3\n", "\(result.errors)")
        }
    }

    @Test(arguments: ["postgres", "app_md5", "app_clear"])
    func aClientsOwnNameAndPasswordAreNotPassedOn(_ user: String) async throws {
        try await withForward { running, _ in
            let result = try await running.psql("SELECT current_user", ["-U", user], environment: ["PGPASSWORD": "guess"])
            #expect(result.output == "app\n", "\(result.errors)")
        }
    }

    @Test func anotherDatabaseIsRefusedByName() async throws {
        try await withForward { running, _ in
            let result = try await running.psql("SELECT 1", ["-d", "other"])
            #expect(result.status != 0)
            #expect(result.errors.contains("leads to one database") && result.errors.contains("\"shop\""), "\(result.errors)")
            #expect(running.dialer.dialled.isEmpty)
            let answer = try await running.psql("SELECT current_database()", ["-d", "shop"])
            #expect(answer.output == "shop\n", "\(answer.errors)")
        }
    }

    @Test func dangerousStartupParametersAreDropped() async throws {
        try await withForward { running, _ in
            let result = try await running.psql(
                "SHOW work_mem; SHOW application_name", ["dbname=shop replication=database options='-c work_mem=77MB' application_name=probe"])
            #expect(result.output == "4MB\nprobe\n", "\(result.errors)")
            #expect(
                running.audit.all.contains {
                    $0 == .intent(.connect(dropped: ["replication", "options"]), connection: 1)
                        || $0 == .intent(.connect(dropped: ["options", "replication"]), connection: 1)
                })
        }
        var options = PostgresForward.Options()
        options.extraParameters = ["options"]
        try await withForward(options: options) { running, _ in
            let answer = try await running.psql("SHOW work_mem", ["dbname=shop options='-c work_mem=77MB'"])
            #expect(answer.output == "77MB\n", "\(answer.errors)")
        }
    }

    @Test func aWrongAuthorityEndsTheConnection() async throws {
        let stranger = try ForwardAuthority("stranger").pem
        try await withForward(authority: stranger) { running, _ in
            let result = try await running.psql("SELECT 1")
            #expect(result.status != 0 && result.errors.contains("certificate") && result.errors.contains("ca_file"), "\(result.errors)")
            #expect(running.audit.statements.isEmpty)
        }
    }

    @Test func aWrongHostNameEndsTheConnection() async throws {
        try await withForward(host: "other.internal") { running, _ in
            let result = try await running.psql("SELECT 1")
            #expect(result.status != 0 && result.errors.contains("certificate"), "\(result.errors)")
        }
    }

    @Test func aWrongPasswordIsTheDatabasesRefusal() async throws {
        try await withForward(password: SecretValue("wrong")) { running, _ in
            let result = try await running.psql("SELECT 1")
            #expect(result.status != 0 && result.errors.contains("password authentication failed for user \"app\""), "\(result.errors)")
            #expect(!result.errors.contains("wrong\""))
        }
    }

    @Test(arguments: [("app_md5", "MD5"), ("app_clear", "cleartext"), ("app_open", "without asking for its password")])
    func weakLoginsAreRefused(_ role: String, _ word: String) async throws {
        try await withForward(role: role) { running, _ in
            let result = try await running.psql("SELECT 1")
            #expect(result.status != 0 && result.errors.contains(word), "\(result.errors)")
            #expect(!result.errors.contains(ForwardPostgresCluster.password))
        }
    }

    @Test func withoutTLSOnlyWherePolicySaysSo() async throws {
        try await withForward(role: "app_plain", tls: .disable) { running, _ in
            let answer = try await running.psql("SELECT current_user")
            #expect(answer.output == "app_plain\n", "\(answer.errors)")
        }
        try await withForward(role: "app_plain") { running, _ in
            let answer = try await running.psql("SELECT current_user")
            #expect(answer.status != 0, "\(answer.errors)")
        }
    }

    @Test func aMissingPasswordFailsClosed() async throws {
        try await withForward(password: nil) { running, _ in
            let result = try await running.psql("SELECT 1")
            #expect(result.status != 0 && result.errors.contains("the forward has none"), "\(result.errors)")
        }
    }

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
        let descriptor = try ForwardSockets.listen()
        let port = try ForwardSockets.port(of: descriptor)
        close(descriptor)
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

extension ForwardPostgresCluster {
    /// Waits until a question has the answer; the database is asked again until it does or the test's time is over.
    func waitUntil(_ sql: String, is answer: String) async throws {
        while try await administer(sql) != answer { try Task.checkCancellation() }
    }
}
