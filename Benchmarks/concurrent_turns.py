"""A thousand sessions in the middle of a turn at once, in one process: its threads, and what waiting costs."""

from __future__ import annotations

import time
from pathlib import Path

from rows import Row
from scene import Scene, cpu_seconds, resident_kilobytes, seconds_between

#: How long each model's answer takes: longer than it takes to begin them all and to look at the process.
MODEL_SECONDS = 40
WATCHED_SECONDS = 3


def measure(scene: Scene) -> list[Row]:
    control, pid = scene.control, scene.server.pid
    place = control.place()
    count = scene.count(1000, 100)
    sessions = [control.session(place) for _ in range(count)]
    before = resident_kilobytes(pid)
    began = time.monotonic()
    for session in sessions:
        control.say(session, f"!sleep {1000 * MODEL_SECONDS}\nawake")
    if time.monotonic() - began > MODEL_SECONDS - WATCHED_SECONDS - 1:
        raise RuntimeError(f"it took {time.monotonic() - began:.1f} s to begin {count} turns: too long to see all of them wait")
    time.sleep(1)
    spent = cpu_seconds(pid)
    time.sleep(WATCHED_SECONDS)
    spent = cpu_seconds(pid) - spent
    during = resident_kilobytes(pid)
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    # The model's own time left out: from its answer to the end of the turn, by the log's clock.
    closing = []
    for session in sessions:
        while (last := control.events(session)[-1])["type"] != "session.status_idle":
            time.sleep(0.05)
        if last["stop_reason"]["type"] != "end_turn":
            raise RuntimeError(f"{session} ended with {last['stop_reason']}")
        answered = next(event for event in control.events(session) if event["type"] == "span.model_request_end")
        closing.append(1000 * seconds_between(answered["processed_at"], last["processed_at"]))
    name = f"{count:,} turns at once"
    return [
        Row(f"{name}: answer of the model → idle", "ms", closing, note=f"all {count:,} ended their turn; they woke within the time it took to begin them"),
        Row(f"{name}: CPU of the server while they wait", "ms per second", [1000 * spent / WATCHED_SECONDS], note=f"{threads} threads"),
        Row(f"{name}: memory of each", "KiB PSS", [max(0.0, (during[1] - before[1]) / count)], note="with its request to the model"),
    ]
