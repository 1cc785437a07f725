import ManagedAgentsClient
import PosternMCP
import Testing

@Suite struct DeadlineTests {
    private static let start = ContinuousClock.now

    @Test func progressExtendsTheSilenceAndNotTheWhole() {
        var deadline = Deadline(silence: .seconds(10), maximum: .seconds(25), start: Self.start)
        #expect(deadline.end == Self.start + .seconds(10))
        #expect(deadline.expired("m", at: Self.start + .milliseconds(9999)) == nil)
        #expect(deadline.expired("m", at: Self.start + .seconds(10)) == .timedOut(method: "m", seconds: 10, hasProgress: false))
        deadline.progressed(at: Self.start + .seconds(9))
        #expect(deadline.end == Self.start + .seconds(19))
        deadline.progressed(at: Self.start + .seconds(18))
        #expect(deadline.end == Self.start + .seconds(25))
        #expect(deadline.expired("m", at: Self.start + .seconds(24)) == nil)
        #expect(deadline.expired("m", at: Self.start + .seconds(25)) == .timedOut(method: "m", seconds: 25, hasProgress: true))
        // A clock that was read earlier moves nothing back.
        deadline.progressed(at: Self.start)
        #expect(deadline.end == Self.start + .seconds(25))
    }

    @Test func withoutLimitsThereIsNoEnd() {
        let deadline = Deadline(silence: nil, maximum: nil, start: Self.start)
        #expect(deadline.end == nil && deadline.expired("m", at: Self.start + .seconds(1_000_000)) == nil)
    }
}

@Suite struct SessionStateTests {
    private static let server = ServerDescription(revision: .november2025, sessionID: "s")

    @Test func aLostSessionIsOpenedAgainOnce() {
        var state = SessionState()
        let first = state.opened(Self.server)
        #expect(state.failed(.sessionLost, generation: first.generation, isSecondTry: false) == .again && state.open == nil)
        let second = state.opened(Self.server)
        #expect(state.failed(.sessionLost, generation: second.generation, isSecondTry: true) == .fail)
    }

    /// A request that learns late of a session's end does not end the one that came after.
    @Test func aLateFailureLeavesTheNewSessionAlone() {
        var state = SessionState()
        let first = state.opened(Self.server)
        _ = state.failed(.sessionLost, generation: first.generation, isSecondTry: false)
        let second = state.opened(Self.server)
        #expect(state.failed(.sessionLost, generation: first.generation, isSecondTry: false) == .again)
        #expect(state.open == second)
    }

    /// Nothing that may have been carried out is sent again.
    @Test(arguments: [
        MCPError.outcomeUnknown("x"), .timedOut(method: "m", seconds: 1, hasProgress: false), .cancelled, .malformed("x"), .ended("x"),
        .unreachable("x"),
        .status(500, ""), .server(RPCError(code: -32601, message: "m")), .tooLarge("x", limit: 1), .unauthorized(nil, hasToken: false),
    ])
    func otherFailuresAreFinal(error: MCPError) {
        var state = SessionState()
        let open = state.opened(Self.server)
        #expect(state.failed(error, generation: open.generation, isSecondTry: false) == .fail)
    }
}

@Suite struct EraMemoryTests {
    @Test func itIsBoundedAndForgets() {
        let memory = EraMemory(capacity: 2)
        memory.remember(.handshake, of: "a")
        memory.remember(.modern, of: "b")
        memory.remember(.modern, of: "a")
        #expect(memory["a"] == .modern && memory["b"] == .modern)
        memory.remember(.handshake, of: "c")
        #expect(memory["a"] == nil && memory["b"] == .modern && memory["c"] == .handshake)
        memory.forget("b")
        memory.forget("b")
        memory.remember(.modern, of: "d")
        #expect(memory["b"] == nil && memory["c"] == .handshake && memory["d"] == .modern)
    }
}

@Suite struct MCPEndpointTests {
    @Test(arguments: [
        ("https://Docs.example.com/mcp", "https://docs.example.com:443", "/mcp"), ("https://x/mcp/", "https://x:443", "/mcp/"),
        ("https://x", "https://x:443", "/"), ("https://x?a=1", "https://x:443", "/?a=1"),
        ("https://x:8443/a//b?c=/d", "https://x:8443", "/a//b?c=/d"),
        ("http://127.0.0.1:8080/mcp", "http://127.0.0.1:8080", "/mcp"), ("https://[2001:db8::1]:8443/m", "https://[2001:db8::1]:8443", "/m"),
    ])
    func reads(text: String, base: String, target: String) throws {
        let endpoint = try MCPEndpoint(text)
        #expect("\(endpoint.base)" == base && endpoint.target == target)
        #expect(!"\(endpoint)".contains("?"), "a query may hold a secret")
    }

    @Test(arguments: [
        "", "x", "ftp://x/", "https://", "https:///mcp", "https://u:p@x/mcp", "https://x/a b", "https://x/ü", "https://x/#f",
        "http://example.com/mcp",
        "http://127.0.0.1.example.com/", "https://x:0/", "https://x/\r\nX: y",
    ])
    func refuses(text: String) {
        #expect(throws: (any Error).self) { try MCPEndpoint(text) }
    }

    @Test func plainHTTPGoesBeyondLoopbackOnlyWhereItIsAllowed() throws {
        #expect(try MCPEndpoint("http://example.com/mcp", allowsPlainHTTP: true).base.host == "example.com")
    }
}
