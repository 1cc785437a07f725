import Hummingbird
import Logging
import PosternCore
import PosternJSON
import PosternModels
import Synchronization
import Testing

/// What the provider asks of a model depends on what the service says that the model can do.
@Suite struct ModelCapabilitiesTests {
    /// Answers `GET /v1/models/{id}` with `model`, or 404, and every other request with 400; keeps what was asked.
    private final class Service: Sendable {
        private let seen = Mutex<(lookups: Int, bodies: [JSON])>((0, []))
        let model: JSON?

        init(model: JSON?) { self.model = model }

        var lookups: Int { seen.withLock { $0.lookups } }
        var bodies: [JSON] { seen.withLock { $0.bodies } }

        func answer(_ request: Request) async throws -> Response {
            guard request.method == .get else {
                let body = try await request.body.collect(upTo: 1 << 20)
                let value = try JSON(parsing: body.readableBytesView)
                seen.withLock { $0.bodies.append(value) }
                return Response(status: .badRequest)
            }
            seen.withLock { $0.lookups += 1 }
            guard let model else { return Response(status: .notFound) }
            return Response(status: .ok, body: .init(byteBuffer: .init(bytes: model.encoded)))
        }
    }

    /// Sends two requests with effort to a service that knows its model so.
    private func ask(model: JSON?, thinking: ThinkingPolicy = .automatic) async throws -> Service {
        let service = Service(model: model)
        let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
        let router = Router()
        router.get("/v1/models/:id") { request, _ in try await service.answer(request) }
        router.post("/v1/messages") { request, _ in try await service.answer(request) }
        var logger = Logger(label: "service")
        logger.logLevel = .critical
        let application = Application(
            router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { continuation.yield($0.localAddress?.port ?? 0) }, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.run() }
            for await port in ports {
                try await withProvider(port: port, thinking: thinking) { provider in
                    var request = ModelRequest.script("hello")
                    request.effort = "high"
                    for _ in 0..<2 { #expect(await provider.failure(of: request)?.kind == .requestFailed) }
                }
                break
            }
            group.cancelAll()
            while (try? await group.next()) != nil {}
        }
        return service
    }

    @Test func aModelThatThinks() async throws {
        let able: JSON = ["id": "m", "capabilities": ["effort": ["supported": true], "thinking": ["types": ["adaptive": ["supported": true]]]]]
        let service = try await ask(model: able)
        #expect(service.lookups == 1)
        #expect(service.bodies.map { $0["thinking"] } == [["type": "adaptive"], ["type": "adaptive"]])
        #expect(service.bodies[0]["output_config"] == ["effort": "high"])
    }

    @Test func aModelThatDoesNot() async throws {
        let unable: JSON = ["id": "m", "capabilities": ["effort": ["supported": false], "thinking": ["types": ["adaptive": ["supported": false]]]]]
        let service = try await ask(model: unable)
        #expect(service.bodies.count == 2 && service.bodies.allSatisfy { $0["thinking"] == nil && $0["output_config"] == nil })
    }

    @Test(arguments: [nil, ["id": "m"], ["id": "m", "capabilities": .null]] as [JSON?]) func anUnknownModel(model: JSON?) async throws {
        let service = try await ask(model: model)
        #expect(service.lookups == 1)
        #expect(service.bodies.allSatisfy { $0["thinking"] == nil && $0["output_config"] == ["effort": "high"] })
    }

    @Test func aPolicyAsksNothing() async throws {
        let adaptive = try await ask(model: nil, thinking: .adaptive)
        #expect(adaptive.lookups == 0 && adaptive.bodies.allSatisfy { $0["thinking"] == ["type": "adaptive"] })
        let unset = try await ask(model: nil, thinking: .unset)
        #expect(unset.lookups == 0 && unset.bodies.allSatisfy { $0["thinking"] == nil })
    }
}
