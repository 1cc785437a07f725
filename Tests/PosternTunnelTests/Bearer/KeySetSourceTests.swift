import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import PosternPolicy
import Synchronization
import Testing

@testable import PosternConnector

/// Keys that come from a URL: when they are asked for, and from where.
@Suite("Key sets behind a URL", .timeLimit(.minutes(1)))
struct KeySetSourceTests {
    private static let forge = TokenForge()

    @Test("who makes up key ids has the issuer asked once in half a minute, and old keys count no longer than an hour")
    func bounds() throws {
        let set = try KeySet(Array(try Self.forge.keySet().utf8))
        var cache = KeySetCache()
        func answer(_ id: String, _ now: Double) -> String {
            switch cache.ask(id, now: now) {
            case .known: "known"
            case .wait: "wait"
            case .unknown: "unknown"
            case .none: "none"
            }
        }
        #expect(answer("ES256", 100) == "wait")
        var begins = [cache.begin(now: 100), cache.begin(now: 100)]
        #expect(begins == [true, false] && answer("x", 101) == "wait")
        cache.ended(.success(set), now: 101)
        #expect(answer("ES256", 101) == "known" && answer("x", 101) == "unknown" && answer("x", 129) == "unknown")
        #expect(cache.untilNext(now: 101) == KeySetCache.fresh)
        #expect(answer("x", 130) == "wait" && answer("ES256", 130) == "known")
        begins = [cache.begin(now: 129), cache.begin(now: 130)]
        #expect(begins == [false, true])
        cache.ended(.failure(.init(description: "gone")), now: 131)
        #expect(answer("x", 131) == "unknown" && answer("ES256", 131) == "known" && cache.untilNext(now: 131) > 500)
        let again = cache.begin(now: 3700)
        #expect(again)
        cache.ended(.failure(.init(description: "gone")), now: 3701)
        #expect(answer("ES256", 3701) == "none" && cache.untilNext(now: 3701) == 29)
    }

