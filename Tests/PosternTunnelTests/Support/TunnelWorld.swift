import Crypto
import Foundation
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import PosternConnector
import PosternEdge
import PosternHTTP
import PosternPolicy
import PosternTelemetry
import PosternTunnelLink
import PosternTunnelWire
import SwiftASN1
import Synchronization
import Testing
import X509

/// An edge, a connector and an upstream that really talk to one another, with every key and certificate that they need.
final class TunnelWorld: Sendable {
    static let edgeName = "tunnel.example.com"
    static let domain = "ab12cd34.tunnel.example.com"
    static let tunnelID = "tnl_1"
    static let workspaceID = "wrkspc_1"
    static let token = "tnlt_1"
    static let apiKey = "key_1"

    let directory = MemoryDirectory()
    let log = EventLog()
    let upstream: TestUpstream
    let edgeAuthority: Issuer
    let tunnelAuthority: ConnectorCertificates.Made
    let serverCertificate: ConnectorCertificates.Made
    let connectorKey: ConnectorCertificates.Made
    let runtimeAuthority: RuntimeAuthority
    let registry = MetricsRegistry()
    private let edgePort = Mutex(0)
    private let connector = Mutex<Connector?>(nil)

    struct Issuer: Sendable {
        let made: ConnectorCertificates.Made
        /// For the edge's own name.
        let leaf: ConnectorCertificates.Made
    }

    struct Options: Sendable {
        var legs = 2
        var splices = true
        var isEnrolled = true
        var hasToken = true
        var callers = Callers.everybody
        var upstreamAddresses = ["127.0.0.0/8"]
        var headers: [String: String] = [:]
        var policy: RoutePolicy?
        /// The connector's log; `nil` for none.
        var audit: ConnectorAudit?
        var edgeLimits = EdgeLimits()
        var legProof = LegProofRule.certificate
        var times = ConnectorTimes()
        var domain = TunnelWorld.domain
        /// The connector's.
        var name = "host"
        /// What the document says besides.
        var change: @Sendable (inout ConnectorConfiguration) -> Void = { _ in }
        /// Files that the connector reads, instead of the world's.
        var files: [String: String] = [:]
        /// Variables of the connector's process.
        var environment: [String: String] = [:]
    }

    let options: Options

    init(_ options: Options = Options()) async throws {
        self.options = options
        upstream = try await TestUpstream()
        let now = Date()
        let edge = try ConnectorCertificates.authority(domain: Self.edgeName, now: now)
        edgeAuthority = Issuer(made: edge, leaf: try Self.edgeLeaf(edge, now))
        tunnelAuthority = try ConnectorCertificates.authority(domain: options.domain, now: now)
        serverCertificate = try ConnectorCertificates.server(domain: options.domain, authority: tunnelAuthority, now: now)
        connectorKey = try ConnectorCertificates.connector(now: now)
        runtimeAuthority = try RuntimeAuthority.make(
            workspaceID: Self.workspaceID, notBefore: now.addingTimeInterval(-3600), notAfter: now.addingTimeInterval(24 * 3600))
        let key = try P256.Signing.PrivateKey(pemRepresentation: connectorKey.keyPEM)
        let keys: Set<String> = options.isEnrolled ? [ConnectorKey(key.publicKey).fingerprint] : []
        let tunnel = EdgeTunnel(
            id: Self.tunnelID, domain: Self.domain, workspaceID: Self.workspaceID, splices: options.splices, connectorKeys: keys)
        directory.change { $0 = [tunnel] }
        directory.setAuthority(try runtimeAuthority.certificatePEM, workspaceID: Self.workspaceID)
        directory.setToken(Self.token, tunnelID: Self.tunnelID)
        directory.setCredential(Self.apiKey, workspaceID: Self.workspaceID)
    }

