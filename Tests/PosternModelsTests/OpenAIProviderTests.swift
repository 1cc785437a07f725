import PosternCore
import PosternJSON
import PosternModels
import Testing

/// The OpenAI-compatible provider against the scripted model, over real HTTP.
@Suite struct OpenAIProviderTests {
    @Test func aWholeSession() async throws {
        try await withScriptedModel { port in
            try await withProvider(.openai, port: port) { provider in
                let script = "!think 10\nLooking around.\n!unknown-block\n$ ls\n@read {\"file_path\":\"a\"}\n\n$ pwd"
                var messages = [user(script)]
                let log = PreviewLog()
                let first = try await provider.respond(to: .conversation(messages)) { log.add($0) }
                #expect(first.stopReason == "tool_use")
                #expect(first.texts == ["Looking around."])
                #expect(first.calls.map { $0["name"] } == ["bash", "read"])
                #expect(first.calls.map { $0["input"] } == [["command": "ls"], ["file_path": "a"]])
                #expect(first.usage.input > 0 && first.usage.output > 0)
                #expect(log.previews.first == .blockStarted(index: 0, type: "text"))
                #expect(log.previews.suffix(2) == [.blockStarted(index: 1, type: "tool_use"), .blockStarted(index: 2, type: "tool_use")])

                messages += [assistant(first), results(of: first, text: "one")]
                let second = try await provider.respond(to: .conversation(messages))
                #expect(second.calls.map { $0["input"] } == [["command": "pwd"]])
                messages += [assistant(second), results(of: second, text: "no", isError: true)]
                let third = try await provider.respond(to: .conversation(messages))
                #expect(third.texts == ["Ran 3 calls, 1 failed. The last result begins: Error: no"])
                #expect(third.stopReason == "end_turn")
            }
        }
    }

    @Test(arguments: [
        ("!error 529", ModelError.Kind.overloaded), ("!error 429", .rateLimited), ("!error 401", .authentication), ("!error 400", .requestFailed),
        ("!error 500", .unavailable), ("!text 50\n!error-mid-stream", .overloaded), ("!text 50\n!drop", .unavailable), ("!drop", .unavailable),
    ])
    func failures(script: String, kind: ModelError.Kind) async throws {
        try await withScriptedModel { port in
            try await withProvider(.openai, port: port) { provider in
                #expect(await provider.failure(of: .script(script))?.kind == kind)
            }
        }
    }

    @Test func stopReasons() async throws {
        try await withScriptedModel { port in
            try await withProvider(.openai, port: port) { provider in
                let cut = try await provider.respond(to: .script("!text 500", maximumTokens: 100))
                #expect(cut.stopReason == "max_tokens")
                let inCall = try await provider.respond(to: .script("!max-tokens-in-call\n$ echo hello"))
                #expect(inCall.stopReason == "max_tokens" && inCall.calls.map { $0["input"] } == [.object([:])])
                #expect(try await provider.respond(to: .script("!refusal")).stopReason == "refusal")
                let models = try await provider.models()
                #expect(models.map { $0["id"] } == ["scripted-model", "scripted-small"])
                #expect(models[0]["created_at"] == "2026-01-01T00:00:00Z")
                var request = ModelRequest.script(String(repeating: "word ", count: 10_000))
                request.model = "scripted-small"
                #expect(await provider.failure(of: request)?.kind == .contextTooLong)
                let small = try await provider.limits(of: "scripted-small")
                let missing = try await provider.limits(of: "not listed")
                #expect(small == ModelLimits(contextTokens: 8_000) && missing == ModelLimits())
            }
        }
    }

    @Test func aSmallContext() async throws {
        try await withScriptedModel { port in
            try await withProvider(.openai, port: port) { provider in
                var request = ModelRequest.script("hello", maximumTokens: 32_000)
                request.model = "scripted-small"
                let error = await provider.failure(of: request)
                #expect(error?.kind == .contextTooLong && error?.contextTokens == 8_000)
                request.maximumTokens = nil
                let unbounded = try await provider.respond(to: request)
                #expect(unbounded.stopReason == "end_turn")
                request.inferenceGeo = "us"
                #expect(await provider.failure(of: request)?.message.contains("inference_geo") == true, "it cannot be asked for")
            }
        }
    }
}
