"""The order and shape of what a session's log holds, turn by turn. The worker is played by hand."""

from typing import Any

import pytest

from control import Control, Place, at_rest, text_event
from hands import Hands

ASK_BASH = {"type": "agent_toolset_20260401", "configs": [{"name": "bash", "permission_policy": {"type": "always_ask"}}]}
CUSTOM = {"type": "custom", "name": "look_up", "description": "Looks up", "input_schema": {"type": "object"}}


def types(events: list[dict[str, Any]]) -> list[str]:
    return [e["type"] for e in events]


def calls(event: dict[str, Any]) -> bool:
    return bool(event["type"] == "agent.tool_use")


def needs_action(event: dict[str, Any]) -> bool:
    return bool(event["type"] == "session.status_idle" and event["stop_reason"]["type"] == "requires_action")


@pytest.mark.behaviour("event-16", "event-18", "event-22")
def test_a_turn_of_words(control: Control, place: Place) -> None:
    session = control.session(place)
    control.turn(session, "hello")
    events = control.events(session)
    assert types(events) == [
        "session.status_running", "session.thread_status_running", "user.message", "span.model_request_start", "agent.message",
        "span.model_request_end", "session.thread_status_idle", "session.usage", "session.status_idle"]
    assert events[-1]["stop_reason"] == events[-3]["stop_reason"] == {"type": "end_turn"}
    end = events[5]
    assert set(end) == {"id", "is_error", "model_request_start_id", "model_usage", "processed_at", "type"}
    assert end["model_request_start_id"] == events[3]["id"]
    assert set(end["model_usage"]) - {"speed"} == {
        "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"}


@pytest.mark.behaviour("event-10")
def test_a_turn_with_tools(postern: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, "$ one\n$ two\n\n$ three")
        hands = Hands(postern.url, place)
        seen: list[dict[str, Any]] = []
        for event in stream:
            seen.append(event)
            if calls(event):
                hands.answer(event["id"], "ran " + event["input"]["command"])
            if at_rest(event):
                break
    asked = [e for e in seen if calls(e)]
    assert [e["input"]["command"] for e in asked] == ["one", "two", "three"]
    assert {e["evaluated_permission"] for e in asked} == {"allow"}
    assert all(e["evaluation"] == {"type": "always_allow"} for e in asked if "evaluation" in e)
    listed = control.events(session)
    results = [e for e in listed if e["type"] == "user.tool_result"]
    assert [e["tool_use_id"] for e in results] == [e["id"] for e in asked]
    assert sum(e["type"] == "span.model_request_start" for e in listed) == 3
    assert listed[-1]["type"] == "session.status_idle"
    assert "Ran 3 calls, 0 failed." in str(listed)


@pytest.mark.behaviour("event-12")
def test_a_call_to_confirm_beside_one_that_is_allowed(postern: Any, control: Control) -> None:
    place = control.place(agent={"tools": [ASK_BASH]})
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, '$ one\n@write {"file_path":"a","content":"b"}')
        hands = Hands(postern.url, place)
        seen = stream.until(needs_action)
        ask, allowed = [e for e in seen if calls(e)]
        assert (ask["evaluated_permission"], allowed["evaluated_permission"]) == ("ask", "allow")
        assert ask["id"] in seen[-1]["stop_reason"]["event_ids"]
        control.send(session, {"type": "user.tool_confirmation", "tool_use_id": ask["id"], "result": "allow"})
        hands.answer(ask["id"])
        hands.answer(allowed["id"])
        assert stream.until(at_rest)[-1]["stop_reason"] == {"type": "end_turn"}


@pytest.mark.behaviour("event-08", "event-15")
@pytest.mark.parametrize("message", [None, "not today"])
def test_a_denied_call(control: Control, message: str | None) -> None:
    place = control.place(agent={"tools": [ASK_BASH]})
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, "$ rm -rf /")
        idle = stream.until(needs_action)[-1]
        call = idle["stop_reason"]["event_ids"][0]
        denial = {"type": "user.tool_confirmation", "tool_use_id": call, "result": "deny"} | ({"deny_message": message} if message else {})
        control.send(session, denial)
        stream.until(at_rest)
    events = control.events(session)
    at = next(i for i, e in enumerate(events) if e["type"] == "user.tool_confirmation")
    assert types(events[at:at + 5]) == [
        "user.tool_confirmation", "session.status_running", "session.thread_status_running", "agent.tool_result", "span.model_request_start"]
    result = events[at + 3]
    words = "Permission to use bash has been rejected." + (f" Rejection message: {message}" if message else "")
    assert (result["tool_use_id"], result["is_error"], result["content"]) == (call, True, [{"type": "text", "text": words}])


