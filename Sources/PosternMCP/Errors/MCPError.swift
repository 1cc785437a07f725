import ManagedAgentsClient

/// Why a request to an MCP server came to nothing, told so that whoever runs it knows what to do. Text of the peer is in it, a credential never.
package enum MCPError: Error, Sendable, Equatable {
    /// The task was cancelled, and the server told so by the rules of its era.
    case cancelled
    /// No connection could be made: name, address, refusal, TLS, proxy. The request was not sent.
    case unreachable(String)
    /// A rule of Postern's forbids the request; it was not sent.
    case refused(String)
    /// No answer within `seconds`; `hasProgress` where the server has told of progress and the longest time of all was over.
    case timedOut(method: String, seconds: Int, hasProgress: Bool)
    /// 401: the server wants a token, or another one.
    case unauthorized(BearerChallenge?, hasToken: Bool)
    /// 403 with `insufficient_scope`: the token is good, but not for this.
    case insufficientScope(BearerChallenge)
    /// The server wants a token, and none could be got for it; the request was not carried out.
    case oauth(OAuthProblem)
    /// An HTTP status that says no more than itself; the start of its body.
    case status(Int, String)
    /// The connector of a tunnel has answered in the server's place: its reason, and what it says. The request was not sent to the server.
    case connector(reason: String, String)
    /// Redirects are not followed: a request would go, with its token, to whoever is named.
    case redirected(status: Int, location: String)
    /// The session is gone (404, handshake era). The request was not carried out.
    case sessionLost
    /// The server has answered with an error.
    case server(RPCError)
    /// The tool needs an answer of a person first (2026-07-28, `input_required`): the texts of what is asked.
    case inputRequired([String])
    /// The server speaks none of the revisions that are spoken here, or not the one that was wanted.
    case revision(wanted: String, offered: [String])
    /// The server does not offer this at all.
    case notOffered(String)
    /// An answer that breaks the protocol.
    case malformed(String)
    /// An answer larger than it may be.
    case tooLarge(String, limit: Int)
    /// The connection was lost after the request may have reached the server: whether it has acted is not known, and it is not sent again.
    case outcomeUnknown(String)
    /// A server over stdio has ended.
    case ended(String)
}

extension MCPError {
    /// What a request came to that failed before its answer's head. A time-out is one of connecting (`HTTPLink.unlimited`).
    package init(_ error: TransportError) {
        switch error {
        case .cancelled: self = .cancelled
        case .connection(let reason): self = .unreachable(reason)
        case .refused(let reason): self = .refused(reason)
        case .timeout(let reason): self = .unreachable("none could be made in time (\(reason))")
        case .broken(let reason): self = .outcomeUnknown("the connection broke before the answer: \(reason)")
        }
    }

    init(_ failure: SendFailure) {
        switch failure {
        case .transport(let error): self.init(error)
        case .token(.cancelled): self = .cancelled
        case .token(let problem): self = .oauth(problem)
        }
    }

    /// A word for programs, one for each case.
    package var kind: String {
        switch self {
        case .cancelled: "cancelled"
        case .unreachable: "unreachable"
        case .refused: "refused"
        case .timedOut: "timed_out"
        case .unauthorized: "unauthorized"
        case .insufficientScope: "insufficient_scope"
        case .oauth(let problem): problem.kind.rawValue
        case .status: "http_status"
        case .connector: "connector"
        case .redirected: "redirected"
        case .sessionLost: "session_lost"
        case .server: "server_error"
        case .inputRequired: "input_required"
        case .revision: "unsupported_revision"
        case .notOffered: "not_offered"
        case .malformed: "malformed"
        case .tooLarge: "too_large"
        case .outcomeUnknown: "outcome_unknown"
        case .ended: "ended"
        }
    }
}

extension MCPError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .cancelled: "the request was cancelled"
        case .unreachable(let reason): "no connection: \(reason)"
        case .refused(let reason): reason
        case .timedOut(let method, let seconds, let hasProgress):
            (hasProgress
                ? "\(method) took longer than \(seconds) s, the longest time even with progress; give --max-time"
                : "\(method) was neither answered nor told of progress within \(seconds) s; give --timeout")
                + (method == "tools/call" ? " (it was cancelled at the server, which may have carried it out)" : "")
        case .unauthorized(let challenge, let hasToken): Self.unauthorized(challenge, hasToken)
        case .insufficientScope(let challenge):
            "403 insufficient_scope: the token is valid but does not allow this"
                + (challenge.scope.map { "; get one with the scopes \"\($0)\"" } ?? "; get one with more scopes")
                + Self.metadata(challenge) + Self.remark(challenge)
        case .oauth(let problem): "no token could be got: \(problem)"
        case .status(let status, let excerpt): "the server answered HTTP \(status)" + (excerpt.isEmpty ? "" : ": \(excerpt)")
        case .connector(let reason, let message): "the tunnel's connector refuses the request (\(reason)): \(message)"
        case .redirected(let status, let location):
            "the server answered HTTP \(status) and names \(location); redirects are not followed: give that URL if it is the right one"
        case .sessionLost: "the server has ended the session"
        case .server(let error): "the server refused the request: \(error)"
        case .inputRequired(let texts):
            "the tool asks for more before it can go on, which this client cannot give"
                + (texts.isEmpty ? "" : ": " + texts.joined(separator: "; "))
        case .revision(let wanted, let offered):
            "the server does not speak revision \(wanted)"
                + (offered.isEmpty ? "" : "; it offers \(offered.joined(separator: ", "))") + "; this client speaks "
                + Revision.allCases.map(\.rawValue).joined(separator: ", ")
        case .notOffered(let what): "the server does not offer \(what)"
        case .malformed(let reason): "the server breaks the protocol: \(reason)"
        case .tooLarge(let what, let limit): "\(what) is larger than \(limit) bytes"
        case .outcomeUnknown(let reason): "it is not known whether the server has carried out the request, which is not sent again: \(reason)"
        case .ended(let reason): "the server has ended: \(reason)"
        }
    }

    private static func unauthorized(_ challenge: BearerChallenge?, _ hasToken: Bool) -> String {
        let what =
            hasToken
            ? "401: the server refuses the bearer token\(challenge?.error.map { " (\($0))" } ?? ""); get a new one (with --oauth-issuer: a token got "
                + "for it is refused too; ask whoever runs the server what it takes)"
            : "401: the server wants an OAuth bearer token; put one into a file and give --bearer-file FILE, or let one be got by --oauth-client-id"
        guard let challenge, challenge != BearerChallenge() else {
            return what + "; the answer names no authorization server, ask whoever runs the server"
        }
        return what + (challenge.scope.map { "; it needs the scopes \"\($0)\"" } ?? "") + metadata(challenge) + remark(challenge)
    }

    private static func metadata(_ challenge: BearerChallenge) -> String {
        guard challenge.authorizationServers.isEmpty else {
            return "; \(OAuthProblem.shown(challenge.authorizationServers.joined(separator: ", "))) gives them (--oauth-issuer)"
        }
        return challenge.resourceMetadata.map { "; the authorization servers that give one are named at \($0)" } ?? ""
    }

    private static func remark(_ challenge: BearerChallenge) -> String { challenge.errorDescription.map { " (\"\($0)\")" } ?? "" }
}
