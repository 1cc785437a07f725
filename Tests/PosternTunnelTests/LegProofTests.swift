import Crypto
import Foundation
import NIOCore
import NIOSSL
import PosternConnector
import PosternEdge
import PosternHTTP
import PosternJSON
import PosternTunnelLink
import PosternTunnelWire
import Synchronization
import Testing

/// Keys that are proved by a signed challenge, where something on the way ends TLS.
@Suite("Proof by challenge", .timeLimit(.minutes(2)))
struct LegProofTests {
    private static func options(_ rule: LegProofRule, proof: ConnectorConfiguration.Edges.Proof = .challenge) -> TunnelWorld.Options {
        var options = TunnelWorld.Options()
        options.legs = 1
        options.legProof = rule
        options.change = { $0.edges.proof = proof }
        return options
    }

    private static func fingerprint(_ made: ConnectorCertificates.Made) throws -> String {
        try ConnectorCertificates.fingerprint(certificatePEM: made.certificatePEM)
    }

    /// A connector behind something that ends TLS: what becomes of its leg.
    private static func outcome(_ options: TunnelWorld.Options, own: Bool = false) async throws -> String {
        let outcome = Mutex("")
        let world = try await TunnelWorld(options)
        try await world.runParts(connects: false) { world in
            let balancer = try world.leaf(for: TunnelWorld.edgeName)
            try await TerminatingRelay.run(world, balancer) { port in
                let log = EventLog()
                let connector = try world.makeConnector(edge: own ? world.port : port, log: log)
                try await eventually { world.directory.hasAnswered }
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { await connector.run() }
                    await log.wait { $0.legs == 1 || !$0.legRefusals.isEmpty }
                    outcome.withLock { $0 = log.legRefusals.first ?? "stands" }
                    if log.legs == 1 {
                        do {
                            var client = try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: try world.runtime())
                            #expect(try await client.call("POST", "/echo", body: "through it").body == "through it")
                            client.stream.close()
                        } catch {
                            Issue.record(error)
                        }
                    }
                    group.cancelAll()
                }
            }
        }
        return outcome.withLock { $0 }
    }

    @Test("a leg stands through something that ends TLS, and calls go over it, where edge and connector say so")
    func terminated() async throws {
        #expect(try await Self.outcome(Self.options(.challenge(terminators: nil))) == "stands")
        #expect(try await Self.outcome(Self.options(.challenge(terminators: nil), proof: .certificate)) == "no_connector_key")
        #expect(try await Self.outcome(Self.options(.certificate)) == "proof_not_taken")
        var unknown = Self.options(.challenge(terminators: nil))
        unknown.isEnrolled = false
        unknown.hasToken = false
        #expect(try await Self.outcome(unknown) == "not_enrolled")
        unknown.hasToken = true
        #expect(try await Self.outcome(unknown) == "stands")
    }

    @Test("an edge that knows who may end TLS takes no leg that somebody else relays")
    func relayed() async throws {
        #expect(try await Self.outcome(Self.options(.challenge(terminators: []))) == "proof_refused")
        // Its own certificate is the one that nobody has to name.
        #expect(try await Self.outcome(Self.options(.challenge(terminators: [])), own: true) == "stands")
    }

    // MARK: Attacks

    /// Asks with `request`, answers the challenge as `reply` says, and gives what comes of it.
    private static func ask(
        _ world: TunnelWorld, _ request: [UInt8], _ reply: (LegProof.Challenge) throws -> [UInt8]?
    ) async throws -> TunnelClient.Answer {
        let stream = try await TunnelClient.dial(world.port)
        defer { stream.close() }
        try await TunnelClient.outer(stream, world)
        try await stream.write(request)
        var reader = MessageReader(stream)
        let head = try #require(try await reader.head(idle: .seconds(30), whole: .seconds(30)).map { try ResponseHead(lines: $0) })
        #expect(head.status == 101 && head.fields.named("upgrade").map(\.text) == [LegProof.upgrade])
        let line = try #require(try await reader.line(most: LegProof.longestLine, until: .now() + .seconds(30)))
        if let answer = try reply(try LegProof.Challenge(line: line)) { try await stream.write(answer) }
        let final = try #require(try await reader.head(idle: .seconds(30), whole: .seconds(30)).map { try ResponseHead(lines: $0) })
        guard final.status != 101 else { return TunnelClient.Answer(head: final, body: "") }
        var body = BodyReader(try BodyFraming(response: final, to: "POST"))
        var bytes = ByteBuffer()
        while let part = try await reader.part(of: &body, within: .seconds(30)) { bytes.writeImmutableBuffer(part) }
        return TunnelClient.Answer(head: final, body: String(buffer: bytes))
    }

    private static func reason(_ answer: TunnelClient.Answer) throws -> String {
        answer.status == 101 ? "stands" : try JSON(parsing: answer.body)["reason"]?.string ?? "\(answer.status)"
    }

    @Test("an answer counts for its challenge, its edge, its tunnel, its request and its key alone")
    func attacks() async throws {
        try await TunnelWorld(Self.options(.challenge(terminators: []))).runParts(connects: false) { world in
            try await eventually { world.directory.hasAnswered }
            let key = try P256.Signing.PrivateKey(pemRepresentation: world.connectorKey.keyPEM)
            let leaf = try NIOSSLCertificate(bytes: Array(world.edgeAuthority.leaf.certificatePEM.utf8), format: .pem).toDERBytes()
            func leg(_ tunnel: String = TunnelWorld.tunnelID, name: String = "host/0", token: String? = nil) -> LegRequest {
                LegRequest(tunnelID: tunnel, leg: name, version: "x", token: token)
            }
            let request = leg().encoded(host: TunnelWorld.edgeName, upgrade: LegProof.upgrade)
            func sign(
                _ challenge: LegProof.Challenge, edge: String = TunnelWorld.edgeName, _ subject: LegProof.Subject? = nil, certificate: [UInt8]? = nil,
                with signer: P256.Signing.PrivateKey? = nil
            ) throws -> [UInt8] {
                try LegProof.Answer(
                    to: challenge, edge: edge, subject ?? .init(leg()), certificate: certificate ?? leaf, with: signer ?? key
                ).line
            }
            func attack(_ reply: (LegProof.Challenge) throws -> [UInt8]?) async throws -> String {
                try Self.reason(try await Self.ask(world, request, reply))
            }
            var recorded: [UInt8] = []
            #expect(
                try await attack {
                    recorded = try sign($0)
                    return recorded
                } == "stands")
            // What was said once says nothing on another connection.
            #expect(try await attack { _ in recorded } == "proof_refused")
            #expect(try await attack { try sign($0, edge: "edge.example.org") } == "proof_refused")
            for other in [leg("tnl_2"), leg(name: "host/1"), leg(token: "stolen")] {
                #expect(try await attack { try sign($0, .init(other)) } == "proof_refused")
            }
            #expect(try await attack { try sign($0, .init(RegistrationRequest(tunnelID: TunnelWorld.tunnelID, since: 0))) } == "proof_refused")
            #expect(try await attack { try sign($0, certificate: Array("another".utf8)) } == "proof_refused")
            let thief = P256.Signing.PrivateKey()
            #expect(try await attack { try sign($0, with: thief) } == "not_enrolled")
            // The tunnel's key, with the thief's signature; and what is none.
            #expect(
                try await attack { challenge in
                    let answer = try LegProof.Answer(to: challenge, edge: TunnelWorld.edgeName, .init(leg()), certificate: leaf, with: thief)
                    var object = try #require(try JSON(parsing: answer.line).object)
                    object["key"] = .string(key.publicKey.derRepresentation.base64EncodedString())
                    return JSON.object(object).encoded + [10]
                } == "proof_refused")
            #expect(try await attack { _ in Array("{}\n".utf8) } == "proof_refused")
            #expect(try await attack { _ in Array(repeating: 0x20, count: LegProof.longestLine + 1) } == "400")
        }
    }

    @Test("an answer that does not come in time is too late")
    func late() async throws {
        var options = Self.options(.challenge(terminators: nil))
        options.edgeLimits.proof = .milliseconds(50)
        try await TunnelWorld(options).runParts(connects: false) { world in
            let request = LegRequest(tunnelID: TunnelWorld.tunnelID, leg: "host/0", version: "x", token: nil)
            let answer = try await Self.ask(world, request.encoded(host: TunnelWorld.edgeName, upgrade: LegProof.upgrade)) { _ in nil }
            #expect(answer.status == 503 && answer.body.contains("in time"))
        }
    }

    @Test("a log is asked for by challenge as well")
    func registrations() async throws {
        try await TunnelWorld(Self.options(.challenge(terminators: []))).runParts(connects: false) { world in
            world.directory.answerRegistrations { ["since": JSON($0)] }
            try await eventually { world.directory.hasAnswered }
            let key = try P256.Signing.PrivateKey(pemRepresentation: world.connectorKey.keyPEM)
            let leaf = try NIOSSLCertificate(bytes: Array(world.edgeAuthority.leaf.certificatePEM.utf8), format: .pem).toDERBytes()
            let request = RegistrationRequest(tunnelID: TunnelWorld.tunnelID, since: 7)
            let answer = try await Self.ask(world, request.encoded(host: TunnelWorld.edgeName, upgrade: LegProof.upgrade)) {
                try LegProof.Answer(to: $0, edge: TunnelWorld.edgeName, .init(request), certificate: leaf, with: key).line
            }
            #expect(answer.status == 200 && answer.body == #"{"since":7}"#)
        }
    }

    @Test("a connector signs nothing for an edge of another name")
    func otherEdge() async throws {
        let world = try await TunnelWorld(Self.options(.certificate))
        let sent = Mutex<[UInt8]?>(nil)
        try await RegistrationEdge.run(
            world,
            serve: { stream, _ in
                try await stream.write(LegProof.accepted + LegProof.Challenge(edge: "edge.example.org").line)
                let bytes = try? await stream.read(within: .seconds(30))
                sent.withLock { $0 = bytes.flatMap { $0 }.map { Array($0.readableBytesView) } ?? [] }
            }
        ) { port in
            let (configuration, material) = try world.parts(edge: port, world.options)
            let pins = RegistrationWatch.Pins(
                tunnelID: TunnelWorld.tunnelID, logKey: P256.Signing.PrivateKey().publicKey, server: nil, ownerKey: nil, connectorKey: "x",
                knownKeys: nil, staleAfter: 0)
            let reasons = Mutex<[String]>([])
            let state = FileManager.default.temporaryDirectory.appendingPathComponent("proof-\(UUID().uuidString).json").path
            defer { try? FileManager.default.removeItem(atPath: state) }
            let watcher = try RegistrationWatcher(
                pins, configuration, material, stateFile: state, interval: .seconds(3600), resolve: { _ in [] }
            ) { event in
                if case .unanswered(_, let reason) = event { reasons.withLock { $0.append(reason) } }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                group.addTask { await watcher.run() }
                try await eventually { sent.withLock { $0 != nil } && !reasons.withLock { $0.isEmpty } }
            }
            #expect(sent.withLock { $0 } == [])
            #expect(reasons.withLock { $0.first?.contains("is of the edge edge.example.org") == true })
        }
    }
}
