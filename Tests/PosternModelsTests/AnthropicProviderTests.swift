import PosternCore
import PosternJSON
import PosternModels
import Testing

/// The provider against the scripted model, over real HTTP.
@Suite struct AnthropicProviderTests {
    @Test func aWholeSession() async throws {
        try await withScriptedModel { port in
            try await withProvider(port: port) { provider in
                var messages = [user("Looking around.\n$ ls\n@read {\"file_path\":\"a.txt\"}\n\n$ pwd\n\nThat was all.")]
                let log = PreviewLog()
                let first = try await provider.respond(to: .conversation(messages)) { log.add($0) }
                #expect(first.stopReason == "tool_use")
                #expect(first.texts == ["Looking around."])
                #expect(first.calls.map { $0["name"] } == ["bash", "read"])
                #expect(first.calls[0]["input"] == ["command": "ls"])
                #expect(first.usage.input > 0 && first.usage.output > 0)
                #expect(
                    log.previews == [
                        .blockStarted(index: 0, type: "text"), .text(index: 0, "Looking around."), .blockStarted(index: 1, type: "tool_use"),
                        .blockStarted(index: 2, type: "tool_use"),
                    ])

                messages += [assistant(first), results(of: first, text: "one\ntwo")]
                let second = try await provider.respond(to: .conversation(messages))
                #expect(second.calls.map { $0["input"] } == [["command": "pwd"]])
                #expect(Set((first.calls + second.calls).compactMap { $0["id"]?.string }).count == 3)

                messages += [assistant(second), results(of: second, text: "/workspace", isError: true)]
                let third = try await provider.respond(to: .conversation(messages))
                #expect(third.stopReason == "end_turn")
                #expect(third.texts == ["That was all.", "Ran 3 calls, 1 failed. The last result begins: /workspace"])

                // The same text again in the same conversation makes new ids.
                messages += [assistant(third), user("$ ls")]
                let again = try await provider.respond(to: .conversation(messages))
                #expect(again.calls.count == 1 && again.calls[0]["id"] != first.calls[0]["id"])
            }
        }
    }

    @Test(arguments: [
        ("!error 529", ModelError.Kind.overloaded), ("!error 429", .rateLimited), ("!error 402", .billing), ("!error 401", .authentication),
        ("!error 403", .authentication), ("!error 400", .requestFailed), ("!error 404", .requestFailed), ("!error 413", .contextTooLong),
        ("!error 422", .requestFailed), ("!error 500", .unavailable), ("!error 503", .unavailable), ("!error 504", .unavailable),
        ("!text 50\n!error-mid-stream", .overloaded), ("!error-mid-stream rate_limit_error", .rateLimited),
        ("!error-mid-stream api_error", .unavailable), ("!error-mid-stream what_is_this", .unavailable), ("!text 50\n!drop", .unavailable),
        ("!drop", .unavailable), ("$ ls\n!drop", .unavailable), ("!misspelt", .requestFailed),
    ])
    func failures(script: String, kind: ModelError.Kind) async throws {
        try await withScriptedModel { port in
            try await withProvider(port: port) { provider in
                let error = try #require(await provider.failure(of: .script(script)))
                #expect(error.kind == kind, "\(error)")
                #expect(!error.message.contains("sk-test-secret-key"))
            }
        }
    }

    @Test func failsTheFirstTimesOnlyAndTellsWhenToComeBack() async throws {
        try await withScriptedModel { port in
            try await withProvider(port: port) { provider in
                for _ in 0..<2 {
                    for _ in 0..<2 {
                        let error = try #require(await provider.failure(of: .script("!error 529 2 retry-after=1500\nhello")))
                        #expect(error.kind == .overloaded)
                        #expect(error.retryAfter == .milliseconds(1500))
                        #expect(error.isRetryable)
                    }
                    // The third passes; then the script fails again as in the beginning.
                    let response = try await provider.respond(to: .script("!error 529 2 retry-after=1500\nhello"))
                    #expect(response.texts.first == "hello")
                }
            }
        }
    }

    @Test func everyStopReason() async throws {
        try await withScriptedModel { port in
            try await withProvider(port: port) { provider in
                let cut = try await provider.respond(to: .script("some words\n!max-tokens"))
                #expect(cut.stopReason == "max_tokens" && cut.texts == ["some words"])
                let budget = try await provider.respond(to: .script("!text 500", maximumTokens: 100))
                #expect(budget.stopReason == "max_tokens" && budget.usage.output == 100)
                let inCall = try await provider.respond(to: .script("!max-tokens-in-call\n$ echo hello"))
                #expect(inCall.stopReason == "max_tokens")
                #expect(inCall.calls.map { $0["input"] } == [.object([:])])
                let refusal = try await provider.respond(to: .script("!refusal"))
                #expect(refusal.stopReason == "refusal")
                #expect(refusal.stopDetails?["type"] == "refusal")
                let pause = try await provider.respond(to: .script("first half\n!pause-turn\n\nsecond half"))
                #expect(pause.stopReason == "pause_turn")
                let rest = try await provider.respond(to: .conversation([user("first half\n!pause-turn\n\nsecond half"), assistant(pause)]))
                #expect(rest.stopReason == "end_turn" && rest.texts.first == "second half")
            }
        }
    }

    @Test func thinkingAndUnknownBlocksMustComeBackUnchanged() async throws {
        let script = "!think 40\n!unknown-block\n$ ls"
        try await withScriptedModel { port in
            try await withProvider(port: port) { provider in
                let first = try await provider.respond(to: .script(script))
                #expect(first.content.map { $0["type"] } == ["thinking", "scripted_unknown", "tool_use"])
                #expect(first.content[0]["signature"]?.string?.isEmpty == false)
                let back = try await provider.respond(to: .conversation([user(script), assistant(first), results(of: first)]))
                #expect(back.texts == ["Ran 1 call, 0 failed. The last result begins: done"])

                for (index, key) in [(0, "thinking"), (0, "signature"), (1, "note")] {
                    var content = first.content
                    var block = try #require(content[index].object)
                    block[key] = "changed"
                    content[index] = .object(block)
                    let changed: JSON = .object(["role": "assistant", "content": .array(content)])
                    let error = await provider.failure(of: .conversation([user(script), changed, results(of: first)]))
                    #expect(error?.kind == .requestFailed)
                }
                for index in [0, 1] {
                    var content = first.content
                    content.remove(at: index)
                    let dropped: JSON = .object(["role": "assistant", "content": .array(content)])
                    let error = await provider.failure(of: .conversation([user(script), dropped, results(of: first)]))
                    #expect(error?.kind == .requestFailed)
                }
            }
        }
    }

    @Test func invalidToolInputBecomesAnEmptyObject() async throws {
        try await withScriptedModel { port in
            try await withProvider(port: port) { provider in
                let response = try await provider.respond(to: .script("@bash {\"command\": oops\n@bash [1,2]\n@bash"))
                #expect(response.calls.map { $0["input"] } == [.object([:]), .object([:]), .object([:])])
                #expect(response.stopReason == "tool_use")
            }
        }
    }

    @Test func longAnswersArriveWhole() async throws {
        try await withScriptedModel { port in
            try await withProvider(port: port) { provider in
                let log = PreviewLog()
                let response = try await provider.respond(to: .script("!text 60000\n!sleep 1\nünïcödé ✓", maximumTokens: 100_000)) { log.add($0) }
                #expect(response.texts[0].utf8.count == 240_000)
                #expect(response.texts[1] == "ünïcödé ✓")
                let streamed = log.previews.compactMap { if case .text(0, let text) = $0 { text } else { nil } }.joined()
                #expect(streamed == response.texts[0])
            }
        }
    }

    @Test func aLongWaitIsWatched() async throws {
        try await withScriptedModel { port in
            try await withProvider(port: port) { provider in
                for _ in 0..<2 {
                    let response = try await provider.respond(to: .script("before\n!sleep 1000\nafter"))
                    #expect(response.texts.prefix(2) == ["before", "after"])
                }
            }
        }
    }

    @Test func cancellationInMidStream() async throws {
        try await withScriptedModel { port in
            try await withProvider(port: port) { provider in
                let (heard, continuation) = AsyncStream.makeStream(of: ModelPreview.self)
                let task = Task { () -> ModelError? in
                    do throws(ModelError) {
                        _ = try await provider.respond(to: .script("before\n!sleep 600000\nafter"), preview: { continuation.yield($0) })
                        return nil
                    } catch {
                        return error
                    }
                }
                for await preview in heard where preview == .text(index: 0, "before") { break }
                task.cancel()
                #expect(await task.value?.kind == .cancelled)
            }
        }
    }

    @Test func aPromptBeyondTheContextWindow() async throws {
        try await withScriptedModel { port in
            try await withProvider(port: port) { provider in
                var request = ModelRequest.script(String(repeating: "word ", count: 10_000))
                request.model = "scripted-small"
                #expect(await provider.failure(of: request)?.kind == .contextTooLong)
            }
        }
    }

    @Test func whatTheListSaysOfAModel() async throws {
        try await withScriptedModel { port in
            try await withProvider(port: port) { provider in
                let small = try await provider.limits(of: "scripted-small")
                let missing = try await provider.limits(of: "no-such-model")
                #expect(small == ModelLimits(contextTokens: 8_000, outputTokens: 64_000) && missing == ModelLimits())
                var accepts: [Bool] = []
                // A model that is not there says nothing.
                for model in ["scripted-model", "scripted-plain", "scripted-plain", "no-such-model"] {
                    accepts.append(try await provider.acceptsSystemMessages(model))
                }
                #expect(accepts == [true, false, false, true])
            }
        }
    }

    @Test func aServiceThatDoesNotAnswerSaysNothingOfItsModels() async throws {
        try await withProvider(port: 1) { provider in
            await #expect(throws: ModelError.self) { try await provider.limits(of: "m") }
            await #expect(throws: ModelError.self) { try await provider.acceptsSystemMessages("m") }
        }
    }

    @Test func modelsAndUnknownModels() async throws {
        try await withScriptedModel { port in
            try await withProvider(port: port) { provider in
                let models = try await provider.models()
                #expect(models.map { $0["id"] } == ["scripted-model", "scripted-small"])
                var request = ModelRequest.script("hello")
                request.model = "a model/nobody?knows"
                request.effort = "high"
                request.speed = "fast"
                let response = try await provider.respond(to: request)
                #expect(response.stopReason == "end_turn")
                request.model = "no-such-model"
                #expect(await provider.failure(of: request)?.kind == .requestFailed)
            }
        }
    }

    @Test func theCacheIsCounted() async throws {
        try await withScriptedModel { port in
            try await withProvider(port: port) { provider in
                func marked(_ text: String) -> JSON {
                    ["role": "user", "content": [["type": "text", "text": .string(text), "cache_control": ["type": "ephemeral"]]]]
                }
                let script = String(repeating: "word ", count: 100)
                let first = try await provider.respond(to: .conversation([marked(script)]))
                #expect(first.usage.cacheCreation5m > 100 && first.usage.cacheRead == 0)
                let second = try await provider.respond(to: .conversation([user(script), assistant(first), marked("more")]))
                #expect(second.usage.cacheRead >= first.usage.cacheCreation5m && second.usage.cacheCreation5m > 0)
            }
        }
    }

    @Test func nobodyListening() async throws {
        // A port that was bound a moment ago and is free now.
        let port = try await withScriptedModel { $0 }
        try await withProvider(port: port) { provider in
            let error = await provider.failure(of: .script("hello"))
            #expect(error?.kind == .unavailable)
        }
    }
}
