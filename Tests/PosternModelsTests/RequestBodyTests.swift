import NIOCore
import PosternCore
import PosternJSON
import PosternModels
import Testing

/// The bodies that the providers send, as values.
@Suite struct RequestBodyTests {
    private func anthropic(_ request: ModelRequest, thinks: Bool = false, acceptsEffort: Bool = true) -> String {
        String(buffer: AnthropicRequestBody.make(request, thinks: thinks, acceptsEffort: acceptsEffort))
    }

    @Test func messagesAreSplicedAsTheyAre() {
        // Not how our encoder would write them: they must not pass through it.
        let messages = [#"{"role":"user", "content":"\u0041"}"#, #"{ "role":"assistant","content":"b" }"#]
        let body = anthropic(ModelRequest(model: "m", maximumTokens: 5, messages: messages.map { Array($0.utf8) }))
        #expect(body == #"{"model":"m","max_tokens":5,"stream":true,"messages":["# + messages.joined(separator: ",") + "]}")
    }

    @Test func settings() throws {
        var request = ModelRequest.script("hello")
        request.effort = "xhigh"
        request.speed = "fast"
        let full = try JSON(parsing: anthropic(request, thinks: true))
        #expect(full["output_config"] == ["effort": "xhigh"])
        #expect(full["thinking"] == ["type": "adaptive"])
        #expect(full["speed"] == "fast")
        #expect(full["system"]?.array?.count == 1 && full["tools"]?.array?.count == 1 && full["messages"]?.array?.count == 1)
        #expect(full["max_tokens"] == 10_000 && full["inference_geo"] == nil)
        request.inferenceGeo = "us"
        request.maximumTokens = nil
        let bounded = try JSON(parsing: anthropic(request))
        #expect(bounded["inference_geo"] == "us" && bounded["max_tokens"] == 32_000, "the API demands one")
        #expect(try JSON(parsing: try OpenAIRequestBody.make(request, limitKey: "max_tokens"))["max_tokens"] == nil)
        request.inferenceGeo = nil
        request.speed = "standard"
        let plain = try JSON(parsing: anthropic(request, acceptsEffort: false))
        #expect(plain["output_config"] == nil && plain["thinking"] == nil && plain["speed"] == nil)
        #expect(try JSON(parsing: anthropic(ModelRequest(model: "m", maximumTokens: 1, messages: [])))["messages"] == [])
    }

    @Test func toChatCompletions() throws {
        let image: JSON = ["type": "image", "source": ["type": "base64", "media_type": "image/png", "data": "AAAA"]]
        let request = ModelRequest.conversation([
            ["role": "user", "content": [["type": "text", "text": "look"], image]],
            [
                "role": "assistant",
                "content": [
                    ["type": "thinking", "thinking": "hm", "signature": "s"], ["type": "text", "text": "I call."],
                    ["type": "tool_use", "id": "t1", "name": "bash", "input": ["command": "ls"]],
                    ["type": "tool_use", "id": "t2", "name": "read", "input": [:]],
                ],
            ],
            [
                "role": "user",
                "content": [
                    ["type": "tool_result", "tool_use_id": "t1", "is_error": true, "content": [["type": "text", "text": "no"]]],
                    ["type": "tool_result", "tool_use_id": "t2", "content": [["type": "text", "text": "a"], image]],
                    ["type": "text", "text": "go on"],
                ],
            ],
            ["role": "assistant", "content": [["type": "thinking", "thinking": "hm", "signature": "s"]]],
            ["role": "user", "content": "plain"],
            ["role": "system", "content": "be brief"],
        ])
        let body = try JSON(parsing: try OpenAIRequestBody.make(request, limitKey: "max_tokens"))
        #expect(body["max_tokens"] == 10_000)
        #expect(body["tools"]?.array?.first?["function"]?["parameters"]?["type"] == "object")
        let url: JSON = ["type": "image_url", "image_url": ["url": "data:image/png;base64,AAAA"]]
        let messages: [JSON] = [
            ["role": "system", "content": "You work in a sandbox."],
            ["role": "user", "content": [["type": "text", "text": "look"], url]],
            [
                "role": "assistant", "content": "I call.",
                "tool_calls": [
                    ["id": "t1", "type": "function", "function": ["name": "bash", "arguments": #"{"command":"ls"}"#]],
                    ["id": "t2", "type": "function", "function": ["name": "read", "arguments": "{}"]],
                ],
            ],
            ["role": "tool", "tool_call_id": "t1", "content": "Error: no"],
            ["role": "tool", "tool_call_id": "t2", "content": "a"],
            ["role": "user", "content": [url, ["type": "text", "text": "go on"]]],
            ["role": "user", "content": "plain"],
            ["role": "system", "content": "be brief"],
        ]
        #expect(body["messages"]?.array == messages)
    }

    @Test func aHistoryThatIsNoHistory() {
        #expect(throws: ModelError.self) { try OpenAIRequestBody.make(.init(model: "m", maximumTokens: 1, messages: [[1, 2]]), limitKey: "x") }
    }
}