@pytest.mark.behaviour("event-13")
def test_a_denial_while_another_call_waits(control: Control) -> None:
    place = control.place(agent={"tools": [ASK_BASH]})
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, "$ one\n$ two")
        first, second = stream.until(needs_action)[-1]["stop_reason"]["event_ids"]
        control.send(session, {"type": "user.tool_confirmation", "tool_use_id": first, "result": "deny"})
        seen = stream.until(needs_action)
        assert seen[-1]["stop_reason"]["event_ids"] == [second]
        tail = [t for t in types(seen) if t != "user.tool_confirmation"]
        assert tail == ["session.thread_status_idle", "session.usage", "session.status_idle"]
        control.send(session, {"type": "user.tool_confirmation", "tool_use_id": second, "result": "deny"})
        assert types(stream.until(at_rest)).count("agent.tool_result") == 2


@pytest.mark.behaviour("event-14")
def test_a_custom_tool_wakes_the_session(api: Any, control: Control) -> None:
    place = control.place(agent={"tools": [CUSTOM]})
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, '@look_up {"q":"x"}')
        idle = stream.until(needs_action)[-1]
        call = idle["stop_reason"]["event_ids"][0]
        api.call(lambda c: c.beta.sessions.events.send(session, events=[
            {"type": "user.custom_tool_result", "custom_tool_use_id": call, "content": [{"type": "text", "text": "found"}]}]))
        stream.until(at_rest)
    events = control.events(session)
    use = next(e for e in events if e["type"] == "agent.custom_tool_use")
    assert (use["id"], use["name"], use["input"]) == (call, "look_up", {"q": "x"})
    assert "session_thread_id" not in use
    at = next(i for i, e in enumerate(events) if e["type"] == "user.custom_tool_result")
    assert types(events[at:at + 4]) == [
        "user.custom_tool_result", "session.status_running", "session.thread_status_running", "span.model_request_start"]


@pytest.mark.behaviour("event-17")
def test_an_interrupt_while_a_call_runs(postern: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, "$ sleep 60")
        Hands(postern.url, place)
        call = stream.until(calls)[-1]
        control.send(session, {"type": "user.interrupt"})
        assert stream.until(at_rest)[-1]["stop_reason"] == {"type": "end_turn"}
    events = control.events(session)
    at = next(i for i, e in enumerate(events) if e.get("tool_use_id") == call["id"])
    # The recording has agent.tool_result; where a worker runs the call, only a user.tool_result keeps the official worker from running it.
    assert events[at]["type"] in ("agent.tool_result", "user.tool_result")
    assert types(events[at + 1:]) == [
        "user.interrupt", "session.thread_status_idle", "session.usage", "session.status_idle"]
    assert (events[at]["tool_use_id"], events[at]["is_error"]) == (call["id"], True)
    assert events[at]["content"] == [{"type": "text", "text": "Tool execution was interrupted before completion. Please retry."}]


def test_an_interrupt_while_waiting_for_confirmation(control: Control) -> None:
    place = control.place(agent={"tools": [ASK_BASH]})
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, "$ one")
        stream.until(needs_action)
        control.send(session, {"type": "user.interrupt"})
        assert stream.until(at_rest)[-1]["stop_reason"] == {"type": "end_turn"}
    assert control.turn(session, "go on")[-1]["stop_reason"] == {"type": "end_turn"}


def test_an_interrupt_of_an_idle_session(control: Control, place: Place) -> None:
    session = control.session(place)
    control.send(session, {"type": "user.interrupt"})
    assert control.turn(session, "hello")[-1]["stop_reason"] == {"type": "end_turn"}


