import AsyncHTTPClient
import Logging
import NIOCore
import NIOSSL
import PosternCore
import PosternModels
import SwiftASN1
import Testing
import X509

/// The provider against a real TLS server whose certificate a private authority has signed.
@Suite struct PrivateAuthorityTests {
    private static let answer =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
        + "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n"
        + "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"over TLS\"}}\n\n"
        + "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
        + "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":1}}\n\ndata: {\"type\":\"message_stop\"}\n\n"

    private static let address = GeneralName.ipAddress(ASN1OctetString(contentBytes: [127, 0, 0, 1]))

    /// The outcome of one request to `https://127.0.0.1`, and how many requests the server has seen.
    private func outcome(server tls: NIOSSLContext, caFile: String?) async throws -> (result: Result<ModelResponse, ModelError>, requests: [String]) {
        let server = try await MisbehavingServer.start(answer: Self.answer, closes: true, tls: tls)
        let configuration = try ModelProviderConfiguration(
            kind: .anthropic, baseURL: "https://127.0.0.1:\(server.port)", apiKey: "sk-test-secret-key", caFile: caFile, idleTimeout: .seconds(20),
            thinking: .unset)
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: try configuration.httpClientConfiguration())
        let provider = configuration.makeProvider(client: client, logger: Logger(label: "provider"))
        let result: Result<ModelResponse, ModelError>
        do throws(ModelError) {
            result = .success(try await provider.respond(to: .script("hello"), preview: { _ in }))
        } catch {
            result = .failure(error)
        }
        try await client.shutdown()
        try await server.stop()
        var requests: [String] = []
        for await request in server.requested { requests.append(request) }
        return (result, requests)
    }

    private func refusal(server tls: NIOSSLContext, caFile: String?) async throws {
        let (result, requests) = try await outcome(server: tls, caFile: caFile)
        guard case .failure(let error) = result else {
            Issue.record("the server was trusted")
            return
        }
        #expect(error.kind == .unavailable && error.message.contains("certificate") && error.message.contains("model.ca_file"), "\(error)")
        #expect(requests.isEmpty, "a request, and with it the key, reached a server that is not trusted")
    }

    @Test func aServiceOfAPrivateAuthorityAnswers() async throws {
        let authority = try PrivateAuthority("private")
        try await PrivateAuthority.withFile(authority.pem) { path in
            let (result, requests) = try await outcome(server: authority.server(for: Self.address), caFile: path)
            #expect(try result.get().texts == ["over TLS"])
            #expect(requests.count == 1 && requests[0].contains("sk-test-secret-key"))
        }
    }

    @Test func aFileMayHoldSeveralAuthorities() async throws {
        let (first, second) = (try PrivateAuthority("first"), try PrivateAuthority("second"))
        try await PrivateAuthority.withFile("# two of ours\n" + first.pem + "\n" + second.pem) { path in
            for authority in [first, second] {
                let (result, _) = try await outcome(server: authority.server(for: Self.address), caFile: path)
                #expect(try result.get().texts == ["over TLS"])
            }
        }
    }

    @Test func withoutTheFileTheServiceIsNotTrusted() async throws {
        try await refusal(server: PrivateAuthority("private").server(for: Self.address), caFile: nil)
    }

    @Test func anotherAuthorityOfTheSameNameIsNotTrusted() async throws {
        try await PrivateAuthority.withFile(PrivateAuthority("private").pem) { path in
            try await refusal(server: PrivateAuthority("private").server(for: Self.address), caFile: path)
        }
    }

    @Test func theAuthorityDoesNotReplaceTheCheckOfTheName() async throws {
        let authority = try PrivateAuthority("private")
        try await PrivateAuthority.withFile(authority.pem) { path in
            try await refusal(server: authority.server(for: .dnsName("models.example.org")), caFile: path)
            try await refusal(server: authority.server(for: .ipAddress(ASN1OctetString(contentBytes: [127, 0, 0, 2]))), caFile: path)
        }
    }

    @Test(arguments: ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
    func aFileWithoutACertificateIsRefused(text: String) async throws {
        try await PrivateAuthority.withFile(text) { path in
            let configuration = try ModelProviderConfiguration(kind: .anthropic, caFile: path)
            let error = #expect(throws: ModelConfigurationError.self) { try configuration.httpClientConfiguration() }
            #expect(error?.message.contains(path) == true)
        }
    }
}
