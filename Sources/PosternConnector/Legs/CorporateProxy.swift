import FoundationEssentials
import NIOCore
import NIOSSL
import PosternHTTP
import PosternPolicy
import PosternTunnelLink

/// The HTTP proxy that a network demands for every way out: asked with `CONNECT` (RFC 9110, section 9.3.6) for the edge by its name, which the proxy
/// resolves. Prints no credential.
struct CorporateProxy: Sendable, CustomStringConvertible, CustomReflectable {
    let address: Authority
    /// For a proxy that is reached by TLS; `nil` for plain HTTP.
    let tls: NIOSSLContext?
    /// `user:password`, for Basic (RFC 7617).
    let secret: String?

    /// Asks the proxy for a connection to `target`; after that the stream leads there. Throws `ProxyRefusal` where the proxy says no.
    func connect(_ stream: ByteStream, to target: Authority, within time: TimeAmount) async throws {
        var head = "CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n"
        if let secret { head += "Proxy-Authorization: Basic \(Data(secret.utf8).base64EncodedString())\r\n" }
        try await stream.write(Array((head + "\r\n").utf8))
        var reader = MessageReader(stream)
        guard let lines = try await reader.head(idle: time, whole: time) else { throw ProxyRefusal(self, target, .closed) }
        let answer: ResponseHead
        do throws(HTTPRefusal) { answer = try ResponseHead(lines: lines) } catch { throw ProxyRefusal(self, target, .noAnswer) }
        guard answer.status / 100 == 2 else {
            let schemes = answer.fields.named("proxy-authenticate").map { $0.text.prefix { $0 != " " && $0 != "," }.lowercased() }
            throw ProxyRefusal(self, target, .status(answer.status, schemes: schemes))
        }
        // An edge says nothing before the ClientHello: what is there is not its.
        guard reader.takeBuffer().readableBytes == 0 else { throw ProxyRefusal(self, target, .noAnswer) }
    }

    var description: String { "\(tls == nil ? "http" : "https")://\(address)" }
    var customMirror: Mirror { Mirror(self, children: ["address": address.description]) }
}

/// Why the corporate proxy did not connect, and what helps. Repeats no credential.
package struct ProxyRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        /// With the schemes that it asks for, in lower case, where it is 407.
        case status(Int, schemes: [String])
        case closed
        /// What came is no HTTP, or more than the answer.
        case noAnswer
    }

    package let proxy: String
    package let target: Authority
    package let hadSecret: Bool
    package let reason: Reason

    init(_ proxy: CorporateProxy, _ target: Authority, _ reason: Reason) {
        self.proxy = "\(proxy)"
        self.target = target
        hadSecret = proxy.secret != nil
        self.reason = reason
    }

    package var description: String { "the proxy \(proxy) did not connect to \(target): \(what)" }

    private var what: String {
        switch reason {
        // tinyproxy answers 401 to a wrong password.
        case .status(let status, _) where [401, 407].contains(status) && hadSecret: "it refuses the user name and the password (\(status))"
        case .status(let status, _) where [401, 407].contains(status): "it asks for a user name and a password (\(status))"
        case .status(403, _): "it does not let this host go there (403)"
        case .status(let status, _) where [502, 503, 504].contains(status): "it could not reach it (\(status))"
        case .status(let status, _): "it answered \(status)"
        case .closed: "it closed the connection without an answer"
        case .noAnswer: "what it sent is no answer to CONNECT"
        }
    }

    package var remedy: String {
        switch reason {
        case .status(407, let schemes) where !schemes.isEmpty && !schemes.contains("basic"):
            "it takes \(schemes.joined(separator: ", ")), and a connector speaks Basic only: ask for an exception for this host or for Basic"
        case .status(let status, _) where [401, 407].contains(status) && hadSecret:
            "put the right user:password into the file that edges.proxy.secret_file names"
        case .status(let status, _) where [401, 407].contains(status): "name a file with user:password as edges.proxy.secret_file"
        case .status(403, _): "have the proxy allow CONNECT to \(target) from this host"
        case .status(let status, _) where [502, 503, 504].contains(status):
            "see whether the edge's name and port in edges.addresses are right, and whether the proxy resolves and reaches them"
        case .status(405, _), .status(501, _): "this server is no proxy for CONNECT: look at edges.proxy.url"
        default: "see whether edges.proxy.url is the proxy, with http:// or https:// as it speaks"
        }
    }
}
