import Foundation
import ManagedAgentsClient
import NIOCore
import NIOEmbedded
import NIOPosix
import NIOSSL
import PosternHTTP
import PosternTLS
import PosternTunnelLink
import PosternTunnelWire
import Testing
import X509

@testable import PosternMCP

/// Whom the runtime's end of a tunnel takes for a connector, and for an edge.
@Suite(.timeLimit(.minutes(1))) struct TunnelDialTests {
    private let forge = TunnelForge()

    private static func route(_ ports: [Int], _ way: TunnelRoute.Way, edgeAuthority: String? = nil) -> TunnelRoute {
        TunnelRoute(
            host: TunnelHost(route: "docs", domain: TunnelForge.domain),
            edge: .init(addresses: ports.map { EdgeAddress(host: "127.0.0.1", port: $0) }, name: TunnelForge.edgeName, authorities: edgeAuthority),
            way: way)
    }

    private static func dial(
        _ route: TunnelRoute, _ credentials: TunnelCredentials, _ times: TunnelTimes = TunnelTimes()
    ) async throws -> TunnelDialError? {
        let dialer = EdgeDialer(
            route: route, credentials: credentials, tls: try TunnelTLS(route, credentials), group: .singletonMultiThreadedEventLoopGroup,
            times: times,
            now: { Date() }, checkConnection: { $0.eventLoop.makeSucceededVoidFuture() })
        do throws(TunnelDialError) {
            try await dialer.dial().close()
            return nil
        } catch {
            return error
        }
    }

    /// What dialling a connector with this TLS comes to.
    private func refusal(
        _ leaf: TunnelForge.Leaf, _ authorities: [TunnelForge.Signer], _ change: @escaping @Sendable (inout TLSConfiguration) -> Void = { _ in }
    ) async throws -> TunnelDialError? {
        let credentials = try forge.credentials(authorities)
        let refusal = Box<TunnelDialError?>(nil)
        try await ScriptedEnd.run { _, stream in
            try await stream.serveTLS(leaf.configuration(change))
            _ = try await stream.read(within: .seconds(10))
        } _: { end in
            refusal.set(try await Self.dial(Self.route([end.port], .splice), credentials))
        }
        return refusal.value
    }

    // MARK: The connector's certificate

    @Test func aConnectorThatKeepsTheRulesIsTaken() async throws {
        let (one, two) = (try forge.authority("one"), try forge.authority("two"))
        #expect(try await refusal(try forge.server(two), [one, two]) == nil)
        #expect(try await refusal(try forge.server(one, names: [TunnelForge.host]), [one]) == nil)
    }

    @Test(arguments: [
        (TunnelForge.Flaw.otherName, CertificateRuleError.otherName(TunnelForge.host)), (.noName, .noNames),
        (.noKeyIdentifier, .noAuthorityKeyIdentifier), (.otherKeyIdentifier, .unknownAuthority), (.otherSigner, .notSignedByAuthority),
        (.expired, .expired), (.notYetValid, .notYetValid), (.forClients, .notForServers),
    ])
    func eachRuleHasItsOwnError(flaw: TunnelForge.Flaw, rule: CertificateRuleError) async throws {
        let authority = try forge.authority()
        #expect(try await refusal(try forge.server(authority, flaw), [authority]) == .rule(rule))
    }

    @Test func onlyTheTunnelsOwnAuthoritiesCount() async throws {
        let (own, other) = (try forge.authority(), try forge.authority("other"))
        #expect(try await refusal(try forge.server(other), [own]) == .rule(.unknownAuthority))
        // Below an authority that the tunnel's own has signed, with that one's certificate sent along, as public authorities work.
        let middle = try forge.intermediate(own)
        var leaf = try forge.server(middle)
        leaf.chain = [middle.certificate, own.certificate]
        #expect(try await refusal(leaf, [own]) == .rule(.unknownAuthority))
        // The own one's name and key identifier over another key.
        let identifier = try #require(try own.certificate.extensions.subjectKeyIdentifier).keyIdentifier
        let twin = try forge.authority("tunnel", identifier: identifier)
        #expect(try await refusal(try forge.server(twin, claiming: identifier), [own]) == .rule(.notSignedByAuthority))
    }

    // MARK: The handshake

    @Test func lessThanTLS13IsRefused() async throws {
        let authority = try forge.authority()
        let error = try await refusal(try forge.server(authority), [authority]) {
            $0.minimumTLSVersion = .tlsv12
            $0.maximumTLSVersion = .tlsv12
        }
        #expect(error == .oldProtocol)
    }

    @Test(arguments: [[], ["h2"], ["http/1.0", "h2"]])
    func onlyHTTP11IsAgreedOn(protocols: [String]) async throws {
        let authority = try forge.authority()
        let error = try await refusal(try forge.server(authority), [authority]) { $0.applicationProtocols = protocols }
        #expect(error == .noApplicationProtocol)
    }

    /// In the clear, before a ServerHello: what an edge says that relays nothing.
    @Test(arguments: [(TLSAlert.unrecognizedName, TunnelDialError.notOpen), (.internalError, .noConnector)])
    func anEdgesAlertsAreTold(alert: TLSAlert, error: TunnelDialError) async throws {
        let credentials = try forge.credentials([try forge.authority()])
        try await ScriptedEnd.run { _, stream in
            _ = try await stream.clientHello(within: .seconds(10))
            try await stream.write(alert.record)
        } _: { end in
            let told = try await Self.dial(Self.route([end.port], .splice), credentials)
            #expect(told == error)
        }
    }

    @Test func aCallByIDSaysThatTheConnectorNeedsTheKeyAndTriesNoName() async throws {
        let credentials = try forge.credentials([try forge.authority()])
        let names = Box<[String?]>([])
        try await ScriptedEnd.run { _, stream in
            let name = try await stream.clientHello(within: .seconds(10))?.hello.serverName
            names.change { $0.append(name) }
            try await stream.write(TLSAlert.internalError.record)
        } _: { end in
            let key = try #require(RouteKey([UInt8](repeating: 1, count: RouteKey.size)))
            var route = Self.route([end.port, end.port], .splice)
            route.routeKey = key
            let told = try await Self.dial(route, credentials)
            #expect(told == .noConnectorByID && "\(told.map { "\($0)" } ?? "")".contains("tunnel.route_key_file"))
            #expect(names.value == Array(repeating: "\(key.id(of: "docs")).\(TunnelForge.domain)", count: 2))
        }
    }

    @Test func anEndOrNonsenseInPlaceOfAHandshakeIsRefused() async throws {
        let credentials = try forge.credentials([try forge.authority()])
        try await ScriptedEnd.run { number, stream in
            _ = try await stream.clientHello(within: .seconds(10))
            if number == 2 { try await stream.send("HTTP/1.1 400 Bad Request\r\n\r\n") }
            if number == 3 { _ = try await stream.read(within: .seconds(30)) }
        } _: { end in
            let route = Self.route([end.port], .splice)
            let ended = try await Self.dial(route, credentials)
            #expect(ended == .innerTLS("the connection ended in the TLS handshake"))
            let nonsense = try await Self.dial(route, credentials)
            #expect(nonsense?.step == .innerTLS)
            var times = TunnelTimes()
            times.inner = .milliseconds(50)
            let slow = try await Self.dial(route, credentials, times)
            #expect(slow == .tooSlow(.innerTLS))
        }
    }

    /// What is said to a connector, and to an edge: TLS 1.3 alone, HTTP/1.1 alone, no session of before and so no early data, also where a server has
    /// offered both.
    @Test func theClientHelloOffersNothingElse() throws {
        let credentials = try forge.credentials([try forge.authority()])
        let route = Self.route([443], .connect)
        for tls in [try TunnelTLS.outer(route.edge, credentials), TunnelTLS.inner(credentials)] {
            let channel = EmbeddedChannel()
            try channel.pipeline.syncOperations.addHandler(
                NIOSSLClientHandler(context: NIOSSLContext(configuration: tls), serverHostname: TunnelForge.host))
            channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 443), promise: nil)
            var record = try #require(try channel.readOutbound(as: ByteBuffer.self))
            let extensions = try #require(Self.extensions(&record))
            #expect(extensions[43] == [2, 3, 4])
            #expect(extensions[16] == [0, 9, 8] + Array("http/1.1".utf8))
            // early_data and pre_shared_key (RFC 8446, section 4.2).
            #expect(extensions[42] == nil && extensions[41] == nil)
            _ = try? channel.finish()
        }
    }

    private static func extensions(_ record: inout ByteBuffer) -> [UInt16: [UInt8]]? {
        // Record header, message header, version, random.
        record.moveReaderIndex(forwardBy: 5 + 4 + 2 + 32)
        guard let session = record.readInteger(as: UInt8.self), record.readSlice(length: Int(session)) != nil,
            let suites = record.readInteger(as: UInt16.self), record.readSlice(length: Int(suites)) != nil,
            let methods = record.readInteger(as: UInt8.self), record.readSlice(length: Int(methods)) != nil,
            record.readInteger(as: UInt16.self) != nil
        else { return nil }
        var found: [UInt16: [UInt8]] = [:]
        while let type = record.readInteger(as: UInt16.self), let length = record.readInteger(as: UInt16.self) {
            found[type] = record.readBytes(length: Int(length))
        }
        return found
    }

    // MARK: CONNECT

    /// Dials an edge that answers `CONNECT` with `answer`; what it was asked.
    private func connect(
        answer: String, apiKey: String? = nil, edgeName: String = TunnelForge.edgeName, thenServes: Bool = false
    ) async throws -> (error: TunnelDialError?, asked: String) {
        let (authority, edge) = (try forge.authority(), try forge.authority("edge"))
        let (leaf, inner) = (try forge.server(edge, names: [edgeName]), try forge.server(authority))
        let credentials = try forge.credentials([authority], apiKey: apiKey)
        let route = try Self.route([], .connect, edgeAuthority: edge.pem)
        let (asked, error) = (Box(""), Box<TunnelDialError?>(nil))
        try await ScriptedEnd.run { _, stream in
            try await stream.serveTLS(
                leaf.configuration {
                    // As edges do: a certificate is asked for, and looked at afterwards.
                    $0.certificateVerification = .optionalVerification
                    $0.trustRoots = .certificates([])
                }, acceptsAnyClient: true)
            var reader = MessageReader(stream)
            asked.set(try await reader.request() ?? "")
            try await stream.send(answer)
            if thenServes { try await stream.serveTLS(inner.configuration()) }
            _ = try await stream.read(within: .seconds(10))
        } _: { end in
            var way = route
            way.edge.addresses = [EdgeAddress(host: "127.0.0.1", port: end.port)]
            error.set(try await Self.dial(way, credentials))
        }
        return (error.value, asked.value)
    }

    @Test func anEdgeIsAskedWithAnAPIKeyOnlyWhereOneIsGiven() async throws {
        let opened = try await connect(answer: "HTTP/1.1 200 Connection established\r\n\r\n", apiKey: "psk_canary", thenServes: true)
        #expect(opened.error == nil)
        #expect(opened.asked == "CONNECT \(TunnelForge.host):443 HTTP/1.1\nHost: \(TunnelForge.host):443\nProxy-Authorization: Bearer psk_canary\n\n")
        let bare = try await connect(answer: "HTTP/1.1 200 Connection established\r\n\r\n", thenServes: true)
        #expect(bare.error == nil && bare.asked == "CONNECT \(TunnelForge.host):443 HTTP/1.1\nHost: \(TunnelForge.host):443\n\n")
    }

    @Test func anEdgeOfAnotherNameOrAuthorityIsAskedNothing() async throws {
        let other = try await connect(answer: "", apiKey: "psk_canary", edgeName: "edge.example.org")
        guard case .edgeTLS? = other.error else {
            Issue.record("\(String(describing: other.error))")
            return
        }
        #expect(other.asked == "")
        let credentials = try forge.credentials([try forge.authority()])
        let (real, foreign) = (try forge.authority("edge"), try forge.authority("edge"))
        let leaf = try forge.server(foreign, names: [TunnelForge.edgeName])
        let way = try Self.route([], .connect, edgeAuthority: real.pem)
        try await ScriptedEnd.run { _, stream in
            try await stream.serveTLS(leaf.configuration())
        } _: { end in
            var way = way
            way.edge.addresses = [EdgeAddress(host: "127.0.0.1", port: end.port)]
            guard case .edgeTLS? = try await Self.dial(way, credentials) else {
                Issue.record("a foreign edge was taken")
                return
            }
        }
    }

    @Test func refusalsSayWhy() async throws {
        let body = #"{"type":"error","error":{"type":"permission_error","message":"not open"}}"#
        let refused = try await connect(answer: "HTTP/1.1 403 Forbidden\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)", apiKey: "k")
        #expect(refused.error == .connectRefused(status: 403, message: "not open"))
        #expect(refused.error?.transportError == .refused("CONNECT: the edge answers 403: not open"))
        let old = try await connect(answer: "HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n", apiKey: "k")
        #expect(old.error?.step == .connect && old.error?.isWorthAnotherAddress == false)
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\n\r\nearly", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\n\n", "ICY 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nA\u{0}: 1\r\n\r\n",
    ])
    func anAnswerToConnectHasOneReading(answer: String) async throws {
        guard case .connectAnswer? = try await connect(answer: answer, apiKey: "k").error else {
            Issue.record("\(answer)")
            return
        }
    }

    // MARK: Addresses

    @Test func anotherAddressIsAskedOnlyWhereNothingWasOpened() async throws {
        let authority = try forge.authority()
        let credentials = try forge.credentials([authority])
        let (good, bad) = (try forge.server(authority), try forge.server(authority, .otherName))
        let closed = try await ScriptedEnd.closedPort()
        // 1: no connector; 2: takes the call; 3: is not whom it should be; 4: would take it.
        try await ScriptedEnd.run { number, stream in
            switch number {
            case 1:
                _ = try await stream.clientHello(within: .seconds(10))
                try await stream.write(TLSAlert.internalError.record)
            case 3: try await stream.serveTLS(bad.configuration())
            default:
                try await stream.serveTLS(good.configuration())
                _ = try await stream.read(within: .seconds(10))
            }
        } _: { end in
            let opened = try await Self.dial(Self.route([closed, end.port, end.port], .splice), credentials)
            #expect(opened == nil && end.connections == 2)
            let refused = try await Self.dial(Self.route([end.port, end.port], .splice), credentials)
            #expect(refused == .rule(.otherName(TunnelForge.host)))
            #expect(end.connections == 3)
            guard case .edgeConnection? = try await Self.dial(Self.route([closed], .splice), credentials) else {
                Issue.record("a closed port was connected")
                return
            }
        }
    }
}
