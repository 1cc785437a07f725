import PosternCore
import PosternJSON
import PosternModels
import Testing

/// The provider against services that break the rules.
@Suite struct BrokenServiceTests {
    private static let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    private static let begin =
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n"
        + "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
    private static let end =
        "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
        + "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":1}}\n\ndata: {\"type\":\"message_stop\"}\n\n"

    private func respond(to answer: String, closes: Bool = true, idleTimeout: Duration = .seconds(20)) async throws -> Result<
        ModelResponse, ModelError
    > {
        let server = try await MisbehavingServer.start(answer: answer, closes: closes)
        let result = try await withProvider(port: server.port, idleTimeout: idleTimeout, thinking: .unset) { provider in
            do throws(ModelError) {
                return Result<ModelResponse, ModelError>.success(try await provider.respond(to: .script("hello"), preview: { _ in }))
            } catch {
                return .failure(error)
            }
        }
        try await server.stop()
        return result
    }

    private static let broken: [String] = [
        "", "no HTTP at all\r\n\r\n", "HTTP/1.1 200 OK\r\n", head, "\(head)data: garbage\n\n", "\(head)\(begin)",
        "\(head)\(begin)data: {\"type\":\"con", "\(head)data: {\"type\":\"content_block_stop\",\"index\":7}\n\n",
        "\(head)<html>Bad gateway</html>\n\n", "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n\(begin)",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\(begin)", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "\(head)\(begin)\(end.dropLast(60))",
    ]

    @Test(arguments: broken)
    func brokenStreamsAreUnavailable(answer: String) async throws {
        guard case .failure(let error) = try await respond(to: answer) else {
            Issue.record("it was taken for an answer")
            return
        }
        #expect(error.kind == .unavailable, "\(error)")
    }

    @Test func aStreamWithoutEndAfterItsLastEventIsWhole() async throws {
        let cut = try await respond(to: "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + Self.begin + Self.end)
        #expect(try cut.get().stopReason == "end_turn")
        let plain = try await respond(to: Self.head + ": comment\r\n" + Self.begin + Self.end)
        #expect(try plain.get().content == [["type": "text", "text": ""]])
    }

    @Test func silenceEndsInTime() async throws {
        for answer in ["", Self.head + Self.begin] {
            guard case .failure(let error) = try await respond(to: answer, closes: false, idleTimeout: .milliseconds(100)) else {
                Issue.record("it was taken for an answer")
                return
            }
            #expect(error.kind == .unavailable && error.message.contains("silent"), "\(error)")
        }
    }

    @Test func redirectsAreNotFollowed() async throws {
        let answer = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
        guard case .failure(let error) = try await respond(to: answer) else {
            Issue.record("it was taken for an answer")
            return
        }
        #expect(error.kind == .requestFailed)
    }

    private static let statusCases: [(Int, String, String, ModelError.Kind)] = [
        (529, "", "", ModelError.Kind.overloaded), (500, "", "<html>", .unavailable), (502, "", "", .unavailable), (418, "", "{}", .requestFailed),
        (429, "x-should-retry: false\r\n", "", .requestFailed), (400, "x-should-retry: true\r\n", "", .unavailable),
        (400, "", #"{"error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"}}"#, .contextTooLong),
        (400, "", #"{"error":{"code":"context_length_exceeded","message":"too much"}}"#, .contextTooLong),
        (413, "", "", .contextTooLong),
        (400, "", #"{"error":{"code":400,"type":"exceed_context_size_error","message":"too much","n_ctx":4096}}"#, .contextTooLong),
        (400, "", #"{"error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}"#, .billing),
        (500, "", #"{"error":{"type":"overloaded_error","message":"busy"}}"#, .overloaded), (408, "", "", .unavailable),
        (429, "", #"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#, .billing),
    ]

    @Test(arguments: statusCases)
    func statuses(status: Int, header: String, body: String, kind: ModelError.Kind) async throws {
        let answer = "HTTP/1.1 \(status) X\r\n\(header)content-length: \(body.utf8.count)\r\n\r\n\(body)"
        guard case .failure(let error) = try await respond(to: answer) else {
            Issue.record("it was taken for an answer")
            return
        }
        #expect(error.kind == kind, "\(error)")
    }

    private static let sizes: [(String, Int?)] = [
        (#"{"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#, 200_000),
        (#"{"error":{"message":"input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease input length"}}"#, 200_000),
        (#"{"message":"This model's maximum context length is 8192 tokens. However, you requested 32010 tokens"}"#, 8_192),
        (#"{"error":{"message":"the request exceeds the available context size (4096 tokens), try increasing it"}}"#, 4_096),
        (#"{"error":{"type":"exceed_context_size_error","message":"too much","n_ctx":16384}}"#, 16_384),
        (#"{"error":{"message":"prompt is too long: 9 tokens > 8 maximum"}}"#, nil), (#"{"error":{"message":"prompt is too long"}}"#, nil),
        (#"{"error":{"message":"This model's maximum context length is 99999999999999999999 tokens"}}"#, nil),
        (#"{"error":{"message":"maximum context length is  tokens > -5"}}"#, nil),
        (#"{"error":{"message":"max_tokens: 32000 > 8192, which is the maximum allowed number of output tokens"}}"#, nil),
    ]

    @Test(arguments: sizes)
    func sizeOfTheContext(body: String, tokens: Int?) async throws {
        guard case .failure(let error) = try await respond(to: "HTTP/1.1 400 X\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)") else {
            Issue.record("it was taken for an answer")
            return
        }
        #expect(error.contextTokens == tokens, "\(error)")
    }

    private static let refusals: [(Int, String, Bool)] = [
        (400, #"{"message":"Could not process image"}"#, true), (422, #"{"message":"messages.0.content.1: Input is not valid"}"#, true),
        (400, #"{"message":"messages: text content blocks must be non-empty"}"#, true), (400, #"{"message":"The PDF was not valid."}"#, true),
        (400, #"{"message":"Invalid value","param":"messages[2].content"}"#, true),
        // Settings are for the operator to mend, and nothing of the conversation goes for them.
        (400, #"{"message":"max_tokens: 32000 > 8192, which is the most"}"#, false), (400, #"{"message":"tools.0.name: too long"}"#, false),
        (400, #"{"message":"Invalid value","param":"tools[0]"}"#, false), (400, "{}", false),
        (404, #"{"message":"messages"}"#, false), (409, #"{"message":"messages"}"#, false), (413, #"{"message":"messages"}"#, false),
        (401, #"{"message":"messages"}"#, false), (429, #"{"message":"messages"}"#, false), (500, #"{"message":"messages"}"#, false),
    ]

    @Test(arguments: refusals)
    func whetherTheContentIsRefused(status: Int, error: String, isRefused: Bool) async throws {
        let body = #"{"error":\#(error)}"#
        let head = "HTTP/1.1 \(status) X\r\nx-should-retry: false\r\ncontent-length: \(body.utf8.count)\r\n\r\n"
        guard case .failure(let error) = try await respond(to: head + body) else {
            Issue.record("it was taken for an answer")
            return
        }
        #expect(error.refusesContent == isRefused, "\(error)")
    }

    private static let waits: [(String, Duration?)] = [
        ("retry-after: 7", Duration.seconds(7)), ("retry-after-ms: 250", .milliseconds(250)),
        ("retry-after: 7\r\nretry-after-ms: 1", .milliseconds(1)),
        ("retry-after: 0.5", .milliseconds(500)), ("retry-after: -3", nil), ("retry-after: soon", nil), ("retry-after: 1e300", .seconds(86_400)),
        ("date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:50:07 GMT", .seconds(30)),
        ("date: Thu, 29 Feb 2024 23:59:59 GMT\r\nretry-after: Fri, 01 Mar 2024 00:00:01 GMT", .seconds(2)),
        ("retry-after: Sun, 06 Nov 1994 08:50:07 GMT", nil),
    ]

    @Test(arguments: waits)
    func retryAfter(header: String, wait: Duration?) async throws {
        guard case .failure(let error) = try await respond(to: "HTTP/1.1 429 X\r\n\(header)\r\ncontent-length: 0\r\n\r\n") else {
            Issue.record("it was taken for an answer")
            return
        }
        #expect(error.kind == .rateLimited)
        #expect(error.retryAfter == wait)
    }

    @Test func aServiceThatRepeatsTheKeyDoesNotLeakIt() async throws {
        let body = #"{"error":{"type":"authentication_error","message":"bad key sk-test-secret-key here"}}"#
        let inStream = Self.head + "data: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"key sk-test-secret-key\"}}\n\n"
        for answer in ["HTTP/1.1 401 X\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)", inStream] {
            guard case .failure(let error) = try await respond(to: answer) else {
                Issue.record("it was taken for an answer")
                return
            }
            #expect(!error.message.contains("secret") && error.message.contains("[key]"))
        }
    }

    @Test(arguments: ["", "\(head)\(begin)"])
    func cancellationClosesTheConnection(answer: String) async throws {
        let server = try await MisbehavingServer.start(answer: answer, closes: false)
        try await withProvider(port: server.port, thinking: .unset) { provider in
            let task = Task { await provider.failure(of: .script("hello")) }
            for await _ in server.requested { break }
            task.cancel()
            #expect(await task.value?.kind == .cancelled)
            for await _ in server.closed { break }
        }
        try await server.stop()
    }
}
