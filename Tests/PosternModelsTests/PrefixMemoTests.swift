import PosternJSON
import PosternScriptedModel
import SeededRandom
import Testing

/// The memo makes long conversations quick and changes no answer.
@Suite struct PrefixMemoTests {
    private func body(_ messages: [String], head: String = #""model":"m","max_tokens":500"#, end: String = "]}") -> [UInt8] {
        Array(("{" + head + #","messages":["# + messages.joined(separator: ",") + end).utf8)
    }

    /// A script of `turns` calls, answered; every result of another length, some of them with brackets and quotes.
    private func history(_ turns: Int) -> [String] {
        var messages = [JSON.object(["role": "user", "content": .string(Array(repeating: "$ ls", count: turns + 1).joined(separator: "\n\n"))]).text]
        for index in 0..<turns {
            let output = String(repeating: "a \\\"messages\\\":[}{] \\\\ ü ", count: index % 13)
            messages.append(#"{"role":"assistant","content":[{"type":"tool_use","id":"t\#(index)","name":"bash","input":{"command":"ls"}}]}"#)
            messages.append(
                #"{"role":"user","content":[{"type":"tool_result","tool_use_id":"t\#(index)","content":"\#(output)","is_error":\#(index % 3 == 0 && !output.isEmpty)}]}"#
            )
        }
        return messages
    }

    @Test func theSameAnswersAsWithout() throws {
        let memo = PrefixMemo()
        let messages = history(300)
        for count in stride(from: 1, through: messages.count, by: 2) {
            for end in ["]}", " ] } \n", #"],"stream":true}"#] {
                let body = body(Array(messages[..<count]), end: end)
                #expect(try AnthropicRequest.read(body, memo: memo) == AnthropicRequest.read(body), "\(count) messages")
            }
        }
    }

    @Test func branchesAndOtherHeadsAreToldApart() throws {
        let memo = PrefixMemo()
        var random = SeededGenerator(seed: 7)
        let messages = history(300)
        for _ in 0..<150 {
            let count = Int.random(in: 0..<(messages.count / 2), using: &random) * 2 + 1
            var branch = Array(messages[..<count])
            if Bool.random(using: &random) {
                branch[branch.count - 1] = #"{"role":"user","content":[{"type":"text","text":"x"}]}"#
            } else if count > 20 {
                let early = Int.random(in: 1..<(count / 2), using: &random) * 2
                branch[early] = branch[early].replacing("tool_result\"", with: "tool_result\" ")
            }
            let body = body(branch, head: #""model":"m","max_tokens":\#(Int.random(in: 1...3, using: &random))"#)
            let expected = Result { try AnthropicRequest.read(body) }
            let found = Result { try AnthropicRequest.read(body, memo: memo) }
            switch (expected, found) {
            case (.success(let left), .success(let right)): #expect(left == right)
            case (.failure(let left as ScriptedFault), .failure(let right as ScriptedFault)): #expect(left == right)
            default: Issue.record("\(count) messages: \(expected) became \(found)")
            }
        }
    }

    @Test(arguments: ["", "]", "]}}", ",]}", #",{"role":"user"}]}"#, "]}x", #","x"]}"#]) func nonsenseBehindAKnownBeginning(end: String) throws {
        let memo = PrefixMemo()
        let messages = history(200)
        _ = try AnthropicRequest.read(body(messages), memo: memo)
        let bad = body(messages, end: end)
        let expected = #expect(throws: ScriptedFault.self) { try AnthropicRequest.read(bad) }
        let found = #expect(throws: ScriptedFault.self) { try AnthropicRequest.read(bad, memo: memo) }
        #expect(expected == found)
    }

    @Test func itIsBounded() throws {
        let memo = PrefixMemo(maximumEntries: 3, maximumMessages: 2_000)
        let messages = history(300)
        for round in 0..<20 {
            let body = body(messages, head: #""model":"m\#(round)","max_tokens":500"#)
            #expect(try AnthropicRequest.read(body, memo: memo).turns.count == messages.count)
        }
    }

    @Test func scriptsReadBeforeChangeNoPlan() throws {
        let scripts = ScriptMemo(maximumScripts: 2)
        for round in 0..<6 {
            let conversation = try AnthropicRequest.read(body(history(40 + round % 4)))
            #expect(try ScriptInterpreter.plan(for: conversation, scripts: scripts) == ScriptInterpreter.plan(for: conversation))
        }
        let bad = String(repeating: "$ ls\n\n", count: 100) + "!oops"
        for _ in 0..<2 { #expect(throws: ScriptedFault.self) { try scripts.script(bad) } }
    }
}
