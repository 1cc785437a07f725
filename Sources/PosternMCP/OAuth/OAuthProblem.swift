/// Why no token could be had, or none was asked for. The request that wanted one was refused by the server before it did anything with it.
package struct OAuthProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// A word for programs, one for each rule.
    package enum Kind: String, Sendable, CaseIterable {
        case cancelled
        /// No answer of a server that was asked: connection, time-out.
        case unreachable = "oauth_unreachable"
        /// An answer that is none: status, redirect, size, JSON, a member that is missing or wrong.
        case answer = "oauth_answer"
        /// The server names metadata outside of its own origin.
        case metadataElsewhere = "oauth_metadata_elsewhere"
        /// The metadata is of another resource than the server.
        case resourceMismatch = "oauth_resource_mismatch"
        /// The server takes no tokens of the operator's issuer.
        case issuerNotOffered = "oauth_issuer_not_offered"
        /// The issuer's metadata is another's.
        case issuerMismatch = "oauth_issuer_mismatch"
        /// A token endpoint to which no secret is sent.
        case endpoint = "oauth_token_endpoint"
        /// The authorization server offers nothing that this client can do.
        case unsupported = "oauth_unsupported"
        /// The server asks for scopes that the operator has not allowed, or for too many, or the token has such.
        case scope = "oauth_scope"
        /// The server has had so many tokens asked for that the authorization server is left alone for a while.
        case tooOften = "oauth_too_often"
        /// The authorization server has refused.
        case denied = "oauth_denied"
        /// A token that is not taken.
        case token = "oauth_token"
    }

    package var kind: Kind
    /// What is wrong and what helps, with text of the peer's, but no secret.
    package var text: String

    package init(_ kind: Kind, _ text: String) {
        self.kind = kind
        self.text = text
    }

    package static let cancelled = OAuthProblem(.cancelled, "the request was cancelled")

    package var description: String { text }

    /// A value of the peer's, short enough for an error.
    static func shown(_ text: String) -> String { text.count > 200 ? "\(text.prefix(200))…" : text }
}
