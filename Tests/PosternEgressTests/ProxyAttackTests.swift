import NIOCore
import NIOHTTP1
import NIOSSL
import PosternPolicy
import Testing

@testable import PosternEgress

/// The rows PX_* of the threat table, against the real proxy and real servers.
@Suite("Attacks through the egress proxy", .timeLimit(.minutes(2)))
struct ProxyAttackTests {
    private func withProxy(
        _ body: @escaping @Sendable (ProxyFixture, TestServer, TestServer) async throws -> Void
    ) async throws {
        let authority = try ForwardAuthority("Test roots")
        let secure = try await TestServer.start(tls: try authority.server(["allowed.test", "other.test"]))
        let plain = try await TestServer.start()
        var setup = try ProxyFixture.Setup(
            """
            [{"id":"secure","hosts":["allowed.test:\(secure.port)","rebind.test:\(secure.port)","gone.test:\(secure.port)"]},
             {"id":"plain","hosts":["plain.test:\(plain.port)"]},
             {"id":"opaque","hosts":["opaque.test:\(secure.port)"],"opaque":true,"max_sent":100000},
             {"id":"no","verdict":"deny","hosts":["denied.test"]}]
            """)
        setup.roots = try authority.pem
        setup.names = [
            "allowed.test": ["127.0.0.1"], "plain.test": ["127.0.0.1"], "opaque.test": ["127.0.0.1"], "denied.test": ["127.0.0.1"],
            "other.test": ["127.0.0.1"],
            "rebind.test": ["10.0.0.1", "169.254.169.254", "::1"],
        ]
        try await ProxyFixture.run(setup) { try await body($0, secure, plain) }
        await secure.stop()
        await plain.stop()
    }

    @Test("PX_DENIED: a host off the list gets 403 with rule and remedy, and is not resolved")
    func denied() async throws {
        try await withProxy { proxy, secure, plain in
            for host in ["denied.test", "unlisted.test"] {
                let refused = await #expect(throws: ProxyFixture.TunnelRefused.self) { try await proxy.tunnel("\(host):443") }
                let answer = try #require(refused?.answer)
                #expect(answer.hasPrefix("HTTP/1.1 403 Forbidden by egress policy: "))
                #expect(answer.contains("\r\nPostern-Egress-Rule: \(host == "denied.test" ? "no" : "none")\r\n"))
                #expect(answer.contains("Remedy: ") && answer.hasSuffix(".\n"))
                let plainAnswer = try await proxy.raw(
                    "GET http://\(host)/ HTTP/1.1\r\nHost: \(host)\r\n\(proxy.authorization)Connection: close\r\n\r\n")
                #expect(plainAnswer.hasPrefix("HTTP/1.1 403 "))
            }
            #expect(proxy.intents.isEmpty && proxy.refusals.count == 4 && proxy.refusals.allSatisfy { $0.kind == .policy })
            #expect(secure.connections == 0 && plain.connections == 0)
        }
    }

    @Test(
        "PX_IP_LITERAL, PX_LOOPBACK, PX_METADATA, PX_PRIVATE: no spelling of an address gets through",
        arguments: [
            "1.1.1.1", "16843009", "0x01010101", "1.1", "[2606:4700::1111]", "localhost", "127.0.0.1", "127.1", "0", "0.0.0.0", "2130706433",
            "0x7f.1", "0177.0.0.1",
            "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.0.0.2", "localhost.", "LOCALHOST", "169.254.169.254", "2852039166",
            "[fd00:ec2::254]",
            "[64:ff9b::a9fe:a9fe]", "metadata.google.internal", "10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "[fd12::1]",
        ])
    func literals(host: String) async throws {
        try await withProxy { proxy, secure, _ in
            let refused = await #expect(throws: ProxyFixture.TunnelRefused.self) { try await proxy.tunnel("\(host):\(secure.port)") }
            #expect(refused?.answer.hasPrefix("HTTP/1.1 403 ") == true, "\(String(describing: refused))")
            let plain = try await proxy.raw("GET http://\(host)/latest HTTP/1.1\r\nHost: \(host)\r\n\(proxy.authorization)Connection: close\r\n\r\n")
            #expect(plain.hasPrefix("HTTP/1.1 403 "))
            #expect(secure.connections == 0)
        }
    }

    @Test("PX_PORT: other ports of an allowed host")
    func ports() async throws {
        try await withProxy { proxy, secure, plain in
            for port in [22, 25, 6379, 443, plain.port] {
                await #expect(throws: ProxyFixture.TunnelRefused.self) { try await proxy.tunnel("allowed.test:\(port)") }
            }
            #expect(proxy.refusals.count == 5)
        }
    }

