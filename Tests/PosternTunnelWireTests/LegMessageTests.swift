import PosternHTTP
import PosternJSON
import PosternTunnelWire
import Testing

@Suite("Messages of legs, and host names")
struct LegMessageTests {
    private static func head(_ text: String) throws -> RequestHead {
        var reader = HeadReader()
        let lines = try #require(try reader.feed(Array(text.utf8))).lines
        return try RequestHead(lines: lines)
    }

    private static func reason(_ text: String) throws -> LegRefusal.Reason? {
        let head = try head(text)
        do throws(LegRefusal) {
            _ = try LegRequest(head)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test("a request is read as it was written")
    func request() throws {
        for (token, expires) in [(nil, nil), ("tnlt_secret", 1_800_000_000), (nil, 0)] as [(String?, Int?)] {
            let request = LegRequest(tunnelID: "tnl_1", leg: "host-1.example/3", version: "0.1.0", token: token, certificateExpires: expires)
            let text = String(decoding: request.encoded(host: "tunnel.example.com"), as: UTF8.self)
            #expect(try LegRequest(Self.head(text)) == request)
        }
    }

    @Test("a version is what a version looks like, whatever a tenant sends: reports repeat it")
    func versions() throws {
        let head =
            "POST /v1/tunnel/connect HTTP/1.1\r\nHost: e\r\nConnection: Upgrade\r\nUpgrade: postern-leg/1\r\nPostern-Tunnel: tnl_1\r\nPostern-Leg: a/0\r\n"
        func version(_ agent: String) throws -> String { try LegRequest(Self.head(head + "User-Agent: \(agent)\r\n\r\n")).version }
        #expect(try version("postern-connector/0.1.0-rc.1+x") == "0.1.0-rc.1+x")
        for agent in [
            "postern-connector/" + String(repeating: "é", count: 40), "postern-connector/" + String(repeating: "1", count: 41), "postern-connector/",
            "postern-connector/1 2", "curl/8", "x",
        ] { #expect(try version(agent) == "unknown", "\(agent)") }
    }

    @Test("when a certificate ends is a time or is not told, whatever a tenant sends")
    func expiry() throws {
        let head =
            "POST /v1/tunnel/connect HTTP/1.1\r\nHost: e\r\nConnection: Upgrade\r\nUpgrade: postern-leg/1\r\nPostern-Tunnel: tnl_1\r\nPostern-Leg: a/0\r\n"
        func expires(_ field: String) throws -> Int? { try LegRequest(Self.head(head + field + "\r\n")).certificateExpires }
        #expect(try expires("Postern-Certificate-Expires: 1800000000\r\n") == 1_800_000_000)
        #expect(try expires("") == nil)
        for text in ["-1", "x", "1e9", "+5", "", "253402300800", "99999999999999999999", "1\r\nPostern-Certificate-Expires: 2"] {
            #expect(try expires("Postern-Certificate-Expires: \(text)\r\n") == nil, "\(text)")
        }
    }

    @Test("a request that is not one for a leg is refused")
    func refusals() throws {
        let good =
            "POST /v1/tunnel/connect HTTP/1.1\r\nHost: e\r\nConnection: Upgrade\r\nUpgrade: postern-leg/1\r\nPostern-Tunnel: tnl_1\r\nPostern-Leg: a/0\r\n"
        #expect(try Self.reason(good + "\r\n") == nil)
        for bad in [
            good.replacing("POST", with: "GET"), good.replacing("postern-leg/1", with: "websocket"),
            good.replacing("Upgrade: postern-leg/1\r\n", with: ""),
            good.replacing("a/0", with: "a"), good.replacing("a/0", with: "a/b/c"),
            good.replacing("a/0", with: String(repeating: "a", count: 200) + "/0"),
            good.replacing("tnl_1", with: "tnl 1"), good + "Postern-Tunnel: tnl_2\r\n", good + "Content-Length: 1\r\n",
            good + "Authorization: Basic eDp5\r\n",
            good + "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", good + "Authorization: Bearer \r\n",
            good + "Authorization: Bearer a b\r\n",
            good + "Authorization: Bearer \(String(repeating: "x", count: 600))\r\n",
        ] {
            #expect(try Self.reason(bad + "\r\n") == .malformed, "\(bad)")
        }
    }

    @Test("no refusal repeats a credential")
    func secrecy() throws {
        let text =
            "POST /v1/tunnel/connect HTTP/1.1\r\nHost: e\r\nConnection: Upgrade\r\nUpgrade: postern-leg/1\r\nPostern-Tunnel: tnl_1\r\nPostern-Leg: a/0\r\n"
        #expect(throws: LegRefusal.self) { try LegRequest(Self.head(text + "Authorization: Bearer CANARY CANARY\r\n\r\n")) }
        do { _ = try LegRequest(try Self.head(text + "Authorization: Bearer CANARY CANARY\r\n\r\n")) } catch {
            #expect(!"\(error)".contains("CANARY"))
        }
    }

    @Test("a refusal is read as it was written", arguments: LegRefusal.Reason.allCases)
    func refusal(reason: LegRefusal.Reason) throws {
        let refusal = LegRefusal(reason, "because")
        let bytes = JSONAnswer.encoded(status: refusal.status, json: refusal.json)
        var reader = HeadReader()
        let (lines, body) = try #require(try reader.feed(bytes))
        let head = try ResponseHead(lines: lines)
        #expect(try !LegAnswer.isAccepted(head))
        #expect(LegAnswer.refusal(head, body: Array(body)) == refusal)
        #expect(refusal.isTemporary == (refusal.status == 503))
    }

    @Test("an answer that makes no sense is a refusal too")
    func otherAnswers() throws {
        let page = try ResponseHead(lines: [Array("HTTP/1.1 502 Bad Gateway".utf8)[...]])
        #expect(LegAnswer.refusal(page, body: Array("<html>".utf8)).reason == .unavailable)
        let missing = try ResponseHead(lines: [Array("HTTP/1.1 404 Not Found".utf8)[...]])
        #expect(LegAnswer.refusal(missing, body: []).reason == .malformed)
        let other = try ResponseHead(lines: [Array("HTTP/1.1 101 Switching Protocols".utf8)[...], Array("Upgrade: websocket".utf8)[...]])
        #expect(throws: LegRefusal.self) { try LegAnswer.isAccepted(other) }
    }

    @Test("the back-off grows to its bound, with jitter, and starts anew after success")
    func backOff() {
        var backOff = LegBackOff()
        let waits = (0..<12).map { _ in backOff.next(chance: 1) }
        #expect(waits.first == LegBackOff.first && waits.last == LegBackOff.longest && waits == waits.sorted())
        #expect(backOff.next(chance: 0) == LegBackOff.longest / 2)
        backOff.succeeded()
        #expect(backOff.next(chance: 1) == LegBackOff.first)
        #expect(backOff.next(after: LegRefusal(.tunnelArchived, ""), chance: 1) == LegBackOff.refused)
        #expect(backOff.next(after: LegRefusal(.unavailable, ""), chance: 1) < 1)
        // A network that comes back is noticed within two seconds, however long it was away.
        for _ in 0..<12 { #expect(backOff.next(isUnanswered: true, chance: 1) <= LegBackOff.longestUnanswered) }
        // So is a leg that is cut as soon as it stands, however often: calls wait for it. What failed before it stood is forgotten.
        for _ in 0..<12 { #expect(backOff.cut(chance: 1) <= LegBackOff.longestCut) }
        #expect(backOff.next(chance: 1) < 2 * LegBackOff.longestCut)
        backOff.succeeded()
        #expect(backOff.cut(chance: 1) == LegBackOff.first && backOff.cut(chance: 0) == LegBackOff.first)
    }

    @Test("a server name leads to the edge, to a tunnel, or nowhere")
    func routes() {
        let own = "tunnel.example.com"
        #expect(EdgeRoute(serverName: own, own: own) == .edge)
        #expect(EdgeRoute(serverName: "docs.ab.tunnel.example.com", own: own) == .tunnel(TunnelHost(route: "docs", domain: "ab.tunnel.example.com")))
        for name in [
            nil, "example.com", "ab.tunnel.example.com", "xtunnel.example.com", "docs.ab.xtunnel.example.com", "tunnel.example.com.evil.org",
        ] {
            #expect(EdgeRoute(serverName: name, own: own) == .foreign, "\(name ?? "none")")
        }
    }

    @Test("a CONNECT target is a host name and 443")
    func targets() {
        #expect(ConnectTarget.host(Array("Docs.Example.com:443".utf8)) == "docs.example.com")
        for target in [
            "docs.example.com", "docs.example.com:80", "docs.example.com:0443", "10.0.0.1:443", "[::1]:443", ":443", "a@b:443", "http://a.b:443",
        ] {
            #expect(ConnectTarget.host(Array(target.utf8)) == nil, "\(target)")
        }
    }
}
