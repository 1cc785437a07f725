import Foundation
import NIOCore
import NIOPosix
import PosternJSON
import PosternPolicy
import Testing

@testable import PosternEgress

@Suite("Forwards whose bounds become smaller", .timeLimit(.minutes(1)))
struct ForwardNarrowingTests {
    private func connect(_ port: Int) async throws -> ByteStream {
        try await ByteStream.attach(
            to: try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .channelOption(.autoRead, value: false).channelOption(.allowRemoteHalfClosure, value: true)
                .connect(host: "127.0.0.1", port: port).get())
    }

    @Test("a forward that stays by name takes the smaller bound; its connections of before are cut; the bound never grows")
    func bounds() async throws {
        let echo = try await RawServer.start { stream in
            while let bytes = try await stream.read() { try await stream.write(bytes) }
        }
        func forward(_ bound: Int?) throws -> Forward {
            Forward(name: "queue", listenPort: 6_379, target: try Authority("127.0.0.1:\(echo.port)"), kind: .tcp(maximumSent: bound))
        }
        var configuration = EgressConfiguration(
            session: "sesn_1", token: try #require(ProxyToken("abcdefghijklmnop")),
            policy: try NetworkPolicy(json: ["rules": [], "addresses": ["127.0.0.0/8"]]))
        configuration.forwards = [ForwardConfiguration(try forward(nil))]
        let listener = try ForwardSockets.listen()
        let port = try ForwardSockets.port(of: listener)
        try await ForwardWorkerDouble.withProxy(configuration, resolve: { throw UnknownName(name: $0, reason: "not in the test") }) { worker, _ in
            worker.link.send(.listen(session: "sesn_1", .forward("queue"), descriptor: listener))
            let first = try await connect(port)
            try await first.write(Array("hello".utf8))
            #expect(try await first.read(within: .seconds(20)).map { String(buffer: $0) } == "hello")
            // The same bounds cut nothing.
            worker.link.send(.forwards(session: "sesn_1", keep: [try forward(nil)]))
            try await first.write(Array("again".utf8))
            #expect(try await first.read(within: .seconds(20)).map { String(buffer: $0) } == "again")
            worker.link.send(.forwards(session: "sesn_1", keep: [try forward(4)]))
            #expect(try await first.readAll() == "")
            worker.link.send(.forwards(session: "sesn_1", keep: [try forward(100)]))
            let second = try await connect(port)
            try await second.write(Array("123456".utf8))
            #expect(try await second.readAll().count <= 4)
            var bound = false
            for await report in worker.news {
                if case .forward(_, _, let one) = report, case .ended(let outcome) = one.event, case .bound(let text) = outcome.end {
                    bound = text.contains("max_sent of 4 bytes")
                    break
                }
            }
            #expect(bound)
        }
        await echo.stop()
    }

    @Test("a forward of the same name that leads elsewhere is none of the session's")
    func elsewhere() throws {
        let one = Forward(name: "f", listenPort: 5, target: try Authority("h:1"), kind: .tcp(maximumSent: nil))
        let other = Forward(name: "f", listenPort: 5, target: try Authority("evil:1"), kind: .tcp(maximumSent: nil))
        let audit = ForwardTestAudit()
        let narrowing = try NarrowingForward(one) { TCPForward($0, dial: { _ in throw ChannelError.eof }, audit: audit) }
        #expect(narrowing.narrow(to: one))
        #expect(!narrowing.narrow(to: other))
        // It does not come back.
        #expect(!narrowing.narrow(to: one))
    }
}
