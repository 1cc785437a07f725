import Hummingbird
import ManagedAgentsAPI
import ManagedAgentsClient
import PosternJSON
import Synchronization
import Testing

/// The client and the real transport against a real server on a free port.
@Suite struct LiveServerTests {
    private final class Counter: Sendable {
        private let value = Mutex(0)
        func next() -> Int {
            value.withLock { value in
                value += 1
                return value
            }
        }
    }

    private func serving(
        _ router: Router<BasicRequestContext>, _ change: (inout AsyncHTTPTransport.Configuration) -> Void = { _ in },
        _ body: @escaping @Sendable (ManagedAgentsClient) async throws -> Void
    ) async throws {
        let (ports, feed) = AsyncStream.makeStream(of: Int.self)
        let application = Application(
            router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { channel in feed.yield(channel.localAddress?.port ?? 0) })
        let server = Task { try await application.run() }
        defer { server.cancel() }
        var port = 0
        for await value in ports {
            port = value
            break
        }
        var configuration = AsyncHTTPTransport.Configuration(baseURL: try BaseURL("http://127.0.0.1:\(port)"))
        // A connection that is made beside the one in use may come while the server is being cancelled, which Hummingbird does not survive (a
        // writer that nobody has finished).
        configuration.warmConnections = 0
        change(&configuration)
        let transport = try AsyncHTTPTransport(configuration)
        var options = ManagedAgentsClient.Options()
        options.retry = RetryPolicy(baseDelay: .milliseconds(1))
        let client = ManagedAgentsClient(transport: transport, credential: Secret("key-1"), options: options)
        let result: Result<Void, any Error>
        do { result = .success(try await body(client)) } catch { result = .failure(error) }
        await transport.shutdown()
        try result.get()
    }

