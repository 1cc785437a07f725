import PosternHTTP
import PosternTLS
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
    /// The caller's bearer token does not count here, or none came.
    case bearer(BearerRefusal)
    /// The policy of the route does not let the message through.
    case policy(PolicyRefusal)
    case unknownUpstreamName(String)
    case upstreamAddress(UpstreamAddressRefusal)
    case upstreamConnection(String)
    /// The upstream's answer has no one reading, or broke off.
    case upstreamAnswer(String)
    case auditFailed(String)
    /// The route, or the caller, has as many calls as it may.
    case routeBusy(Int)
    case callerBusy(Int)
    /// The body of the request is larger than the route takes, bytes.
    case requestTooLarge(Int)
    /// The body of the answer is larger than the route gives, bytes.
    case answerTooLarge(Int)
    /// The caller sends its body, or takes its answer, more slowly than the route waits for.
    case callerStalled(String)
    /// The upstream did not connect, answer or go on in time.
    case upstreamTimeout(String)
    /// The bytes that may come back are used up.
    case answerBudget(String)
    /// The answer holds what a rule of the route does not let out.
    case answerBlocked(String)
    /// The call was cut while it ran.
    case cut(Cut)
    /// The log of the tunnel's registrations is not what it was, or lets somebody in whom nobody here knows.
    case registration(RegistrationRefusal)
    /// The caller ended, or its connection broke without `close_notify`, before the call was whole.
    case callerGone(String)

    /// Why a connection is cut that was let in.
    package enum Cut: Error, Hashable, Sendable {
        /// The caller's certificate has ended.
        case certificateEnded
        /// The caller's bearer token has ended.
        case tokenEnded
        /// `limits.call` is over.
        case tooLong
        /// The authority of the server certificate that it stands on was archived.
        case authorityArchived
        /// What the connector's document says now does not let it in.
        case noLongerAllowed(String)
    }

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
        case .request(let refusal): Self.code(refusal.status)
        case .routeNotOpened: "route_not_opened"
        case .callerNotAllowed: "caller_not_allowed"
        case .bearer(let refusal): refusal.code
        case .policy: "policy"
        case .unknownUpstreamName: "upstream_name"
        case .upstreamAddress: "upstream_address"
        case .upstreamConnection: "upstream_connection"
        case .upstreamAnswer: "upstream_answer"
        case .auditFailed: "audit_failed"
        case .routeBusy: "route_busy"
        case .callerBusy: "caller_busy"
        case .requestTooLarge: "request_too_large"
        case .answerTooLarge: "answer_too_large"
        case .callerStalled: "caller_stalled"
        case .upstreamTimeout: "upstream_timeout"
        case .answerBudget: "answer_budget"
        case .answerBlocked: "answer_blocked"
        case .cut(.certificateEnded): "certificate_ended"
        case .cut(.tokenEnded): "token_ended"
        case .cut(.tooLong): "call_too_long"
        case .cut(.authorityArchived): "authority_archived"
        case .cut(.noLongerAllowed): "no_longer_allowed"
        case .registration(let refusal): refusal.reason.rawValue
        case .callerGone: "caller_gone"
        }
    }

    private static func code(_ status: Int) -> String {
        switch status {
        case 421: "misdirected_request"
        case 404: "unknown_session"
        default: "malformed_request"
        }
    }

    /// The status that says it to the caller; `nil` where there is nobody, or no HTTP yet, to say it to.
    var status: Int? {
        switch self {
        case .request(let refusal): refusal.status
        case .routeNotOpened, .callerNotAllowed, .certificate: 403
        case .bearer(let refusal): refusal.status
        case .policy(let refusal): refusal.status
        case .unknownUpstreamName, .upstreamAddress, .upstreamConnection, .upstreamAnswer, .answerTooLarge, .answerBlocked: 502
        case .upstreamTimeout: 504
        case .routeBusy: 503
        case .callerBusy, .answerBudget: 429
        case .requestTooLarge: 413
        case .callerStalled: 408
        case .cut(.noLongerAllowed): 403
        case .auditFailed, .registration: 503
        case .tooSlow: 408
        default: nil
        }
    }

    package var description: String {
        switch self {
        case .noRoute(let name) where TunnelHost(name).map({ RouteKey.isID($0.route) }) ?? false:
            "no route has the id \"\(name)\" here: is the caller's route missing in the document, or tunnel.route_key_file, or is that another tunnel's?"
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
        case .bearer(let refusal): refusal.description
        case .policy(let refusal): "refused by the route's policy (\(refusal.rule)): \(refusal.message); \(refusal.remedy)"
        case .unknownUpstreamName(let reason): "the upstream's name cannot be resolved: \(reason)"
        case .upstreamAddress(let refusal): "\(refusal)"
        case .upstreamConnection(let reason): "the upstream could not be connected: \(reason)"
        case .upstreamAnswer(let reason): reason
        case .auditFailed(let reason): "the audit log could not be written, and nothing runs unrecorded: \(reason)"
        case .routeBusy(let limit): "the route has \(limit) calls, as many as it may have at one time; try again later"
        case .callerBusy(let limit): "the caller has \(limit) calls on this route, as many as it may have at one time; try again later"
        case .requestTooLarge(let limit): "the body of the request has more than \(limit) bytes (limits.request_bytes)"
        case .answerTooLarge(let limit): "the body of the answer has more than \(limit) bytes (limits.answer_bytes)"
        case .callerStalled(let reason): reason
        case .upstreamTimeout(let reason): reason
        case .answerBudget(let reason): "the route gives no more bytes: \(reason)"
        case .answerBlocked(let rule): "the answer holds what the route's rule \(rule) lets nobody have (answers.redact)"
        case .cut(.certificateEnded): "the caller's certificate has ended"
        case .cut(.tokenEnded): "the caller's bearer token has ended"
        case .cut(.tooLong): "the call took longer than the route lets one take (limits.call)"
        case .cut(.authorityArchived): "the authority of the connector's certificate was archived"
        case .cut(.noLongerAllowed(let reason)): "the connector's document has changed: \(reason)"
        case .registration(let refusal): "the connector takes no calls: \(refusal); its operator looks at `postern connector accept`"
        case .callerGone(let reason): "the caller ended before the call was whole: \(reason)"
        }
    }
}

extension CallError {
    /// What reading from the caller has failed with. That its end came without `close_notify` is among these.
    init(reading error: any Error) {
        self =
            switch error {
            case let error as CallError: error
            case let error as ClientHelloError: .malformedHello(error)
            case let refusal as HTTPRefusal: .request(refusal)
            case is TimedOut: .tooSlow
            default: .callerGone("\(error)")
            }
    }

    /// What a caller is told. Names, addresses and ranges behind the connector are for its log and its audit.
    var told: String {
        switch self {
        case .bearer(let refusal): refusal.told
        case .unknownUpstreamName: "the name of the route's upstream cannot be resolved; the connector's log says more"
        case .upstreamAddress: "the address of the route's upstream is not one that the route allows; the connector's log says which"
        case .upstreamConnection: "the route's upstream could not be connected; the connector's log says why"
        case .upstreamTimeout: "the route's upstream did not answer in time; the connector's log says where"
        case .auditFailed: "the connector's audit log could not be written, and nothing runs unrecorded"
        default: description
        }
    }

    var isOfUpstream: Bool {
        switch self {
        case .upstreamConnection, .upstreamAnswer: true
        default: false
        }
    }
}
