import NIOCore
import NIOSSL
import PosternPolicy

/// Leads a client in the sandbox to one PostgreSQL database as one role. The client needs no credential and has none to lose: the
/// perimeter authenticates in its place, over TLS that it verifies, and each statement is in the audit before it runs.
///
/// The role is the session's login role. What `SET ROLE` and `SET SESSION AUTHORIZATION` may do after that is the database's own
/// business: give the role no memberships that the sandbox must not use.
package struct PostgresForward: ForwardServer.Handler {
    /// Bounds and names that the policy leaves to this build.
    package struct Options: Sendable {
        /// Startup parameters passed on beside the harmless ones; lower case.
        package var extraParameters: Set<String> = []
        /// Bytes of a statement's message; a statement is in memory whole while it is recorded.
        package var longestStatement = 16 << 20
        /// From the connection to the StartupMessage, and from there to the database's consent.
        package var loginTime = TimeAmount.seconds(30)

        package init() {}
    }

    package let forward: Forward
    let postgres: Forward.Postgres
    let options: Options
    /// `nil` for a connection without TLS, which the policy must ask for.
    let tls: NIOSSLContext?
    let dial: ForwardDial
    let audit: any ForwardAudit
    let password: @Sendable () async throws -> SecretValue?
    let reader: PostgresStatementReader
    let cancelKeys = PostgresCancelKeys()

    /// - Parameters:
    ///   - authorities: PEM certificates that the database's must chain to; `nil` for the system's roots.
    ///   - digestKey: the audit's key for digests of statements.
    ///   - password: the role's password at this moment; asked once per connection.
    /// - Returns: `nil` if the forward is of another kind.
    package init?(
        _ forward: Forward, authorities: [UInt8]?, digestKey: [UInt8], options: Options = Options(), dial: @escaping ForwardDial,
        audit: any ForwardAudit, password: @escaping @Sendable () async throws -> SecretValue?
    ) throws {
        guard case .postgres(let postgres) = forward.kind else { return nil }
        self.forward = forward
        self.postgres = postgres
        self.options = options
        self.dial = dial
        self.audit = audit
        self.password = password
        reader = PostgresStatementReader(digestKey: digestKey, keepsText: postgres.recordsText)
        switch postgres.tls {
        case .disable: tls = nil
        case .verifyFull:
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv12
            if let authorities { configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(authorities)) }
            tls = try NIOSSLContext(configuration: configuration)
        }
    }

    package func serve(_ channel: any Channel, connection: Int) async {
        await PostgresSession(self, channel, connection).run()
    }

    /// A connection to the database on which nothing has been said yet but the request for TLS.
    func connect() async throws -> PostgresUpgrade.Upgraded {
        let channel: any Channel
        do {
            channel = try await dial(forward.target)
        } catch let error as PostgresRefusal {
            throw error
        } catch {
            throw PostgresRefusal.unreachable("\(forward.target) cannot be reached: \(printable("\(error)"))")
        }
        let timer = channel.closing(after: options.loginTime)
        defer { timer.cancel() }
        guard let tls else { return PostgresUpgrade.Upgraded(channel: try await .taking(channel), endPoint: nil) }
        // A certificate for an address names the address, which NIOSSL compares with the one that was dialled.
        let name: String? = if case .name(let name) = forward.target.host { name } else { nil }
        return try await withTaskCancellationHandler {
            try await PostgresUpgrade.upgrade(channel, tls, serverName: name)
        } onCancel: {
            channel.close(promise: nil)
        }
    }
}
