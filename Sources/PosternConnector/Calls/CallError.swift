import PosternHTTP
import PosternTunnelWire

/// Why a call, or its handshake, is refused inside the connector.
package enum CallError: Error, Sendable, CustomStringConvertible {
    // Before the first byte of HTTP.
    /// No route of that name.
    case noRoute(String)
    /// The inner ClientHello names another host than the stream was opened for, or none.
    case serverName
    case malformedHello(ClientHelloError)
    /// The runtime showed no certificate that counts here.
    case noCertificate
    case certificate(RuntimeCertificateError)
    case handshake(String)
    case tooSlow
    // With a request.
    case request(HTTPRefusal)
    /// The certificate is for other routes.
    case routeNotOpened(String)
    case callerNotAllowed(String)
    /// The policy of the route does not let the message through.
    case policy(PolicyRefusal)
    case unknownUpstreamName(String)
    case upstreamAddress(UpstreamAddressRefusal)
    case upstreamConnection(String)
    /// The upstream's answer has no one reading, or broke off.
    case upstreamAnswer(String)
    case auditFailed(String)
    /// The log of the tunnel's registrations is not what it was, or lets somebody in whom nobody here knows.
    case registration(RegistrationRefusal)
    /// The caller ended, or its connection broke without `close_notify`, before the call was whole.
    case callerGone(String)

    /// A word for logs, metrics and answers.
    package var code: String {
        switch self {
        case .noRoute: "no_route"
        case .serverName: "server_name"
        case .malformedHello: "malformed_hello"
        case .noCertificate: "no_certificate"
        case .certificate: "certificate_refused"
        case .handshake: "handshake_failed"
        case .tooSlow: "too_slow"
        case .request(let refusal): refusal.status == 421 ? "misdirected_request" : "malformed_request"
        case .routeNotOpened: "route_not_opened"
        case .callerNotAllowed: "caller_not_allowed"
        case .policy: "policy"
        case .unknownUpstreamName: "upstream_name"
        case .upstreamAddress: "upstream_address"
        case .upstreamConnection: "upstream_connection"
        case .upstreamAnswer: "upstream_answer"
        case .auditFailed: "audit_failed"
        case .registration(let refusal): refusal.reason.rawValue
        case .callerGone: "caller_gone"
        }
    }

    /// The status that says it to the caller; `nil` where there is nobody, or no HTTP yet, to say it to.
    var status: Int? {
        switch self {
        case .request(let refusal): refusal.status
        case .routeNotOpened, .callerNotAllowed, .certificate: 403
        case .policy(let refusal): refusal.status
        case .unknownUpstreamName, .upstreamAddress, .upstreamConnection, .upstreamAnswer: 502
        case .auditFailed, .registration: 503
        case .tooSlow: 408
        default: nil
        }
    }

    package var description: String {
        switch self {
        case .noRoute(let name): "no route is called \"\(name)\""
        case .serverName: "the inner TLS is for another server name than the stream was opened for"
        case .malformedHello(let error): "\(error)"
        case .noCertificate: "the caller showed no client certificate"
        case .certificate(let error): "\(error)"
        case .handshake(let reason): "the inner TLS handshake failed: \(reason)"
        case .tooSlow: "the caller did not send its request in time"
        case .request(let refusal): refusal.reason
        case .routeNotOpened(let route): "the caller's certificate does not open the route \"\(route)\""
        case .callerNotAllowed(let route): "the caller is none of those that the route \"\(route)\" names as its callers"
        case .policy(let refusal): "refused by the route's policy (\(refusal.rule)): \(refusal.message); \(refusal.remedy)"
        case .unknownUpstreamName(let reason): "the upstream's name cannot be resolved: \(reason)"
        case .upstreamAddress(let refusal): "\(refusal)"
        case .upstreamConnection(let reason): "the upstream could not be connected: \(reason)"
        case .upstreamAnswer(let reason): reason
        case .auditFailed(let reason): "the audit log could not be written, and nothing runs unrecorded: \(reason)"
        case .registration(let refusal): "the connector takes no calls: \(refusal); its operator looks at `postern connector accept`"
        case .callerGone(let reason): "the caller ended before the call was whole: \(reason)"
        }
    }
}

/// Why a connector does not start.
package struct ConnectorError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}
