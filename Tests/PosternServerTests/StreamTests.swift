import HTTPTypes
import ManagedAgentsAPI
import NIOCore
import PosternCore
import PosternJSON
import PosternTelemetry
import Synchronization
import Testing

@testable import PosternServer

/// Over a real connection.
@Suite struct StreamTests {
    private static func message(_ text: String) -> JSON {
        ["events": [["type": "user.message", "content": [["type": "text", "text": .string(text)]]]]]
    }

    private static func ids(_ text: String) -> [Int] {
        text.split(separator: "\n").compactMap { $0.hasPrefix("id: ") ? Int($0.dropFirst(4).filter(\.isNumber)) : nil }
    }

    @Test(.timeLimit(.minutes(1))) func framesComeLiveAndResumeOnce() async throws {
        let server = try await Fixture()
        let session = try await server.session(try await server.agent(), try await server.environment())
        try await withLiveServer(server) { port in
            let path = "/v1/sessions/\(session)/events/stream"
            let whole = try await RawClient.connect(port) { reader, client in
                try await client.get(path + "?event_deltas[]=agent.message", key: server.admin)
                #expect(try await reader.read(until: ": open\n\n"), "the first bytes come before anything happens")
                #expect(reader.text.lowercased().contains("content-type: text/event-stream") && reader.text.contains("request-id: req_"))
                let sent = try await server.call(.post, "/v1/sessions/\(session)/events", body: Self.message("hi"))
                #expect(sent.status == 200)
                #expect(try await reader.read(until: "event: session.status_idle"))
                _ = try await reader.read(until: "\"end_turn\"")
                return reader.text
            }
            #expect(whole.contains("event: event_start\ndata: "), "previews carry no id")
            #expect(whole.contains("event: agent.message\nid: "))
            let all = Self.ids(whole)
            #expect(all == all.sorted() && Set(all).count == all.count)
            // From every place, exactly the rest comes.
            for seen in [0, all[all.count / 2], all[all.count - 2]] {
                let rest = try await RawClient.connect(port) { reader, client in
                    try await client.get(path, key: server.admin, headers: ["Last-Event-ID: \(seen)"])
                    _ = try await reader.read(until: "id: \(all[all.count - 1])\n")
                    return reader.text
                }
                #expect(Self.ids(rest) == all.filter { $0 > seen })
            }
        }
        let future = try await server.call(.get, "/v1/sessions/\(session)/events/stream", headers: [.lastEventID: "100000"])
        #expect(future.status == 400)
    }

    @Test(.timeLimit(.minutes(1))) func revocationClosesStreamsAndPolls() async throws {
        let server = try await Fixture()
        let leased = try await server.leasedSession()
        try await withLiveServer(server) { port in
            try await withThrowingTaskGroup(of: Void.self) { group in
                let (opened, open) = AsyncStream.makeStream(of: Void.self)
                for secret in [leased.key, leased.token] {
                    group.addTask {
                        try await RawClient.connect(port) { reader, client in
                            try await client.get("/v1/sessions/\(leased.session)/events/stream", key: secret)
                            #expect(try await reader.read(until: ": open"))
                            open.yield()
                            try await reader.readToEnd()
                        }
                    }
                }
                group.addTask {
                    try await RawClient.connect(port) { reader, client in
                        try await client.get(
                            "/v1/environments/\(leased.environment)/work/poll", key: leased.key, headers: ["Postern-Poll-Seconds: 60"])
                        open.yield()
                        #expect(try await reader.read(until: "OAuth access token has been revoked."))
                    }
                }
                var iterator = opened.makeAsyncIterator()
                for _ in 0..<3 { await iterator.next() }
                let start = ContinuousClock.now
                let reply = try await server.call(.delete, "/postern/v1/environments/\(leased.environment)/keys/\(leased.keyID)")
                #expect(reply.status == 200)
                for try await _ in group {}
                #expect(ContinuousClock.now - start < .seconds(1))
            }
            // The lease has gone too: the item is back in the queue for another key.
            let other = try await server.environmentKey(leased.environment)
            let polled = try await server.call(
                .get, "/v1/environments/\(leased.environment)/work/poll", key: other.secret, headers: [.posternPollSeconds: "5"])
            #expect(polled.id == leased.session)
            #expect(try await server.call(.get, "/v1/sessions/\(leased.session)", key: leased.token).status == 401)
        }
    }

