"""Sending events: what is accepted, what is echoed, what is refused."""

from typing import Any

import pytest

from control import Control, Place, at_rest, text_event
from hands import Hands
from refusals import refused

ABSENT = "011CZkZAtmR3yMPDzynEDxu7"
ASK = {"type": "agent_toolset_20260401", "configs": [{"name": "bash", "permission_policy": {"type": "always_ask"}}]}


def post(control: Control, session: str, *events: dict[str, Any]) -> Any:
    return control.http.post(f"/v1/sessions/{session}/events", json={"events": list(events)})


def call_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    return next(e for e in events if e["type"] == "agent.tool_use")


def calls(event: dict[str, Any]) -> bool:
    return bool(event["type"] == "agent.tool_use")


def test_send_echoes_with_ids(api: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    sent: list[Any] = []
    with control.watch(session) as stream:
        answer = api.call(lambda c: c.beta.sessions.events.send(session, events=[text_event("one"), text_event("two")]))
        sent += answer.data
        stream.until(at_rest)
    assert [e.content[0].text for e in sent] == ["one", "two"]
    listed = [e["id"] for e in control.events(session) if e["type"] == "user.message"]
    assert listed == [e.id for e in sent]


@pytest.mark.behaviour("send-11")
def test_no_events(control: Control, place: Place) -> None:
    refused(post(control, control.session(place)), 400, "invalid_request_error", "events: must contain at least 1 item")


@pytest.mark.behaviour("send-06")
def test_empty_text(control: Control, place: Place) -> None:
    refused(post(control, control.session(place), text_event("")), 400, "invalid_request_error",
            "events.0.user_message.content.0.text: value is required")


@pytest.mark.behaviour("send-07")
@pytest.mark.parametrize("kind", ["agent.message", "session.usage", "nonsense"])
def test_types_that_clients_do_not_send(control: Control, place: Place, kind: str) -> None:
    refused(post(control, control.session(place), {"type": kind, "content": []}), 400, "invalid_request_error",
            f'Failed to parse request: events[0].type: "{kind}" is not a valid value')


def test_a_batch_is_all_or_nothing(control: Control, place: Place) -> None:
    session = control.session(place)
    refused(post(control, session, text_event("good"), {"type": "nonsense"}), 400, "invalid_request_error")
    assert control.events(session) == []


@pytest.mark.behaviour("send-01")
def test_a_large_message(control: Control, place: Place) -> None:
    session = control.session(place)
    control.turn(session, "\n".join(["x" * 99] * 13_500))
    assert len(control.events(session)) > 3


@pytest.mark.behaviour("send-05")
def test_allow_with_a_deny_message(control: Control, place: Place) -> None:
    refused(post(control, control.session(place), {
        "type": "user.tool_confirmation", "tool_use_id": f"sevt_{ABSENT}", "result": "allow", "deny_message": "no"}), 400, "invalid_request_error",
        "Invalid tool_confirmation event at index 0: deny_message is only allowed when result is 'deny'")


@pytest.mark.behaviour("send-02")
def test_interrupt_of_another_sessions_thread(control: Control, place: Place) -> None:
    other = control.call("GET", f"/v1/sessions/{control.session(place)}/threads")["data"][0]["id"]
    refused(post(control, control.session(place), {"type": "user.interrupt", "session_thread_id": other}), 404, "not_found_error",
            f"Thread not found: {other}")


@pytest.mark.behaviour("send-04")
def test_interrupt_of_the_primary_thread(control: Control, place: Place) -> None:
    session = control.session(place)
    thread = control.call("GET", f"/v1/sessions/{session}/threads")["data"][0]["id"]
    with control.watch(session) as stream:
        control.say(session, "!sleep 60000\nhello")
        stream.until(lambda e: e["type"] == "span.model_request_start")
        control.send(session, {"type": "user.interrupt", "session_thread_id": thread})
        idle = stream.until(at_rest)[-1]
    assert idle["stop_reason"] == {"type": "end_turn"}


@pytest.mark.behaviour("send-03")
def test_interrupt_and_redirect(control: Control, place: Place) -> None:
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, "!sleep 60000\nnever said")
        stream.until(lambda e: e["type"] == "span.model_request_start")
        control.send(session, {"type": "user.interrupt"}, text_event("instead"))
        seen = stream.until(lambda e: e["type"] == "agent.message")
        stream.until(at_rest)
    assert "instead" in str(seen[-1]["content"]) and "never said" not in str(seen)


