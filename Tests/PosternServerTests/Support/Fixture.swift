import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import ManagedAgentsAPI
import NIOCore
import NIOEmbedded
import PosternCore
import PosternJSON
import PosternTestKit

@testable import PosternServer

/// A control plane in memory: real services and engine, a store's twin, a scripted answer for the model.
struct Fixture: Sendable {
    let store: MemoryStore
    let engine: SessionEngine
    let services: ServerServices
    let configuration: PosternServer.ServerConfiguration
    let responder: APIResponder
    let admin: String
    let workspaceID: String

    init(
        provider: any ModelProvider = OneAnswer(), limits: SessionLimits = .init(),
        tunnelDomain: String? = "tunnel.example.com", now: Now = Now(), configure: (inout PosternServer.ServerConfiguration) -> Void = { _ in }
    ) async throws {
        var configuration = PosternServer.ServerConfiguration(port: 0)
        configure(&configuration)
        try await self.init(
            store: MemoryStore(), admin: nil, provider: provider, limits: limits, tunnelDomain: tunnelDomain, sealByte: 7,
            now: now, configuration: configuration)
    }

    /// Another process on what this one has stored.
    /// - Parameter sealByte: 7 for the same seal key.
    func restarted(sealByte: UInt8 = 7) async throws -> Fixture {
        try await Fixture(
            store: store, admin: admin, provider: OneAnswer(), limits: .init(), tunnelDomain: "tunnel.example.com", sealByte: sealByte,
            now: Now(), configuration: configuration)
    }

    private init(
        store: MemoryStore, admin: String?, provider: any ModelProvider, limits: SessionLimits, tunnelDomain: String?, sealByte: UInt8,
        now: Now, configuration: PosternServer.ServerConfiguration
    ) async throws {
        self.store = store
        self.configuration = configuration
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        engine = SessionEngine(store: store, provider: provider, limits: limits, logger: logger)
        let work = WorkService(engine: engine) { Secrets.sha256.mintSessionsToken() }
        let keys = KeyService(store: store, secrets: .sha256, revocations: Revocations()) { await work.endLeases(ofKey: $0) }
        guard let seal = SealKey([UInt8](repeating: sealByte, count: SealKey.size)) else { throw CancellationError() }
        let tunnels = TunnelService(store: store, credentials: SealedTunnelCredentials(key: seal), domain: tunnelDomain, now: now.read)
        services = ServerServices(
            agents: AgentService(store: store), environments: EnvironmentService(store: store), keys: keys, sessions: SessionService(engine: engine),
            work: work, tunnels: tunnels, edges: EdgeService(tunnels: tunnels, keys: keys, work: work),
            models: { () async throws(ModelError) in try await provider.models() }, figures: store)
        let table = makeRouteTable(configuration: configuration, services: services, wheel: StreamWheel(turn: configuration.keepAlive))
        responder = APIResponder(table: table, services: services, configuration: configuration)
        let bootstrap = try await keys.bootstrapAdmin(secret: admin)
        self.admin = bootstrap.secret ?? admin ?? ""
        workspaceID = bootstrap.workspace.id
    }

    /// What tunnels take for the time. A value: a closure would be taken for `configure` where that trails.
    struct Now: Sendable {
        var read: @Sendable () -> Timestamp = { .now() }
    }

    // MARK: Calling

    struct Reply: Sendable {
        var status: Int
        var headers: HTTPFields
        var text: String
        var json: JSON
        var message: String? { json["error"]?["message"]?.string }
        var type: String? { json["error"]?["type"]?.string }
        var id: String { json["id"]?.string ?? "" }
        /// Of a poll's answer.
        var sessionsToken: String {
            let secret = Base64URL.decode(json["secret"]?.string ?? "").flatMap { try? JSON(parsing: $0) }
            return secret?["sessions_token"]?.string ?? ""
        }
    }

    func call(
        _ method: HTTPRequest.Method, _ path: String, key: String? = nil, body: JSON? = nil, raw: String? = nil, headers: HTTPFields = [:]
    ) async throws -> Reply {
        var fields = headers
        if let key = key ?? Optional(admin), !key.isEmpty { fields[.authorization] = "Bearer \(key)" }
        let bytes = raw.map { ByteBuffer(string: $0) } ?? body.map { ByteBuffer(bytes: $0.encoded) } ?? ByteBuffer()
        let response = await respond(method, path, fields, bytes)
        let collector = Collector()
        let streams = response.headers[.contentType]?.hasPrefix("text/event-stream") == true
        if !streams { try await response.body.write(collector) }
        let text = collector.text
        return Reply(status: response.status.code, headers: response.headers, text: text, json: (try? JSON(parsing: text)) ?? .null)
    }

