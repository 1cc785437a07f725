import PosternPolicy
import PosternTLS
import Testing

@testable import PosternEgress

@Suite("Handshakes of the egress proxy")
struct HandshakeTests {
    private let token = ProxyToken("0123456789abcdef-TOKEN")

    @Test("only this session's token opens the proxy")
    func proxyToken() throws {
        let token = try #require(token)
        func basic(_ text: String) -> [UInt8] { Array("Basic ".utf8) + Base64.encode(Array(text.utf8)) }
        #expect(token.accepts(header: basic("session:0123456789abcdef-TOKEN")))
        #expect(token.accepts(header: Array("basic   ".utf8) + Base64.encode(Array("session:0123456789abcdef-TOKEN".utf8))))
        for wrong in [
            "session:", "session:0123456789abcdef-TOKEX", "other:0123456789abcdef-TOKEN", ":0123456789abcdef-TOKEN",
            "session:0123456789abcdef-TOKEN ", "",
        ] {
            #expect(!token.accepts(header: basic(wrong)))
        }
        for wrong in ["", "Basic", "Basic ", "Basic !!!!", "Bearer 0123456789abcdef-TOKEN"] { #expect(!token.accepts(header: Array(wrong.utf8))) }
        #expect(!"\(token)".contains("TOKEN"))
        #expect(ProxyToken("short") == nil && ProxyToken("0123456789abcdef:@/x") == nil)
    }

    private func socks(_ bytes: [UInt8], step: Int) throws -> (sent: [[UInt8]], last: SOCKSMachine.Action?, rest: [UInt8]) {
        var machine = SOCKSMachine(token: try #require(token))
        var sent: [[UInt8]] = []
        for start in stride(from: 0, to: bytes.count, by: step) {
            var action = machine.feed(bytes[start..<min(start + step, bytes.count)])
            while case .send(let reply) = action {
                sent.append(reply)
                action = machine.advance()
            }
            if let action {
                return (sent, action, machine.rest + bytes[min(start + step, bytes.count)...])
            }
        }
        return (sent, nil, machine.rest)
    }

    private var login: [UInt8] { [5, 1, 2, 1, 7] + Array("session".utf8) + [22] + Array("0123456789abcdef-TOKEN".utf8) }

    @Test("SOCKS5 with a name, in any pieces")
    func socksName() throws {
        let request = login + [5, 1, 0, 3, 11] + Array("EXAMPLE.com".utf8) + [1, 187] + Array("data".utf8)
        for step in 1...request.count {
            let (sent, last, rest) = try socks(request, step: step)
            #expect(sent == [[5, 2], [1, 0]])
            #expect(last == .connect(Authority(host: try CanonicalHost("example.com"), port: 443)))
            #expect(rest == Array("data".utf8))
        }
    }

    @Test("SOCKS5 addresses become what they mean")
    func socksAddresses() throws {
        #expect(try socks(login + [5, 1, 0, 1, 127, 0, 0, 1, 0, 80], step: 64).last == .connect(try Authority("127.0.0.1:80")))
        let mapped: [UInt8] = Array(repeating: 0, count: 10) + [255, 255, 127, 0, 0, 1]
        #expect(try socks(login + [5, 1, 0, 4] + mapped + [0, 80], step: 64).last == .connect(try Authority("127.0.0.1:80")))
    }

    @Test("SOCKS5: no token, wrong token, BIND, UDP, NUL in a name, port 0, other versions")
    func socksRefused() throws {
        func refused(_ bytes: [UInt8]) throws -> Bool {
            if case .refuse = try socks(bytes, step: 1000).last { true } else { false }
        }
        #expect(try refused([5, 1, 0]))
        #expect(try refused([5, 1, 2, 1, 7] + Array("session".utf8) + [3] + Array("bad".utf8)))
        #expect(try refused([4, 1, 0, 80, 1, 1, 1, 1, 0]))
        for command: UInt8 in [0, 2, 3, 255] { #expect(try refused(login + [5, command, 0, 1, 1, 1, 1, 1, 0, 80])) }
        let name = Array("allowed.com\0.evil.com".utf8)
        #expect(try refused(login + [5, 1, 0, 3, UInt8(name.count)] + name + [1, 187]))
        #expect(try refused(login + [5, 1, 0, 1, 1, 1, 1, 1, 0, 0]))
        #expect(try refused(login + [5, 1, 0, 9, 1, 1, 1, 1, 0, 80]))
        #expect(try refused(login + [5, 1, 1, 1, 1, 1, 1, 1, 0, 80]))
    }

    // MARK: ClientHello

    @Test("the server name has to be the tunnel's")
    func rule() throws {
        let a = try CanonicalHost("a.com")
        let address = try CanonicalHost("1.2.3.4")
        #expect(HelloRule.refusal(of: ClientHello(serverName: "a.com"), for: a, opaque: true) == nil)
        #expect(HelloRule.refusal(of: ClientHello(serverName: "b.com"), for: a, opaque: false) != nil)
        #expect(HelloRule.refusal(of: ClientHello(), for: a, opaque: false) != nil)
        #expect(HelloRule.refusal(of: ClientHello(), for: address, opaque: false) == nil)
        #expect(HelloRule.refusal(of: ClientHello(serverName: "a.com"), for: address, opaque: false) != nil)
        #expect(HelloRule.refusal(of: ClientHello(serverName: "a.com", isEncrypted: true), for: a, opaque: true) != nil)
        #expect(HelloRule.refusal(of: ClientHello(serverName: "a.com", isEncrypted: true), for: a, opaque: false) == nil)
    }
}
