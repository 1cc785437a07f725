import PosternJSON
import PosternScriptedModel
import Testing

/// Requests in, plans out; no server.
@Suite struct ScriptInterpreterTests {
    private func plan(_ messages: [JSON], maximumTokens: Int = 1_000) throws -> ScriptedPlan {
        let request: JSON = .object(["model": "scripted-model", "max_tokens": JSON(maximumTokens), "messages": .array(messages)])
        return try ScriptInterpreter.plan(for: AnthropicRequest.read(request.encoded))
    }

    private func call(_ id: String) -> JSON {
        .object(["role": "assistant", "content": [["type": "tool_use", "id": .string(id), "name": "bash", "input": ["command": "x"]]]])
    }

    private func result(_ id: String, _ text: String = "ok", isError: Bool = false) -> JSON {
        .object([
            "role": "user",
            "content": [["type": "tool_result", "tool_use_id": .string(id), "content": .string(text), "is_error": .bool(isError)]],
        ])
    }

    @Test func sameRequestSameAnswer() throws {
        let messages = [user("!think 10\nhello\n$ a\n$ b")]
        #expect(try plan(messages) == plan(messages))
        #expect(try plan(messages) != plan([user("!think 10\nhello\n$ a\n$ c")]))
    }

    @Test func progressIsCountedFromTheNewestScript() throws {
        var messages = [user("$ a\n\n$ b")]
        #expect(try plan(messages).blocks.count == 1)
        messages += [call("t1"), result("t1")]
        guard case .call(let id, "bash", #"{"command":"b"}"#, false)? = try plan(messages).blocks.first else {
            Issue.record("not the second call")
            return
        }
        messages += [call(id), result(id, "the end", isError: true)]
        #expect(try plan(messages).blocks == [.text("Ran 2 calls, 1 failed. The last result begins: the end")])
        // Another script, also beside tool results, starts from its own beginning.
        messages += [["role": "assistant", "content": "fine"], user("$ c")]
        #expect(try plan(messages).ending == .stop("tool_use"))
    }

    @Test func aScriptBesideToolResultsReplacesTheRunningOne() throws {
        let interrupted: JSON = [
            "role": "user",
            "content": [["type": "tool_result", "tool_use_id": "t1", "content": "ok"], ["type": "text", "text": "say this"]],
        ]
        let plan = try plan([user("$ a\n\n$ b"), call("t1"), interrupted])
        #expect(plan.blocks == [.text("say this"), .text("Ran 0 calls, 0 failed.")])
    }

    @Test func emptyAndLongResultsAreQuoted() throws {
        let empty = try plan([user("$ a"), call("t"), result("t", "")])
        #expect(empty.blocks == [.text("Ran 1 call, 0 failed. The last result is empty.")])
        let long = try plan([user("$ a"), call("t"), result("t", String(repeating: "ä", count: 500))])
        #expect(long.blocks == [.text("Ran 1 call, 0 failed. The last result begins: " + String(repeating: "ä", count: 200))])
    }

    @Test func outputIsBoundByMaxTokens() throws {
        for limit in 1...60 {
            let plan = try plan([user("one two three\n!think 10\n!text 20\n$ echo hello")], maximumTokens: limit)
            #expect(plan.usage.output <= max(limit, 1) || plan.blocks.contains { if case .call(_, _, _, true) = $0 { true } else { false } })
            let isWhole = plan.ending == .stop("tool_use")
            #expect(isWhole == (limit >= 4 + 10 + 20 + 11), "limit \(limit)")
            if !isWhole { #expect(plan.ending == .stop("max_tokens")) }
        }
    }

    @Test func endings() throws {
        #expect(try plan([user("a\n!drop\nb")]).blocks == [.text("a")])
        #expect(try plan([user("a\n!drop\nb")]).ending == .drop)
        #expect(try plan([user("a\n!error-mid-stream api_error")]).ending == .errorMidStream(type: "api_error"))
        #expect(try plan([user("!max-tokens\n$ a")]).steps.isEmpty)
        let failures = try plan([user("hello\n!error 503\n!error 529 3\n$ a")]).failures
        #expect(failures.map(\.fault.type) == ["api_error", "overloaded_error"])
        #expect(failures.map(\.times) == [nil, 3])
        #expect(failures[0].key != failures[1].key)
    }

    @Test func prefillIsRefusedUnlessTheTurnWasPaused() throws {
        let prefill: JSON = ["role": "assistant", "content": "I"]
        #expect(throws: ScriptedFault.self) { try self.plan([user("hello"), prefill]) }
        #expect(try plan([user("a\n!pause-turn\n\nb"), prefill]).blocks.first == .text("b"))
    }

    @Test func theFailureTableIsBoundedAndForgets() {
        let counter = FailureCounter(capacity: 2)
        #expect(counter.shouldFail(key: 1, times: 1))
        #expect(!counter.shouldFail(key: 1, times: 1))
        #expect(counter.shouldFail(key: 1, times: 1))
        #expect(counter.shouldFail(key: 2, times: 2))
        #expect(counter.shouldFail(key: 3, times: 2))  // Pushes 1 out.
        #expect(counter.shouldFail(key: 1, times: 1))
    }
}