    @Test(.timeLimit(.minutes(1))) func expiryClosesStreams() async throws {
        let server = try await Fixture()
        let session = try await server.session(try await server.agent(), try await server.environment())
        let soon = Timestamp.now().advanced(by: .seconds(4))
        let key = try await server.call(
            .post, "/postern/v1/keys", body: ["name": "k", "role": "viewer", "expires_at": .string(soon.description)]
        ).json["secret"]?.string
        try await withLiveServer(server) { port in
            try await RawClient.connect(port) { reader, client in
                try await client.get("/v1/sessions/\(session)/events/stream", key: key ?? "")
                #expect(try await reader.read(until: ": open"))
                try await reader.readToEnd()
                #expect(Timestamp.now() - soon < .seconds(1))
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func deletionAndKeepAliveAndLimits() async throws {
        let server = try await Fixture { configuration in
            configuration.keepAlive = .milliseconds(150)
            configuration.maximumStreamsPerCredential = 1
        }
        let session = try await server.session(try await server.agent(), try await server.environment())
        try await withLiveServer(server) { port in
            try await RawClient.connect(port) { reader, client in
                try await client.get("/v1/sessions/\(session)/events/stream", key: server.admin)
                #expect(try await reader.read(until: ": ping\n\n"), "a quiet stream shows that it is alive")
                let refused = try await RawClient.connect(port) { reader, client in
                    try await client.get("/v1/sessions/\(session)/events/stream", key: server.admin)
                    _ = try await reader.read(until: "}")
                    return reader.text
                }
                #expect(refused.hasPrefix("HTTP/1.1 429") && refused.lowercased().contains("retry-after: 5"))
                #expect(try await server.call(.delete, "/v1/sessions/\(session)").status == 200)
                #expect(try await reader.read(until: "event: session.deleted\ndata: "))
                try await reader.readToEnd()
                #expect(reader.text.hasSuffix("0\r\n\r\n"), "the stream ends properly")
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func aClientThatGoesFreesItsPlace() async throws {
        let server = try await Fixture { $0.maximumStreams = 1 }
        let session = try await server.session(try await server.agent(), try await server.environment())
        try await withLiveServer(server) { port in
            for _ in 0..<3 {
                try await RawClient.connect(port) { reader, client in
                    // The place of the one before is freed as soon as its end is seen; until then the answer is 429.
                    repeat {
                        reader.text = ""
                        try await client.get("/v1/sessions/\(session)/events/stream", key: server.admin)
                        _ = try await reader.read(until: "\r\n\r\n")
                        if reader.text.hasPrefix("HTTP/1.1 429") { _ = try await reader.read(until: "req_") }
                    } while reader.text.hasPrefix("HTTP/1.1 429")
                    #expect(try await reader.read(until: ": open"))
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func aStalledReaderIsCut() async throws {
        let server = try await Fixture { configuration in
            configuration.stallTimeout = .milliseconds(300)
            configuration.maximumEventsPerRequest = 1000
        }
        let session = try await server.session(try await server.agent(), try await server.environment())
        try await withLiveServer(server) { port in
            try await RawClient.connect(port) { reader, client in
                try await client.get("/v1/sessions/\(session)/events/stream", key: server.admin)
                #expect(try await reader.read(until: ": open"))
                // Nothing is read from here on. Once the sockets are full the server waits, then cuts.
                let text = String(repeating: "x", count: 1 << 20)
                while !server.services.metrics.rendered().contains("postern_event_streams 0") {
                    _ = try await server.call(.post, "/v1/sessions/\(session)/events", body: Self.message(text))
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func shutDownEndsStreams() async throws {
        let server = try await Fixture()
        let session = try await server.session(try await server.agent(), try await server.environment())
        let (opened, open) = AsyncStream.makeStream(of: Void.self)
        let reading = Mutex<Task<Void, any Error>?>(nil)
        try await withLiveServer(server) { port in
            // Left open when the server is told to go; `withLiveServer` returns only when the server has ended.
            let task = Task {
                try await RawClient.connect(port) { reader, client in
                    try await client.get("/v1/sessions/\(session)/events/stream", key: server.admin)
                    #expect(try await reader.read(until: ": open"))
                    open.yield()
                    try await reader.readToEnd()
                }
            }
            reading.withLock { $0 = task }
            _ = await opened.first { _ in true }
        }
        try await reading.withLock { $0 }?.value
    }
}
