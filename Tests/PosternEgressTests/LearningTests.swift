import NIOCore
import PosternPolicy
import Testing

@testable import PosternEgress

/// A session that learns denies what it denied before, and says more of it.
@Suite("Learning what is denied", .timeLimit(.minutes(1)))
struct LearningTests {
    private func withProxy(_ body: @escaping @Sendable (ProxyFixture, TestServer) async throws -> Void) async throws {
        let authority = try ForwardAuthority("Test roots")
        let server = try await TestServer.start(tls: try authority.server(["allowed.test", "new.test"]))
        var setup = try ProxyFixture.Setup(
            #"""
            [{"id":"read","hosts":["allowed.test:\#(server.port)"],"methods":["GET"]},
             {"id":"no","verdict":"deny","hosts":["denied.test"]}]
            """#)
        setup.roots = try authority.pem
        // A name that is resolved and should not be would lead to the server.
        setup.names = ["allowed.test": ["127.0.0.1"], "new.test": ["127.0.0.1"]]
        try await ProxyFixture.run(setup) { proxy in
            await Self.setLearning(true, proxy)
            try await body(proxy, server)
        }
        await server.stop()
    }

    /// Returns when it is so: orders are followed one after the other, and the last is confirmed.
    private static func setLearning(_ learns: Bool, _ proxy: ProxyFixture) async {
        let isConfirmation = { @Sendable (report: EgressReport) in if case .paused = report { true } else { false } }
        let before = proxy.reports.count(where: isConfirmation)
        proxy.link.send(.learn(session: "sesn_test", learns))
        proxy.link.send(.resume(session: "sesn_test"))
        await proxy.wait { $0.reports.count(where: isConfirmation) > before }
    }

    @Test("the request behind a denied CONNECT is read and refused; nothing reaches the server")
    func readsAndRefuses() async throws {
        try await withProxy { proxy, server in
            let target = "new.test:\(server.port)"
            let answer = try await proxy.https(
                target, name: "new.test", "PUT /a/b?q=1 HTTP/1.1\r\nHost: \(target)\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 403 "))
            let refusal = try #require(proxy.refusals.first)
            #expect(proxy.refusals.count == 1 && refusal.kind == .policy && refusal.rule == nil)
            #expect(refusal.method == "PUT" && refusal.path == "/a/b" && refusal.destination?.description == target)
            #expect(proxy.intents.isEmpty && server.connections == 0)
        }
    }

    @Test("what a rule denies is refused at once, and what one allows goes through")
    func rulesHold() async throws {
        try await withProxy { proxy, server in
            await #expect(throws: ProxyFixture.TunnelRefused.self) { try await proxy.tunnel("denied.test:443") }
            let target = "allowed.test:\(server.port)"
            let answer = try await proxy.https(target, name: "allowed.test", "GET / HTTP/1.1\r\nHost: \(target)\r\nConnection: close\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 200 "))
            #expect(proxy.refusals.map(\.rule) == ["no"] && server.connections == 1)
        }
    }

    @Test("a connection without a request is recorded once, at its end")
    func withoutARequest() async throws {
        try await withProxy { proxy, server in
            let stream = try await proxy.tunnel("new.test:\(server.port)")
            #expect(proxy.refusals.isEmpty)
            stream.close()
            await proxy.wait { !$0.refusals.isEmpty }
            // A client that trusts another authority ends the handshake.
            let other = try ForwardAuthority("Others").pem
            _ = try? await proxy.https("new.test:\(server.port)", name: "new.test", root: other, "GET / HTTP/1.1\r\n\r\n")
            await proxy.wait { $0.refusals.count >= 2 }
            #expect(proxy.refusals.map(\.method) == [nil, nil] && proxy.refusals.allSatisfy { $0.kind == .policy })
            #expect(server.connections == 0)
        }
    }

    @Test("whoever stops learning is as before")
    func ends() async throws {
        try await withProxy { proxy, server in
            await Self.setLearning(false, proxy)
            await #expect(throws: ProxyFixture.TunnelRefused.self) { try await proxy.tunnel("new.test:\(server.port)") }
        }
    }
}