@pytest.mark.behaviour("send-10", "send-13")
def test_results_come_from_the_worker_only(postern: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, "$ true")
        call = stream.until(calls)[-1]
        result = {"type": "user.tool_result", "tool_use_id": call["id"], "content": [{"type": "text", "text": "ok"}]}
        refused(post(control, session, result), 403, "permission_error",
                "events[0]: `user.tool_result` may only be sent with environment credentials (the self-hosted runner's Session-Instance JWT); "
                "an API key or Console session cannot post this event type")
        hands = Hands(postern.url, place)
        echo = hands.key.send(session, result)
        stream.until(at_rest)
    assert (echo[0]["type"], echo[0]["tool_use_id"]) == ("user.tool_result", call["id"])


def test_a_second_result_changes_nothing(postern: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, "$ true")
        call = stream.until(calls)[-1]
        hands = Hands(postern.url, place)
        hands.answer(call["id"], "first")
        stream.until(at_rest)
    before = control.events(session)
    answer = post(hands.token, session, {"type": "user.tool_result", "tool_use_id": call["id"], "content": [{"type": "text", "text": "second"}]})
    assert answer.status_code == 200
    assert control.events(session) == before


@pytest.mark.parametrize("kind", ["user.message", "user.interrupt", "user.tool_confirmation", "system.message", "user.define_outcome"])
def test_a_worker_cannot_speak_steer_or_approve(postern: Any, control: Control, place: Place, kind: str) -> None:
    session = control.session(place)
    hands = Hands(postern.url, place)
    bodies: dict[str, dict[str, Any]] = {
        "user.message": text_event("x"), "user.interrupt": {}, "system.message": {"content": [{"type": "text", "text": "x"}]},
        "user.tool_confirmation": {"tool_use_id": f"sevt_{ABSENT}", "result": "allow"},
        "user.define_outcome": {"description": "d", "rubric": {"type": "text", "content": "c"}},
    }
    for credential in (hands.token, hands.key):
        refused(post(credential, session, {"type": kind} | bodies[kind]), 403, "permission_error")


def test_a_result_for_a_call_that_does_not_exist(postern: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    hands = Hands(postern.url, place)
    answer = post(hands.token, session, {"type": "user.tool_result", "tool_use_id": f"sevt_{ABSENT}", "content": []})
    assert answer.status_code in (400, 403, 404)


def test_a_worker_without_the_lease_reads_and_posts_nothing(control: Control, place: Place) -> None:
    session = control.session(place)
    key = Control(control.url, place.key)
    refused(key.http.get(f"/v1/sessions/{session}"), 403, "permission_error")
    refused(key.http.get(f"/v1/sessions/{session}/events"), 403, "permission_error")
    refused(key.http.get(f"/v1/sessions/{session}/events/stream"), 403, "permission_error")
    refused(post(key, session, {"type": "user.tool_result", "tool_use_id": f"sevt_{ABSENT}", "content": []}), 403, "permission_error")


@pytest.mark.behaviour("send-14")
def test_a_confirmation_is_routed_by_its_call(postern: Any, control: Control) -> None:
    place = control.place(agent={"tools": [ASK]})
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, "$ true")
        call = stream.until(calls)[-1]
        echo = control.send(session, {"type": "user.tool_confirmation", "tool_use_id": call["id"], "result": "deny",
                                      "session_thread_id": f"sthr_{ABSENT}"})[0]
        stream.until(at_rest)
    assert echo.get("session_thread_id") != f"sthr_{ABSENT}"


@pytest.mark.behaviour("send-12")
@pytest.mark.parametrize("events", [
    ["system"], ["system", "user"], ["user", "system", "user"], ["user", "system", "system"],
], ids=" ".join)
def test_system_messages_in_the_wrong_place(control: Control, place: Place, events: list[str]) -> None:
    parts = {"user": text_event("hello"), "system": {"type": "system.message", "content": [{"type": "text", "text": "be brief"}]}}
    refused(post(control, control.session(place), *(parts[e] for e in events)), 400, "invalid_request_error")


@pytest.mark.behaviour("send-09")
def test_a_system_message_for_a_model_without_support(control: Control) -> None:
    session = control.session(control.place(agent={"model": "scripted-plain"}))
    system = {"type": "system.message", "content": [{"type": "text", "text": "be brief"}]}
    error = refused(post(control, session, text_event("hello"), system), 400, "invalid_request_error",
                    "`system.message` events are not supported on model scripted-plain…")
    assert error["details"]["error_code"] == "model_does_not_support_mid_conversation_system"
    assert control.events(session) == []
    assert control.turn(session, "hello")[-1]["stop_reason"] == {"type": "end_turn"}


def test_a_system_message_in_its_place(control: Control, place: Place) -> None:
    session = control.session(place)
    control.turn(session, "hello", {"type": "system.message", "content": [{"type": "text", "text": "be brief"}]})
    assert "system.message" in [e["type"] for e in control.events(session)]
