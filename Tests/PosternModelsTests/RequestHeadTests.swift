import AsyncHTTPClient
import Logging
import PosternCore
import PosternModels
import Testing

/// What goes out on the wire, seen from the other end.
@Suite struct RequestHeadTests {
    /// The head of the first request that `configuration`'s provider sends to a server which hangs up.
    private func head(
        _ kind: ModelProviderConfiguration.Kind, path: String = "", speed: String? = nil, throughProxy: Bool = false
    ) async throws -> [String] {
        let server = try await MisbehavingServer.start(answer: "", closes: true)
        let address = "http://127.0.0.1:\(server.port)"
        let configuration = try ModelProviderConfiguration(
            kind: kind, baseURL: throughProxy ? "https://model.example.com" : address + path, apiKey: "sk-test-secret-key",
            proxyURL: throughProxy ? "http://user:pass@127.0.0.1:\(server.port)" : nil, thinking: .unset)
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: try configuration.httpClientConfiguration())
        var request = ModelRequest.script("hello")
        request.speed = speed
        let error = await configuration.makeProvider(client: client, logger: Logger(label: "provider")).failure(of: request)
        try await client.shutdown()
        #expect(error?.kind == .unavailable)
        var first = ""
        for await text in server.requested {
            first = text
            break
        }
        try await server.stop()
        return first.split(separator: "\r\n\r\n").first.map { $0.split(separator: "\r\n").map { $0.lowercased() } } ?? []
    }

    @Test func anthropic() async throws {
        let lines = try await head(.anthropic)
        #expect(lines.first == "post /v1/messages http/1.1")
        for line in ["x-api-key: sk-test-secret-key", "anthropic-version: 2023-06-01", "content-type: application/json"] {
            #expect(lines.contains(line))
        }
        #expect(!lines.contains { $0.hasPrefix("anthropic-beta") || $0.hasPrefix("transfer-encoding") })
        #expect(try await head(.anthropic, path: "/gateway/", speed: "fast").contains("anthropic-beta: fast-mode-2026-02-01"))
        #expect(try await head(.anthropic, path: "/gateway/").first == "post /gateway/v1/messages http/1.1")
    }

    @Test func openAI() async throws {
        let lines = try await head(.openai)
        #expect(lines.first == "post /v1/chat/completions http/1.1")
        #expect(lines.contains("authorization: bearer sk-test-secret-key"))
        #expect(try await head(.openai, path: "/openai/v2").first == "post /openai/v2/chat/completions http/1.1")
    }

    @Test func aProxySeesTheHostAndNoKey() async throws {
        let lines = try await head(.anthropic, throughProxy: true)
        #expect(lines.first == "connect model.example.com:443 http/1.1")
        #expect(lines.contains { $0.hasPrefix("proxy-authorization: basic ") })
        #expect(!lines.contains { $0.contains("secret") })
    }
}
