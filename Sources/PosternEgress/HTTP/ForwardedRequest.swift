import PosternHTTP
import PosternPolicy

/// A request on its way out: checked against the destination that the connection is for, and stripped of what is between two hops only.
struct ForwardedRequest: Hashable, Sendable {
    var head: RequestHead
    var destination: Authority
    /// Over TLS to the destination.
    var encrypted: Bool
    var path: RequestPath
    /// The target in origin form.
    var target: [UInt8]
    /// The protocol that the client asks to switch to.
    var upgrade: String?
    var expectsContinue = false
    /// The client wants to keep its connection after the answer.
    let keepsAlive: Bool

    /// A request inside a tunnel to `destination`: its target is in origin form and its Host is the destination.
    init(_ head: RequestHead, inTunnelTo destination: Authority, encrypted: Bool) throws(HTTPRefusal) {
        try self.init(head, destination: destination, encrypted: encrypted, target: head.target)
    }

    /// A request to the proxy itself: its target is an absolute `http` URL, and its Host the same host.
    init(absolute head: RequestHead) throws(HTTPRefusal) {
        let scheme = Array("http://".utf8)
        guard head.target.count > scheme.count, head.target.prefix(scheme.count).map({ $0 | 0x20 }) == scheme.map({ $0 | 0x20 }) else {
            throw HTTPRefusal("the proxy takes CONNECT and http:// URLs only; nothing is served here")
        }
        let rest = head.target.dropFirst(scheme.count)
        let end = rest.firstIndex { "/?#".utf8.contains($0) } ?? rest.endIndex
        let destination: Authority
        do throws(PolicyValueError) {
            destination = try Authority(bytes: rest[..<end], defaultPort: 80)
        } catch {
            throw HTTPRefusal("the host of the URL: \(error.rule)")
        }
        var target = Array(rest[end...])
        if target.first != UInt8(ascii: "/") { target.insert(UInt8(ascii: "/"), at: 0) }
        try self.init(head, destination: destination, encrypted: false, target: target)
    }

    private init(_ head: RequestHead, destination: Authority, encrypted: Bool, target: [UInt8]) throws(HTTPRefusal) {
        self.head = head
        self.destination = destination
        self.encrypted = encrypted
        self.target = target
        keepsAlive = head.wantsKeepAlive
        guard head.method != "CONNECT", head.method != "TRACE" else { throw HTTPRefusal(501, "method \(head.method) is not passed on") }
        do throws(PolicyValueError) {
            path = try RequestPath(target: target)
        } catch {
            throw HTTPRefusal("the request target: \(error.rule)")
        }
        try checkHost()
        try checkConnectionOptions()
        upgrade = head.upgrade
        try checkExpectation()
        self.head.fields.remove(Self.hopByHop)
    }

    /// What both ends agree on with it (RFC 6455, section 9.1) may compress what follows.
    static let webSocketExtensions = "sec-websocket-extensions"

    private static let hopByHop: Set<String> = [
        "connection", "proxy-connection", "keep-alive", "proxy-authorization", "proxy-authenticate", "te", "trailer", "expect", "upgrade",
        "transfer-encoding", "http2-settings",
    ]

    /// One Host field, and it names the destination (RFC 9112, section 3.2).
    private func checkHost() throws(HTTPRefusal) {
        let hosts = head.fields.named("host")
        guard hosts.count == 1 else { throw HTTPRefusal("a request has exactly one Host header") }
        let host: Authority
        do throws(PolicyValueError) {
            host = try Authority(bytes: hosts[0].value, defaultPort: encrypted ? 443 : 80)
        } catch {
            throw HTTPRefusal("the Host header: \(error.rule)")
        }
        // A client may leave the port out where the scheme's is meant only.
        guard host == destination else {
            throw HTTPRefusal(421, "the Host header names \(printable(host.description)), the connection is for \(destination)")
        }
    }

    /// Fields that `Connection` names are dropped on the way; a request must not have its own meaning dropped.
    private func checkConnectionOptions() throws(HTTPRefusal) {
        let known: Set<String> = ["close", "keep-alive", "te", "upgrade", "proxy-connection", "http2-settings"]
        for option in head.fields.named("connection").flatMap(\.tokens) where !known.contains(option) {
            throw HTTPRefusal("the Connection header names \(printable(option))")
        }
    }

    private mutating func checkExpectation() throws(HTTPRefusal) {
        let expectations = head.fields.named("expect")
        guard !expectations.isEmpty else { return }
        guard expectations.count == 1, expectations[0].text.lowercased() == "100-continue" else { throw HTTPRefusal(417, "an unknown expectation") }
        expectsContinue = head.minorVersion == 1 && !head.body.isEmpty
    }
}
