"""Freezing: everything of a session, an agent or a worker stands within a second, detached children too, without the control plane."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from conftest import BOTH_USERS, modes, runs_as_user
from control import Control, Place, at_rest
from freezing import freeze, records
from perimeter import ORDINARY_USER, Perimeter
from postern_fixture import Postern
from web import Web

#: Counts as fast as it can, in a session of its own whose parent is gone.
COUNTER = "(setsid sh -c 'i=0; while :; do i=$((i+1)); echo $i >NAME.new; mv NAME.new NAME; done' >/dev/null 2>&1 &)"


def counters(perimeter: Perimeter, session: str) -> list[Path]:
    """Starts three detached children that count, and waits until they do."""
    perimeter.shell(session, "; ".join(COUNTER.replace("NAME", f"count-{n}") for n in range(3)))
    paths = [perimeter.workspace(session) / f"count-{n}" for n in range(3)]
    for path in paths:
        assert moves(path)
    return paths


def value(path: Path) -> int:
    try:
        return int(path.read_text() or 0)
    except FileNotFoundError:
        return 0


def moves(path: Path, *, seconds: float = 20) -> bool:
    """Whether the counter counts on; nothing tells of it but the file."""
    before, deadline = value(path), time.monotonic() + seconds
    while value(path) <= before:
        if time.monotonic() > deadline:
            return False
    return True


def stand(perimeter: Perimeter, paths: list[Path]) -> None:
    """Nothing counts while a command of another process begins and ends, twice."""
    before = [value(path) for path in paths]
    for _ in range(2):
        perimeter.command("worker", "status")
        assert [value(path) for path in paths] == before


@BOTH_USERS
@pytest.mark.parametrize("target", ["session", "agent", "all"])
def test_what_is_named_stands_and_the_rest_goes_on(perimeter: Perimeter, control: Control, target: str) -> None:
    perimeter.policy()
    perimeter.start("--max-idle", "0")
    mine = perimeter.session()
    other = control.session(Place(control.agent(), perimeter.place.environment, perimeter.place.key))
    paths, others = counters(perimeter, mine), counters(perimeter, other)
    words = {"session": ["session", mine], "agent": ["agent", perimeter.place.agent], "all": ["all"]}[target]
    reply = freeze(perimeter, *words)
    assert {one["session"] for one in reply["sessions"]} == ({mine, other} if target == "all" else {mine})
    stand(perimeter, paths + (others if target == "all" else []))
    if target != "all":
        assert moves(others[0])
    perimeter.command("worker", "thaw", *words)
    assert all(moves(path) for path in paths + others)
    assert perimeter.shell(mine, "echo goes on").text == "goes on"
    subject = " ".join(words)
    frozen = records(perimeter, "freeze", subject)
    assert len(frozen) == 1 and len(records(perimeter, "thaw", subject)) == 1
    body = frozen[0]["body"]
    assert body["survivors"] == 0 and body["duration_ms"] < 1000
    assert perimeter.json("audit", "verify")["good"]


@BOTH_USERS
def test_the_record_says_how_many_processes_stand_and_who_wanted_it(perimeter: Perimeter) -> None:
    perimeter.policy()
    perimeter.start("--max-idle", "0")
    for session in (perimeter.session(), perimeter.session()):
        counters(perimeter, session)
    reply = freeze(perimeter, "all")
    body = records(perimeter, "freeze", "all")[0]["body"]
    # In each sandbox three counters at least, which start others all the time, the shell and what it is in.
    assert len(reply["sessions"]) == 2 and all(one["processes_stopped"] >= 6 for one in reply["sessions"])
    assert body["processes_stopped"] == sum(one["processes_stopped"] for one in reply["sessions"])
    assert (body["processes_killed"], body["survivors"]) == (0, 0)
    by = f"uid {ORDINARY_USER if perimeter.as_user else os.geteuid()}"
    assert by in body["by"]
    assert "that are left: 0" in perimeter.command("worker", "freeze", "all").stdout
    perimeter.command("worker", "thaw", "all")
    assert records(perimeter, "thaw", "all")[0]["body"]["by"] == body["by"]


@pytest.mark.parametrize("mode", modes())
def test_without_the_control_plane(web: Web, mode: str) -> None:
    with Postern("postern-freeze") as postern:
        postern.serve()
        control = Control(postern.url, postern.admin_key)
        perimeter = Perimeter(postern, control, as_user=runs_as_user(mode))
        try:
            perimeter.policy(network={
                "rules": [{"id": "upload", "hosts": web.host}], "addresses": "127.0.0.0/8", "upstream": {"ca_file": str(web.ca_file)}})
            perimeter.start("--max-idle", "0")
            session = perimeter.session()
            paths = counters(perimeter, session)
            stream = web.stream(f"frozen-{mode}")
            control.say(session, f"$ yes | curl --silent --limit-rate 20k --noproxy '' --upload-file - {web.url}/upload/frozen-{mode}; echo over")
            assert stream.begun.wait(20)
            assert postern.server is not None
            postern.server.kill_alone()
            freeze(perimeter, "all")
            stand(perimeter, paths)
            # The connection stands too: what was under way when the freeze returned has arrived by now.
            pieces = stream.pieces
            stand(perimeter, paths)
            assert stream.pieces == pieces and not stream.broken.is_set()
            perimeter.command("worker", "thaw", "all")
            assert all(moves(path) for path in paths)
            postern.restart_server()
            with control.watch(session) as events:
                control.send(session, {"type": "user.interrupt"})
                events.until(at_rest)
            assert perimeter.shell(session, "echo goes on").text.endswith("goes on")
            assert len(records(perimeter, "freeze", "all")) == 1
            assert perimeter.json("audit", "verify")["good"]
        finally:
            perimeter.close()


def test_what_is_taken_up_later_starts_frozen(perimeter: Perimeter) -> None:
    perimeter.policy()
    perimeter.start()
    freeze(perimeter, "agent", perimeter.place.agent)
    # The order outlives the worker.
    assert perimeter.worker is not None
    perimeter.worker.stop()
    worker = perimeter.start()
    session = perimeter.session()
    with perimeter.control.watch(session) as events:
        perimeter.control.say(session, "$ echo ran >ran.txt; echo ran")
        worker.wait_for(f"serving.*{session}")
        events.until(lambda e: e["type"] == "agent.tool_use")
        assert [one["frozen"] for one in perimeter.json("worker", "status")["sessions"]] == [True]
        assert not (perimeter.workspace(session) / "ran.txt").exists()
        perimeter.command("worker", "thaw", "agent", perimeter.place.agent)
        events.until(at_rest)
    assert perimeter.results(session)[0].text == "ran"


@pytest.mark.parametrize("egress", ["shared", "per_session"])
def test_a_proxy_that_does_not_hold_is_ended_with_its_sessions(perimeter: Perimeter, web: Web, egress: str) -> None:
    """A freeze waits for no proxy: it comes back within its second, and says what it had to kill."""
    perimeter.policy(network={
        "egress": egress, "rules": [{"id": "echo", "hosts": web.host}], "addresses": "127.0.0.0/8", "upstream": {"ca_file": str(web.ca_file)}})
    perimeter.start("--max-idle", "0")
    sessions = [perimeter.session() for _ in range(2)]
    paths = [path for session in sessions for path in counters(perimeter, session)]
    stuck = perimeter.proxies()
    assert len(stuck) == (1 if egress == "shared" else 2)
    for pid in stuck:
        os.kill(pid, signal.SIGSTOP)
    try:
        reply = perimeter.json("worker", "freeze", "all")
        assert reply["milliseconds"] < 1000, reply
        assert {one["session"] for one in reply["sessions"]} == set(sessions)
        assert all(one["killed"] and one["problem"] is None for one in reply["sessions"]), reply
        stand(perimeter, paths)
        body = records(perimeter, "freeze", "all")[0]["body"]
        assert body["survivors"] == 0 and body["processes_killed"] > 0 and body["processes_stopped"] == 0
    finally:
        for pid in stuck:
            os.kill(pid, signal.SIGKILL)
