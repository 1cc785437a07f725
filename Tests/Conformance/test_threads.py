"""The primary thread's routes."""

from typing import Any

import anthropic
import pytest

from control import Control, Place
from refusals import refused
from tally import TALLY


@pytest.mark.behaviour("thread-01", "thread-02")
def test_a_fresh_session_has_its_primary_thread(api: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    threads = api.items(lambda c: c.beta.sessions.threads.list(session))
    assert len(threads) == 1
    thread = threads[0]
    assert (thread.type, thread.session_id, thread.parent_thread_id, thread.status) == ("session_thread", session, None, "idle")
    assert (thread.stats, thread.usage, thread.archived_at) == (None, None, None)
    assert (thread.agent.type, thread.agent.id) == ("agent", place.agent)
    control.turn(session, "hello")
    after = api.call(lambda c: c.beta.sessions.threads.retrieve(thread.id, session_id=session))
    assert after.stats is not None and after.usage is not None and after.usage.output_tokens > 0


@pytest.mark.behaviour("thread-11")
def test_its_events(api: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    control.turn(session, "hello")
    thread = control.call("GET", f"/v1/sessions/{session}/threads")["data"][0]["id"]
    events = api.items(lambda c: c.beta.sessions.threads.events.list(thread, session_id=session, limit=2))
    assert "agent.message" in [e.type for e in events]
    for event in control.events(session):
        if event["type"].startswith("session.thread_"):
            assert event["session_thread_id"] == thread
            assert event["agent_name"]
        else:
            assert "session_thread_id" not in event


@pytest.mark.behaviour("thread-03")
def test_the_primary_thread_is_not_archived(api: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    thread = control.call("GET", f"/v1/sessions/{session}/threads")["data"][0]["id"]
    refused(control.http.post(f"/v1/sessions/{session}/threads/{thread}/archive"), 400, "invalid_request_error",
            "The primary thread cannot be archived; archive the session instead.")
    with pytest.raises(anthropic.BadRequestError):
        api.call(lambda c: c.beta.sessions.threads.archive(thread, session_id=session))
    # While sessions have one thread only, this refusal is the endpoint's one right answer.
    TALLY.answer("sessions.threads.archive", api.mode, [])


@pytest.mark.behaviour("general-11")
def test_malformed_and_absent_threads(control: Control, place: Place) -> None:
    session = control.session(place)
    refused(control.http.get(f"/v1/sessions/{session}/threads/undefined"), 400, "invalid_request_error")
    refused(control.http.get(f"/v1/sessions/{session}/threads/sthr_011CZkZAtmR3yMPDzynEDxu7"), 404, "not_found_error")
