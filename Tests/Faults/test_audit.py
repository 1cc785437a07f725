"""The audit sees every kind of damage: each rule fails here once on purpose."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[1] / "Support" / "python")]

from audit import Findings, audit  # noqa: E402
from effects import Round, make_round, mark_of  # noqa: E402
from sse import Frame  # noqa: E402

ROUND = Round("r", "round r\n$ echo m >> effects.txt; echo m", ("m",))


def healthy() -> list[dict[str, Any]]:
    return [
        {"id": "1", "type": "user.message", "content": [{"type": "text", "text": ROUND.text}]},
        {"id": "2", "type": "agent.tool_use", "input": {"command": "echo m >> effects.txt; echo m"}},
        {"id": "3", "type": "user.tool_result", "tool_use_id": "2", "is_error": False, "content": [{"type": "text", "text": "m"}]},
        {"id": "4", "type": "session.status_idle", "stop_reason": {"type": "end_turn"}},
    ]


def frames_of(events: list[dict[str, Any]]) -> list[Frame]:
    return [Frame(e["type"], str(n), json.dumps(e)) for n, e in enumerate(events, 1)]


def violations(
    events: list[dict[str, Any]], *, marks: int = 1, frames: list[Frame] | None = None, at_most_once: bool = True, may_give_up: bool = True,
    calm: Round | None = None,
) -> list[str]:
    reader = SimpleNamespace(frames=frames_of(events) if frames is None else frames, reconnects=0)
    client: Any = SimpleNamespace(session="s", rounds=[ROUND], confirmed=["1"], reader=reader, calm=calm)
    findings = Findings()
    audit(client, events, Counter({"m": marks}), at_most_once=at_most_once, may_give_up=may_give_up, findings=findings)
    return findings.violations


def test_a_healthy_session_passes() -> None:
    assert violations(healthy()) == []
    assert violations(healthy(), calm=ROUND) == []


def unknown() -> dict[str, Any]:
    return {"id": "3", "type": "agent.tool_result", "tool_use_id": "2", "is_error": True,
            "content": [{"type": "text", "text": "The outcome is unknown; the call was not repeated."}]}


@pytest.mark.parametrize("marks", [0, 1])
def test_an_unknown_outcome_passes(marks: int) -> None:
    events = healthy()
    events[2] = unknown()
    assert violations(events, marks=marks) == []
    assert violations(events, marks=marks, at_most_once=False, may_give_up=False)
    # Not where nothing was killed or cut.
    assert violations(events, marks=marks, calm=ROUND)


def test_effects() -> None:
    assert violations(healthy(), marks=2)
    assert violations(healthy(), marks=0)
    assert violations(healthy(), marks=2, at_most_once=False) == []
    assert violations(healthy(), marks=0, at_most_once=False)


@pytest.mark.parametrize("damage", [
    lambda e: e.pop(0), lambda e: e.insert(1, e[0] | {"id": "1b"}), lambda e: e.insert(1, e[0]), lambda e: e.pop(2),
    lambda e: e.insert(3, e[2] | {"id": "3b"}), lambda e: e.pop(1), lambda e: e.insert(2, e[1] | {"id": "2b"}), lambda e: e.pop(3),
    lambda e: e[2].update(is_error=True), lambda e: e[2]["content"][0].update(text="other"),
], ids=["message lost", "message doubled", "event twice", "result lost", "result doubled", "call lost", "call doubled", "not at rest",
        "plain failure", "another call's result"])
def test_damage_to_the_log(damage: Callable[[list[dict[str, Any]]], Any]) -> None:
    events = healthy()
    damage(events)
    assert violations(events)


@pytest.mark.parametrize("damage", [
    lambda f: f.pop(1), lambda f: f.append(f[3]), lambda f: f.insert(0, f[2]),
    lambda f: f.append(Frame("x", "9", '{"id":"9","type":"agent.message"}')),
    lambda f: f.__setitem__(2, Frame("user.tool_result", "3", '{"id":"3","type":"user.tool_result"}')),
], ids=["frame lost", "frame repeated", "out of order", "not in the list", "differs"])
def test_damage_to_the_stream(damage: Callable[[list[Frame]], Any]) -> None:
    frames = frames_of(healthy())
    damage(frames)
    assert violations(healthy(), frames=frames)


def test_rounds_leave_one_mark_per_call() -> None:
    one = make_round("n", random.Random(1))
    commands = [line[2:] for line in one.text.splitlines() if line.startswith("$ ")]
    assert [mark_of(c) for c in commands] == list(one.marks)
    assert len(set(one.marks)) == len(one.marks)
