import ManagedAgentsAPI
import PosternCore
import PosternJSON
import PosternModels
import Testing

@Suite struct OpenAIStreamAssemblerTests {
    private func assemble(_ events: [String]) throws(ModelError) -> ModelResponse {
        var assembler = OpenAIStreamAssembler()
        for event in events { _ = try assembler.receive(.init(name: nil, data: Array(event.utf8))) }
        return try assembler.response()
    }

    private func delta(_ delta: String, finish: String = "null") -> String {
        #"{"choices":[{"index":0,"delta":\#(delta),"finish_reason":\#(finish)}]}"#
    }

    @Test func interleavedCallsAndText() throws {
        let response = try assemble([
            delta(#"{"tool_calls":[{"index":3,"id":"a","type":"function","function":{"name":"bash","arguments":"{\"com"}}]}"#),
            delta(#"{"content":"So"}"#),
            delta(
                #"{"tool_calls":[{"index":3,"function":{"arguments":"mand\":1}"}},{"index":9,"id":"b","function":{"name":"read","arguments":""}}]}"#),
            delta(#"{"content":" be it"}"#), delta("{}", finish: #""stop""#),
            #"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":6}}}"#, "[DONE]", "rubbish",
        ])
        #expect(
            response.content == [
                ["type": "tool_use", "id": "a", "name": "bash", "input": ["command": 1]], ["type": "text", "text": "So be it"],
                ["type": "tool_use", "id": "b", "name": "read", "input": [:]],
            ])
        #expect(response.stopReason == "tool_use")
        #expect(response.usage == ModelUsage(input: 4, output: 4, cacheRead: 6))
    }

    @Test(arguments: [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal"), ("something_new", "something_new")])
    func finishReasons(finish: String, reason: String) throws {
        #expect(try assemble([delta(#"{"content":"x"}"#, finish: "\"\(finish)\"")]).stopReason == reason)
    }

    @Test func callsWithoutIDsGetOne() throws {
        let response = try assemble([
            delta(#"{"tool_calls":[{"function":{"name":"bash","arguments":"{}"}}]}"#, finish: #""tool_calls""#)
        ])
        #expect(response.content[0]["id"]?.string?.hasPrefix("call_") == true)
    }

    @Test(arguments: [["[DONE]"], ["rubbish"], ["[]"], [#"{"choices":[{"delta":{"content":"x"}}]}"#], []])
    func brokenStreams(events: [String]) {
        let error = #expect(throws: ModelError.self) { try assemble(events) }
        #expect(error?.kind == .unavailable)
    }

    @Test func errorsInTheStream() {
        let error = #expect(throws: ModelError.self) { try assemble([#"{"error":{"message":"slow down","type":"rate_limit_exceeded"}}"#]) }
        #expect(error?.kind == .rateLimited)
    }
}
