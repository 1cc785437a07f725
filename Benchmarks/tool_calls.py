"""Latency of a tool call as the log shows it: from `agent.tool_use` stored to its result stored."""

from __future__ import annotations

from control import Control, Place
from machine import bare_call
from rows import Row
from scene import Scene, seconds_between


def latencies(control: Control, place: Place, calls: int) -> list[float]:
    """Milliseconds for each of a number of one-call turns of a session; the first, which starts the shell, is left out."""
    session = control.session(place)
    control.turn(session, "\n\n".join(["$ true"] * (calls + 1)))
    events = control.events(session)
    asked = {e["id"]: e["processed_at"] for e in events if e["type"] == "agent.tool_use"}
    answered = {e["tool_use_id"]: e for e in events if e["type"] in ("user.tool_result", "agent.tool_result")}
    failed = [e for e in answered.values() if e.get("is_error")]
    if failed:
        raise RuntimeError(f"{len(failed)} calls failed: {failed[0]}")
    return [1000 * seconds_between(asked[i], answered[i]["processed_at"]) for i in asked][1:]


def measure(scene: Scene) -> list[Row]:
    calls = scene.count(200, 40)
    own_place, peer_place = scene.control.place(), scene.control.place()
    own = scene.own_worker(own_place)
    ours = latencies(scene.control, own_place, calls)
    own.stop()
    peer = scene.official_worker(peer_place)
    theirs = latencies(scene.control, peer_place, calls)
    peer.stop()
    limit = bare_call(scene.postern.folder, calls)
    return [
        Row("tool call: tool_use stored → result stored", "ms", ours, "official worker, no sandbox", theirs, floor=3, aim=10,
            note="own worker sandboxed"),
        Row("the same, above the machine's own limit", "ms", ours, "two durable appends, six process hand-overs", limit, sense="cost"),
        Row("official worker, above the machine's own limit", "ms", theirs, "the same", limit, sense="cost"),
    ]
