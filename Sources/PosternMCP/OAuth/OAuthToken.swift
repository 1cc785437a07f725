import ManagedAgentsClient
import PosternJSON

/// A token as it was got, for the resource that it was asked for. It is in memory only.
package struct OAuthToken: Sendable, Equatable {
    package var value: Secret
    /// What was asked for: asking for the same again helps nobody.
    package var scopes: Set<String>
    /// From when on another one is asked for; nil where its life was not told.
    package var end: ContinuousClock.Instant?

    /// Bytes of a token: a header field that is longer is refused by most servers.
    static let longest = 16 << 10

    /// Taken off a token's life, so that it does not end on the way; a tenth of one that is short.
    static func margin(_ life: Duration) -> Duration { min(.seconds(30), life / 10) }

    /// The answer of a token endpoint (RFC 6749, section 5.1).
    /// - Parameters:
    ///   - scopes: what was asked for.
    ///   - allowed: the most that it may have; nil for any.
    init(_ body: [UInt8], scopes: Set<String>, allowed: Set<String>?, now: ContinuousClock.Instant) throws(OAuthProblem) {
        let stage = OAuthFlow.Stage.token
        let object = try stage.object(body)
        guard let value = object["access_token"]?.string else { throw stage.wrong("it has no string \"access_token\"") }
        guard !value.isEmpty, value.utf8.count <= Self.longest, value.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw OAuthProblem(
                .token, "the token is not 1 to \(Self.longest) bytes of visible ASCII, and would not be one header field's value; it is not sent")
        }
        guard let type = object["token_type"]?.string else { throw stage.wrong("it has no string \"token_type\"") }
        guard type.lowercased() == "bearer" else {
            throw OAuthProblem(.token, "the token is of the type \(OAuthProblem.shown(type)) and no bearer; it is not sent")
        }
        if let allowed { try Self.check(object["scope"], allowed) }
        self.value = Secret(value)
        self.scopes = scopes
        switch object["expires_in"] {
        case nil, .null?: end = nil
        case let life?:
            guard let seconds = life.double, seconds >= 0 else { throw stage.wrong("its \"expires_in\" is not a number of seconds") }
            // A year is as good as for ever, and has no overflow.
            let life = Duration.seconds(min(seconds, 365 * 86_400))
            end = now + life - Self.margin(life)
        }
    }

    /// A server may give more than it was asked for, and says so (RFC 6749, section 5.1); where it says nothing it gives what was asked for.
    private static func check(_ said: JSON?, _ allowed: Set<String>) throws(OAuthProblem) {
        guard let said, said != .null else { return }
        guard let text = said.string else { throw OAuthFlow.Stage.token.wrong("its \"scope\" is no string") }
        let others = Set(text.split(separator: " ").map(String.init)).subtracting(allowed)
        guard others.isEmpty else {
            throw OAuthProblem(
                .scope,
                "the token has the scopes \"\(OAuthProblem.shown(others.sorted().joined(separator: " ")))\" too, which --oauth-scope does not allow; "
                    + "it is not sent: allow them, or have the client registered for less")
        }
    }

    /// Why an authorization server gives none (RFC 6749, section 5.2).
    static func refusal(status: Int, _ body: [UInt8], _ client: OAuthClient) -> OAuthProblem {
        let object = try? JSON(parsing: body, options: OAuthFlow.parsing).object
        guard let error = object?["error"]?.string else { return OAuthFlow.Stage.token.wrong("HTTP \(status) and no \"error\"") }
        let remedy =
            switch error {
            case "invalid_client": "; look at --oauth-client-id and at \(client.proofOptions)"
            case "invalid_scope": "; the client may not have the scopes that the server asks for"
            case "invalid_target": "; it gives no tokens for this resource"
            case "unauthorized_client", "unsupported_grant_type": "; the client is not registered for the grant client_credentials"
            default: ""
            }
        let detail = object?["error_description"]?.string.map { " (\"\(OAuthProblem.shown($0))\")" } ?? ""
        return OAuthProblem(.denied, "\(client.issuer.withoutQuery) gives no token: \(OAuthProblem.shown(error))\(detail)\(remedy)")
    }
}
