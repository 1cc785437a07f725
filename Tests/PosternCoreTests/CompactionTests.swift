import ManagedAgentsAPI
import PosternJSON
import PosternTestKit
import Testing

@testable import PosternCore

/// What becomes of conversations that come near the model's context, or pass it.
@Suite("Compaction") struct CompactionTests {
    private typealias H = MachineHarness

    private static func image(bytes: Int) -> JSON {
        ["type": "image", "source": ["type": "base64", "media_type": "image/png", "data": .string(String(repeating: "A", count: bytes / 3 * 4))]]
    }

    private func limits(context: Int) -> SessionLimits {
        var limits = SessionLimits()
        limits.contextTokens = context
        return limits
    }

    @Test("An image of a megabyte is answered before anything is summarised") func largeImage() throws {
        var h = H()
        _ = try h.send(H.message("hello"))
        try h.answer([H.text("hello")], usage: ModelUsage(input: 3_000, output: 10))
        #expect(try h.send(.message(content: [Self.image(bytes: 1_000_000)])).last == "span.model_request_start")
        #expect(!h.machine.state.isCompacting && h.requestMessages.count == 3)
        try h.answer([H.use("read", "t1")], stop: "tool_use", usage: ModelUsage(input: 4_600, output: 10))
        _ = try h.send(.toolResult(toolUseID: h.machine.state.calls[0].eventID, content: [Self.image(bytes: 3_000_000)], isError: false))
        #expect(!h.machine.state.isCompacting && h.requestMessages.count == 5)
    }

    @Test("What has been counted is not guessed again") func countedOnce() throws {
        var h = H(limits: limits(context: 1_000))
        _ = try h.send(H.message(String(repeating: "word ", count: 1_000)))
        // By bytes it would be 1,250 tokens; the model says 300.
        try h.answer([H.text("hello")], usage: ModelUsage(input: 300, output: 5))
        _ = try h.send(H.message("more"))
        #expect(!h.machine.state.isCompacting)
        try h.answer([H.text("hello")], usage: ModelUsage(input: 310, output: 5))
        _ = try h.send(H.message(String(repeating: "word ", count: 600)))
        #expect(h.machine.state.isCompacting, "what was appended since is guessed")
    }

    private static let blocks: [(JSON, Int)] = [
        (["type": "text", "text": "12345678"], 2), (image(bytes: 3_000_000), 1_600),
        (["type": "image", "source": ["type": "url", "url": "https://x.example/y.png"]], 1_600),
        (["type": "document", "source": ["type": "base64", "media_type": "application/pdf", "data": "JVBERi0="]], 1_500),
        (["type": "document", "source": ["type": "base64", "data": .string(String(repeating: "A", count: 400_000))]], 4_500),
        (["type": "document", "source": ["type": "base64", "data": .string(String(repeating: "A", count: 28_000_000))]], 150_000),
        (["type": "document", "source": ["type": "text", "data": "1234"]], 1),
        (["type": "tool_result", "content": [["type": "text", "text": "1234"], image(bytes: 300)]], 1_601),
    ]

    @Test("Images and documents are counted by kind", arguments: blocks) func estimate(block: JSON, tokens: Int) {
        #expect(TokenEstimate.content([block]) == tokens)
    }

    private static let known: [(ModelLimits, ModelLimits, Int?)] = [
        (ModelLimits(), ModelLimits(), nil), (ModelLimits(contextTokens: 1_000_000, outputTokens: 128_000), ModelLimits(), 32_000),
        (ModelLimits(contextTokens: 1_000_000, outputTokens: 128_000), ModelLimits(outputTokens: 64_000), 64_000),
        (ModelLimits(contextTokens: 1_000_000, outputTokens: 8_192), ModelLimits(outputTokens: 64_000), 8_192),
        (ModelLimits(contextTokens: 8_000, outputTokens: 64_000), ModelLimits(), 2_000),
        (ModelLimits(contextTokens: 8_000), ModelLimits(contextTokens: 4_000, outputTokens: 1_500), 1_000),
        (ModelLimits(contextTokens: 8_000), ModelLimits(), nil),
    ]

