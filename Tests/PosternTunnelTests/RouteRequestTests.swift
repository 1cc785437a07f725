import PosternHTTP
import PosternPolicy
import PosternTunnelWire
import Testing

@testable import PosternConnector

@Suite("Requests and answers of a route")
struct RouteRequestTests {
    private static let host = TunnelHost(route: "docs", domain: "ab.tunnel.example.com")
    private static let start = "POST /mcp?x=1 HTTP/1.1\r\n"
    private static let hostLine = "Host: docs.ab.tunnel.example.com\r\n"

    private static func request(
        _ text: String, rule: ConnectorConfiguration.HostRule = .rewrite, headers: [HeaderInjection] = [], policy: RoutePolicy? = nil
    ) throws -> RouteRequest {
        var reader = HeadReader()
        let lines = try #require(try reader.feed(Array(text.utf8))).lines
        var route = ConnectorConfiguration.Route(
            upstream: .network(isTLS: false, try Authority("10.0.0.7:8080")), callers: Callers(), addresses: UpstreamAddresses(), host: rule,
            headers: [], caFile: nil)
        route.policy = policy
        return try RouteRequest(try RequestHead(lines: lines), host: host, route: route, headers: headers)
    }

    private static func status(_ text: String) throws -> Int? {
        do {
            _ = try request(text)
            return nil
        } catch let refusal as HTTPRefusal {
            return refusal.status
        }
    }

