import NIOCore
import PosternHTTP
import PosternPolicy
import Testing

@testable import PosternEgress

@Suite("HTTP heads, read strictly")
struct HTTPHeadTests {
    private func head(_ text: String) throws -> RequestHead {
        var reader = HeadReader()
        let result = try #require(try reader.feed(Array(text.utf8)))
        return try RequestHead(lines: result.lines)
    }

    @Test("a head is read whatever the pieces it comes in")
    func pieces() throws {
        let text = Array("POST /x?y HTTP/1.1\r\nHost: a.com\r\nX-A:  b c \r\nContent-Length: 3\r\n\r\nabc".utf8)
        for size in 1...text.count {
            var reader = HeadReader()
            var found: (lines: [ArraySlice<UInt8>], rest: ArraySlice<UInt8>)?
            var rest: [UInt8] = []
            for start in stride(from: 0, to: text.count, by: size) {
                let piece = text[start..<min(start + size, text.count)]
                if found == nil { found = try reader.feed(piece) } else { rest += piece }
            }
            let (lines, first) = try #require(found)
            let head = try RequestHead(lines: lines)
            #expect(head.method == "POST" && head.target == Array("/x?y".utf8) && head.body == .length(3))
            #expect(head.fields.named("x-a").first?.value == Array("b c".utf8))
            #expect(Array(first) + rest == Array("abc".utf8))
        }
    }

    @Test(
        "what parsers read differently is refused",
        arguments: [
            "GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "\r\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\n: a\r\n\r\n", "GET / HTTP/1.1\r\nHo st: a\r\n\r\n", "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\u{1}b\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1 \r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET / HTTP/1.2\r\n\r\n",
            "GET / http/1.1\r\n\r\n",
            "GET /\u{7F} HTTP/1.1\r\n\r\n", "G(T / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nNoColon\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: \r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "POST / HTTP/1.1\r\nContent_Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer.Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nX-Unix-Socket: /run/docker.sock\r\n\r\n", "GET / HTTP/1.1\r\nx_unix_socket: /run/docker.sock\r\n\r\n",
        ])
    func refused(text: String) {
        #expect(throws: HTTPRefusal.self) { try head(text) }
    }

    @Test("a head is bounded in bytes and fields")
    func bounded() throws {
        var reader = HeadReader()
        #expect(throws: HTTPRefusal.self) { _ = try reader.feed(Array(repeating: UInt8(ascii: "a"), count: HeadReader.maximumBytes + 1)) }
        let many = "GET / HTTP/1.1\r\n" + String(repeating: "A: b\r\n", count: HeadReader.maximumFields + 1) + "\r\n"
        #expect(throws: HTTPRefusal.self) { try head(many) }
    }