    @Test("a key that is not known yet is asked for, once for all that wait for it")
    func unknownKey() async throws {
        let (count, forge, clock) = (EventCounter(), Self.forge, HandClock())
        let source = KeySetSource(
            try KeySetURL("https://login.example.com/keys"), authorities: nil, loop: MultiThreadedEventLoopGroup.singleton.any(), now: { clock.now },
            observe: { _ in }
        ) {
            count.add()
            let text = count.count == 1 ? try? forge.keySet(["ES256"]) : try? forge.keySet(["ES256", "ES384"])
            return (try? KeySet(Array((text ?? "").utf8))).map { .success($0) } ?? .failure(.init(description: "none"))
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await source.run() }
            _ = try await source.key("ES256", .es256)
            await #expect(throws: BearerRefusal.unknownKey) { _ = try await source.key("ES384", .es384) }
            #expect(count.count == 1)
            clock.pass(30)
            try await withThrowingTaskGroup(of: Void.self) { askers in
                for _ in 0..<8 { askers.addTask { _ = try await source.key("ES384", .es384) } }
                try await askers.waitForAll()
            }
            #expect(count.count == 2)
            await #expect(throws: BearerRefusal.unknownKey) { _ = try await source.key("made up", .es384) }
            #expect(count.count == 2)
            source.retire()
            try await group.waitForAll()
        }
        clock.pass(30)
        await #expect(throws: BearerRefusal.self) { _ = try await source.key("made up", .es384) }
    }

    @Test("a token whose key the issuer has taken back counts no more, also where it counted before")
    func withdrawnKey() async throws {
        let (count, forge, clock) = (EventCounter(), Self.forge, HandClock())
        let source = KeySetSource(
            try KeySetURL("https://login.example.com/keys"), authorities: nil, loop: MultiThreadedEventLoopGroup.singleton.any(), now: { clock.now },
            observe: { _ in }
        ) {
            count.add()
            let text = try? forge.keySet(count.count == 1 ? ["ES256"] : ["ES384"])
            return (try? KeySet(Array((text ?? "").utf8))).map { .success($0) } ?? .failure(.init(description: "none"))
        }
        let settings = BearerSettings(issuer: TokenForge.issuer, audiences: [TokenForge.audience], keys: .file("keys"))
        let verifier = BearerVerifier(settings: settings, keys: .source(source))
        let token = try BearerToken(try forge.token())
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await source.run() }
            _ = try await verifier.check(token, now: { .now })
            #expect(verifier.holds(token))
            clock.pass(30)
            _ = try await source.key("ES384", .es384)
            #expect(!verifier.holds(token))
            source.retire()
            try await group.waitForAll()
        }
    }

    /// What comes of asking a server that answers `answer`.
    private static func fetch(_ answer: String, addresses: UpstreamAddresses, trusts: Bool = true) async throws -> (KeySet?, String) {
        let authority = try ConnectorCertificates.authority(domain: "example.com", now: .now)
        let leaf = try ConnectorCertificates.server(domain: "example.com", authority: authority, now: .now)
        let tls = try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(leaf.certificatePEM.utf8)).map { .certificate($0) },
                privateKey: .privateKey(NIOSSLPrivateKey(bytes: Array(leaf.keyPEM.utf8), format: .pem))))
        let server = try await TestUpstream(tls: tls)
        server.mcp.withLock { $0 = answer }
        var client = TLSConfiguration.makeClientConfiguration()
        if trusts { client.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(authority.certificatePEM.utf8))) }
        let url = try KeySetURL("https://login.example.com:\(server.port)/mcp", addresses: addresses)
        let route = ConnectorConfiguration.Route(
            upstream: .network(isTLS: true, url.authority), callers: Callers(), addresses: addresses, host: .rewrite, headers: [])
        let loopback = try #require(IPAddress("127.0.0.1"))
        let dialer = UpstreamDialer(
            route: route, tls: try NIOSSLContext(configuration: client), resolve: { _ in [loopback] }, group: MultiThreadedEventLoopGroup.singleton,
            time: .seconds(50))
        return await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await server.run() }
            defer { group.cancelAll() }
            switch await KeySetFetch(url: url, dialer: dialer, time: .seconds(50)).run() {
            case .success(let set):
                #expect(server.now.heads.last?.hasPrefix("GET /mcp HTTP/1.1\nHost: login.example.com:") == true)
                return (set, "")
            case .failure(let problem): return (nil, problem.description)
            }
        }
    }

    @Test("they come over TLS from an address that may be dialled, whole, and from nowhere that an answer points to")
    func fetches() async throws {
        let text = try Self.forge.keySet()
        let good = "HTTP/1.1 200 OK\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)"
        let loopback = UpstreamAddresses(allowed: [try AddressRange("127.0.0.0/8")])
        let (set, problem) = try await Self.fetch(good, addresses: loopback)
        #expect(set?.knows("ES256") == true, "\(problem)")
        #expect(try await Self.fetch(good, addresses: .publicAndPrivate).1.contains("127.0.0.1 is not dialled"))
        #expect(try await Self.fetch(good, addresses: loopback, trusts: false).1.contains("could not be connected"))
        let elsewhere = "HTTP/1.1 302 Found\r\nLocation: https://other.example.com/\r\nContent-Length: 0\r\n\r\n"
        #expect(try await Self.fetch(elsewhere, addresses: loopback).1.contains("302"))
        let large = "HTTP/1.1 200 OK\r\nContent-Length: \(KeySet.longest + 1)\r\n\r\n" + String(repeating: " ", count: KeySet.longest + 1)
        #expect(try await Self.fetch(large, addresses: loopback).1.contains("more than"))
        let coded = good.replacing("200 OK\r\n", with: "200 OK\r\nContent-Encoding: gzip\r\n")
        #expect(try await Self.fetch(coded, addresses: loopback).1.contains("coding"))
    }
}
