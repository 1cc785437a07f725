import ManagedAgentsAPI
import PosternCore
import PosternJSON
import PosternModels
import SeededRandom
import Testing

@Suite struct AnthropicStreamAssemblerTests {
    private static let start =
        #"{"type":"message_start","message":{"role":"assistant","content":[],"usage":{"input_tokens":10,"cache_read_input_tokens":3,"output_tokens":1,"#
        + #""cache_creation_input_tokens":9,"cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":5}}}}"#
    private static let textBlock = [
        #"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}"#,
        #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}"#,
        #"{"type":"content_block_stop","index":0}"#,
    ]
    private static let delta = #"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":7}}"#
    private static let stop = #"{"type":"message_stop"}"#

    private func assemble(_ events: [String]) throws(ModelError) -> (ModelResponse, [ModelPreview]) {
        var assembler = AnthropicStreamAssembler()
        var previews: [ModelPreview] = []
        for event in events { previews += try assembler.receive(.init(name: nil, data: Array(event.utf8))) }
        return (try assembler.response(), previews)
    }

    private func block(_ start: String, _ deltas: [String]) throws -> JSON {
        let events =
            [Self.start, #"{"type":"content_block_start","index":0,"content_block":\#(start)}"#]
            + deltas.map { #"{"type":"content_block_delta","index":0,"delta":\#($0)}"# }
            + [#"{"type":"content_block_stop","index":0}"#, Self.delta, Self.stop]
        let (response, _) = try assemble(events)
        return try #require(response.content.first)
    }

    @Test func textAndUsage() throws {
        let (response, previews) = try assemble([Self.start, #"{"type":"ping"}"#] + Self.textBlock + [Self.delta, Self.stop, "after the end"])
        #expect(response.content == [["type": "text", "text": "Hello"]])
        #expect(response.stopReason == "end_turn" && response.stopDetails == nil)
        #expect(response.usage == ModelUsage(input: 10, output: 7, cacheRead: 3, cacheCreation5m: 4, cacheCreation1h: 5))
        #expect(previews == [.blockStarted(index: 0, type: "text"), .text(index: 0, "Hel"), .text(index: 0, "lo")])
    }

    @Test(arguments: ["end_turn", "tool_use", "max_tokens", "stop_sequence", "pause_turn", "refusal", "model_context_window_exceeded", "never_seen"])
    func everyStopReasonPasses(reason: String) throws {
        let delta = #"{"type":"message_delta","delta":{"stop_reason":"\#(reason)","stop_details":{"type":"refusal"}},"usage":{"output_tokens":1}}"#
        let (response, _) = try assemble([Self.start] + Self.textBlock + [delta, Self.stop])
        #expect(response.stopReason == reason)
        #expect(response.stopDetails == ["type": "refusal"])
    }

    @Test func thinkingWithSignature() throws {
        let value = try block(
            #"{"type":"thinking","thinking":"","signature":""}"#,
            [
                #"{"type":"thinking_delta","thinking":"a"}"#, #"{"type":"thinking_delta","thinking":"b"}"#,
                #"{"type":"signature_delta","signature":"s"}"#,
            ])
        #expect(value == ["type": "thinking", "thinking": "ab", "signature": "s"])
    }

    @Test func redactedThinkingIsKept() throws {
        #expect(try block(#"{"type":"redacted_thinking","data":"xyz"}"#, []) == ["type": "redacted_thinking", "data": "xyz"])
    }

    private static let inputs: [([String], String)] = [
        ([#"{\"com"#, #"mand\":\"l"#, #"s\"}"#], #"{"command":"ls"}"#), ([""], "{}"), ([], "{}"), ([#"{\"command\":\"l"#], "{}"), (["oops"], "{}"),
        (["[1]"], "{}"), ([#"{\"n\":12345678901234567890}"#], #"{"n":12345678901234567890}"#), ([#"{\"a\":1,\"a\":2}"#], "{}"),
    ]

    @Test(arguments: inputs)
    func toolInput(pieces: [String], input: String) throws {
        let value = try block(
            #"{"type":"tool_use","id":"t","name":"bash","input":{}}"#, pieces.map { #"{"type":"input_json_delta","partial_json":"\#($0)"}"# })
        #expect(value["input"]?.text == input)
        #expect(value["id"] == "t")
    }

    @Test func unknownBlocksAndDeltasSurvive() throws {
        #expect(
            try block(
                #"{"type":"hologram","pixels":[1],"note":"a","depth":1,"big":123456789012345678901234567890}"#,
                [#"{"type":"hologram_delta","note":"b","pixels":[2,3],"depth":2,"new":{"x":null}}"#])
                == [
                    "type": "hologram", "pixels": [1, 2, 3], "note": "ab", "depth": 2, "big": .bigNumber("123456789012345678901234567890"),
                    "new": ["x": .null],
                ])
        #expect(
            try block(
                #"{"type":"text","text":"a","citations":null}"#,
                [#"{"type":"citations_delta","citation":{"n":1}}"#, #"{"type":"citations_delta","citation":{"n":2}}"#])
                == ["type": "text", "text": "a", "citations": [["n": 1], ["n": 2]]])
    }

    @Test func unknownEventsAreSkipped() throws {
        let (response, _) = try assemble([Self.start, #"{"type":"weather","sun":true}"#] + Self.textBlock + [Self.delta, Self.stop])
        #expect(response.content.count == 1)
    }

    @Test(arguments: [
        ("overloaded_error", ModelError.Kind.overloaded), ("rate_limit_error", .rateLimited), ("api_error", .unavailable),
        ("timeout_error", .unavailable),
        ("billing_error", .billing), ("authentication_error", .authentication), ("permission_error", .authentication),
        ("invalid_request_error", .requestFailed), ("brand_new_error", .unavailable),
    ])
    func errorsInTheStream(type: String, kind: ModelError.Kind) {
        let error = #expect(throws: ModelError.self) {
            try assemble([Self.start, #"{"type":"error","error":{"type":"\#(type)","message":"No."}}"#])
        }
        #expect(error?.kind == kind)
        #expect(error?.message.contains("No.") == true)
    }

    @Test func everyCutIsNoticed() {
        let events = [Self.start] + Self.textBlock + [Self.delta, Self.stop]
        for count in 0..<events.count {
            let error = #expect(throws: ModelError.self) { try assemble(Array(events.prefix(count))) }
            #expect(error?.kind == .unavailable, "\(count) events")
        }
    }

    private static let nonsense: [[String]] = [
        ["not json"], ["[]"], [#"{"kind":"x"}"#], [#"{"type":7}"#], [#"{"type":"message_start"}"#], [start, start], [textBlock[0]],
        [start, textBlock[1]],
        [start, textBlock[0], textBlock[0]], [start, textBlock[0], textBlock[3], textBlock[1]], [start, textBlock[0], stop], [start, stop],
        [start, #"{"type":"content_block_start","index":5,"content_block":{"type":"text"}}"#],
        [start, #"{"type":"content_block_start","index":-1,"content_block":{"type":"text"}}"#],
        [start, #"{"type":"content_block_start","index":0,"content_block":{}}"#],
        [start, textBlock[0], #"{"type":"content_block_delta","index":0}"#],
        [delta],
    ]

    @Test(arguments: nonsense)
    func nonsenseIsUnavailable(events: [String]) {
        let error = #expect(throws: ModelError.self) { try assemble(events + [Self.stop]) }
        #expect(error?.kind == .unavailable)
    }

    @Test func randomEventOrdersNeverTrap() {
        let events = [Self.start, Self.delta, Self.stop, "x", #"{"type":"error"}"#] + Self.textBlock
        for seed in 0..<500 {
            var random = SeededGenerator(seed: UInt64(seed))
            _ = try? assemble((0..<12).map { _ in events[Int.random(in: events.indices, using: &random)] })
        }
    }
}
