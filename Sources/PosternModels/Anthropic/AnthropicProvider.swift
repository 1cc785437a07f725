import AsyncHTTPClient
import Logging
import NIOCore
import NIOHTTP1
import PosternCore
import PosternJSON

/// The Anthropic Messages API, or a service that speaks it.
package struct AnthropicProvider: ModelProvider {
    private static let apiVersion = "2023-06-01"
    private static let fastModeBeta = "fast-mode-2026-02-01"
    /// Pages of models that are read at most, of a thousand each.
    private static let maximumPages = 20

    private let baseURL: ModelBaseURL
    private let key: ModelKey?
    private let thinking: ThinkingPolicy
    private let http: ModelHTTP
    private let logger: Logger
    private let known = ModelMemo<ModelCapabilities>()
    private let takesSystemMessages = ModelMemo<Bool>()

    /// - Parameter client: made with ``ModelProviderConfiguration/httpClientConfiguration()``; shut down by its owner.
    package init(configuration: ModelProviderConfiguration, client: HTTPClient, logger: Logger) {
        baseURL = configuration.baseURL
        key = configuration.apiKey
        thinking = configuration.thinking
        http = ModelHTTP(client: client, key: configuration.apiKey)
        self.logger = logger
    }

    package func respond(
        to request: ModelRequest, preview: @Sendable (ModelPreview) async -> Void
    ) async throws(ModelError) -> ModelResponse {
        let capabilities = try await capabilities(of: request.model)
        let thinks = thinking == .adaptive || (thinking == .automatic && capabilities.thinksAdaptively)
        var call = self.call("/v1/messages", method: .POST)
        call.headers.add(name: "content-type", value: "application/json")
        call.headers.add(name: "accept", value: "text/event-stream")
        if let speed = request.speed, speed != "standard" { call.headers.add(name: "anthropic-beta", value: Self.fastModeBeta) }
        call.body = .bytes(AnthropicRequestBody.make(request, thinks: thinks, acceptsEffort: capabilities.acceptsEffort))
        let response = try await http.send(call)

        var assembler = AnthropicStreamAssembler()
        do throws(ModelError) {
            try await http.events(of: response) { (event) throws(ModelError) in
                for piece in try assembler.receive(event) { await preview(piece) }
            }
        } catch {
            // The answer was whole before the connection failed.
            guard assembler.isComplete, error.kind == .unavailable else { throw error }
        }
        return try assembler.response()
    }

    package func models() async throws(ModelError) -> [JSONObject] {
        var models: [JSONObject] = []
        var after: String?
        for _ in 0..<Self.maximumPages {
            let query = after.map { "&after_id=" + Self.encoded($0) } ?? ""
            let page = try await http.document(call("/v1/models?limit=1000" + query, method: .GET))
            guard let data = page["data"]?.array else { throw ModelError(.unavailable, "the model service sent a list of models without data") }
            models += data.compactMap(\.object)
            guard page["has_more"]?.bool == true, let last = page["last_id"]?.string, last != after else { break }
            after = last
        }
        return models
    }

    package func limits(of model: String) async throws(ModelError) -> ModelLimits {
        if let known = await known.value(of: model) { return known.limits }
        do throws(ModelError) {
            return try await look(up: model).limits
        } catch {
            // A service without such a route, or without this model in it.
            guard error.kind == .requestFailed else { throw error }
            return ModelLimits()
        }
    }

    /// No list says it, so the service is asked to count the tokens of such a conversation: that costs nothing, and a model without support refuses it.
    package func acceptsSystemMessages(_ model: String) async throws(ModelError) -> Bool {
        if let known = await takesSystemMessages.value(of: model) { return known }
        var call = self.call("/v1/messages/count_tokens", method: .POST)
        call.headers.add(name: "content-type", value: "application/json")
        let question: JSON = ["role": "user", "content": "?"]
        let body: JSON = ["model": .string(model), "messages": [question, ["role": "system", "content": "Be brief."]]]
        call.body = .bytes(ByteBuffer(bytes: body.encoded))
        let accepts: Bool
        do throws(ModelError) {
            _ = try await http.document(call)
            accepts = true
        } catch {
            // Any other refusal, such as of a service that does not count, says nothing about it.
            guard error.kind == .requestFailed else { throw error }
            accepts = !(error.refusesContent && ["role", "system"].contains { error.message.contains($0) })
        }
        await takesSystemMessages.remember(accepts, of: model)
        return accepts
    }

    private func look(up model: String) async throws(ModelError) -> ModelCapabilities {
        let capabilities = ModelCapabilities(try await http.document(call("/v1/models/" + Self.encoded(model), method: .GET)))
        await known.remember(capabilities, of: model)
        return capabilities
    }

    /// Asks once per model. A service that has no such route, or not this model, leaves everything as the request says.
    private func capabilities(of model: String) async throws(ModelError) -> ModelCapabilities {
        guard thinking == .automatic else { return .unknown }
        if let capabilities = await known.value(of: model) { return capabilities }
        do throws(ModelError) {
            return try await look(up: model)
        } catch {
            switch error.kind {
            case .cancelled: throw error
            case .requestFailed: await known.remember(.unknown, of: model)
            default: logger.debug("model capabilities unknown", metadata: ["model": "\(model)", "reason": "\(error.kind.rawValue)"])
            }
            return .unknown
        }
    }

    private func call(_ path: String, method: HTTPMethod) -> HTTPClientRequest {
        var call = HTTPClientRequest(url: baseURL.appending(path))
        call.method = method
        call.headers.add(name: "anthropic-version", value: Self.apiVersion)
        call.headers.add(name: "user-agent", value: "postern")
        if let key { call.headers.add(name: "x-api-key", value: key.headerValue) }
        return call
    }

    /// Percent-encodes everything but unreserved characters (RFC 3986, section 2.3).
    static func encoded(_ text: String) -> String {
        var output = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                output.unicodeScalars.append(Unicode.Scalar(byte))
            default: output += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return output
    }
}