    @Test("The provider's list, the settings and the default bound an answer and the context", arguments: known) func bounds(
        model: ModelLimits, settings: ModelLimits, tokens: Int?
    ) throws {
        var limits = SessionLimits()
        limits.model = settings
        var h = H(limits: limits)
        h.machine.model = model
        _ = try h.send(H.message("hello"))
        #expect(h.request?.maximumTokens == tokens)
    }

    @Test("A conversation that was refused as too long is summarised from less and less of its text") func refused() throws {
        var h = H(limits: limits(context: 8_000))
        _ = try h.send(H.message("The task: count the ships."))
        try h.answer([H.use("bash", "t1", ["command": "ls"])], stop: "tool_use", usage: ModelUsage(input: 500, output: 5))
        let output = String(repeating: "ship\n", count: 20_000)
        _ = try h.send(.toolResult(toolUseID: h.machine.state.calls[0].eventID, content: [H.text(output), Self.image(bytes: 300)], isError: false))
        var sizes: [Int] = []
        for _ in 0..<3 {
            #expect(h.machine.state.isCompacting)
            let messages = h.requestMessages
            #expect(messages.count == 2 && messages.allSatisfy { $0["role"] == "user" } && h.request?.tools.isEmpty == true)
            let text = try #require(messages[0]["content"]?.array?[0]["text"]?.string)
            #expect(
                text.hasPrefix("User: The task: count the ships.\nCall of bash: ") && text.contains("bytes left out") && text.contains("an image"))
            #expect(text.utf8.count < 8_000 * 4)
            sizes.append(text.utf8.count)
            let types = try h.fail(ModelError(.contextTooLong, "long"))
            #expect(types == ["span.model_request_end", "[postern.compaction_start]", "span.model_request_start"])
            #expect(try h.refolded() == h.machine.state)
        }
        #expect(zip(sizes, sizes.dropFirst()).allSatisfy { $1 < $0 })
        try h.answer([H.text("Many ships.")])
        #expect(h.requestMessages.count == 1 && h.request?.tools.isEmpty == false)
        #expect(try h.answer([H.text("20,000")]).last == "session.status_idle")
    }

    @Test("Length ends no session: the turn is given up, and the next one goes on") func neverTerminated() throws {
        var h = H()
        _ = try h.send(H.message(String(repeating: "x", count: 4_000_000)))
        var requests = 1
        while h.machine.state.status == .running {
            requests += 1
            try #require(requests < 20)
            _ = try h.fail(ModelError(.contextTooLong, "long"))
        }
        #expect(h.machine.state.status == .idle && requests > 5)
        #expect(h.last("session.error")?["error"]?["type"] == "compaction_limit_reached_error")
        #expect(h.last("session.error")?["error"]?["retry_status"]?["type"] == "exhausted")
        #expect(h.last("session.status_idle")?["stop_reason"]?["type"] == "retries_exhausted")
        #expect(try h.refolded() == h.machine.state)

        // Somebody has mended the service.
        _ = try h.send(H.message("again"))
        _ = try h.fail(ModelError(.contextTooLong, "long"))
        try h.answer([H.text("A long x.")])
        #expect(h.requestMessages.count == 1)
        #expect(try h.answer([H.text("yes")]).last == "session.status_idle")
    }

    @Test("A summary that does not fit either is not summarised again") func summaryTooLong() throws {
        var h = H()
        _ = try h.send(H.message("hello"))
        _ = try h.fail(ModelError(.contextTooLong, "long"))
        try h.answer([H.text("They greeted.")])
        #expect(try h.fail(ModelError(.contextTooLong, "long")).last == "session.status_idle")
        #expect(h.last("session.error")?["error"]?["message"]?.string?.contains("do not fit the model's context") == true)
    }

    @Test("A refusal that names the context's size is believed, in this turn and after a restart") func told() throws {
        var limits = SessionLimits()
        limits.model.outputTokens = 32_000
        var h = H(limits: limits)
        _ = try h.send(H.message("hello"))
        #expect(h.request?.maximumTokens == 32_000)
        let types = try h.fail(ModelError(.contextTooLong, "maximum context length is 8192 tokens", contextTokens: 8_192))
        #expect(types == ["span.model_request_end", "[postern.context_limit]", "span.model_request_start"], "it was the answer's bound")
        #expect(h.request?.maximumTokens == 2_048 && h.requestMessages.count == 1)
        #expect(try h.refolded() == h.machine.state)
        // The same number again says that the conversation itself is too long.
        _ = try h.fail(ModelError(.contextTooLong, "maximum context length is 8192 tokens", contextTokens: 8_192))
        #expect(h.machine.state.isCompacting)
    }

    @Test("A summary that the service refuses for what is in the conversation is made from its text") func refusedSummary() throws {
        var h = H(limits: limits(context: 1_000))
        _ = try h.send(H.message("go"))
        try h.answer([H.text("1")], usage: ModelUsage(input: 755, output: 5))
        _ = try h.send(H.message("more"))
        #expect(h.machine.state.isCompacting && h.requestMessages.count == 4, "as it is: it fits")
        #expect(try h.fail(ModelError(.requestFailed, "bad")).last == "span.model_request_start")
        #expect(h.requestMessages.count == 2)
        #expect(try h.fail(ModelError(.requestFailed, "bad")).last == "session.status_idle")
    }

    @Test("Text is cut in its middle, between characters") func shortened() {
        for length in 1..<40 {
            let text = ConversationText.shortened(String(repeating: "ü€😀", count: 20), to: length)
            #expect(!text.contains("\u{FFFD}") && text.contains("bytes left out"))
        }
        #expect(ConversationText.shortened("short", to: 5) == "short")
        let many: [JSON] = (0..<1_000).map { ["role": "user", "content": [["type": "text", "text": .string("piece \($0)")]]] }
        let text = ConversationText.make(many, tokens: 500)
        #expect(text.utf8.count <= 2_100 && text.hasPrefix("User: piece 0\n[") && text.hasSuffix("User: piece 999"))
    }

    @Test("Models are asked about once; a service that does not answer holds nobody up for long", .timeLimit(.minutes(1))) func book() async throws {
        let provider = SizedModel()
        let clock = Counter()
        let book = ModelLimitBook(provider, patience: .milliseconds(50), now: clock.time)
        for _ in 0..<3 { #expect(await book.limits(of: "known").contextTokens == 9_000) }
        #expect(await provider.asked == ["known"])
        #expect(await book.limits(of: "silent") == ModelLimits())
        #expect(await book.limits(of: "broken") == ModelLimits())
        #expect(await book.limits(of: "broken") == ModelLimits())
        #expect(await provider.asked == ["known", "silent", "broken"], "not again within the minute")
    }
}

/// Knows one model, fails for `broken`, and never answers for others.
private actor SizedModel: ModelProvider {
    private(set) var asked: [String] = []

    func respond(to request: ModelRequest, preview: @Sendable (ModelPreview) async -> Void) async throws(ModelError) -> ModelResponse {
        throw ModelError(.unavailable, "not here")
    }

    func models() async throws(ModelError) -> [JSONObject] { [] }

    func limits(of model: String) async throws(ModelError) -> ModelLimits {
        asked.append(model)
        switch model {
        case "known": return ModelLimits(contextTokens: 9_000)
        case "broken": throw ModelError(.unavailable, "broken")
        default:
            _ = try? await Task.sleep(for: .seconds(600))
            throw ModelError(.cancelled, "cancelled")
        }
    }
}