    private func respond(_ method: HTTPRequest.Method, _ path: String, _ fields: HTTPFields, _ body: ByteBuffer) async -> Response {
        let request = Request(
            head: HTTPRequest(method: method, scheme: "http", authority: "localhost", path: path, headerFields: fields),
            body: RequestBody(buffer: body))
        let context = ServerContext(source: .init(channel: NIOAsyncTestingChannel(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }))
        return await responder.respond(to: request, context: context)
    }

    // MARK: Making things

    static let toolset: JSON = [["type": "agent_toolset_20260401"]]

    func agent(_ extra: JSONObject = ["tools": toolset]) async throws -> String {
        var body: JSONObject = ["name": "a", "model": "m"]
        for (key, value) in extra { body[key] = value }
        return try await call(.post, "/v1/agents", body: .object(body)).id
    }

    func environment(_ name: String = "e") async throws -> String {
        try await call(.post, "/v1/environments", body: ["name": .string(name)]).id
    }

    func environmentKey(_ environment: String, expiresAt: Timestamp? = nil) async throws -> (id: String, secret: String) {
        let body: JSON = expiresAt.map { ["expires_at": .string($0.description)] } ?? [:]
        let reply = try await call(.post, "/postern/v1/environments/\(environment)/keys", body: body)
        return (reply.id, reply.json["secret"]?.string ?? "")
    }

    func apiKey(_ role: String) async throws -> (id: String, secret: String) {
        let reply = try await call(.post, "/postern/v1/keys", body: ["name": "k", "role": .string(role)])
        return (reply.id, reply.json["secret"]?.string ?? "")
    }

    func tunnel(key: String? = nil) async throws -> String { try await call(.post, "/v1/tunnels", key: key, body: [:]).id }

    func session(_ agent: String, _ environment: String) async throws -> String {
        try await call(.post, "/v1/sessions", body: ["agent": .string(agent), "environment_id": .string(environment)]).id
    }

    /// A session whose item is polled and acknowledged.
    func leasedSession(keyExpiresAt: Timestamp? = nil) async throws -> Leased {
        let environment = try await environment()
        let session = try await session(try await agent(), environment)
        let key = try await environmentKey(environment, expiresAt: keyExpiresAt)
        let polled = try await call(.get, "/v1/environments/\(environment)/work/poll", key: key.secret)
        _ = try await call(.post, "/v1/environments/\(environment)/work/\(session)/ack", key: key.secret)
        return Leased(
            environment: environment, session: session, key: key.secret, keyID: key.id, token: polled.sessionsToken)
    }

    struct Leased: Sendable {
        var environment: String
        var session: String
        var key: String
        var keyID: String
        var token: String
    }
}

/// Answers every request with one text.
struct OneAnswer: ModelProvider {
    func respond(to request: ModelRequest, preview: @Sendable (ModelPreview) async -> Void) async throws(ModelError) -> ModelResponse {
        await preview(.blockStarted(index: 0, type: "text"))
        await preview(.text(index: 0, "done"))
        return ModelResponse(content: [["type": "text", "text": "done"]], stopReason: "end_turn", usage: ModelUsage(input: 3, output: 1))
    }

    func models() async throws(ModelError) -> [JSONObject] { [["id": "m-1"], ["id": "m-2"], ["id": "m-0", "lifecycle": "retired"]] }
}

/// Never answers.
struct NoAnswer: ModelProvider {
    func respond(to request: ModelRequest, preview: @Sendable (ModelPreview) async -> Void) async throws(ModelError) -> ModelResponse {
        try? await Task.sleep(for: .seconds(3600))
        throw ModelError(.cancelled, "cancelled")
    }

    func models() async throws(ModelError) -> [JSONObject] { throw ModelError(.unavailable, "no connection") }
}

private final class Collector: ResponseBodyWriter {
    private(set) var buffer = ByteBuffer()
    var text: String { String(buffer: buffer) }
    func write(_ buffer: ByteBuffer) async throws { self.buffer.writeImmutableBuffer(buffer) }
    func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
