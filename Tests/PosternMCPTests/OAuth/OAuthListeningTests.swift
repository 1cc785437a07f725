import PosternJSON
import Synchronization
import Testing

@testable import PosternMCP

/// Notices are listened to again only where a token may be had a little later.
@Suite(.timeLimit(.minutes(1))) struct OAuthListeningTests {
    @Test(arguments: OAuthProblem.Kind.allCases) func onlyAnOutageMayPass(kind: OAuthProblem.Kind) {
        #expect(MCPError.oauth(OAuthProblem(kind, "no")).mayPass == (kind == .unreachable))
    }

    @Test func aBridgeDoesNotAskAgainForATokenThatWasDenied() async {
        let count = Mutex(0)
        let link = FakeLink { request, hear async throws(MCPError) in
            guard request.method == "subscriptions/listen" else { return Hello.modern }
            let isFirst = count.withLock { count in
                count += 1
                return count == 1
            }
            guard isFirst else { throw .unauthorized(nil, hasToken: true) }
            await hear(.notification(method: "notifications/subscriptions/acknowledged", params: ["notifications": ["toolsListChanged": true]]))
            throw .oauth(OAuthProblem(.denied, "no"))
        }
        let bridge = MCPBridge(to: MCPClient(link, options: .test), name: "docs", pause: .zero)
        do throws(RPCError) {
            try await bridge.listen(to: [.tools], begun: { _ in }) { _, _ in }
            Issue.record("it has ended")
        } catch {
            #expect(error.data?["kind"]?.string == "oauth_denied")
        }
        #expect(count.withLock { $0 } == 1)
    }
}
