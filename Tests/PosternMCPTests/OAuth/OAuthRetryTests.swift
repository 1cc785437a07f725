import PosternMCP
import Testing

/// Which refusals are followed, and how often.
@Suite struct OAuthRetryTests {
    private static let more = BearerChallenge(error: "insufficient_scope", scope: "a")

    @Test func aTokenIsGotOnceAndRenewedOnce() {
        var retry = OAuthRetry()
        #expect(retry.refused(status: 401, nil, isConnectors: false, hasToken: false) == .token)
        #expect(retry.refused(status: 401, BearerChallenge(error: "invalid_token"), isConnectors: false, hasToken: true) == .token)
        #expect(retry.refused(status: 401, BearerChallenge(error: "invalid_token"), isConnectors: false, hasToken: true) == nil)
        #expect(retry.refused(status: 401, nil, isConnectors: false, hasToken: false) == nil)
    }

    @Test func moreScopesAreAskedForTwice() {
        var retry = OAuthRetry()
        #expect(retry.refused(status: 403, Self.more, isConnectors: false, hasToken: true) == .scopes)
        #expect(retry.refused(status: 403, Self.more, isConnectors: false, hasToken: true) == .scopes)
        #expect(retry.refused(status: 403, Self.more, isConnectors: false, hasToken: true) == nil)
    }

    @Test func aServerThatAlternatesComesToAnEnd() {
        var retry = OAuthRetry()
        var tries = 0
        while retry.refused(status: tries % 2 == 0 ? 401 : 403, Self.more, isConnectors: false, hasToken: tries > 0) != nil { tries += 1 }
        #expect(tries <= 4)
    }

    @Test(arguments: [200, 202, 301, 307, 400, 404, 405, 429, 500, 502, 503])
    func nothingElseIsSentAgain(status: Int) {
        var retry = OAuthRetry()
        #expect(retry.refused(status: status, Self.more, isConnectors: false, hasToken: true) == nil)
        #expect(retry.refused(status: status, Self.more, isConnectors: false, hasToken: false) == nil)
    }

    @Test func noOtherRefusalIsAskingForATokenOrScopes() {
        var retry = OAuthRetry()
        #expect(retry.refused(status: 403, nil, isConnectors: false, hasToken: true) == nil)
        #expect(retry.refused(status: 403, BearerChallenge(error: "invalid_token", scope: "a"), isConnectors: false, hasToken: true) == nil)
        #expect(retry.refused(status: 401, nil, isConnectors: true, hasToken: false) == nil, "a connector that names no way to a token")
        #expect(retry.refused(status: 401, BearerChallenge(), isConnectors: true, hasToken: false) == .token)
    }
}
