import Foundation
import Testing

/// The official Python SDK against the scripted model: it must accept every answer. Runs where `POSTERN_SDK_PYTHON` names a Python that has
/// the package `anthropic`.
@Suite struct OfficialSDKTests {
    private static let python = ProcessInfo.processInfo.environment["POSTERN_SDK_PYTHON"]

    @Test(.enabled(if: python != nil, "set POSTERN_SDK_PYTHON to a Python with the package anthropic"))
    func acceptsEveryAnswer() async throws {
        let python = try #require(Self.python)
        try await withScriptedModel { port in
            let (status, output) = try await run(python, ["-c", Self.script, "http://127.0.0.1:\(port)"])
            #expect(status == 0, "\(output)")
        }
    }

    private func run(_ executable: String, _ arguments: [String]) async throws -> (Int32, String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        let output = FileManager.default.temporaryDirectory.appendingPathComponent("postern-sdk-\(UUID().uuidString).txt")
        try Data().write(to: output)
        defer { try? FileManager.default.removeItem(at: output) }
        let handle = try FileHandle(forWritingTo: output)
        process.standardOutput = handle
        process.standardError = handle
        let status = try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
        try handle.close()
        return (status, try String(contentsOf: output, encoding: .utf8))
    }

    private static let script = #"""
        import sys
        import anthropic
        from anthropic.types import Message, ModelInfo

        client = anthropic.Anthropic(base_url=sys.argv[1], api_key="any", max_retries=0)
        tools = [{"name": "bash", "description": "d", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}}]

        def strict(value, kind):
            # The SDK builds its models without checking; this checks.
            kind.model_validate(value.model_dump(mode="json"), strict=False)
            return value

        def both(messages, **more):
            more = {"model": "scripted-model", "max_tokens": 5000, "tools": tools, "messages": messages, **more}
            whole = client.messages.create(**more)
            with client.messages.stream(**more) as stream:
                for _ in stream:
                    pass
                streamed = stream.get_final_message()
            a, b = whole.model_dump(mode="json"), streamed.model_dump(mode="json")
            for dump in (a, b):
                for block in dump["content"]:
                    for key in [k for k, v in block.items() if v is None or k == "parsed_output"]:
                        del block[key]
            assert a["content"] == b["content"], (a, b)
            assert a["stop_reason"] == b["stop_reason"], (a, b)
            assert whole.usage.output_tokens == streamed.usage.output_tokens
            return whole

        # A whole run with thinking, parallel calls and a failed one.
        messages = [{"role": "user", "content": "!think 30\nHello ünï.\n$ ls\n@read {\"file_path\": \"a\"}\n\n$ pwd\n\nThe end.\n!text 300"}]
        first = strict(both(messages), Message)
        assert first.stop_reason == "tool_use" and [b.type for b in first.content] == ["thinking", "text", "tool_use", "tool_use"], first
        messages.append({"role": "assistant", "content": first.content})
        messages.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": b.id, "content": "out"} for b in first.content if b.type == "tool_use"]})
        second = strict(both(messages), Message)
        messages.append({"role": "assistant", "content": second.content})
        messages.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": second.content[0].id, "content": "bad", "is_error": True}]})
        third = strict(both(messages), Message)
        assert third.stop_reason == "end_turn"
        assert third.content[-1].text == "Ran 3 calls, 1 failed. The last result begins: bad", third.content[-1].text

        for script, reason in [("!max-tokens", "max_tokens"), ("!max-tokens-in-call\n$ ls", "max_tokens"), ("!refusal", "refusal"),
                               ("!text 6000", "max_tokens"), ("x\n!pause-turn", "pause_turn"), ("!sleep 5\nhello", "end_turn")]:
            answer = client.messages.create(model="m", max_tokens=5000, tools=tools, messages=[{"role": "user", "content": script}])
            strict(answer, Message)
            assert answer.stop_reason == reason, answer
            if reason != "max_tokens" or "call" not in script:
                both([{"role": "user", "content": script}])
        client.messages.create(model="m", max_tokens=50, messages=[{"role": "user", "content": "!unknown-block"}])

        def fails(kind, script, stream=False):
            try:
                arguments = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": script}]}
                if stream:
                    with client.messages.stream(**arguments) as s:
                        for _ in s:
                            pass
                else:
                    client.messages.create(**arguments)
            except kind as error:
                return error
            raise AssertionError((kind, script))

        for status, kind in [(400, anthropic.BadRequestError), (401, anthropic.AuthenticationError), (403, anthropic.PermissionDeniedError),
                             (404, anthropic.NotFoundError), (429, anthropic.RateLimitError), (500, anthropic.InternalServerError),
                             (529, anthropic.InternalServerError)]:
            for stream in (False, True):
                error = fails(kind, f"!error {status}", stream)
                assert error.status_code == status and error.body["error"]["type"] and error.response.headers["request-id"]
        fails(anthropic.APIStatusError, "hello\n!error-mid-stream", True)
        # The SDK lets the broken transport of a stream through as it is.
        fails(Exception, "hello\n!drop", True)
        fails(anthropic.APIConnectionError, "hello\n!drop")

        assert client.messages.count_tokens(model="m", messages=[{"role": "user", "content": "x" * 400}]).input_tokens == 100
        models = list(client.models.list())
        assert [m.id for m in models] == ["scripted-model", "scripted-small"]
        for model in models + [client.models.retrieve("anything")]:
            strict(model, ModelInfo)
        """#
}
