"""The event stream: live tail, previews, resumption."""

from typing import Any

import pytest

from control import Control, Place, at_rest, text_event
from refusals import refused


def idle(event: Any) -> bool:
    return bool(event.type == "session.status_idle")


def refused_stream(control: Control, path: str, **request: Any) -> None:
    """Like `refused`, without reading for ever where the stream opens after all."""
    with control.http.stream("GET", path, **request) as answer:
        assert answer.status_code == 400, "the stream was opened"
        answer.read()
        refused(answer, 400, "invalid_request_error")


@pytest.mark.behaviour("event-02")
def test_the_stream_is_the_list(api: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    control.turn(session, "before")
    older = {e["id"] for e in control.events(session)}
    seen = api.stream(lambda c: c.beta.sessions.events.stream(session), act=lambda: control.say(session, "hello"), until=idle)
    assert not {e.id for e in seen} & older, "no replay"
    assert not {"event_start", "event_delta"} & {e.type for e in seen}, "no previews unless asked for"
    # A client's own event may come twice, queued and processed; every other one comes once.
    last = {e.id: e.type for e in seen}
    assert list(last.values()) and set(last) == {e["id"] for e in control.events(session)} - older
    others = [e.id for e in seen if not e.type.startswith("user.")]
    assert len(others) == len(set(others))


@pytest.mark.behaviour("event-02")
def test_previews(api: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    seen = api.stream(
        lambda c: c.beta.sessions.events.stream(session, event_deltas=["agent.message", "agent.thinking"]),
        act=lambda: control.say(session, "!think 30\n!text 200"), until=idle)
    starts = [e for e in seen if e.type == "event_start"]
    message = next(e for e in seen if e.type == "agent.message")
    assert [s.event.type for s in starts] == ["agent.thinking", "agent.message"]
    assert starts[1].event.id == message.id
    deltas = [e for e in seen if e.type == "event_delta"]
    assert deltas and {d.event_id for d in deltas} == {message.id}
    assert "".join(d.delta.content.text for d in deltas) == "".join(block.text for block in message.content)
    order = [e.type for e in seen]
    assert order.index("event_delta") < order.index("agent.message")
    assert "event_start" not in {e["type"] for e in control.events(session)}, "previews are never stored"


def test_thread_stream_with_previews(api: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    thread = control.call("GET", f"/v1/sessions/{session}/threads")["data"][0]["id"]
    seen = api.stream(
        lambda c: c.beta.sessions.threads.events.stream(thread, session_id=session, event_deltas=["agent.message"]),
        act=lambda: control.say(session, "!text 100"), until=lambda e: e.type in ("session.status_idle", "session.thread_status_idle"))
    assert {"event_start", "event_delta", "agent.message"} <= {e.type for e in seen}


@pytest.mark.parametrize("deltas", [["agent.tool_use"], ["agent.message"] * 101])
def test_previews_that_do_not_exist(control: Control, place: Place, deltas: list[str]) -> None:
    path = f"/v1/sessions/{control.session(place)}/events/stream"
    refused_stream(control, path, params=[("event_deltas[]", d) for d in deltas])


def test_headers(control: Control, place: Place) -> None:
    with control.watch(control.session(place)) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.response.headers["request-id"].startswith("req_")


def test_resumption_from_the_start_is_the_whole_log(control: Control, place: Place) -> None:
    session = control.session(place)
    control.turn(session, "hello")
    with control.watch(session, last_event_id="0") as stream:
        stream.until(at_rest)
    numbers = [int(f.id) for f in stream.frames if f.id is not None]
    assert numbers == sorted(set(numbers))
    assert list(dict.fromkeys(f.json["id"] for f in stream.frames))


def test_resumption_at_every_place(control: Control, place: Place) -> None:
    session = control.session(place)
    control.turn(session, "one")
    control.turn(session, "two")
    def from_(place: str) -> list[str]:
        with control.watch(session, last_event_id=place) as stream:
            last = control.events(session)[-1]["id"]
            stream.until(lambda e: e.get("id") == last)
            return [str(f.id) for f in stream.frames if f.id is not None]
    everything = from_("0")
    for index, identifier in enumerate(everything[:-1]):
        assert from_(identifier) == everything[index + 1:]


def test_a_broken_resumption_point_is_refused(control: Control, place: Place) -> None:
    path = f"/v1/sessions/{control.session(place)}/events/stream"
    for place_in_log in ("nonsense", "-1", "999999"):
        refused_stream(control, path, headers={"last-event-id": place_in_log})


def test_many_subscribers_see_the_same(control: Control, place: Place) -> None:
    session = control.session(place)
    with control.watch(session) as first, control.watch(session) as second:
        control.send(session, text_event("hello"))
        assert first.until(at_rest) == second.until(at_rest)
        assert [f.id for f in first.frames if f.id] == [f.id for f in second.frames if f.id]