    /// The name of the edge itself stands under no wildcard.
    private static func edgeLeaf(_ authority: ConnectorCertificates.Made, _ now: Date) throws -> ConnectorCertificates.Made {
        let issuer = try Certificate(pemEncoded: authority.certificatePEM)
        let key = P256.Signing.PrivateKey()
        let leaf = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey), notValidBefore: now - 60, notValidAfter: now + 3600,
            issuer: issuer.subject, subject: try DistinguishedName { CommonName("edge") }, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                SubjectAlternativeNames([.dnsName(edgeName)])
            }, issuerPrivateKey: try .init(pemEncoded: authority.keyPEM))
        return .init(keyPEM: key.pemRepresentation, certificatePEM: try leaf.serializeAsPEM().pemString)
    }

    /// Another certificate for a name, of the authority that connectors know edges by.
    func leaf(for name: String) throws -> ConnectorCertificates.Made { try Self.edgeLeaf(edgeAuthority.made, Date()) }

    /// Runs `body` beside an edge, a connector whose legs stand, and an upstream; everything ends with it.
    static func run(_ options: Options = Options(), _ body: @escaping @Sendable (TunnelWorld) async throws -> Void) async throws {
        try await TunnelWorld(options).runParts { world in
            await world.log.wait { $0.legs == options.legs }
            try await body(world)
        }
    }

    /// The same, without waiting for legs.
    /// - Parameter connects: whether a connector runs.
    func runParts(connects: Bool = true, _ body: @escaping @Sendable (TunnelWorld) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer {
                // Who waits for the test to go on would wait for ever.
                upstream.go.open()
                group.cancelAll()
            }
            let listening = Gate()
            let edge = try makeEdge()
            group.addTask { [self] in
                try await edge.run { [self] port in
                    edgePort.withLock { $0 = port }
                    listening.open()
                }
            }
            group.addTask { [self] in try await upstream.run() }
            await listening.wait()
            if connects {
                let connector = try makeConnector()
                self.connector.withLock { $0 = connector }
                group.addTask { await connector.run() }
            }
            try await body(self)
        }
    }

    var port: Int { edgePort.withLock { $0 } }

    func makeEdge(port: Int = 0) throws -> Edge {
        var settings = EdgeSettings(
            host: "127.0.0.1", port: port, domain: Self.edgeName, certificate: Array(edgeAuthority.leaf.certificatePEM.utf8),
            key: Array(edgeAuthority.leaf.keyPEM.utf8))
        settings.limits = options.edgeLimits
        settings.legProof = options.legProof
        return Edge(settings, directory: directory, metrics: EdgeMetrics(registry), logger: Self.logger)
    }

    /// - Parameter edge: where the connector dials; the world's edge where none is given.
    func makeConnector(edge: Int? = nil, log: EventLog? = nil, options: Options? = nil, files: [String: String] = [:]) throws -> Connector {
        let log = log ?? self.log
        let options = options ?? self.options
        let (configuration, material) = try parts(edge: edge, options, files: files)
        return try Connector(
            configuration, material, version: "test", resolve: { _ in [] }, audit: options.audit, times: options.times, observe: { log.add($0) })
    }

    /// Puts other options in force at the connector that runs.
    func reload(_ options: Options) async throws {
        let connector = try #require(connector.withLock { $0 })
        let (configuration, material) = try parts(options)
        try await connector.reload(configuration, material)
    }

    /// What a connector is made from.
    /// - Parameter given: contents of files that are others than the world's own.
    func parts(edge: Int? = nil, _ options: Options, files given: [String: String] = [:]) throws -> (ConnectorConfiguration, ConnectorMaterial) {
        let text = """
            tunnel: {id: \(Self.tunnelID), workspace_id: \(Self.workspaceID), domain: \(options.domain)}
            edges: {addresses: ["127.0.0.1:\(edge ?? port)"], name: \(Self.edgeName), ca_file: edge-ca.pem}
            legs: \(options.legs)
            identity: {key_file: connector.key, certificate_file: connector.pem\(options.hasToken ? ", enrolment_token_file: token" : "")}
            server_certificate: {certificate_file: server.pem, key_file: server.key}
            runtime_authority: {certificate_file: runtime-ca.pem}
            routes:
              docs: {upstream: "http://127.0.0.1:\(upstream.port)", callers: {any: true}, addresses: [\(options.upstreamAddresses.joined(separator: ", "))]}
              other: {upstream: "http://127.0.0.1:\(upstream.port)", callers: {any: true}, addresses: [127.0.0.0/8]}
            """
        var configuration = try ConnectorConfiguration(text: text, file: "connector.yaml", hostName: options.name)
        configuration.routes["docs"]?.callers = options.callers
        configuration.routes["docs"]?.policy = options.policy
        configuration.routes["docs"]?.headers = options.headers.keys.map { .init(name: $0, file: "header-\($0)") }
        var files = [
            "edge-ca.pem": edgeAuthority.made.certificatePEM, "connector.key": connectorKey.keyPEM, "connector.pem": connectorKey.certificatePEM,
            "server.pem": serverCertificate.certificatePEM, "server.key": serverCertificate.keyPEM, "token": Self.token,
            "runtime-ca.pem": try runtimeAuthority.certificatePEM,
        ]
        for (name, value) in options.headers { files["header-\(name)"] = value }
        options.change(&configuration)
        files.merge(options.files) { $1 }
        files.merge(given) { $1 }
        let material = try ConnectorMaterial(configuration, now: Date(), environment: options.environment) { [files] path, _ in files[path] }
        return (configuration, material)
    }

    /// `POSTERN_TEST_LOG=1` shows what edge and connectors say.
    static let isLogged = ProcessInfo.processInfo.environment["POSTERN_TEST_LOG"] != nil

    private static let logger: Logger = {
        guard isLogged else { return Logger(label: "edge") { _ in SwiftLogNoOpLogHandler() } }
        var logger = Logger(label: "edge") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .debug
        return logger
    }()

    // MARK: Callers

    /// A runtime's certificate and key.
    func runtime(_ change: (inout RuntimeIdentity) -> Void = { _ in }, from: TimeInterval = -60, until: TimeInterval = 600) throws -> Caller {
        var identity = RuntimeIdentity(tunnelID: Self.tunnelID, workspaceID: Self.workspaceID, client: "test")
        change(&identity)
        return try Caller(identity, authority: runtimeAuthority, from: from, until: until)
    }

    struct Caller: Sendable {
        let certificate: NIOSSLCertificate?
        let key: NIOSSLPrivateKey?

        static let none = Caller()

        private init() { (certificate, key) = (nil, nil) }

        init?(pem: String, keyPEM: String) {
            guard let certificate = try? NIOSSLCertificate(bytes: Array(pem.utf8), format: .pem),
                let key = try? NIOSSLPrivateKey(bytes: Array(keyPEM.utf8), format: .pem)
            else { return nil }
            (self.certificate, self.key) = (certificate, key)
        }

        init(_ identity: RuntimeIdentity, authority: RuntimeAuthority, from: TimeInterval = -60, until: TimeInterval = 600) throws {
            let key = P256.Signing.PrivateKey()
            let certificate = try RuntimeCertificate.issue(
                identity, publicKey: key.publicKey, authority: authority.certificate, authorityKey: authority.key,
                notBefore: Date().addingTimeInterval(from), notAfter: Date().addingTimeInterval(until))
            self.certificate = try NIOSSLCertificate(bytes: certificate.serializeAsPEM().derBytes, format: .der)
            self.key = try NIOSSLPrivateKey(bytes: Array(key.derRepresentation), format: .der)
        }
    }
}

extension Callers {
    static var everybody: Callers {
        var callers = Callers()
        callers.any = true
        return callers
    }
}