    @Test(
        "PX_NAME_TRICKS: names that could be read in two ways",
        arguments: [
            "allowed.test.evil.com", "evil-allowed.test", "allowed.test@evil.com", "allowed.test#.evil.com", "allowed.test?.evil.com",
            "allowed.test/.evil.com",
            "allowed.test%00.evil.com", "allowed.test%2eevil.com", "allowed.test\\.evil.com", "allowed。test", "xn--allowed.test", "allowed.test..",
            ".allowed.test",
            "allowed..test", "allowed.test:443", "sub.allowed.test", "allowed.tes", "[allowed.test]",
        ])
    func nameTricks(name: String) async throws {
        try await withProxy { proxy, secure, _ in
            let refused = await #expect(throws: ProxyFixture.TunnelRefused.self) { try await proxy.tunnel("\(name):\(secure.port)") }
            let status = String(refused?.answer.dropFirst(9).prefix(3) ?? "")
            #expect(["400", "403"].contains(status), "\(status)")
            #expect(secure.connections == 0)
        }
    }

    @Test("PX_NAME_TRICKS: NUL in a CONNECT")
    func nul() async throws {
        try await withProxy { proxy, secure, _ in
            let answer = try await proxy.raw("CONNECT allowed.test\0.evil.com:443 HTTP/1.1\r\n\(proxy.authorization)\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 400 "))
        }
    }

    @Test("case and a trailing dot are the same host, and allowed")
    func canonical() async throws {
        try await withProxy { proxy, secure, _ in
            let answer = try await proxy.https(
                "ALLOWED.test.:\(secure.port)", name: "allowed.test",
                "GET /a HTTP/1.1\r\nHost: Allowed.Test:\(secure.port)\r\nConnection: close\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 200 ") && answer.contains("GET /a"))
        }
    }

    @Test("PX_HOST_MISMATCH: URL and Host differ, plain and inside TLS")
    func hostMismatch() async throws {
        try await withProxy { proxy, secure, plain in
            let one = try await proxy.raw(
                "GET http://plain.test:\(plain.port)/ HTTP/1.1\r\nHost: denied.test\r\n\(proxy.authorization)Connection: close\r\n\r\n")
            #expect(one.hasPrefix("HTTP/1.1 421 "))
            let other = try await proxy.https(
                "allowed.test:\(secure.port)", name: "allowed.test", "GET / HTTP/1.1\r\nHost: other.test:\(secure.port)\r\nConnection: close\r\n\r\n")
            #expect(other.hasPrefix("HTTP/1.1 421 "))
            #expect(secure.received.isEmpty && plain.received.isEmpty && proxy.intents.isEmpty)
        }
    }

    @Test("PX_SNI_MISMATCH, PX_NO_SNI: the tunnel is closed, inspected or opaque", arguments: ["allowed.test", "opaque.test"])
    func serverName(host: String) async throws {
        try await withProxy { proxy, secure, _ in
            for name in ["denied.test", "other.test", nil] {
                let stream = try await proxy.tunnel("\(host):\(secure.port)")
                var configuration = TLSConfiguration.makeClientConfiguration()
                configuration.certificateVerification = .none
                let context = try NIOSSLContext(configuration: configuration)
                try await stream.startTLS { try NIOSSLClientHandler(context: context, serverHostname: name) }
                await #expect(throws: (any Error).self) {
                    // Asked for first: while nobody reads, an end without a reset goes unnoticed, and a write waits for its handshake for ever.
                    async let answer = stream.read(within: .seconds(20))
                    try await stream.write(Array("GET / HTTP/1.1\r\n\r\n".utf8))
                    guard try await answer != nil else { throw ChannelError.eof }
                }
                stream.close()
            }
            #expect(secure.connections == 0 && proxy.refusals.count == 3 && proxy.refusals.allSatisfy { $0.kind == .malformed })
        }
    }

    @Test("PX_RAW_IN_TUNNEL: SSH, binary data and TLS that is none are closed")
    func rawInTunnel() async throws {
        try await withProxy { proxy, secure, _ in
            for bytes in ["\u{0}\u{1}\u{2}\u{3}", "\u{16}\u{3}\u{1}\u{0}\u{5}hello", "\u{5}\u{1}\u{0}", "SSH-2.0-OpenSSH_9.2\r\n\r\n"] {
                let stream = try await proxy.tunnel("allowed.test:\(secure.port)")
                try await stream.write(Array(bytes.utf8))
                let answer = try await stream.readAll()
                #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 4"))
                stream.close()
            }
            #expect(secure.connections == 0 && proxy.refusals.count == 4)
        }
    }

    @Test("PX_CRLF, PX_SMUGGLE: 400, one answer, nothing upstream")
    func smuggling() async throws {
        try await withProxy { proxy, secure, plain in
            let host = "plain.test:\(plain.port)"
            for fields in [
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 4\r\nContent-Length: 5\r\n",
                "Transfer-Encoding: xchunked\r\n",
                "X: a\nHost: denied.test\r\n", " folded: x\r\n", "X : y\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                "Content_Length: 30\r\n",
                "Host: \(host)\r\n", "X-Unix-Socket: /run/docker.sock\r\n", "Connection: Host\r\n",
            ] {
                let answer = try await proxy.raw(
                    "POST http://\(host)/ HTTP/1.1\r\nHost: \(host)\r\n\(proxy.authorization)\(fields)\r\n0\r\n\r\nGET http://denied.test/ HTTP/1.1\r\n\r\n"
                )
                #expect(answer.hasPrefix("HTTP/1.1 4") || answer.hasPrefix("HTTP/1.1 501"), "\(fields)")
                #expect(answer.components("HTTP/1.1 ") == 1)
            }
            #expect(plain.received.isEmpty && secure.connections == 0)
        }
    }

    @Test("PX_SMUGGLE: a pipelined second request to another host is decided by itself")
    func pipelined() async throws {
        try await withProxy { proxy, secure, plain in
            let stream = try await proxy.secure("allowed.test:\(secure.port)", name: "allowed.test")
            let host = "allowed.test:\(secure.port)"
            try await stream.write(
                Array(
                    "GET /1 HTTP/1.1\r\nHost: \(host)\r\n\r\nGET /2 HTTP/1.1\r\nHost: denied.test\r\n\r\nGET /3 HTTP/1.1\r\nHost: \(host)\r\n\r\n"
                        .utf8))
            let answer = try await stream.readAll()
            stream.close()
            #expect(answer.hasPrefix("HTTP/1.1 200 ") && answer.contains("HTTP/1.1 421 ") && answer.components("HTTP/1.1 ") == 2)
            #expect(secure.received.map(\.head.uri) == ["/1"])
        }
    }

    @Test("PX_REBIND: an allowed name that leads to addresses that are not dialled")
    func rebind() async throws {
        try await withProxy { proxy, secure, _ in
            let host = "rebind.test:\(secure.port)"
            let answer = try await proxy.https(host, name: "rebind.test", "GET / HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 403 ") && answer.contains("a private address"))
            #expect(proxy.refusals.map(\.kind) == [.address] && proxy.intents.isEmpty && secure.connections == 0)
        }
    }

    @Test("PX_NO_AUTH, PX_OTHER_SESSION: no token, another session's token")
    func authentication() async throws {
        try await withProxy { proxy, secure, plain in
            var random = SystemRandomNumberGenerator()
            let other = ProxyToken(using: &random).text
            for proof in ["", "Proxy-Authorization: Basic \(base64("session:\(other)"))\r\n", "Proxy-Authorization: Bearer x\r\n"] {
                for request in ["CONNECT allowed.test:\(secure.port)", "GET http://plain.test:\(plain.port)/"] {
                    let answer = try await proxy.raw("\(request) HTTP/1.1\r\nHost: plain.test:\(plain.port)\r\n\(proof)\r\n")
                    #expect(answer.hasPrefix("HTTP/1.1 407 ") && answer.contains("Proxy-Authenticate: Basic"))
                }
            }
            #expect(proxy.refusals.count == 6 && proxy.refusals.allSatisfy { $0.kind == .authentication } && plain.connections == 0)
        }
    }

    private func base64(_ text: String) -> String { String(decoding: Base64.encode(Array(text.utf8)), as: UTF8.self) }

    @Test("PX_RELAY: a CONNECT inside a tunnel is no way round")
    func relay() async throws {
        try await withProxy { proxy, secure, _ in
            let answer = try await proxy.https(
                "allowed.test:\(secure.port)", name: "allowed.test", "CONNECT denied.test:443 HTTP/1.1\r\nHost: allowed.test:\(secure.port)\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 501 ") && secure.received.isEmpty)
        }
    }

    @Test("PX_ADMIN: the proxy serves nothing of its own", arguments: ["/", "/config", "/metrics", "/debug/pprof/", "/health", "*"])
    func admin(path: String) async throws {
        try await withProxy { proxy, _, _ in
            for proof in ["", proxy.authorization] {
                let answer = try await proxy.raw("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(proxy.port)\r\n\(proof)\r\n")
                #expect(answer.hasPrefix(proof.isEmpty ? "HTTP/1.1 407 " : "HTTP/1.1 400 "))
            }
        }
    }

    @Test("PX_SOCKS_*: denied names, loopback, UDP, BIND, no token; an allowed name works")
    func socks() async throws {
        try await withProxy { proxy, secure, plain in
            let login: [UInt8] = [5, 1, 2, 1, 7] + Array("session".utf8) + [UInt8(proxy.token.text.utf8.count)] + Array(proxy.token.text.utf8)
            func name(_ name: String, _ port: Int, command: UInt8 = 1) -> [UInt8] {
                [5, command, 0, 3, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(port >> 8), UInt8(port & 255)]
            }
            func reply(_ bytes: [UInt8]) async throws -> [UInt8] {
                let stream = try await proxy.connect()
                defer { stream.close() }
                try await stream.write(bytes)
                var output: [UInt8] = []
                while let more = try? await stream.read(within: .seconds(20)) { output += more.readableBytesView }
                return output
            }
            let refusedByRule: [UInt8] = [5, 2, 1, 0] + SOCKSMachine.reply(.notAllowed)
            #expect(try await reply(login + name("denied.test", 443)) == refusedByRule)
            #expect(try await reply(login + [5, 1, 0, 1, 127, 0, 0, 1, 0, 80]) == refusedByRule)
            #expect(try await reply(login + name("allowed.test\0.evil", secure.port)) == refusedByRule)
            for command: UInt8 in [2, 3] {
                #expect(
                    try await reply(login + name("plain.test", plain.port, command: command)) == [5, 2, 1, 0]
                        + SOCKSMachine.reply(.commandUnsupported))
            }
            #expect(try await reply([5, 1, 0]) == [5, 255])
            #expect(plain.connections == 0 && secure.connections == 0)

            let stream = try await proxy.connect()
            try await stream.write(login + name("plain.test", plain.port))
            try await stream.write(Array("GET /socks HTTP/1.1\r\nHost: plain.test:\(plain.port)\r\nConnection: close\r\n\r\n".utf8))
            #expect(try await stream.readAll().contains("GET /socks"))
            stream.close()
        }
    }

    @Test(
        "a header that chooses another method is refused where a rule looks at methods",
        arguments: ["X-HTTP-Method-Override", "x-method-override", "X-HTTP-Method", "X_HTTP_Method_Override", "X-Http.Method.Override"])
    func methodOverride(name: String) async throws {
        let server = try await TestServer.start()
        let hosts = (read: "read.test:\(server.port)", any: "any.test:\(server.port)")
        var setup = try ProxyFixture.Setup(#"[{"hosts":["\#(hosts.read)"],"methods":["GET","POST"]},{"hosts":["\#(hosts.any)"]}]"#)
        setup.names = ["read.test": ["127.0.0.1"], "any.test": ["127.0.0.1"]]
        try await ProxyFixture.run(setup) { proxy in
            func post(_ host: String) async throws -> String {
                try await proxy.raw(
                    "POST http://\(host)/x HTTP/1.1\r\nHost: \(host)\r\n\(proxy.authorization)\(name): DELETE\r\n"
                        + "Content-Length: 0\r\nConnection: close\r\n\r\n"
                )
            }
            let answer = try await post(hosts.read)
            #expect(answer.hasPrefix("HTTP/1.1 403 ") && answer.contains("another method") && server.received.isEmpty)
            #expect(proxy.refusals.first?.kind == .policy)
            // Where every method is allowed there is nothing to get round.
            #expect(try await post(hosts.any).hasPrefix("HTTP/1.1 200 ") && server.received.count == 1)
        }
        await server.stop()
    }

    @Test("upgrades are refused unless the rule names them")
    func upgrade() async throws {
        try await withProxy { proxy, _, plain in
            for protocols in ["websocket", "h2c", "TLS/1.0"] {
                let answer = try await proxy.raw(
                    "GET http://plain.test:\(plain.port)/ HTTP/1.1\r\nHost: plain.test:\(plain.port)\r\n\(proxy.authorization)Connection: Upgrade, close\r\nUpgrade: \(protocols)\r\n\r\n"
                )
                #expect(answer.hasPrefix("HTTP/1.1 403 "))
            }
            #expect(plain.received.isEmpty)
        }
    }
}

extension String {
    /// How often `part` occurs.
    func components(_ part: String) -> Int { ranges(of: part).count }
}
