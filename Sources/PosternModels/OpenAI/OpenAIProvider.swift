import AsyncHTTPClient
import Logging
import ManagedAgentsAPI
import NIOCore
import NIOHTTP1
import PosternCore
import PosternJSON

/// OpenAI's Chat Completions, or a server compatible with it (vLLM, llama.cpp, Ollama, …). Thinking, cache breakpoints, effort and speed
/// have no form there that all of them accept, so they are left out.
package struct OpenAIProvider: ModelProvider {
    private let baseURL: ModelBaseURL
    private let key: ModelKey?
    private let http: ModelHTTP

    /// - Parameter client: made with ``ModelProviderConfiguration/httpClientConfiguration()``; shut down by its owner.
    package init(configuration: ModelProviderConfiguration, client: HTTPClient, logger: Logger) {
        baseURL = configuration.baseURL
        key = configuration.apiKey
        http = ModelHTTP(client: client, key: configuration.apiKey)
    }

    package func respond(
        to request: ModelRequest, preview: @Sendable (ModelPreview) async -> Void
    ) async throws(ModelError) -> ModelResponse {
        // Where data may be worked on is a promise: it is kept or the request is not made.
        if let geo = request.inferenceGeo {
            throw ModelError(
                .requestFailed,
                "model.inference_geo is \"\(geo)\", which OpenAI Chat Completions cannot be asked for; leave it out of the agent's model")
        }
        var call = self.call("/chat/completions", method: .POST)
        call.headers.add(name: "content-type", value: "application/json")
        call.headers.add(name: "accept", value: "text/event-stream")
        // OpenAI's newer models know only the new name, most compatible servers only the old one.
        let limit = baseURL.host == "api.openai.com" ? "max_completion_tokens" : "max_tokens"
        call.body = .bytes(ByteBuffer(bytes: try OpenAIRequestBody.make(request, limitKey: limit)))
        let response = try await http.send(call)
        var assembler = OpenAIStreamAssembler()
        do throws(ModelError) {
            try await http.events(of: response) { (event) throws(ModelError) in
                for piece in try assembler.receive(event) { await preview(piece) }
            }
        } catch {
            guard assembler.isComplete, error.kind == .unavailable else { throw error }
        }
        return try assembler.response()
    }

    /// The API's own list names no sizes; those of vLLM, Groq, OpenRouter, Mistral and others do, each by a name of its own.
    package func limits(of model: String) async throws(ModelError) -> ModelLimits {
        let page: JSONObject
        do throws(ModelError) {
            page = try await http.document(call("/models", method: .GET))
        } catch {
            guard error.kind == .requestFailed else { throw error }
            return ModelLimits()
        }
        guard let entry = page["data"]?.array?.first(where: { $0["id"]?.string == model })?.object else { return ModelLimits() }
        return ModelLimits(
            listed: entry, context: ["max_model_len", "context_window", "context_length", "max_context_length"], output: ["max_completion_tokens"])
    }

    package func models() async throws(ModelError) -> [JSONObject] {
        let page = try await http.document(call("/models", method: .GET))
        guard let data = page["data"]?.array else { throw ModelError(.unavailable, "the model service sent a list of models without data") }
        return data.compactMap { model in
            guard let id = model["id"]?.string else { return nil }
            return [
                "type": "model", "id": .string(id), "display_name": .string(id),
                "created_at": .string(Self.created(model["created"]?.int ?? 0)), "lifecycle": "active",
                "deprecated_at": .null, "retires_at": .null, "line": .null, "capabilities": .null, "max_input_tokens": .null, "max_tokens": .null,
            ]
        }
    }

    /// `2026-01-01T00:00:00Z`, as the reference lists models; what lies outside of the years 1970 to 9999 is moved to their edge.
    private static func created(_ seconds: Int) -> String {
        let time = Timestamp(microseconds: Int64(min(max(seconds, 0), 253_402_300_799)) * 1_000_000)
        return time.description.prefix(19) + "Z"
    }

    private func call(_ path: String, method: HTTPMethod) -> HTTPClientRequest {
        // A bare host is taken as the usual layout; a path is the user's own choice.
        var call = HTTPClientRequest(url: baseURL.appending((baseURL.path.isEmpty ? "/v1" : "") + path))
        call.method = method
        call.headers.add(name: "user-agent", value: "postern")
        if let key { call.headers.add(name: "authorization", value: "Bearer " + key.headerValue) }
        return call
    }
}
