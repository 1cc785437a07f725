import PosternJSON
import PosternScriptedModel
import Testing

/// What the real service refuses, the scripted one refuses too.
@Suite struct AnthropicRequestTests {
    private static let use = #"{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"bash","input":{}}]}"#
    private static let result = #"{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"ok"}]}"#
    private static let hi = #"{"role":"user","content":"hi"}"#

    private static func request(_ messages: String, _ more: String = "") -> String {
        #"{"model":"m","max_tokens":10,"messages":["# + messages + "]" + more + "}"
    }

    private static let refused: [(String, String)] = [
        ("{", "not valid JSON"), ("[]", "not a JSON object"), (#"{"max_tokens":1,"messages":[]}"#, "model: Field required"),
        (#"{"model":"m","messages":[]}"#, "max_tokens: Field required"),
        (#"{"model":"m","max_tokens":0,"messages":[]}"#, "greater than or equal to 1"),
        (#"{"model":"m","max_tokens":1}"#, "messages: Field required"), (request(""), "at least one message"),
        (request(hi, #","surprise":1"#), "surprise: Extra inputs are not permitted"),
        (request(use), #"first message must use the "user" role"#), (request(#"{"role":"boss","content":"x"}"#), "Unexpected role"),
        (request(#"{"role":"user","content":""}"#), "non-empty content"), (request(#"{"role":"user","content":[]}"#), "non-empty content"),
        (request(#"{"role":"user"}"#), "messages.0.content: Field required"),
        (request(#"{"role":"user","content":[{"type":"text","text":""}]}"#), "text content blocks must be non-empty"),
        (request(#"{"role":"user","content":[{"type":"text","text":" \n"}]}"#), "non-whitespace"),
        (request(#"{"role":"user","content":"hi","name":"x"}"#), "messages.0.name: Extra inputs"),
        (request(#"{"role":"user","content":[{"type":"tool_use","id":"a","name":"b","input":{}}]}"#), "does not match any of the expected tags"),
        (request(#"{"role":"user","content":[{"type":"mystery"}]}"#), "does not match any of the expected tags"),
        (request(hi + "," + use), "`tool_use` ids were found without `tool_result` blocks immediately after: t1"),
        (request(hi + "," + use + "," + hi), "`tool_use` ids were found without `tool_result` blocks"),
        (
            request(hi + "," + use + #",{"role":"user","content":[{"type":"text","text":"x"},{"type":"tool_result","tool_use_id":"t1"}]}"#),
            "`tool_use` ids were found without `tool_result` blocks"
        ),
        (request(hi + "," + result), "unexpected `tool_use_id` found in `tool_result` blocks: t1"),
        (request(hi + "," + use + "," + result + "," + result), "unexpected `tool_use_id`"),
        (
            request(
                hi + "," + use + #",{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1"},{"type":"tool_result","tool_use_id":"t1"}]}"#),
            "must have a single result"
        ),
        (request(hi + "," + use + "," + result + "," + use + "," + result), "ids must be unique"),
        (request(hi + #",{"role":"assistant","content":[{"type":"tool_use","id":"a b","name":"b","input":{}}]}"#), "should match pattern"),
        (request(hi + #",{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"b","input":"x"}]}"#), "valid dictionary"),
        (request(hi + #",{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"y"}]}"#), "Invalid `signature`"),
        (request(hi + #",{"role":"assistant","content":[{"type":"thinking","thinking":"x"}]}"#), "signature: Field required"),
        (
            request(
                hi + "," + use + #",{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":""}]}]}"#),
            "text content blocks must be non-empty"
        ),
        (request(hi + "," + use + #",{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","is_error":"yes"}]}"#), "valid boolean"),
        (request(hi + "," + use + #",{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","is_error":true}]}"#), "cannot be empty if"),
        (request(hi, #","tools":[{"name":"a"}]"#), "input_schema: Field required"),
        (request(hi, #","tools":[{"name":"a b","input_schema":{"type":"object"}}]"#), "should match pattern"),
        (request(hi, #","tools":[{"name":"a","input_schema":{"type":"object"}},{"name":"a","input_schema":{"type":"object"}}]"#), "must be unique"),
        (request(hi, #","system":[{"type":"text","text":""}]"#), "system: text content blocks must be non-empty"),
        (request(hi, #","output_config":{"effort":"huge"}"#), "output_config.effort"), (request(hi, #","speed":"slow""#), "speed:"),
        (request(hi, #","thinking":{"type":"enabled","budget_tokens":2000}"#), "must be greater than `thinking.budget_tokens`"),
        (request(#"{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"forever"}}]}"#), "cache_control.type"),
        (
            request(
                "{\"role\":\"user\",\"content\":["
                    + Array(repeating: #"{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}"#, count: 5)
                    .joined(separator: ",") + "]}"), "A maximum of 4 blocks"
        ),
        (#"{"model":"no-such-model","max_tokens":1,"messages":[]}"#, "model: no-such-model"),
    ]

    @Test(arguments: refused)
    func refusals(request: String, message: String) {
        #expect {
            _ = try AnthropicRequest.read(Array(request.utf8))
        } throws: { error in
            guard let fault = error as? ScriptedFault else { return false }
            return fault.message.contains(message) && (fault.status == 400 || fault.status == 404)
        }
    }

    @Test func accepted() throws {
        let full = Self.request(
            [
                Self.hi, #"{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]}"#, Self.use,
                #"{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"ok"},{"type":"image","source":{}}],"#
                    + #""cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":"and now?"}]}"#,
                #"{"role":"system","content":"Be brief."}"#,
            ].joined(separator: ","),
            #","stream":true,"system":"Hello","thinking":{"type":"adaptive"},"output_config":{"effort":"xhigh"},"metadata":{"user_id":"x"}"#
                + #","tools":[{"name":"bash","description":"d","input_schema":{"type":"object"}},{"type":"bash_20250124","name":"bash2"}]"#)
        let conversation = try AnthropicRequest.read(Array(full.utf8))
        #expect(conversation.streams)
        #expect(conversation.turns.map(\.role) == [.user, .user, .assistant, .user, .system])
        #expect(conversation.turns[3].results.map(\.text) == ["ok"])
        #expect(conversation.turns[3].texts == ["and now?"])
        #expect(conversation.cachesForAnHour)
    }
}
