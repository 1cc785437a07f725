"""Orders to freeze, and what the audit says of them."""

from __future__ import annotations

import time
from typing import Any

from measures import measured
from perimeter import Perimeter


def freeze(perimeter: Perimeter, *words: str) -> Any:
    """Freezes by the command, which must come back within a second with everything frozen and nothing killed."""
    began = time.monotonic()
    reply = perimeter.json("worker", "freeze", *words)
    measured(f"freeze: {words[0]}: {reply['milliseconds']} ms, with the command itself {(time.monotonic() - began) * 1000:.0f} ms")
    assert reply["milliseconds"] < 1000
    assert all(one["frozen"] and one["problem"] is None and not one["killed"] for one in reply["sessions"]), reply
    return reply


def records(perimeter: Perimeter, kind: str, subject: str) -> list[dict[str, Any]]:
    """The records of one order, each of which must be followed by a checkpoint: it is signed at once."""
    log = perimeter.audit()
    found = [(number, one) for number, one in enumerate(log) if one["kind"] == kind and one["body"]["subject"] == subject]
    if kind == "freeze":
        assert all(log[number + 1]["kind"] == "checkpoint" for number, _ in found)
    return [one for _, one in found]