    @Test(
        "a request must be for the host of its connection",
        arguments: [
            "GET / HTTP/1.1\r\nHost: b.com\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a.com\r\nHost: a.com\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.com:8443\r\n\r\n", "GET / HTTP/1.1\r\nHost: a.com@b.com\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.com, b.com\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET http://a.com/ HTTP/1.1\r\nHost: a.com\r\n\r\n",
            "GET //a.com/../x HTTP/1.1\r\nHost: a.com\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a.com\r\n\r\n", "CONNECT a.com:443 HTTP/1.1\r\nHost: a.com\r\n\r\n", "TRACE / HTTP/1.1\r\nHost: a.com\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.com\r\nConnection: authorization\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.com\r\nConnection: close, Content-Length\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.com\r\nExpect: 200-ok\r\n\r\n",
        ])
    func hostMismatch(text: String) {
        #expect(throws: HTTPRefusal.self) {
            _ = try ForwardedRequest(try head(text), inTunnelTo: Authority(host: try CanonicalHost("a.com"), port: 443), encrypted: true)
        }
    }

    @Test(
        "absolute targets name the Host, by http and without tricks",
        arguments: [
            ("http://a.com/x", "a.com", true), ("HTTP://A.com./x", "a.com", true), ("http://a.com:8080/", "a.com:8080", true),
            ("http://a.com", "a.com", true),
            ("http://a.com?x", "a.com", true), ("http://a.com/x", "b.com", false), ("http://a.com@b.com/", "b.com", false),
            ("http://b.com#@a.com/", "a.com", false),
            ("http://a.com%00.b.com/", "a.com", false), ("https://a.com/", "a.com", false), ("/config", "a.com", false), ("http:///x", "", false),
            ("http://a.com\\@b.com/", "a.com", false), ("ftp://a.com/", "a.com", false), ("http://1.1/", "16777217", true),
        ])
    func absolute(target: String, host: String, accepted: Bool) throws {
        let request = try? ForwardedRequest(absolute: try head("GET \(target) HTTP/1.1\r\nHost: \(host)\r\n\r\n"))
        #expect((request != nil) == accepted)
    }

    @Test("what is between two hops does not travel on")
    func hopByHop() throws {
        let text =
            "GET / HTTP/1.1\r\nHost: a.com\r\nConnection: keep-alive, TE\r\nTE: trailers\r\nProxy-Authorization: Basic x\r\nProxy-Connection: x\r\nKeep-Alive: 5\r\nA: b\r\n\r\n"
        let request = try ForwardedRequest(try head(text), inTunnelTo: Authority(host: try CanonicalHost("a.com"), port: 443), encrypted: true)
        #expect(request.head.fields.all.map(\.key) == ["host", "a"])
    }

    @Test("a chunked body is the same whatever the pieces; what follows it stays")
    func chunked() throws {
        let wire = Array("4\r\nWiki\r\n6\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nTrailer: x\r\n\r\nNEXT".utf8)
        for size in 1...wire.count {
            var reader = BodyReader(.chunked)
            var body = ""
            var rest = ByteBuffer()
            for start in stride(from: 0, to: wire.count, by: size) {
                rest.writeBytes(wire[start..<min(start + size, wire.count)])
                while let part = try reader.next(&rest) { body += String(buffer: part) }
            }
            #expect(reader.isDone && body == "Wikipedia in \r\n\r\nchunks." && String(buffer: rest) == "NEXT")
        }
    }

    @Test(
        "chunked bodies that can be read in two ways are refused",
        arguments: [
            "5\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5;x=y\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n", "0x5\r\nhello\r\n",
            "\r\nhello\r\n", "5\r\nhelloX\r\n",
            "5\r\nhello\n\r0\r\n\r\n", "FFFFFFFFFFFFFFFF\r\n", "-1\r\n", "5\r\nhello\r\n0\r\nbad trailer\r\n\r\n", "g\r\n",
        ])
    func brokenChunks(text: String) {
        #expect(throws: HTTPRefusal.self) {
            var reader = BodyReader(.chunked)
            var input = ByteBuffer(string: text)
            while try reader.next(&input) != nil {}
            try reader.end()
        }
    }

    @Test("a body that ends early is an error; one up to the end of the connection is not")
    func early() throws {
        for framing in [BodyFraming.length(5), .chunked] {
            var reader = BodyReader(framing)
            var input = ByteBuffer(string: framing == .chunked ? "5\r\nhel" : "hel")
            while try reader.next(&input) != nil {}
            #expect(throws: HTTPRefusal.self) { try reader.end() }
        }
        var reader = BodyReader(.untilClose)
        var input = ByteBuffer(string: "anything")
        while try reader.next(&input) != nil {}
        try reader.end()
        #expect(reader.isDone)
    }

    @Test(
        "answers are read as strictly",
        arguments: [
            "HTTP/1.1 200\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 2000 x\r\n\r\n", "HTTP/2 200 x\r\n\r\n",
            "200 OK\r\n\r\n",
            "HTTP/1.1 200 a\u{1}\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 099 x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        ])
    func brokenAnswers(text: String) {
        #expect(throws: HTTPRefusal.self) {
            var reader = HeadReader()
            let lines = try #require(try reader.feed(Array(text.utf8))).lines
            _ = try BodyFraming(response: try ResponseHead(lines: lines), to: "GET")
        }
    }
}
