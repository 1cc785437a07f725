import Crypto
import Foundation
import ManagedAgentsClient
import NIOCore
import NIOSSL
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire
import Testing

@testable import PosternMCP

/// Requests over connections that stand: what is sent once, what is kept, and for whom.
@Suite(.timeLimit(.minutes(1))) struct TunnelTransportTests {
    let forge = TunnelForge()
    static let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

    /// A connector that hands each connection to `script` after its handshake, and a transport to it.
    func run(
        _ script: @escaping @Sendable (Int, ByteStream) async throws -> Void,
        settings: TunnelConnections.Settings = TunnelConnections.Settings(), credentials: TunnelCredentials? = nil,
        server: @escaping @Sendable (inout TLSConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (ScriptedEnd, TunnelConnections, @escaping @Sendable (TunnelCredentials?) -> TunnelTransport) async throws -> Void
    ) async throws {
        let authority = try forge.authority()
        let leaf = try forge.server(authority)
        let own = try credentials ?? forge.credentials([authority])
        self.authority.set(authority)
        try await ScriptedEnd.run { number, stream in
            try await stream.serveTLS(leaf.configuration(server))
            try await script(number, stream)
        } _: { end in
            let connections = TunnelConnections(settings)
            let route = TunnelRoute(
                host: TunnelHost(route: "docs", domain: TunnelForge.domain),
                edge: .init(addresses: [EdgeAddress(host: "127.0.0.1", port: end.port)], name: TunnelForge.edgeName), way: .splice)
            try await body(end, connections) { other in
                TunnelTransport(route, connections: connections) { () async throws(TransportError) in other ?? own }
            }
            await connections.shutdown()
        }
    }

    let authority = Box<TunnelForge.Signer?>(nil)

    static func post(_ transport: TunnelTransport, _ body: String = "{}") async -> Result<String, TransportError> {
        do throws(TransportError) {
            let request = ClientRequest(method: .post, target: "/mcp", headers: [:], body: Array(body.utf8), timeout: .seconds(20))
            let answer = try await transport.send(request)
            return .success("\(answer.status) " + String(decoding: try await answer.body.collect(upTo: 1 << 20), as: UTF8.self))
        } catch {
            return .failure(error)
        }
    }

    /// Answers every request of a connection in the same way.
    static let serving: @Sendable (Int, ByteStream) async throws -> Void = { _, stream in
        var reader = MessageReader(stream)
        while try await reader.request() != nil { try await stream.send(answer) }
    }

    // MARK: What is kept

    @Test func oneConnectionServesOneRequestAfterAnother() async throws {
        try await run(Self.serving) { end, connections, transport in
            for _ in 0..<5 { #expect(await Self.post(transport(nil)) == .success("200 hello")) }
            #expect(end.connections == 1 && connections.idleCount == 1)
        }
    }

    @Test func aNewCertificateGetsNewConnectionsAndNoneIsShared() async throws {
        try await run(Self.serving) { [forge, authority] end, connections, transport in
            let one = try forge.credentials([try #require(authority.value)])
            let two = try forge.credentials([try #require(authority.value)])
            for (credentials, count) in [(one, 1), (two, 2), (one, 2), (two, 2)] {
                #expect(await Self.post(transport(credentials)) == .success("200 hello"))
                #expect(end.connections == count)
            }
            // The same certificate with other authorities to believe, or past the edge with another key, is another connection.
            #expect(connections.idleCount == 2)
        }
    }

    @Test func whoHasWaitedGoesByTheWayThatCountsThen() async throws {
        var settings = TunnelConnections.Settings()
        settings.limits.perKey = 1
        let (asked, go) = (Box(0), Gate())
        try await run(
            { _, stream in
                var reader = MessageReader(stream)
                _ = try await reader.request()
                asked.change { $0 += 1 }
                await go.wait()
                try await stream.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
            }, settings: settings
        ) { [forge, authority] end, connections, _ in
            let own = try forge.credentials([try #require(authority.value)])
            let host = TunnelHost(route: "docs", domain: TunnelForge.domain)
            let way = Box(
                TunnelRoute(
                    host: host, edge: .init(addresses: [EdgeAddress(host: "127.0.0.1", port: end.port)], name: TunnelForge.edgeName), way: .splice))
            let times = Box(0)
            let transport = TunnelTransport(host, connections: connections) { () async throws(TransportError) in
                times.change { $0 += 1 }
                return TunnelPassage(way.value, own)
            }
            async let first = Self.post(transport)
            while asked.value == 0 { try await Task.sleep(for: .milliseconds(2)) }
            let before = times.value
            async let second = Self.post(transport)
            while times.value == before { try await Task.sleep(for: .milliseconds(2)) }
            // Where nobody listens: a connection by the way of before would be answered.
            let closed = try await ScriptedEnd.closedPort()
            way.change { $0.edge.addresses = [EdgeAddress(host: "127.0.0.1", port: closed)] }
            go.open()
            #expect(await first == .success("200 hello"))
            guard case .failure = await second else {
                Issue.record("it went by the way of before")
                return
            }
            #expect(end.connections == 1)
        }
    }

    @Test func keysTellEverythingApart() throws {
        let (one, two) = (try forge.authority("one"), try forge.authority("two"))
        let credentials = try forge.credentials([one])
        let route = TunnelRoute(
            host: TunnelHost(route: "docs", domain: TunnelForge.domain), edge: .init(addresses: [EdgeAddress(host: "a", port: 1)], name: "e"))
        let key = TunnelKey(route, credentials)
        #expect(key == TunnelKey(route, credentials))
        var routes = [route, route, route, route, route]
        routes[0].host = TunnelHost(route: "other", domain: TunnelForge.domain)
        routes[1].way = .splice
        routes[2].edge.name = "f"
        routes[3].edge.addresses = [EdgeAddress(host: "a", port: 2)]
        routes[4].edge.authorities = "x"
        for other in routes { #expect(TunnelKey(other, credentials) != key) }
        #expect(TunnelKey(route, try forge.credentials([one])) != key)
        // What else is believed, or shown to the edge, with the same certificate.
        let leaf = try forge.server(one)
        func made(_ authorities: [TunnelForge.Signer], _ apiKey: String?) throws -> TunnelKey {
            TunnelKey(
                route,
                try TunnelCredentials(
                    certificate: leaf.pem, key: leaf.key.pemRepresentation, authorities: authorities.map { try $0.pem }.joined(separator: "\n"),
                    apiKey: apiKey.map { Secret($0) }))
        }
        let kinds = [try made([one], nil), try made([one, two], nil), try made([one], "a"), try made([one], "b")]
        #expect(Set(kinds).count == kinds.count)
        #expect(!"\(kinds)".contains("Bearer"))
    }

    @Test func aConnectionEndsWithItsCertificate() async throws {
        let clock = Box(Date())
        let begun = Gate()
        var settings = TunnelConnections.Settings()
        settings.now = { clock.value }
        try await run(
            { number, stream in
                var reader = MessageReader(stream)
                guard try await reader.request() != nil else { return }
                if number == 1 { return try await stream.send(Self.answer) }
                try await stream.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                begun.open()
                _ = try await stream.read(within: .seconds(30))
            }, settings: settings
        ) { [forge, authority] _, connections, transport in
            let short = try forge.credentials([try #require(authority.value)], until: 600)
            #expect(await Self.post(transport(short)) == .success("200 hello"))
            // The connector has ended that connection: the next request is not to meet it on its way out.
            while connections.count > 0 { try await Task.sleep(for: .milliseconds(2)) }
            // One that ends in a moment: the answer that is read then is cut off, and is told so.
            clock.set(short.notAfter.addingTimeInterval(-1))
            let outcome = Box<Result<String, TransportError>?>(nil)
            async let call: Void = outcome.set(await Self.post(transport(short)))
            await begun.wait()
            clock.set(short.notAfter)
            await call
            #expect(outcome.value == .failure(.broken("the client certificate has ended, and the connection with it")))
            #expect(await Self.post(transport(short)) == .failure(.refused("client certificate: it has expired; issue a new one")))
            clock.set(short.notBefore.addingTimeInterval(-1))
            #expect(await Self.post(transport(short)) == .failure(.connection("client certificate: it is not valid yet; compare the clocks")))
        }
    }

    @Test func whatIsIdleForTooLongIsClosed() async throws {
        var settings = TunnelConnections.Settings()
        settings.times.idle = .milliseconds(20)
        let gone = Gate()
        try await run(
            { _, stream in
                try await Self.serving(1, stream)
                gone.open()
            }, settings: settings
        ) { _, connections, transport in
            #expect(await Self.post(transport(nil)) == .success("200 hello"))
            await gone.wait()
            #expect(connections.count == 0)
        }
    }

    @Test func noMoreConnectionsThanAllowedStandAndWaitingOnesGetTheirTurn() async throws {
        var settings = TunnelConnections.Settings()
        settings.limits.perKey = 2
        try await run(Self.serving, settings: settings) { end, connections, transport in
            await withTaskGroup(of: Result<String, TransportError>.self) { group in
                for _ in 0..<40 { group.addTask { await Self.post(transport(nil)) } }
                for await outcome in group { #expect(outcome == .success("200 hello")) }
            }
            #expect(end.connections <= 2 && connections.count <= 2)
        }
    }

    @Test func aConnectionThatSpeaksUnaskedIsNotUsedAgain() async throws {
        let spoken = Gate()
        try await run { number, stream in
            var reader = MessageReader(stream)
            while try await reader.request() != nil {
                try await stream.send(Self.answer)
                guard number == 1 else { continue }
                try await stream.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
                // Whoever sees this end has read the second answer, or is about to.
                _ = try? await stream.read(within: .seconds(20))
                spoken.open()
                return
            }
        } _: { end, connections, transport in
            let first = await Self.post(transport(nil))
            // Both may have come in one piece: then the first is of no use either.
            #expect(first == .success("200 hello") || first == .failure(.broken("more came behind the answer")))
            await spoken.wait()
            #expect(connections.idleCount == 0)
            #expect(await Self.post(transport(nil)) == .success("200 hello"))
            #expect(end.connections == 2)
        }
    }

    // MARK: What is sent once

    @Test(
        arguments: [
            "", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            "HTTP/1.1 200 OK\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", "nonsense\r\n\r\n",
        ], [true, false])
    func aRequestWhoseAnswerIsNoneIsNotSentAgain(part: String, closesTLS: Bool) async throws {
        let requests = Box(0)
        try await run { _, stream in
            var reader = MessageReader(stream)
            guard try await reader.request() != nil else { return }
            requests.change { $0 += 1 }
            try await stream.send(part)
            // Below TLS where it is to see no close_notify: a hostile edge cuts there.
            if !closesTLS { try await stream.cut() }
        } _: { end, connections, transport in
            guard case .failure(.broken) = await Self.post(transport(nil)) else {
                Issue.record("\(part) was taken for an answer")
                return
            }
            #expect(requests.value == 1 && end.connections == 1 && connections.count == 0)
        }
    }

    @Test func aKeptConnectionThatBreaksUnderARequestIsNotTriedAgain() async throws {
        let requests = Box(0)
        try await run { _, stream in
            var reader = MessageReader(stream)
            for number in 1...2 {
                guard try await reader.request() != nil else { return }
                requests.change { $0 += 1 }
                if number == 1 { try await stream.send(Self.answer) }
            }
            try await stream.cut()
        } _: { end, _, transport in
            #expect(await Self.post(transport(nil)) == .success("200 hello"))
            guard case .failure(.broken) = await Self.post(transport(nil)) else {
                Issue.record("not broken")
                return
            }
            #expect(requests.value == 2 && end.connections == 1)
        }
    }

    @Test func aConnectorThatRefusesTheCertificateHasReadNothing() async throws {
        let runtime = try forge.authority("runtime")
        let roots = [try NIOSSLCertificate(bytes: Array(runtime.pem.utf8), format: .pem)]
        try await run(
            { _, _ in },
            server: {
                $0.certificateVerification = .noHostnameVerification
                $0.trustRoots = .certificates(roots)
            }
        ) { _, _, transport in
            guard case .failure(.connection(let reason)) = await Self.post(transport(nil)) else {
                Issue.record("not refused")
                return
            }
            #expect(reason.hasPrefix("inner TLS: the connector refuses the client certificate"))
        }
    }
}
