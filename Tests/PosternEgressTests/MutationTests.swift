import NIOCore
import PosternHTTP
import PosternPolicy
import PosternTLS
import SeededRandom
import Testing

@testable import PosternEgress

/// Reproducible chance against every reader of what a sandbox or a server sends: none traps, none accepts what it would refuse whole.
@Suite("Mutated input")
struct MutationTests {
    private static let seeds = [
        "POST http://a.com:80/x?y=z HTTP/1.1\r\nHost: a.com\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc",
        "GET / HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "\u{5}\u{1}\u{2}\u{1}\u{7}session\u{3}abc\u{5}\u{1}\u{0}\u{3}\u{5}a.com\u{1}\u{2}",
        "\u{16}\u{3}\u{1}\u{0}\u{6}\u{1}\u{0}\u{0}\u{2}\u{3}\u{3}",
    ].map { Array($0.utf8) }

    @Test("bytes changed, dropped, doubled and inserted at random", arguments: 0..<UInt64(8))
    func mutated(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let token = try #require(ProxyToken("0123456789abcdef"))
        for _ in 0..<4000 {
            var bytes = Self.seeds.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...6, using: &random) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: index)
                case 2: bytes.insert([0x0D, 0x0A, 0x20, 0x3A, 0x00, 0xFF].randomElement(using: &random) ?? 0, at: index)
                default: bytes.insert(contentsOf: bytes[index..<min(bytes.count, index + 8)], at: index)
                }
            }
            try read(bytes, token)
        }
    }

    private func read(_ bytes: [UInt8], _ token: ProxyToken) throws {
        var reader = HeadReader()
        if let (lines, rest) = try? reader.feed(bytes) {
            if let head = try? RequestHead(lines: lines) {
                // What is passed on is read again as the same request.
                var again = HeadReader()
                let wire = try #require(try again.feed(head.encoded(target: head.target)))
                let second = try RequestHead(lines: wire.lines)
                #expect(second.method == head.method && second.target == head.target && second.fields == head.fields && wire.rest.isEmpty)
                _ = try? ForwardedRequest(absolute: head)
                var body = BodyReader(head.body)
                var input = ByteBuffer(bytes: rest)
                while let part = try? body.next(&input), part.readableBytes > 0 {}
            }
            _ = try? ResponseHead(lines: lines)
        }
        var hello = ClientHelloReader()
        _ = try? hello.feed(bytes)
        var socks = SOCKSMachine(token: token)
        var action = socks.feed(bytes)
        while case .send = action { action = socks.advance() }
        if case .connect = action { Issue.record("a handshake without the token reached its destination") }
    }
}
