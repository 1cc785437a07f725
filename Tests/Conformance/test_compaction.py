"""Conversations that come near the model's context, and content that a model service does not take: the session goes on."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from control import Control, Place, text_event
from postern_fixture import Postern
from refusals import refused

#: A model whose context holds 8,000 tokens.
SMALL = "scripted-small"
CUSTOM = {"type": "custom", "name": "look_up", "description": "Looks up", "input_schema": {"type": "object"}}
LONG = "a line of a log\n" * 6_000


@pytest.fixture(scope="module")
def openai() -> Iterator[Control]:
    with Postern("postern-small-openai") as started:
        started.serve(provider="openai")
        control = Control(started.url, started.admin_key)
        yield control
        control.close()


@pytest.fixture(scope="module")
def bounded() -> Iterator[Control]:
    """The operator says that contexts are small; the list of models says that they are large."""
    with Postern("postern-small-context") as started:
        started.serve("--model-context-tokens", "6000", "--model-max-output-tokens", "200")
        control = Control(started.url, started.admin_key)
        yield control
        control.close()


def types(events: list[dict[str, Any]]) -> list[str]:
    return [e["type"] for e in events]


def png(size: int) -> dict[str, Any]:
    data = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(size)).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


def message(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "user.message", "content": list(content)}


def long_result(control: Control, model: str) -> str:
    """A session whose tool has just given a result many times as long as the context."""
    session = control.session(control.place(agent={"model": model, "tools": [CUSTOM]}))
    with control.watch(session) as stream:
        control.say(session, "@look_up {}")
        call = next(e for e in stream if e["type"] == "agent.custom_tool_use")
        stream.until(lambda e: e["type"] == "session.status_idle")
        control.send(session, {"type": "user.custom_tool_result", "custom_tool_use_id": call["id"], "content": [{"type": "text", "text": LONG}]})
        seen = stream.until(lambda e: e["type"] == "session.status_idle")
    assert seen[-1]["stop_reason"] == {"type": "end_turn"}, types(seen)
    assert "agent.thread_context_compacted" in types(seen) and "session.error" not in types(seen)
    return session


def goes_on(control: Control, session: str) -> None:
    seen = control.turn(session, "hello again")
    assert seen[-1]["stop_reason"] == {"type": "end_turn"}
    assert any("hello again" in str(e["content"]) for e in seen if e["type"] == "agent.message")


def test_a_session_goes_on_after_a_long_result(control: Control) -> None:
    goes_on(control, long_result(control, SMALL))


def test_the_operator_bounds_context_and_answers(bounded: Control) -> None:
    session = long_result(bounded, "scripted-model")
    goes_on(bounded, session)
    bounded.turn(session, "!text 5000")
    ends = [e for e in bounded.events(session) if e["type"] == "span.model_request_end"]
    assert max(e["model_usage"]["output_tokens"] for e in ends) <= 200


def test_a_message_longer_than_the_context(control: Control) -> None:
    session = control.session(control.place(agent={"model": SMALL, "tools": []}))
    seen = control.turn(session, LONG)
    assert seen[-1]["stop_reason"] == {"type": "end_turn"}
    assert "agent.thread_context_compacted" in types(seen)
    goes_on(control, session)


def test_an_agent_that_fits_no_context_does_not_end_its_session(control: Control) -> None:
    session = control.session(control.place(agent={"model": SMALL, "tools": [], "system": "x" * 40_000}))
    for _ in range(2):
        seen = control.turn(session, "hello")
        assert seen[-1]["stop_reason"] == {"type": "retries_exhausted"}
        errors = [e["error"] for e in seen if e["type"] == "session.error"]
        assert [(e["type"], e["retry_status"]["type"]) for e in errors] == [("compaction_limit_reached_error", "exhausted")]
    assert control.call("GET", f"/v1/sessions/{session}")["status"] == "idle"


def test_an_image_of_a_megabyte_is_answered(control: Control) -> None:
    session = control.session(control.place(agent={"model": SMALL, "tools": []}))
    control.turn(session, "hello")
    seen = control.turn(session, message({"type": "text", "text": "what is this?"}, png(1 << 20)))
    assert "agent.thread_context_compacted" not in types(seen)
    assert seen[-1]["stop_reason"] == {"type": "end_turn"}
    goes_on(control, session)


def test_a_small_context_of_an_openai_service(openai: Control) -> None:
    session = openai.session(openai.place(agent={"model": SMALL}))
    assert openai.turn(session, "hello")[-1]["stop_reason"] == {"type": "end_turn"}
    goes_on(openai, long_result(openai, SMALL))


def test_an_openai_service_cannot_be_told_a_region(openai: Control) -> None:
    refused(openai.http.post("/v1/agents", json={"name": "a", "model": {"id": "m", "inference_geo": "us"}}), 400, "invalid_request_error",
            "model.inference_geo: …OpenAI Chat Completions…", retry=False)


def test_a_block_that_the_service_refuses(control: Control, place: Place) -> None:
    session = control.session(place)
    # The service fetches over TLS only.
    image = {"type": "image", "source": {"type": "url", "url": "http://pictures.example/x.png"}}
    seen = control.turn(session, message({"type": "text", "text": "look"}, image))
    assert seen[-1]["stop_reason"] == {"type": "retries_exhausted"}
    assert [e["error"]["type"] for e in seen if e["type"] == "session.error"] == ["model_request_failed_error"]
    goes_on(control, session)
    assert image in next(e for e in control.events(session) if e["type"] == "user.message")["content"], "the event keeps what was sent"


@pytest.mark.parametrize("content", [
    [{"type": "image", "source": {"type": "url", "url": "http://pictures.example/x.png"}}], [{"type": "text", "text": ""}],
    [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}], [{"type": "text", "text": " \n"}],
], ids=["refused", "empty", "no image", "blank"])
def test_a_result_that_no_service_takes(control: Control, content: list[dict[str, Any]]) -> None:
    session = control.session(control.place(agent={"tools": [CUSTOM]}))
    with control.watch(session) as stream:
        control.say(session, "@look_up {}")
        call = next(e for e in stream if e["type"] == "agent.custom_tool_use")
        stream.until(lambda e: e["type"] == "session.status_idle")
        control.send(session, {"type": "user.custom_tool_result", "custom_tool_use_id": call["id"], "content": content, "is_error": True})
        assert stream.until(lambda e: e["type"] == "session.status_idle")[-1]["stop_reason"] == {"type": "end_turn"}
    goes_on(control, session)


@pytest.mark.parametrize(("block", "text"), [
    ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}, "…is no image/png…"),
    ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}}, "…is no application/pdf…"),
    ({"type": "text", "text": " \n"}, "…must hold more than white space…"),
])
def test_messages_that_no_service_takes(control: Control, place: Place, block: dict[str, Any], text: str) -> None:
    session = control.session(place)
    refused(control.http.post(f"/v1/sessions/{session}/events", json={"events": [text_event("good"), message(block)]}), 400,
            "invalid_request_error", text)
    assert control.events(session) == []
