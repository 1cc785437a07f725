import PosternHTTP
import PosternPolicy
import PosternTLS
import PosternTunnelWire

/// A caller's request as it goes to the upstream of its route. A value without I/O.
struct RouteRequest: Sendable {
    let method: String
    /// The head on the wire.
    let wire: [UInt8]
    /// How the body goes to the upstream: by its length or in chunks, as it came.
    let framing: BodyFraming
    /// The caller waits for `100 Continue` before it sends its body.
    let expectsContinue: Bool
    /// Whether the caller's connection may carry another request.
    var keepsAlive: Bool
    /// Whether a second try after a connection that the upstream had closed does no harm (RFC 9110, section 9.2.1).
    let isRepeatable: Bool
    let minorVersion: Int
    /// The fields of the head, as they go upstream.
    let fields: HTTPFields
    /// The upstream's id of the caller's session; `nil` where the request names none.
    let session: [UInt8]?
    /// Whether a caller that goes away leaves its call running: so it is up to MCP's revision 2025-11-25, where the answer may be asked for again.
    let outlivesCaller: Bool
    /// What its caller calls it; `nil` where it does not.
    let renewalID: String?

    /// `host` is the server name of the inner TLS, to which the request has to be. Throws a refusal: 421 for another Host, 400 for what has
    /// more than one reading, 501 for what is not carried.
    /// `sessions` opens what `caller` says of its session; without it, that goes upstream as it is.
    init(
        _ head: RequestHead, host: TunnelHost, route: ConnectorConfiguration.Route, headers: [HeaderInjection],
        sessions: (tags: SessionTags, caller: CallerSubject)? = nil
    ) throws(HTTPRefusal) {
        guard head.method != "CONNECT", head.method != "TRACE" else { throw HTTPRefusal(501, "method \(head.method) is not carried by a tunnel") }
        guard head.upgrade == nil else { throw HTTPRefusal(501, "a switch of protocols is not carried by a tunnel") }
        try Self.checkHost(head, host)
        let target = try Self.origin(head, host)
        expectsContinue = try Self.expectation(head)
        method = head.method
        framing = head.body
        keepsAlive = head.wantsKeepAlive
        minorVersion = head.minorVersion
        let override = head.fields.methodOverride
        if let override, route.policy != nil {
            throw HTTPRefusal(400, "header \(override.name) would make another method of it, which the route's policy has not judged")
        }
        isRepeatable = head.body.isEmpty && override == nil && ["GET", "HEAD", "OPTIONS"].contains(head.method)
        var fields = ForwardedHeaders.endToEnd(head.fields)
        // The token is for the connector: an upstream that has it may use it elsewhere.
        let keepsToken = route.bearer.map { !$0.forwards } ?? false
        fields.all.removeAll { field in
            let spelling = field.spelling
            return ForwardedHeaders.replaced.contains(spelling) || keepsToken && spelling == "authorization"
                || headers.contains { $0.spelling == spelling }
        }
        if let sessions { session = try sessions.tags.open(&fields, from: sessions.caller) } else { session = nil }
        renewalID = CallRenewal.id(in: head.fields)
        outlivesCaller = head.method == "POST" && Self.outlivesCaller(fields, isMCP: route.policy != nil)
        var all = HTTPFields()
        switch route.host {
        case .keep: all.append("Host", host.name)
        case .rewrite:
            all.append("Host", route.upstream.hostHeader)
            all.append("X-Forwarded-Host", host.name)
        }
        all.all += fields.all
        if route.readsAnswers {
            // The answer is read here too, and whole: in two halves a value would not be found.
            all.all.removeAll { ["accept-encoding", "range", "if-range"].contains($0.spelling) }
            all.append("Accept-Encoding", "identity")
        }
        for header in headers { all.all.append(HTTPField(header.name, header.value)) }
        switch head.body {
        case .none, .untilClose: break
        case .length(let length): all.append("Content-Length", String(length))
        case .chunked: all.append("Transfer-Encoding", "chunked")
        }
        var output = Array(head.method.utf8) + [0x20] + target + Array(" HTTP/1.1\r\n".utf8)
        all.write(to: &output)
        self.fields = all
        wire = output
    }

    /// Revision 2026-07-28 and later ones take the end of a connection for a cancelling, and all of their requests say their revision (MCP, Streamable
    /// HTTP); requests of earlier ones need not. What is no MCP is ended with its caller.
    private static func outlivesCaller(_ fields: HTTPFields, isMCP: Bool) -> Bool {
        let versions = fields.named("mcp-protocol-version").map(\.text)
        if fields.contains("mcp-method") || versions.contains(where: { $0 >= "2026-07-28" }) { return false }
        return isMCP || !versions.isEmpty || fields.contains(SessionTags.header)
            || fields.named("accept").contains { $0.holds("text/event-stream") }
    }

    /// One Host field, equal to the inner server name (RFC 9110, section 7.2); a port is 443's or none.
    static func checkHost(_ head: RequestHead, _ host: TunnelHost) throws(HTTPRefusal) {
        let hosts = head.fields.named("host")
        guard hosts.count == 1 else { throw HTTPRefusal("a request has exactly one Host header") }
        guard hosts[0].value.elementsEqual(host.name.utf8) || canonical(hosts[0].value) == host.name else {
            throw HTTPRefusal(421, "the Host header names \(printable(hosts[0].text)); the tunnel's TLS is for \(host.name)")
        }
    }

    /// The target in origin form, or `*`; an absolute one has to name the same host.
    private static func origin(_ head: RequestHead, _ host: TunnelHost) throws(HTTPRefusal) -> [UInt8] {
        if head.target.first == UInt8(ascii: "/") { return head.target }
        if head.target == Array("*".utf8), head.method == "OPTIONS" { return head.target }
        let scheme = Array("https://".utf8)
        guard head.target.count > scheme.count, head.target.prefix(scheme.count).map({ $0 | 0x20 }) == scheme.map({ $0 | 0x20 }) else {
            throw HTTPRefusal("the request target must begin with a slash")
        }
        let rest = head.target.dropFirst(scheme.count)
        let end = rest.firstIndex { "/?#".utf8.contains($0) } ?? rest.endIndex
        guard canonical(rest[..<end]) == host.name else { throw HTTPRefusal(421, "the request target names another host than \(host.name)") }
        let path = Array(rest[end...])
        return path.first == UInt8(ascii: "/") ? path : [UInt8(ascii: "/")] + path
    }

    /// The name of a host in its one form, without the port; `nil` for what is none.
    private static func canonical(_ bytes: some Collection<UInt8>) -> String? {
        let port = Array(":443".utf8)
        return HostName.canonical(bytes.suffix(port.count).elementsEqual(port) ? Array(bytes.dropLast(port.count)) : Array(bytes))
    }

    private static func expectation(_ head: RequestHead) throws(HTTPRefusal) -> Bool {
        let expectations = head.fields.named("expect")
        guard !expectations.isEmpty else { return false }
        guard expectations.count == 1, expectations[0].text.lowercased() == "100-continue" else { throw HTTPRefusal(417, "an unknown expectation") }
        return head.minorVersion == 1 && !head.body.isEmpty
    }
}
