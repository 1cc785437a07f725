"""The scripted model, asked by the official SDK: it must accept every answer as the Messages API's, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic.types import Message, ModelInfo

from postern_fixture import Postern

TOOLS: list[Any] = [{"name": "bash", "description": "d", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}}]


@pytest.fixture(scope="module")
def model(postern: Postern) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=postern.model_url, api_key="any", max_retries=0) as client:
        yield client


def says(script: str) -> list[Any]:
    return [{"role": "user", "content": script}]


def strict(value: Any, kind: Any) -> Any:
    """The SDK builds its models without checking; this checks."""
    kind.model_validate(value.model_dump(mode="json"), strict=False)
    return value


def both(model: anthropic.Anthropic, messages: list[Any], **more: Any) -> Message:
    """The answer in one piece, which the streamed one must equal."""
    request: dict[str, Any] = {"model": "scripted-model", "max_tokens": 5000, "tools": TOOLS, "messages": messages} | more
    whole = model.messages.create(**request)
    with model.messages.stream(**request) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_message()

    def content(message: Message) -> list[dict[str, Any]]:
        blocks = message.model_dump(mode="json")["content"]
        return [{k: v for k, v in block.items() if v is not None and k != "parsed_output"} for block in blocks]

    assert content(whole) == content(streamed)
    assert whole.stop_reason == streamed.stop_reason
    assert whole.usage.output_tokens == streamed.usage.output_tokens
    return strict(whole, Message)


def test_a_run_with_thinking_parallel_calls_and_a_failed_one(model: anthropic.Anthropic) -> None:
    messages = says('!think 30\nHello ünï.\n$ ls\n@read {"file_path": "a"}\n\n$ pwd\n\nThe end.\n!text 300')
    first = both(model, messages)
    assert first.stop_reason == "tool_use" and [b.type for b in first.content] == ["thinking", "text", "tool_use", "tool_use"]
    messages += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": b.id, "content": "out"} for b in first.content if b.type == "tool_use"]},
    ]
    second = both(model, messages)
    assert second.content[0].type == "tool_use"
    messages += [
        {"role": "assistant", "content": second.content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": second.content[0].id, "content": "bad", "is_error": True}]},
    ]
    third = both(model, messages)
    assert third.stop_reason == "end_turn" and third.content[-1].type == "text"
    assert third.content[-1].text == "Ran 3 calls, 1 failed. The last result begins: bad"


@pytest.mark.parametrize(("script", "reason"), [
    ("!max-tokens", "max_tokens"), ("!refusal", "refusal"), ("!text 6000", "max_tokens"), ("x\n!pause-turn", "pause_turn"),
    ("!sleep 5\nhello", "end_turn"),
])
def test_stop_reasons(model: anthropic.Anthropic, script: str, reason: str) -> None:
    assert both(model, says(script)).stop_reason == reason


def test_a_call_that_is_cut_off(model: anthropic.Anthropic) -> None:
    # Only whole: the SDK's own stream refuses the half JSON of the call.
    answer = model.messages.create(model="m", max_tokens=5000, tools=TOOLS, messages=says("!max-tokens-in-call\n$ ls"))
    assert strict(answer, Message).stop_reason == "max_tokens"


def test_a_block_that_the_sdk_does_not_know(model: anthropic.Anthropic) -> None:
    assert model.messages.create(model="m", max_tokens=50, messages=says("!unknown-block")).content


def ask(model: anthropic.Anthropic, script: str, *, streamed: bool) -> None:
    request: dict[str, Any] = {"model": "m", "max_tokens": 50, "messages": says(script)}
    if not streamed:
        model.messages.create(**request)
        return
    with model.messages.stream(**request) as stream:
        for _ in stream:
            pass


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("status", "kind"), [
    (400, anthropic.BadRequestError), (401, anthropic.AuthenticationError), (403, anthropic.PermissionDeniedError),
    (404, anthropic.NotFoundError), (429, anthropic.RateLimitError), (500, anthropic.InternalServerError), (529, anthropic.InternalServerError),
])
def test_errors(model: anthropic.Anthropic, status: int, kind: type[anthropic.APIStatusError], streamed: bool) -> None:
    with pytest.raises(kind) as caught:
        ask(model, f"!error {status}", streamed=streamed)
    error = caught.value
    assert error.status_code == status and isinstance(error.body, dict) and error.body["error"]["type"]
    assert error.response.headers["request-id"]


def test_an_error_in_the_middle_of_a_stream(model: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.APIStatusError):
        ask(model, "hello\n!error-mid-stream", streamed=True)


def test_a_connection_that_breaks(model: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.APIConnectionError):
        ask(model, "hello\n!drop", streamed=False)
    # The SDK lets the broken transport of a stream through as it is.
    with pytest.raises(Exception, match="(?i)incomplete|closed|peer|protocol|connection"):
        ask(model, "hello\n!drop", streamed=True)


def test_tokens_are_counted(model: anthropic.Anthropic) -> None:
    assert model.messages.count_tokens(model="m", messages=says("x" * 400)).input_tokens == 100


def test_models(model: anthropic.Anthropic) -> None:
    models = list(model.models.list())
    assert [m.id for m in models] == ["scripted-model", "scripted-small"]
    for found in [*models, model.models.retrieve("anything")]:
        strict(found, ModelInfo)
