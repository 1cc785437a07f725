"""A control plane whose model speaks OpenAI Chat Completions: the same turns, end to end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from control import Control
from official_worker import OfficialWorker
from postern_fixture import Postern


@pytest.fixture(scope="module")
def openai() -> Iterator[Postern]:
    with Postern("postern-openai") as started:
        started.serve(provider="openai")
        yield started


def test_a_turn_with_tools(openai: Postern) -> None:
    control = Control(openai.url, openai.admin_key)
    place = control.place()
    folder = openai.folder / "work"
    folder.mkdir()
    with OfficialWorker(openai.url, place.environment, place.key, folder):
        session = control.session(place)
        # Two calls at once, one that fails after that, and the words that end the turn.
        control.turn(session, "$ echo one >> log.txt; echo first\n$ echo two >> log.txt\n\n$ cat log.txt; exit 3\n\nThat was all.")
        events = control.events(session)
        asked = [e for e in events if e["type"] == "agent.tool_use"]
        results = {e["tool_use_id"]: e for e in events if e["type"] == "user.tool_result"}
        assert [e["input"]["command"].split()[0] for e in asked] == ["echo", "echo", "cat"]
        assert [bool(results[e["id"]]["is_error"]) for e in asked] == [False, False, True]
        assert "first" in str(results[asked[0]["id"]]["content"])
        assert {"one", "two"} <= set(str(results[asked[2]["id"]]["content"]).replace("\\n", " ").replace("'", " ").split())
        said = [block["text"] for e in events if e["type"] == "agent.message" for block in e["content"]]
        # The model has read all three results, and which of them failed.
        assert any("Ran 3 calls, 1 failed." in text for text in said), said
        assert sum(e["type"] == "span.model_request_start" for e in events) == 3
        ends = [e for e in events if e["type"] == "span.model_request_end"]
        assert all(not e["is_error"] and e["model_usage"]["output_tokens"] > 0 for e in ends)
        assert events[-1]["stop_reason"] == {"type": "end_turn"}

        # The conversation goes on: the model is sent its own calls and their results again, and counts them.
        control.turn(session, "hello again")
        assert control.events(session)[-1]["stop_reason"] == {"type": "end_turn"}
    control.close()


@pytest.mark.parametrize(("line", "error"), [("!error 401", "model_request_failed_error"), ("!error 400", "model_request_failed_error")])
def test_an_error_of_the_model_ends_the_turn(openai: Postern, line: str, error: str) -> None:
    control = Control(openai.url, openai.admin_key)
    session = control.session(control.place())
    control.turn(session, line)
    events = control.events(session)
    assert [e["error"]["type"] for e in events if e["type"] == "session.error"] == [error]
    assert events[-1]["stop_reason"] == {"type": "retries_exhausted"}
    control.close()
