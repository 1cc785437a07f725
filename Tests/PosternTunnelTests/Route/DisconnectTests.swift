import NIOCore
import NIOPosix
import PosternConnector
import PosternHTTP
import PosternTunnelLink
import Testing

/// What becomes of a call whose caller goes away, by the revision of MCP that it speaks.
@Suite("Callers that go away", .timeLimit(.minutes(2)))
struct DisconnectTests {
    private static let host = "docs.\(TunnelWorld.domain)"
    private static let accept = "Accept: application/json, text/event-stream\r\n"

    private static func send(_ world: TunnelWorld, _ method: String, _ path: String, _ fields: String) async throws -> TunnelClient {
        var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
        let body = method == "POST" ? "Content-Length: 2\r\n\r\n{}" : "\r\n"
        try await client.send("\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\n\(fields)\(body)")
        try await eventually { world.upstream.now.heads.count == 1 }
        return client
    }

    @Test(
        "up to 2025-11-25 its call goes on to its end, unread",
        arguments: ["MCP-Protocol-Version: 2025-11-25\r\n", "Accept: application/json, text/event-stream\r\n"])
    func older(fields: String) async throws {
        try await TunnelWorld.run { world in
            let client = try await Self.send(world, "POST", "/events", fields)
            client.stream.close()
            await world.log.wait { $0.events.contains { if case .outlived = $0 { true } else { false } } }
            #expect(world.log.refusals.isEmpty)
            world.upstream.go.open()
            await world.log.wait { $0.refusals == ["caller_gone"] }
            #expect(world.log.reasons.last?.contains("was let end") == true)
        }
    }

    @Test("but not for longer than the route lets it")
    func linger() async throws {
        var options = TunnelWorld.Options()
        options.change = { $0.routes["docs"]?.limits.linger = .milliseconds(200) }
        try await TunnelWorld.run(options) { world in
            let client = try await Self.send(world, "POST", "/hold", Self.accept)
            client.stream.close()
            await world.log.wait { $0.events.contains { if case .outlived = $0 { true } else { false } } }
            try await eventually { world.upstream.now.gone == 1 }
            #expect(world.log.refusals == ["caller_gone"])
        }
    }

    @Test(
        "in 2026-07-28 that ends the call, and so it does where no call runs, and where nothing is MCP",
        arguments: [
            ("POST", "MCP-Protocol-Version: 2026-07-28\r\nAccept: application/json, text/event-stream\r\n"),
            ("POST", "Mcp-Method: tools/call\r\nAccept: application/json, text/event-stream\r\n"),
            ("GET", "MCP-Protocol-Version: 2025-11-25\r\nAccept: text/event-stream\r\n"), ("POST", ""),
        ])
    func modern(method: String, fields: String) async throws {
        try await TunnelWorld.run { world in
            let client = try await Self.send(world, method, "/hold", fields)
            client.stream.close()
            try await eventually { world.upstream.now.gone == 1 }
            await world.log.wait { $0.refusals == ["caller_gone"] }
            #expect(!world.log.events.contains { if case .outlived = $0 { true } else { false } })
        }
    }

    /// Who ends only its own side still reads: what the connector has cut off must not look whole to it, nor to whoever is told by an edge that has ended
    /// that side in its name.
    @Test("an answer without a length that is cut because its caller has ended its side does not end as a whole one")
    func truncation() async throws {
        // As the connector's process has it: what goes on after a wait goes on before what was queued meanwhile.
        try await withTaskExecutorPreference(LoopExecutor()) {
            try await TunnelWorld.run { world in
                for count in 1...20 {
                    var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
                    try await client.send("GET /events HTTP/1.1\r\nHost: \(Self.host)\r\n\r\n")
                    var body = BodyReader(.chunked)
                    _ = try await client.head()
                    #expect(try await client.piece(&body) == "data: 1\n\n")
                    await client.stream.closeOutput()
                    await #expect(throws: (any Error).self) { try await client.piece(&body) }
                    client.stream.close()
                    await world.log.wait { $0.refusals == Array(repeating: "caller_gone", count: count) }
                }
                world.upstream.go.open()
            }
        }
    }
}

/// Runs tasks on the event loops, as `postern` does.
private final class LoopExecutor: TaskExecutor {
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        MultiThreadedEventLoopGroup.singleton.any().execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
