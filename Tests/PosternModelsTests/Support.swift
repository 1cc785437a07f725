import AsyncHTTPClient
import Logging
import PosternCore
import PosternJSON
import PosternModels
import PosternScriptedModel
import Synchronization

/// Runs `body` against a scripted model on a port of the system's choice.
func withScriptedModel<Value: Sendable>(_ body: @escaping @Sendable (_ port: Int) async throws -> Value) async throws -> Value {
    let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
    return try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask {
            var logger = Logger(label: "scripted-model")
            logger.logLevel = .critical
            try await ScriptedModelServer(logger: logger).run { port in continuation.yield(port) }
            return nil
        }
        group.addTask {
            for await port in ports { return try await body(port) }
            throw CancellationError()
        }
        defer { group.cancelAll() }
        while let value = try await group.next() {
            if let value { return value }
        }
        throw CancellationError()
    }
}

/// Runs `body` with a provider of the given kind, and shuts its client down.
func withProvider<Value: Sendable>(
    _ kind: ModelProviderConfiguration.Kind = .anthropic, port: Int, apiKey: String? = "sk-test-secret-key", idleTimeout: Duration = .seconds(20),
    thinking: ThinkingPolicy = .automatic, _ body: @Sendable (any ModelProvider) async throws -> Value
) async throws -> Value {
    let configuration = try ModelProviderConfiguration(
        kind: kind, baseURL: "http://127.0.0.1:\(port)", apiKey: apiKey, idleTimeout: idleTimeout, thinking: thinking)
    let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: try configuration.httpClientConfiguration())
    do {
        let value = try await body(configuration.makeProvider(client: client, logger: Logger(label: "provider")))
        try await client.shutdown()
        return value
    } catch {
        try? await client.shutdown()
        throw error
    }
}

/// Collects previews in order.
final class PreviewLog: Sendable {
    private let log = Mutex<[ModelPreview]>([])

    var previews: [ModelPreview] { log.withLock { $0 } }
    func add(_ preview: ModelPreview) { log.withLock { $0.append(preview) } }
}

extension ModelRequest {
    /// A conversation so far, as the engine would send it.
    static func conversation(_ messages: [JSON], maximumTokens: Int = 10_000) -> ModelRequest {
        ModelRequest(
            model: "scripted-model", maximumTokens: maximumTokens,
            system: [["type": "text", "text": "You work in a sandbox."]],
            tools: [
                [
                    "name": "bash", "description": "Runs a command.",
                    "input_schema": ["type": "object", "properties": ["command": ["type": "string"]]],
                ]
            ],
            messages: messages.map(\.encoded))
    }

    static func script(_ text: String, maximumTokens: Int = 10_000) -> ModelRequest {
        .conversation([user(text)], maximumTokens: maximumTokens)
    }
}

func user(_ text: String) -> JSON {
    ["role": "user", "content": [["type": "text", "text": .string(text)]]]
}

/// The message that answers the calls of `response`, each with `text`.
func results(of response: ModelResponse, text: String = "done", isError: Bool = false) -> JSON {
    let blocks: [JSON] = response.content.filter { $0["type"] == "tool_use" }.map { call in
        .object([
            "type": "tool_result", "tool_use_id": call["id"] ?? .null, "is_error": .bool(isError),
            "content": [["type": "text", "text": .string(text)]],
        ])
    }
    return .object(["role": "user", "content": .array(blocks)])
}

func assistant(_ response: ModelResponse) -> JSON {
    .object(["role": "assistant", "content": .array(response.content)])
}

extension ModelResponse {
    var texts: [String] { content.compactMap { $0["type"] == "text" ? $0["text"]?.string : nil } }
    var calls: [JSON] { content.filter { $0["type"] == "tool_use" } }
}

extension ModelProvider {
    func respond(to request: ModelRequest) async throws -> ModelResponse {
        try await respond(to: request) { _ in }
    }

    /// The error that a request ends with; nil when it succeeds.
    func failure(of request: ModelRequest) async -> ModelError? {
        do throws(ModelError) {
            _ = try await respond(to: request, preview: { _ in })
            return nil
        } catch {
            return error
        }
    }
}
