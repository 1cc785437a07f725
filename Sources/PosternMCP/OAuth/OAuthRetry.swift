/// Whether one request that was refused is sent again with another token. A value without I/O.
///
/// 401 and 403 with a challenge refuse a request before it is carried out (RFC 6750, section 3.1), so that a second try is no second call. Whatever else
/// ends a request leaves its outcome open or settled, and it is not sent again.
package struct OAuthRetry: Sendable {
    package enum Need: Sendable, Equatable {
        /// There was no token, or the one that was sent is no longer taken.
        case token
        /// The token is good and its scopes are not enough.
        case scopes
    }

    /// How often more scopes are asked for, for one request.
    static let mostStepUps = 2

    private var hasBegun = false
    private var hasRenewed = false
    private var stepUps = 0

    package init() {}

    /// What is to be got before the request is sent again; nil where the answer counts.
    /// - Parameters:
    ///   - isConnectors: whether a tunnel's connector has answered in the server's place; without a challenge it does not ask for tokens.
    ///   - hasToken: whether the request had one.
    package mutating func refused(status: Int, _ challenge: BearerChallenge?, isConnectors: Bool, hasToken: Bool) -> Need? {
        switch status {
        case 401 where challenge != nil || !isConnectors: break
        case 403 where challenge?.wantsScopes ?? false:
            guard hasToken else { break }
            stepUps += 1
            return stepUps <= Self.mostStepUps ? .scopes : nil
        default: return nil
        }
        guard hasToken ? !hasRenewed : !hasBegun else { return nil }
        if hasToken { hasRenewed = true } else { hasBegun = true }
        return .token
    }
}
