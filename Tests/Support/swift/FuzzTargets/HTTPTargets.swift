import NIOCore
import PosternHTTP
import PosternPolicy
import PosternTunnelWire

@testable import PosternConnector

/// HTTP/1.1 as it is read from callers and from upstreams, and as it goes on.
extension FuzzTarget {
    private static let requests = [
        "POST /mcp?x=1 HTTP/1.1\r\nHost: docs.ab.tunnel.example.com\r\nContent-Length: 3\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\r\nabc",
        "POST https://docs.ab.tunnel.example.com/mcp HTTP/1.1\r\nHost: docs.ab.tunnel.example.com:443\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: docs.ab.tunnel.example.com\r\nAuthorization: Bearer x\r\nX_Forwarded_Host: evil\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: docs.ab.tunnel.example.com\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "CONNECT docs.ab.tunnel.example.com:443 HTTP/1.1\r\nHost: docs.ab.tunnel.example.com\r\nProxy-Authorization: Bearer key\r\n\r\n",
    ].map { Array($0.utf8) }

    static let httpRequest = FuzzTarget("http-request", seeds: requests) { bytes in
        let whole = message([bytes[...]]) { (lines) throws(HTTPRefusal) in
            try RequestHead(lines: lines)
        } framing: { (head) throws(HTTPRefusal) in
            head.body
        }
        let pieces = message(bytes.pieces) { (lines) throws(HTTPRefusal) in
            try RequestHead(lines: lines)
        } framing: { (head) throws(HTTPRefusal) in
            head.body
        }
        try hold(whole == pieces, "a request is read otherwise in pieces: \(whole), \(pieces)")
        guard case .success(let read) = whole, let head = read.head else { return }
        let again = request(head.encoded(target: head.target))
        try hold(
            again?.method == head.method && again?.target == head.target && again?.fields == head.fields && again?.body == head.body,
            "a request changes when it is written again: \(head)")
    }

    static let httpResponse = FuzzTarget(
        "http-response",
        seeds: [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n5\r\ndata:\r\n2\r\n\n\n\r\n0\r\n\r\n",
            "HTTP/1.0 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\nuntil the end",
        ].map { Array($0.utf8) }
    ) { bytes in
        for method in ["POST", "HEAD"] {
            let read = { (pieces: [ArraySlice<UInt8>]) in
                message(pieces) { (lines) throws(HTTPRefusal) in
                    try ResponseHead(lines: lines)
                } framing: { (head) throws(HTTPRefusal) in
                    try BodyFraming(response: head, to: method)
                }
            }
            let (whole, pieces) = (read([bytes[...]]), read(bytes.pieces))
            try hold(whole == pieces, "an answer is read otherwise in pieces: \(whole), \(pieces)")
        }
    }

    /// Head, body and what is left of one message.
    private struct Message<Head: Hashable>: Hashable {
        var head: Head?
        var body: [UInt8] = []
        var isWhole = false
    }

    private static func message<Head: Hashable>(
        _ pieces: [ArraySlice<UInt8>], head read: ([ArraySlice<UInt8>]) throws(HTTPRefusal) -> Head,
        framing: (Head) throws(HTTPRefusal) -> BodyFraming
    ) -> Result<Message<Head>, HTTPRefusal> {
        var message = Message<Head>()
        var heads = HeadReader()
        var body: BodyReader?
        do throws(HTTPRefusal) {
            for piece in pieces {
                var input = ByteBuffer(bytes: piece)
                if body == nil {
                    guard let (lines, rest) = try heads.feed(piece) else { continue }
                    let head = try read(lines)
                    message.head = head
                    body = BodyReader(try framing(head))
                    input = ByteBuffer(bytes: rest)
                }
                while let part = try body?.next(&input) { message.body += part.readableBytesView }
            }
            message.isWhole = body?.isDone ?? false
            return .success(message)
        } catch {
            return .failure(error)
        }
    }

    /// What a connector makes of a caller's request: its upstream must read it in one way, with nothing in it that the caller may not say.
    static let routeRequest = FuzzTarget("route-request", seeds: requests) { bytes in
        guard let head = request(bytes), let authority = try? Authority("10.0.0.7:8080") else { return }
        let route = ConnectorConfiguration.Route(
            upstream: .network(isTLS: false, authority), callers: Callers(), addresses: UpstreamAddresses(), host: .rewrite, headers: [],
            caFile: nil)
        guard let injected = try? HeaderInjection(name: "Authorization", value: "Bearer of the connector") else { return }
        let host = TunnelHost(route: "docs", domain: "ab.tunnel.example.com")
        guard let sent = try? RouteRequest(head, host: host, route: route, headers: [injected]) else { return }
        guard let read = request(sent.wire) else { throw FuzzFailure(description: "what goes upstream is refused by the reader that wrote it") }
        try hold(read.body == head.body && read.method == head.method, "the framing or the method changes on its way: \(head), \(read)")
        try hold(read.fields.named("host").map(\.text) == ["10.0.0.7:8080"], "the upstream sees another Host: \(read.fields)")
        let authorizations = read.fields.all.filter { $0.spelling == "authorization" }
        try hold(authorizations.map(\.value) == [injected.value], "a caller's spelling of an injected header passes: \(authorizations)")
        try hold(!read.fields.contains("connection") && !read.fields.contains("upgrade"), "a header of the hop before passes: \(read.fields)")
        try hold(read.target.first == UInt8(ascii: "/") || read.target == [UInt8(ascii: "*")], "the target is no path: \(read.target)")
    }
}
