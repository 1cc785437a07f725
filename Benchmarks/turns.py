"""Whole turns: a long history against a short one, a new session with one tool, CPU."""

from __future__ import annotations

import time
from typing import Any

from control import Control, at_rest, text_event
from rows import Row
from scene import Scene, cpu_seconds, seconds_between


def timed_turns(control: Control, session: str, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each turn of words: by the client's clock, and by the log without the model's own time."""
    whole, engine = [], []
    with control.watch(session) as stream:
        for _ in range(count):
            began = time.perf_counter()
            control.say(session, "hello")
            seen = stream.until(at_rest)
            whole.append(1000 * (time.perf_counter() - began))
            engine.append(1000 * engine_share(seen))
    return whole, engine


def engine_share(events: list[dict[str, Any]]) -> float:
    def moment(kind: str) -> str:
        return str(next(e["processed_at"] for e in events if e["type"] == kind))
    total = seconds_between(moment("session.status_running"), moment("session.status_idle"))
    return total - seconds_between(moment("span.model_request_start"), moment("span.model_request_end"))


def grow(control: Control, session: str, events: int) -> None:
    """Turns of many small messages each, until the log holds that many events."""
    batch = [text_event("more")] * 40
    held = 0
    while held < events:
        control.turn(session, *batch)
        # Forty messages and the nine events of a turn around them; the true count is read now and then.
        held += 48
        if held >= events:
            held = len(control.events(session))


def measure_long_history(scene: Scene) -> list[Row]:
    """The floor is for what Postern adds: reading the whole history is the model request's own need, and shown beside it."""
    control, place = scene.control, scene.control.place()
    count, size = scene.count(40, 15), scene.count(10_000, 3_000)
    session = control.session(place)
    grow(control, session, 100)
    short_whole, short_engine, short_cpu = timed_with_cpu(scene, session, count)
    grow(control, session, size)
    long_whole, long_engine, long_cpu = timed_with_cpu(scene, session, count)
    name, peer = f"turn at event {size:,}", "at event 100"
    return [
        Row(name + ", without the model request", "ms", long_engine, peer, short_engine, sense="cost", floor=1.5, aim=1.1),
        Row(name + ", request → idle", "ms", long_whole, peer, short_whole, sense="cost", note="the model reads the whole history"),
        Row(name + ", server CPU", "ms", [long_cpu], peer, [short_cpu], sense="cost", note="the model request's bytes included"),
    ]


def timed_with_cpu(scene: Scene, session: str, count: int) -> tuple[list[float], list[float], float]:
    before = cpu_seconds(scene.server.pid)
    whole, engine = timed_turns(scene.control, session, count)
    return whole, engine, 1000 * (cpu_seconds(scene.server.pid) - before) / count


def measure_one_tool(scene: Scene) -> list[Row]:
    control, place = scene.control, scene.control.place()
    scene.own_worker(place, "--max-sessions", "64")
    found = []
    for number in range(scene.count(40, 10) + 1):
        began = time.perf_counter()
        session = control.session(place, initial_events=[text_event("$ true")])
        with control.watch(session, last_event_id="0") as stream:
            stream.until(at_rest)
        if number:
            found.append(1000 * (time.perf_counter() - began))
    return [Row("new session with one tool call: request → idle", "ms", found, note="own worker, a sandbox of its own")]


def measure_cpu(scene: Scene) -> list[Row]:
    control, place = scene.control, scene.control.place()
    session = control.session(place)
    turns = scene.count(500, 100)
    worker_place = control.place()
    worker = scene.own_worker(worker_place)
    busy = control.session(worker_place)
    control.turn(busy, "$ true")
    timed_turns(control, session, 20)
    before = cpu_seconds(scene.server.pid)
    timed_turns(control, session, turns)
    words = 1000 * (cpu_seconds(scene.server.pid) - before) / turns
    before, before_worker = cpu_seconds(scene.server.pid), cpu_seconds(worker.pid)
    control.turn(busy, "\n\n".join(["$ true"] * turns))
    server = 1000 * (cpu_seconds(scene.server.pid) - before) / turns
    own = 1000 * (cpu_seconds(worker.pid) - before_worker) / turns
    return [
        Row("server CPU per turn of words", "ms", [words]), Row("server CPU per tool turn", "ms", [server]),
        Row("worker CPU per tool turn", "ms", [own], note="the worker's process alone"),
    ]