    @Test("a request gets its own framing, its upstream's Host and nothing of the hop before")
    func rewriting() throws {
        let text =
            Self.start + Self.hostLine
            + "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\nX-Forwarded-Host: evil\r\nX_Forwarded_Host: evil\r\nMcp-Session-Id: s\r\nContent-Length: 3\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
        let wire = String(decoding: try Self.request(text).wire, as: UTF8.self)
        #expect(
            wire
                == "POST /mcp?x=1 HTTP/1.1\r\nHost: 10.0.0.7:8080\r\nX-Forwarded-Host: docs.ab.tunnel.example.com\r\nMcp-Session-Id: s\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 3\r\n\r\n"
        )
        let kept = String(
            decoding: try Self.request(Self.start + Self.hostLine + "Transfer-Encoding: chunked\r\n\r\n", rule: .keep).wire, as: UTF8.self)
        #expect(kept == "POST /mcp?x=1 HTTP/1.1\r\nHost: docs.ab.tunnel.example.com\r\nTransfer-Encoding: chunked\r\n\r\n")
    }

    @Test("what a caller says of where it is does not go on, in no spelling")
    func forwarding() throws {
        let fields = [
            "Forwarded", "X-Forwarded-For", "x_forwarded_for", "X-Forwarded-Proto", "X-Real-IP", "Via", "X.Forwarded.For", "True-Client-IP",
        ]
        let text = Self.start + Self.hostLine + fields.map { "\($0): 203.0.113.9\r\n" }.joined() + "X-Kept: 1\r\n\r\n"
        let wire = String(decoding: try Self.request(text).wire, as: UTF8.self)
        #expect(!wire.contains("203.0.113.9") && wire.contains("X-Kept: 1"))
    }

    @Test("what some servers take for another method is sent once, and under a policy not at all")
    func methodOverrides() throws {
        let get = "GET /mcp HTTP/1.1\r\n" + Self.hostLine
        #expect(try Self.request(get + "\r\n").isRepeatable)
        for name in ["X-HTTP-Method-Override", "x_http_method", "X-Method-Override"] {
            let text = get + "\(name): DELETE\r\n\r\n"
            #expect(try !Self.request(text).isRepeatable)
            let refusal = try #require(throws: HTTPRefusal.self) { try Self.request(text, policy: PolicyDocument.policy("tools: {allow: [read]}")) }
            #expect(refusal.status == 400 && "\(refusal)".contains(name))
        }
    }

    @Test("an injected header stands instead of every spelling of it")
    func injection() throws {
        let header = try HeaderInjection(name: "X-Api-Key", value: "SECRET")
        let wire = String(
            decoding: try Self.request(
                Self.start + Self.hostLine + "x-api-key: a\r\nX_Api_Key: b\r\nX.API-KEY: c\r\nConnection: X-Api-Key\r\n\r\n", headers: [header]
            ).wire, as: UTF8.self)
        #expect(
            wire.hasSuffix("\r\nX-Api-Key: SECRET\r\n\r\n") && !wire.lowercased().contains("key: a") && !wire.contains(": b") && !wire.contains(": c")
        )
        #expect(!"\(header)".contains("SECRET") && !String(reflecting: header).contains("SECRET"))
        for value in ["", "a\r\nb", "a\u{0}"] { #expect(throws: ConnectorError.self) { try HeaderInjection(name: "X-Api-Key", value: value) } }
    }

    @Test(
        "what has two readings, or is for somebody else, is refused",
        arguments: [
            (start + "\r\n", 400), (start + hostLine + hostLine + "\r\n", 400), (start + "Host: other.ab.tunnel.example.com\r\n\r\n", 421),
            (start + "Host: docs.ab.tunnel.example.com:80\r\n\r\n", 421), (start + "Host: docs.ab.tunnel.example.com.\r\n\r\n", 421),
            (start + hostLine + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            (start + hostLine + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400), (start + hostLine + "X: a\r\n folded\r\n\r\n", 400),
            (start + hostLine + "Content_Length: 1\r\n\r\n", 400), (start + hostLine + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
            (start + hostLine + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 501), (start + hostLine + "Upgrade: h2c\r\n\r\n", 501),
            ("POST https://other.ab.tunnel.example.com/mcp HTTP/1.1\r\n" + hostLine + "\r\n", 421),
            ("POST http://docs.ab.tunnel.example.com/mcp HTTP/1.1\r\n" + hostLine + "\r\n", 400), ("POST mcp HTTP/1.1\r\n" + hostLine + "\r\n", 400),
            ("CONNECT a.b:443 HTTP/1.1\r\n" + hostLine + "\r\n", 501), ("TRACE / HTTP/1.1\r\n" + hostLine + "\r\n", 501),
            (start + hostLine + "Expect: magic\r\n\r\n", 417),
        ])
    func refusals(text: String, status: Int) throws {
        #expect(try Self.status(text) == status)
    }

    @Test("the same host, in other spellings, is taken")
    func spellings() throws {
        #expect(try Self.status(Self.start + "Host: DOCS.ab.tunnel.example.com:443\r\n\r\n") == nil)
        let absolute = try Self.request("POST https://docs.ab.tunnel.example.com/mcp HTTP/1.1\r\n" + Self.hostLine + "\r\n")
        #expect(String(decoding: absolute.wire, as: UTF8.self).hasPrefix("POST /mcp HTTP/1.1\r\n"))
    }

    private static func answer(_ text: String, to method: String = "GET") throws -> RouteAnswer {
        var reader = HeadReader()
        let lines = try #require(try reader.feed(Array(text.utf8))).lines
        let request = try request("\(method) / HTTP/1.1\r\n" + hostLine + "\r\n")
        return try RouteAnswer(try ResponseHead(lines: lines), to: request)
    }

    @Test("an answer gets its own framing")
    func answers() throws {
        let open = try Self.answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        #expect(open.isChunked && open.callerStays && !open.upstreamStays)
        #expect(
            String(decoding: open.wire, as: UTF8.self) == "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        let head = try Self.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", to: "HEAD")
        #expect(head.framing == .none && String(decoding: head.wire, as: UTF8.self) == "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        let redirect = try Self.answer("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
        #expect(String(decoding: redirect.wire, as: UTF8.self).contains("Location: http://169.254.169.254/\r\n"))
        #expect(throws: HTTPRefusal.self) { try Self.answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n") }
        #expect(throws: HTTPRefusal.self) { try Self.answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n") }
    }
}
