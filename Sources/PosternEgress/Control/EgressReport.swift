import PosternJSON
import PosternPolicy

/// What a proxy process tells the worker. No secret's value is in any of it.
package enum EgressReport: Sendable, Hashable {
    /// The session is served. The sandbox has to trust this certificate (PEM) to be inspected.
    case ready(session: String, certificate: String)
    /// This is about to go out; nothing does until `recorded` answers.
    case intent(id: Int, session: String, EgressIntent)
    /// So many bytes have been counted against the session's budgets and are about to go to a host.
    case spent(session: String, CanonicalHost, Int)
    /// How what was announced under this id ended.
    case outcome(id: Int, session: String, EgressOutcome)
    /// This was refused; the client is told once `recorded` answers.
    case refusal(id: Int, session: String, EgressRefusal)
    /// A secret is about to go out in call `call`; nothing does until `recorded` answers.
    case secretUsed(id: Int, session: String, call: Int, names: [String], destination: Authority)
    /// Values of secrets were taken out of the answer to call `call`.
    case masked(session: String, call: Int, counts: [String: Int])
    /// Bodies of requests held what a redaction rule looks for: what was done, and how often by rule.
    case redacted(session: String, action: String, counts: [String: Int])
    /// A budget is reached; the call waits for `answer`.
    case ask(id: Int, session: String, EgressAsk)
    /// A connection through a forward: what it is about to do, which waits for `recorded`, or (with id 0) how it ended.
    case forward(id: Int, session: String, ForwardReport)
    /// The traffic of the session stands still (`true`), or goes on: what `pause` and `resume` asked for is done.
    case paused(session: String, Bool)
    /// Something does not work; the text is for the operator.
    case failure(session: String, reason: String)
}

extension EgressReport {
    /// The session that it is about; empty for the process itself.
    package var session: String {
        switch self {
        case .ready(let session, _), .intent(_, let session, _), .outcome(_, let session, _), .refusal(_, let session, _),
            .spent(let session, _, _), .secretUsed(_, let session, _, _, _), .masked(let session, _, _), .redacted(let session, _, _),
            .ask(_, let session, _), .forward(_, let session, _),
            .paused(let session, _), .failure(let session, _):
            session
        }
    }
}

/// One call that is about to leave.
package struct EgressIntent: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// A request that the proxy reads, over TLS or plain.
        case https, http
        /// An opaque connection.
        case tunnel
    }
    package var kind: Kind
    package var destination: Authority
    /// The address that is dialled; `nil` where a parent proxy resolves.
    package var address: IPAddress?
    package var rule: String
    /// `nil` for an opaque connection.
    package var method: String?
    /// Without query.
    package var path: String?
    package var policyDigest: String
}

/// How a call ended.
package struct EgressOutcome: Sendable, Hashable {
    /// The server's status; `nil` when none came.
    package var status: Int?
    /// Bytes to the server, heads included, and from it.
    package var sent = 0
    package var received = 0
    package var milliseconds = 0
    /// Why it ended early; `nil` when it ended well.
    package var failure: String?
}

/// Why something did not leave.
package struct EgressRefusal: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// No rule allows it, or one denies it.
        case policy
        /// An address that is not dialled.
        case address
        /// Malformed, ambiguous, or names that do not agree.
        case malformed
        /// A placeholder in a place that is not its own.
        case secret
        case budget
        /// A body that a redaction rule keeps inside.
        case redaction
        /// The proxy's token, or a credential of the session, is missing or wrong; the client is told to bring it.
        case authentication
    }
    package var kind: Kind
    /// As far as it is known.
    package var destination: Authority?
    package var rule: String?
    package var reason: String
    package var remedy: String
    /// The secret whose placeholder it was.
    package var secret: String?
    /// Of a path more is not told; what is longer is cut one byte behind that.
    package static let longestPath = 1000
    /// What the request was, as far as it was read: its method, its path without query, and the secrets that it carried where they belong.
    package var method: String?
    package var path: String?
    package var credentials: [String] = []
    /// The address that is not dialled.
    package var address: IPAddress?
}

/// A budget that a call would exceed.
package struct EgressAsk: Sendable, Hashable {
    /// `call`, `host`, `session` or `day`.
    package var budget: String
    package var destination: Authority
    /// Bytes of the budget as the policy has it; as many more are granted by an approval.
    package var limit: Int
    package var used: Int
}

extension EgressAsk {
    /// What the perimeter decides on, in one line.
    package var summary: String {
        "\(destination): \(used) of \(limit) bytes (\(budget)) are used; approving lets \(limit) more bytes out to \(destination.host)"
    }
}
