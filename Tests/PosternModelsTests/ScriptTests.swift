import PosternScriptedModel
import Testing

@Suite struct ScriptTests {
    @Test func grammar() throws {
        let script = try Script(
            parsing: """
                Hello.\r
                How are you?

                A new paragraph.
                $ ls -l "a b" \\
                spoken before the call
                @read {"file_path": "x"}
                @grep
                  \u{20}
                \\$ not a command
                \\!not a directive
                @ nobody
                $5 is not a command either
                !think 5
                !sleep 10
                !error 529 2 retry-after=30
                !error 418
                $ pwd


                The end.
                !text 7
                """)
        #expect(
            script.answers.map(\.steps) == [
                [
                    .say("Hello.\nHow are you?\n\nA new paragraph.\nspoken before the call"),
                    .call(tool: "bash", input: #"{"command":"ls -l \"a b\" \\"}"#), .call(tool: "read", input: #"{"file_path": "x"}"#),
                    .call(tool: "grep", input: "{}"),
                ],
                [
                    .say("$ not a command\n!not a directive\n@ nobody\n$5 is not a command either"), .think(tokens: 5), .sleep(milliseconds: 10),
                    .error(status: 529, times: 2, retryAfter: 30), .error(status: 418, times: nil, retryAfter: nil),
                    .call(tool: "bash", input: #"{"command":"pwd"}"#),
                ],
                [.say("The end."), .text(tokens: 7)],
            ])
    }

    @Test(arguments: ["", "\n\n", "words"]) func aScriptWithoutCallsIsOneAnswer(source: String) throws {
        #expect(try Script(parsing: source).answers.count == 1)
    }

    @Test func theLastAnswerHoldsNoCall() throws {
        #expect(try Script(parsing: "$ a\n\n$ b").answers.map(\.steps.count) == [1, 1, 0])
        #expect(try Script(parsing: "a\n!max-tokens\n\n$ b\n").answers.count == 3)
    }

    @Test(arguments: [
        ("!what", "script: line 1: there is no directive !what"), ("a\n\n!text", "script: line 3: !text needs a number from 1 to 1000000"),
        ("!text 0", "!text needs"), ("!text x", "!text needs"), ("!text 9999999", "!text needs"), ("!sleep -1", "!sleep needs"),
        ("!error 200", "!error needs a number from 400 to 599"), ("!error 500 0", "!error needs a number from 1 to 1000"),
        ("!drop now", "!drop does not take \"now\""), ("!text 5 6", "does not take \"6\""), ("!error 500 2 later", "does not take \"later\""),
    ])
    func badDirectivesNameTheLine(source: String, message: String) {
        #expect {
            _ = try Script(parsing: source)
        } throws: { error in
            (error as? ScriptedFault).map { $0.status == 400 && $0.message.contains(message) } ?? false
        }
    }

    /// The help text promises nothing that is not read.
    @Test func everyDirectiveOfTheHelpExists() throws {
        for line in ScriptedModel.grammar.split(separator: "\n") where line.hasPrefix("| `!") {
            let name = try #require(line.dropFirst(3).split { $0 == " " || $0 == "`" }.first)
            let arguments = ["!text": " 3", "!think": " 3", "!sleep": " 3", "!error": " 500"][name] ?? ""
            #expect(throws: Never.self) { try Script(parsing: name + arguments) }
        }
    }
}