    private static func json(_ value: JSON, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]) -> Response {
        var headers = headers
        headers[.contentType] = "application/json"
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: value.encoded)))
    }

    @Test func sendsTheContractsHeaders() async throws {
        let router = Router()
        router.post("/v1/agents") { request, _ in
            let body = try await request.body.collect(upTo: 1000)
            return Self.json([
                "authorization": JSON(request.headers[.authorization]), "version": JSON(request.headers[.init("anthropic-version")!]),
                "beta": JSON(request.headers[.init("anthropic-beta")!]), "type": JSON(request.headers[.contentType]),
                "body": .string(String(buffer: body)),
            ])
        }
        router.get("/v1/models") { request, _ in
            Self.json(["data": [["beta": JSON(request.headers[.init("anthropic-beta")!])]], "has_more": false])
        }
        try await serving(router) { client in
            let answer = try await client.createAgent(["name": "a", "title": .null])
            #expect(answer["authorization"] == "Bearer key-1")
            #expect(answer["version"] == "2026-10-21")
            #expect(answer["beta"] == "managed-agents-2026-04-01")
            #expect(answer["type"] == "application/json")
            #expect(answer["body"] == #"{"name":"a","title":null}"#)
            let models = try await client.models()
            #expect(models == [["beta": .null]])
        }
    }

    @Test func retriesAndReportsTheRequestID() async throws {
        let router = Router()
        let counter = Counter()
        router.get("/v1/agents/a") { request, _ in
            let count = counter.next()
            guard count == 3 else { return Self.json(["type": "error"], status: .serviceUnavailable) }
            return Self.json(["try": JSON(request.headers[.init("x-stainless-retry-count")!])])
        }
        router.get("/v1/agents/b") { _, _ in
            Self.json(
                ["type": "error", "error": ["type": "not_found_error", "message": "no such agent"]], status: .notFound,
                headers: [.init("request-id")!: "req_1"])
        }
        try await serving(router) { client in
            let agent = try await client.agent("a")
            #expect(agent["try"] == "2")
            let error = await #expect(throws: ClientError.self) { try await client.agent("b") }
            #expect(error.map { "\($0)" } == "404 not_found_error: no such agent (request req_1)")
        }
    }

    @Test func listsFollowCursorsAlsoPastEmptyPages() async throws {
        let router = Router()
        router.get("/v1/sessions") { request, _ in
            switch request.uri.queryParameters["page"].map(String.init) {
            case nil: Self.json(["data": [1, 2], "next_page": "p2"])
            case "p2": Self.json(["data": [], "next_page": "p3"])
            case "p3": Self.json(["data": [3], "next_page": .null])
            default: Self.json(["data": [9], "next_page": "p2"])
            }
        }
        router.get("/v1/agents") { _, _ in Self.json(["data": [1], "next_page": "same"]) }
        try await serving(router) { client in
            let all = try await client.list("/v1/sessions")
            #expect(all == [1, 2, 3])
            let first = try await client.list("/v1/sessions", limit: 1)
            #expect(first == [1])
            await #expect(throws: ClientError.self) { try await client.list("/v1/agents") }
        }
    }

    @Test func streamsEventsAndTheirErrors() async throws {
        let router = Router()
        router.get("/v1/sessions/s/events/stream") { request, _ in
            let last = request.headers[.init("last-event-id")!] ?? "none"
            return Response(
                status: .ok, headers: [.contentType: "text/event-stream"],
                body: .init { writer in
                    try await writer.write(
                        ByteBuffer(string: ": hi\n\nevent: ping\ndata: {}\n\nid: 8\nevent: a\ndata: {\"type\":\"a\",\"last\":\"\(last)\"}\n\n"))
                    try await writer.write(ByteBuffer(string: "event: error\ndata: {\"error\":{\"message\":\"overloaded\"}}\n\n"))
                    try await writer.finish(nil)
                })
        }
        try await serving(router) { client in
            var events: [StreamedEvent] = []
            let stream = try await client.streamEvents(session: "s", after: "7")
            let error = await #expect(throws: ClientError.self) {
                for try await event in stream { events.append(event) }
            }
            #expect(error == .stream("overloaded"))
            #expect(events.count == 1 && events.first?.cursor == "8" && events.first?.json["last"] == "7")
        }
    }

    @Test func aCancelledStreamEnds() async throws {
        let router = Router()
        let (opened, feed) = AsyncStream.makeStream(of: Void.self)
        router.get("/v1/sessions/s/events/stream") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "text/event-stream"],
                body: .init { writer in
                    try await writer.write(ByteBuffer(string: "event: a\ndata: {\"type\":\"a\"}\n\n"))
                    try await Task.sleep(for: .seconds(60))
                    try await writer.finish(nil)
                })
        }
        try await serving(router) { client in
            let reader = Task {
                for try await _ in try await client.streamEvents(session: "s") { feed.yield() }
            }
            for await _ in opened { break }
            reader.cancel()
            await #expect(throws: ClientError.transport(.cancelled)) { try await reader.value }
        }
    }

    /// No request goes over a connection that was refused, and the next attempt is a new connection.
    @Test func aConnectionThatIsRefusedCarriesNothing() async throws {
        struct Refused: Error {}
        let (requests, connections) = (Counter(), Counter())
        let router = Router()
        router.get("/v1/models") { _, _ in
            _ = requests.next()
            return Self.json(["data": [], "has_more": false])
        }
        try await serving(
            router,
            {
                $0.checkConnection = { channel in
                    guard connections.next() < 3 else { return channel.eventLoop.makeSucceededVoidFuture() }
                    channel.eventLoop.execute { channel.close(promise: nil) }
                    return channel.eventLoop.makeFailedFuture(Refused())
                }
            }
        ) { client in
            _ = try await client.models()
            // Two attempts came to nothing and the third did; a warm connection may have been made beside it.
            #expect(requests.next() == 2 && connections.next() > 3)
        }
    }

    @Test func aRefusedConnectionIsATransportErrorWithoutTheKey() async throws {
        let transport = try AsyncHTTPTransport(.init(baseURL: try BaseURL("http://127.0.0.1:1")))
        var options = ManagedAgentsClient.Options()
        options.retry = .none
        let client = ManagedAgentsClient(transport: transport, credential: Secret("key-1"), options: options)
        let error = await #expect(throws: ClientError.self) { try await client.session("s") }
        #expect(error?.isFatal == false && error.map { "\($0)" }?.contains("key-1") == false)
        await transport.shutdown()
    }

    @Test func polls() async throws {
        let router = Router()
        router.get("/v1/environments/e/work/poll") { request, _ in
            request.headers[.init("postern-poll-seconds")!] == "30"
                ? Self.json(.null, headers: [.init("postern-poll")!: "1"]) : Response(status: .noContent)
        }
        try await serving(router) { client in
            let held = try await client.pollWork(environment: "e", workerID: "w", holdSeconds: 30)
            #expect(held.isHeld && held.item == nil)
            let plain = try await client.pollWork(environment: "e", workerID: "w")
            #expect(!plain.isHeld && plain.item == nil)
        }
    }
}
