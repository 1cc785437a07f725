import Foundation
import Logging
import NIOCore
import NIOPosix
import PosternPolicy
import Synchronization
import Testing

@testable import PosternEgress

/// A running forward and what it recorded.
struct ForwardRunning: Sendable {
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

/// Serves a forward to the shared cluster while `body` runs; then ends it.
func withForward(
    role: String = "app", database: String = "shop", host: String = "db.internal", tls: Forward.Postgres.TLS = .verifyFull,
    authority: String? = nil,
    password: SecretValue? = SecretValue(ForwardPostgresCluster.password), recordsText: Bool = true, options: PostgresForward.Options = .init(),
    audit: ForwardTestAudit = ForwardTestAudit(), port: Int? = nil, _ body: (ForwardRunning, ForwardPostgresCluster) async throws -> Void
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
    let running = ForwardRunning(port: try ForwardSockets.port(of: descriptor), audit: audit, dialer: dialer)
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

extension ForwardPostgresCluster {
    /// Waits until a question has the answer; the database is asked again until it does or the test's time is over.
    func waitUntil(_ sql: String, is answer: String) async throws {
        while try await administer(sql) != answer { try Task.checkCancellation() }
    }
}
