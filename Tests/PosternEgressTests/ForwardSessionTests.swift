import Foundation
import NIOCore
import NIOPosix
import PosternJSON
import PosternPolicy
import Testing

@testable import PosternEgress

/// Forwards as the worker uses them: configured over the control socket, recorded by reports, cut by a narrower policy.
@Suite(.timeLimit(.minutes(2))) struct ForwardSessionTests {
    private static func configuration(_ forwards: [ForwardConfiguration], allowed: [String], budgets: JSON = [:]) throws -> EgressConfiguration {
        let token = try #require(ProxyToken("abcdefghijklmnop"))
        let policy = try NetworkPolicy(json: ["rules": [], "addresses": .array(allowed.map(JSON.string)), "budgets": budgets])
        var configuration = EgressConfiguration(session: "sesn_1", token: token, policy: policy)
        configuration.policyDigest = "digest"
        configuration.forwards = forwards
        configuration.digestKey = Array("key".utf8)
        // As it arrives on the other side of the socket.
        return try EgressConfiguration(json: configuration.json)
    }

    private static let resolve: NameResolver = { name in
        guard let address = IPAddress("127.0.0.1"), name == "db.internal" else { throw UnknownName(name: name, reason: "it has no address") }
        return [address]
    }

    private func psql(_ port: Int, _ sql: String) async throws -> ForwardCommand.Result {
        try await ForwardCommand(
            path: "/usr/bin/psql", arguments: ["-X", "-q", "-At", "-w", "-h", "127.0.0.1", "-p", "\(port)"], environment: ["PGUSER": "agent"],
            input: sql
        ).run()
    }

    @Test(.enabled(if: ForwardPostgresCluster.isInstalled, "needs the packages postgresql and postgresql-client"))
    func aDatabaseByPolicyAndNoLonger() async throws {
        let cluster = try await ForwardPostgresCluster.shared
        let forward = Forward(
            name: "shop", listenPort: 5_432, target: try Authority("db.internal:\(cluster.port)"),
            kind: .postgres(.init(role: "app", database: "shop")))
        let configuration = try Self.configuration([ForwardConfiguration(forward, authorities: try cluster.authority.pem)], allowed: ["127.0.0.1/32"])
        let listener = try ForwardSockets.listen()
        let port = try ForwardSockets.port(of: listener)
        try await ForwardWorkerDouble.withProxy(configuration, resolve: Self.resolve) { worker, _ in
            worker.link.send(.listen(session: "sesn_1", .forward("shop"), descriptor: listener))
            // The secret has no value yet: the connection fails and says so.
            let early = try await psql(port, "SELECT 1")
            #expect(early.status != 0 && early.errors.contains("the forward has none"), "\(early.errors)")
            worker.link.send(.password(session: "sesn_1", forward: "shop", SecretValue(ForwardPostgresCluster.password)))
            let answer = try await psql(port, "SELECT current_user")
            #expect(answer.output == "app\n", "\(answer.errors)")
            let statement = try #require(worker.forwards.compactMap { if case .intent(.statement(let one)) = $0.event { one } else { nil } }.first)
            #expect(statement.keyword == "SELECT" && statement.text == nil && statement.digest.count == 64)
            #expect(worker.forwards.allSatisfy { $0.forward == "shop" && $0.policyDigest == "digest" && $0.destination == forward.target })
            // A new password is used by the next connection.
            worker.link.send(.password(session: "sesn_1", forward: "shop", SecretValue("wrong")))
            let wrong = try await psql(port, "SELECT 1")
            #expect(wrong.errors.contains("password authentication failed"), "\(wrong.errors)")
            worker.link.send(.password(session: "sesn_1", forward: "shop", SecretValue(ForwardPostgresCluster.password)))

            // A narrower policy cuts the sessions that are open.
            async let sleeper = psql(port, "SELECT pg_sleep(103)")
            try await cluster.waitUntil(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(103)%' AND state = 'active'", is: "1")
            worker.link.send(.forwards(session: "sesn_1", keep: []))
            #expect(try await sleeper.status != 0)
            #expect(try await psql(port, "SELECT 1").errors.contains("refused"))
            try await cluster.administer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(103)%'")
        }
    }

    @Test(.enabled(if: ForwardPostgresCluster.isInstalled, "needs the packages postgresql and postgresql-client"))
    func bytesThroughForwardsCountAgainstTheBudgets() async throws {
        let cluster = try await ForwardPostgresCluster.shared
        let forward = Forward(
            name: "shop", listenPort: 5_432, target: try Authority("db.internal:\(cluster.port)"),
            kind: .postgres(.init(role: "app", database: "shop")))
        let one = ForwardConfiguration(forward, authorities: try cluster.authority.pem, password: SecretValue(ForwardPostgresCluster.password))
        let listener = try ForwardSockets.listen()
        let port = try ForwardSockets.port(of: listener)
        let configuration = try Self.configuration([one], allowed: ["127.0.0.1/32"], budgets: ["session": 20_000])
        try await ForwardWorkerDouble.withProxy(configuration, resolve: Self.resolve) { worker, _ in
            worker.link.send(.listen(session: "sesn_1", .forward("shop"), descriptor: listener))
            let small = try await psql(port, "SELECT length('\(String(repeating: "x", count: 10_000))')")
            #expect(small.output == "10000\n", "\(small.errors)")
            let large = try await psql(port, "CREATE TABLE leak AS SELECT '\(String(repeating: "x", count: 15_000))' AS x")
            #expect(large.status != 0 && large.errors.contains("budget of 20000 bytes per session"), "\(large.errors)")
            #expect(try await cluster.administer("SELECT count(*) FROM pg_tables WHERE tablename = 'leak'", database: "shop") == "0")
            #expect(worker.reports.contains { if case .refusal(_, _, let refusal) = $0 { refusal.kind == .budget } else { false } })
        }
    }

    @Test func theWorkerPreparesForwards() async throws {
        let folder = NSTemporaryDirectory() + "postern-prepare-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try Data("PEM".utf8).write(to: URL(fileURLWithPath: "\(folder)/ca.pem"))
        var postgres = Forward.Postgres(role: "r", database: "d")
        (postgres.caFile, postgres.secret) = ("\(folder)/ca.pem", "known")
        let good = Forward(name: "good", listenPort: 1, target: try Authority("h:1"), kind: .postgres(postgres))
        postgres.secret = "unset"
        let bad = Forward(name: "bad", listenPort: 2, target: try Authority("h:1"), kind: .postgres(postgres))
        let resolver = SecretResolver(variables: ["K": SecretValue("v")], group: .singletonMultiThreadedEventLoopGroup)
        let secrets = [PolicySecret(name: "known", source: .variable(name: "K")), PolicySecret(name: "unset", source: .variable(name: "U"))]
        let (configurations, missing) = try await resolver.configurations(of: [good, bad], secrets: secrets)
        #expect(configurations.map(\.password) == [SecretValue("v"), nil] && configurations.allSatisfy { $0.authorities == "PEM" })
        #expect(missing.keys.sorted() == ["bad"])
        postgres.caFile = "\(folder)/none"
        let lost = Forward(name: "lost", listenPort: 3, target: try Authority("h:1"), kind: .postgres(postgres))
        await #expect(throws: SecretSourceError.self) { try await resolver.configurations(of: [lost], secrets: secrets) }
    }

    @Test func anAddressThatIsNotNamedIsNotDialled() async throws {
        let target = try ForwardSockets.listen()
        defer { close(target) }
        let forward = Forward(
            name: "queue", listenPort: 6_379, target: try Authority("db.internal:\(try ForwardSockets.port(of: target))"),
            kind: .tcp(maximumSent: nil))
        let listener = try ForwardSockets.listen()
        let port = try ForwardSockets.port(of: listener)
        try await ForwardWorkerDouble.withProxy(try Self.configuration([ForwardConfiguration(forward)], allowed: []), resolve: Self.resolve) {
            worker, _ in
            worker.link.send(.listen(session: "sesn_1", .forward("queue"), descriptor: listener))
            let result = try await ForwardCommand(
                path: "/bin/bash", arguments: ["-c", "exec 3<>/dev/tcp/127.0.0.1/\(port); cat <&3"]
            ).run()
            #expect(result.output == "")
            var reason = ""
            for await report in worker.news {
                if case .forward(_, _, let one) = report, case .ended(let outcome) = one.event, case .refused(let text) = outcome.end {
                    reason = text
                    break
                }
            }
            #expect(reason.contains("127.0.0.1") && reason.contains("loopback"), "\(reason)")
        }
    }

    @Test func reportsAndListenersSurviveTheWire() throws {
        var outcome = ForwardOutcome()
        outcome.end = .bound("max_sent of 5 bytes is reached")
        (outcome.sent, outcome.received, outcome.statements, outcome.errors) = (1, 2, 3, 4)
        let statement = PostgresStatement(kind: .parse, keyword: "SELECT", size: 9, digest: "ab", text: "SELECT 1\n")
        for event in [
            .intent(.connect(dropped: ["options"])), .intent(.connect(dropped: [])), .intent(.statement(statement)), .intent(.cancel),
            .ended(outcome),
            .ended(ForwardOutcome(end: .refused("why"))), .ended(ForwardOutcome(end: .upstream)),
        ] as [ForwardReport.Event] {
            let report = EgressReport.forward(
                id: 7, session: "s", ForwardReport(forward: "f", destination: try Authority("h:1"), connection: 3, policyDigest: "d", event: event))
            #expect(try EgressReport(json: try JSON(parsing: Array(report.json.text.utf8))) == report)
        }
        for listener in [.proxy, .datagramNames, .streamNames, .http, .https, .forward("a:b")] as [EgressCommand.Listener] {
            #expect(EgressCommand.Listener(listener.text) == listener)
        }
        for text in ["", "forward:", "dns", "PROXY"] { #expect(EgressCommand.Listener(text) == nil) }
    }

    @Test func aPostgresForwardNeedsADigestKey() throws {
        let forward = Forward(name: "f", listenPort: 1, target: try Authority("h:1"), kind: .postgres(.init(role: "r", database: "d")))
        var configuration = EgressConfiguration(session: "s", token: try #require(ProxyToken("abcdefghijklmnop")), policy: NetworkPolicy())
        configuration.forwards = [ForwardConfiguration(forward)]
        let json = configuration.json
        #expect(throws: PolicyValueError.self) { try EgressConfiguration(json: json) }
    }
}
