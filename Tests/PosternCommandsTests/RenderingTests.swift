import PosternJSON
import Testing

@testable import PosternCommands

@Suite struct RenderingTests {
    private func rendered(_ events: [JSON], lines: Int = 3) -> String {
        var renderer = SessionRenderer(terminal: Terminal(isColoured: false), resultLines: lines)
        return events.map { renderer.render($0) }.joined()
    }

    @Test func aTurnReadsLikeATranscript() {
        let text = rendered([
            ["type": "user.message", "id": "sevt_1", "content": [["type": "text", "text": "Count."]]],
            ["type": "user.message", "id": "sevt_1", "processed_at": "2026-01-01T00:00:00Z", "content": [["type": "text", "text": "Count."]]],
            ["type": "session.status_running", "id": "sevt_2"],
            ["type": "agent.tool_use", "id": "sevt_3", "name": "bash", "input": ["command": "wc -l *"]],
            [
                "type": "user.tool_result", "id": "sevt_4", "processed_at": "t", "is_error": false,
                "content": [["type": "text", "text": "a\nb\nc\nd\ne"]],
            ],
            ["type": "agent.message", "id": "sevt_5", "content": [["type": "text", "text": "Five."]]],
            ["type": "session.status_idle", "id": "sevt_6", "stop_reason": ["type": "end_turn"]],
        ])
        #expect(text == "> Count.\n→ bash  wc -l *\n✓ a\n  b\n  c\n  … 2 more lines, 9 B in all\nFive.\nidle: end_turn\n")
    }

    @Test func aPreviewIsNotSaidTwice() {
        let text = rendered([
            ["type": "event_start", "event": ["type": "agent.message", "id": "sevt_1"]],
            ["type": "event_delta", "event_id": "sevt_1", "delta": ["type": "content_delta", "content": ["type": "text", "text": "Hel"]]],
            ["type": "event_delta", "event_id": "sevt_1", "delta": ["type": "content_delta", "content": ["type": "text", "text": "lo"]]],
            ["type": "agent.message", "id": "sevt_1", "content": [["type": "text", "text": "Hello"]]],
            ["type": "session.status_idle", "id": "sevt_2", "stop_reason": ["type": "end_turn"]],
        ])
        #expect(text == "Hello\nidle: end_turn\n")
    }

    @Test func blocksOfOneMessageAreApart() {
        func delta(_ index: JSON, _ text: JSON) -> JSON {
            ["type": "event_delta", "event_id": "sevt_1", "delta": ["index": index, "content": ["type": "text", "text": text]]]
        }
        #expect(rendered([delta(0, "One."), delta(1, "Two."), ["type": "agent.message", "id": "sevt_1", "content": []]]) == "One.\nTwo.\n")
    }

    @Test func outputCannotSteerTheTerminal() {
        let text = rendered([["type": "agent.message", "id": "sevt_1", "content": [["type": "text", "text": "\u{1B}]0;owned\u{07}\u{202E}x"]]]])
        #expect(text == "\\u{1b}]0;owned\\u{7}\\u{202e}x\n")
    }

    @Test func aFailedCallIsMarked() {
        #expect(
            rendered([["type": "user.tool_result", "id": "s", "processed_at": "t", "is_error": true, "content": [["type": "text", "text": "no"]]]])
                == "✗ no\n")
    }

    @Test func theSummaryAddsUp() {
        var summary = SessionSummary()
        let usage: JSON = ["input_tokens": 10, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 3]
        summary.consume(["type": "span.model_request_end", "model_usage": usage])
        summary.consume(["type": "agent.tool_use", "input": ["a": 1]])
        summary.consume(["type": "user.tool_result", "is_error": true, "content": []])
        #expect(
            summary.line(wall: .milliseconds(1540))
                == "1 turn · 1 tool call (1 failed) · 15 (+ 7 from cache) tokens in, 3 out · 7 B into the perimeter, 2 B out · 1.54 s")
    }

    @Test func tablesAlign() {
        var table = Table(["ID", "NAME"])
        table.add(["a", "one\ntwo"])
        table.add(["long", "x"])
        #expect(table.lines == ["ID    NAME", "a     one two", "long  x"])
    }

    @Test func jsonIsIndentedAndUnchanged() throws {
        let value: JSON = ["a": [1, 2], "b": ["c": "d\"e"], "e": [:], "f": []]
        #expect(try JSON(parsing: value.indented) == value)
        #expect(value.indented.hasPrefix("{\n  \"a\": [\n    1,\n"))
    }
}
