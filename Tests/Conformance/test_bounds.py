"""Bounds that an operator sets, on a server that has them low."""

from __future__ import annotations

from control import Control, text_event
from postern_fixture import Postern
from refusals import refused


def test_a_session_has_a_bound_of_events() -> None:
    with Postern("postern-bounds") as started:
        started.serve("--max-events-per-session", "100")
        control = Control(started.url, started.admin_key)
        session = control.session(control.place())
        root = f"/v1/sessions/{session}"
        while (answer := control.http.post(f"{root}/events", json={"events": [text_event("hello")]})).status_code == 200:
            assert len(control.events(session)) <= 120
        error = refused(answer, 400, "invalid_request_error", "…the maximum of 100 for one session.…max_events_per_session.", retry=False)
        assert error["details"]["error_code"] == "session_events_limit"
        refused(control.http.post(root, json={"title": "t"}), 400, "invalid_request_error")
        # The turns that had begun come to their end, and the session can still be read, archived and deleted.
        with control.watch(session, last_event_id="0") as stream:
            stream.until(lambda e: e["type"] == "session.status_idle")
        while control.call("GET", root)["status"] == "running":
            pass
        assert control.events(session)[-1]["type"] == "session.status_idle"
        assert control.call("POST", f"{root}/archive", {})["archived_at"]
        control.close()