@pytest.mark.behaviour("event-11")
def test_input_during_a_turn_joins_it(postern: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, "$ one")
        hands = Hands(postern.url, place)
        call = stream.until(calls)[-1]
        control.say(session, "and also this")
        hands.answer(call["id"])
        seen = stream.until(at_rest)
    assert types(seen).count("span.model_request_start") == 1, "one request reads both"
    assert types(seen).count("session.status_running") == 1
    assert "and also this" in str([e for e in control.events(session) if e["type"] == "agent.message"])


@pytest.mark.behaviour("event-01")
def test_what_waits_is_listed_last_and_moves(control: Control, place: Place) -> None:
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, "!sleep 1500\nfirst")
        stream.until(lambda e: e["type"] == "span.model_request_start")
        waiting = control.say(session, "second")[0]
        assert waiting.get("processed_at") is None
        last = control.events(session)[-1]
        assert (last["id"], last.get("processed_at")) == (waiting["id"], None)
        stream.until(lambda e: e["type"] == "agent.message" and "second" in str(e))
        stream.until(at_rest)
    events = control.events(session)
    assert [e["id"] for e in events].count(waiting["id"]) == 1
    moments = [e["processed_at"] for e in events]
    assert moments == sorted(moments)


@pytest.mark.behaviour("event-03")
def test_thinking_has_no_content(control: Control, place: Place) -> None:
    session = control.session(place)
    control.turn(session, "!think 40\nhello")
    thinking = next(e for e in control.events(session) if e["type"] == "agent.thinking")
    assert set(thinking) == {"id", "processed_at", "type"}


@pytest.mark.behaviour("event-07")
def test_an_answer_cut_by_max_tokens(control: Control, place: Place) -> None:
    session = control.session(place)
    events = control.turn(session, "some words\n!max-tokens")
    assert events[-1]["stop_reason"] == {"type": "end_turn"}
    assert "session.error" not in types(events)


@pytest.mark.behaviour("event-09")
def test_a_call_cut_by_max_tokens(postern: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, "!max-tokens-in-call\n$ echo long")
        seen = stream.until(lambda e: calls(e) or at_rest(e))
        call = seen[-1]
        assert (call["type"], call["input"]) == ("agent.tool_use", {})
        results = [e for e in control.events(session) if e["type"] == "agent.tool_result"]
        if not results:
            Hands(postern.url, place).answer(call["id"], "no command", is_error=True)
        assert stream.until(at_rest)[-1]["stop_reason"] == {"type": "end_turn"}


def test_overload_is_retried(control: Control, place: Place) -> None:
    session = control.session(place)
    events = control.turn(session, "!error 529 1\nat last")
    error = next(e for e in events if e["type"] == "session.error")["error"]
    assert (error["type"], error["retry_status"]) == ("model_overloaded_error", {"type": "retrying"})
    assert "at last" in str(events[-6:])


@pytest.mark.parametrize("fault", ["!error-mid-stream", "!drop"])
def test_a_stream_that_breaks_is_an_error_and_the_session_lives(control: Control, place: Place, fault: str) -> None:
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, f"some words\n{fault}")
        stream.until(lambda e: e["type"] == "session.error")
        control.send(session, {"type": "user.interrupt"})
        stream.until(at_rest)
    assert control.turn(session, "hello")[-1]["stop_reason"] == {"type": "end_turn"}


def test_a_refusal(control: Control, place: Place) -> None:
    idle = control.turn(control.session(place), "!refusal")[-1]
    assert idle["stop_reason"]["type"] == "refusal"


def test_unknown_blocks_and_signatures_survive_the_round_trip(postern: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    with control.watch(session) as stream:
        control.say(session, "!think 20\n!unknown-block\n$ one")
        hands = Hands(postern.url, place)
        hands.answer(stream.until(calls)[-1]["id"])
        seen = stream.until(at_rest)
    assert "session.error" not in types(seen)


def test_messages_are_answered_in_order(control: Control, place: Place) -> None:
    session = control.session(place)
    with control.watch(session) as stream:
        control.send(session, text_event("alpha"))
        stream.until(at_rest)
        control.send(session, text_event("beta"))
        stream.until(at_rest)
    said = [e["content"][0]["text"] for e in control.events(session) if e["type"] == "agent.message"]
    assert ["alpha" in said[0], "beta" in said[1]] == [True, True]
