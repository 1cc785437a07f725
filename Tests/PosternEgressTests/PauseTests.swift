import NIOCore
import NIOEmbedded
import PosternJSON
import PosternPolicy
import Synchronization
import Testing

@testable import PosternEgress

/// A frozen session's traffic stands still, on both sides of the proxy, until it is resumed.
@Suite("Pausing the traffic of a session", .timeLimit(.minutes(1)))
struct PauseTests {
    private func isPaused(_ report: EgressReport) -> Bool { if case .paused("sesn_test", true) = report { true } else { false } }
    private func isResumed(_ report: EgressReport) -> Bool { if case .paused("sesn_test", false) = report { true } else { false } }

    @Test("nothing passes in either direction, new connections wait, and all of it goes on afterwards")
    func pause() async throws {
        let seen = TextLog()
        let streams = StreamLog()
        let (connections, connected) = AsyncStream<Void>.makeStream()
        let server = try await RawServer.start { stream in
            var head = ""
            while !head.contains("\r\n\r\n") { head += String(buffer: try await stream.read() ?? ByteBuffer(string: "\r\n\r\n")) }
            seen.append(head)
            try await stream.write(Array("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".utf8))
            streams.append(stream)
            connected.yield()
            while let bytes = try await stream.read() { seen.append(String(buffer: bytes)) }
        }
        let host = "ws.test:\(server.port)"
        var setup = try ProxyFixture.Setup(#"[{"hosts":["\#(host)"],"upgrades":["websocket"]}]"#)
        setup.names = ["ws.test": ["127.0.0.1"]]
        try await ProxyFixture.run(setup) { proxy in
            func begin() async throws -> ByteStream {
                let stream = try await proxy.connect()
                let fields = "Host: \(host)\r\n\(proxy.authorization)Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
                try await stream.write(Array("GET http://\(host)/ HTTP/1.1\r\n\(fields)".utf8))
                return stream
            }
            let first = try await begin()
            _ = await connections.first { _ in true }
            var answer = ""
            while !answer.hasSuffix("\r\n\r\n") { answer += String(buffer: try #require(try await first.read(within: .seconds(20)))) }

            proxy.link.send(.pause(session: "sesn_test"))
            await proxy.wait { proxy in proxy.reports.contains { isPaused($0) } }
            // Both peers send, and another client comes; both reach the proxy's sockets before it is asked anything else.
            try await first.write(Array("up".utf8))
            try await streams.all[0].write(Array("down".utf8))
            let second = try await begin()
            let down = TextLog()
            let reading = Task {
                let bytes = try await first.read(within: .seconds(20))
                down.append(bytes.map { String(buffer: $0) } ?? "end")
            }
            // Each confirmation comes after a round of the proxy's event loops, which would have seen what the sockets hold.
            for count in 2...20 {
                proxy.link.send(.pause(session: "sesn_test"))
                await proxy.wait { proxy in proxy.reports.count { isPaused($0) } >= count }
            }
            #expect(down.all.isEmpty)
            #expect(seen.all.count == 1 && proxy.intents.count == 1)

            proxy.link.send(.resume(session: "sesn_test"))
            await proxy.wait { proxy in proxy.reports.contains { isResumed($0) } }
            _ = await connections.first { _ in true }
            while !seen.all.contains("up") { try await Task.sleep(for: .milliseconds(2)) }
            try await reading.value
            #expect(down.all == ["down"])
            #expect(proxy.intents.count == 2)
            second.close()
            first.close()
        }
        await server.stop()
    }

    @Test("a paused session can be cut")
    func cut() async throws {
        let server = try await TestServer.start()
        let host = "api.test:\(server.port)"
        var setup = try ProxyFixture.Setup(#"[{"hosts":["\#(host)"]}]"#)
        setup.names = ["api.test": ["127.0.0.1"]]
        try await ProxyFixture.run(setup) { proxy in
            let stream = try await proxy.tunnel(host)
            proxy.link.send(.pause(session: "sesn_test"))
            await proxy.wait { proxy in proxy.reports.contains { isPaused($0) } }
            proxy.link.send(.narrow(session: "sesn_test", NetworkPolicy(), digest: "digest-2"))
            #expect(try await stream.readAll() == "")
            proxy.link.send(.stop(session: "sesn_test"))
        }
        await server.stop()
    }

    @Test("a session whose event loop is busy keeps no other waiting, and is confirmed when that is through")
    func busyLoop() throws {
        // These run what they are asked for when the test says so.
        let loops = [EmbeddedEventLoop(), EmbeddedEventLoop()]
        let gates = [PauseGate(), PauseGate()]
        let channels = loops.flatMap { loop in (0..<3).map { _ in EmbeddedChannel(loop: loop) } }
        defer { for channel in channels { _ = try? channel.finish() } }
        for (index, channel) in channels.enumerated() { try gates[index / 3].attach(to: channel) }
        let confirmed = TextLog()
        gates[0].pause { confirmed.append("busy") }
        gates[1].pause { confirmed.append("idle") }
        #expect(confirmed.all.isEmpty)
        loops[1].run()
        #expect(confirmed.all == ["idle"])
        loops[0].run()
        #expect(confirmed.all == ["idle", "busy"])
        gates[0].resume { confirmed.append("goes on") }
        #expect(confirmed.all.count == 2)
        loops[0].run()
        #expect(confirmed.all.last == "goes on")
    }

    @Test("a session that is not served is confirmed all the same, and the commands survive the wire")
    func wire() throws {
        for command in [EgressCommand.pause(session: "s"), .resume(session: "s")] {
            let body = try JSON(parsing: command.message.body.encoded)
            #expect(try EgressCommand(body, descriptors: []).message.body == body)
        }
        for report in [EgressReport.paused(session: "s", true), .paused(session: "s", false)] {
            #expect(try EgressReport(json: try JSON(parsing: report.json.encoded)) == report)
        }
    }
}

private final class StreamLog: Sendable {
    private let streams = Mutex<[ByteStream]>([])

    var all: [ByteStream] { streams.withLock { $0 } }

    func append(_ stream: ByteStream) { streams.withLock { $0.append(stream) } }
}
