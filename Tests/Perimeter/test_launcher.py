"""A launcher's script: it starts `postern worker run` for the claimed item, and never sees the environment's key."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from conftest import BOTH_USERS
from control import at_rest
from perimeter import Perimeter
from test_freeze import COUNTER, moves, stand

pytestmark = BOTH_USERS

SCRIPT = """#!/bin/sh
env >"$LAUNCH_FOLDER/environment.txt"
cat >"$LAUNCH_FOLDER/item.json"
tr '\\0' '\\n' </proc/$$/cmdline >"$LAUNCH_FOLDER/arguments.txt"
exec "$LAUNCH_POSTERN" worker run --workdir "$LAUNCH_FOLDER/work" --state-dir "$LAUNCH_FOLDER/state" --max-idle 1
"""


def script(perimeter: Perimeter, text: str = SCRIPT) -> tuple[Path, Path]:
    path = perimeter.folder / "launch.sh"
    path.write_text(text)
    path.chmod(0o755)
    return path, perimeter.make("launched")


def start(perimeter: Perimeter, path: Path, folder: Path, *arguments: str) -> None:
    perimeter.policy()
    # A script runs as the poller's user; these write to a folder of root's, and what they start is to be started as root.
    user = ("--user", "root") if os.geteuid() == 0 and not perimeter.as_user else ()
    perimeter.start("--on-work", str(path), *user, *arguments, LAUNCH_FOLDER=str(folder), LAUNCH_POSTERN=str(perimeter.postern.binary))


def test_a_session_is_served_by_what_the_script_starts(perimeter: Perimeter) -> None:
    path, folder = script(perimeter)
    start(perimeter, path, folder)
    session = perimeter.session()
    results = perimeter.run(session, "$ echo launched; echo >here.txt; env | grep -c KEY\n\n$ ls")
    assert results[0].text.splitlines() == ["launched", "0"] and "here.txt" in results[1].text
    assert (folder / "work" / session / "here.txt").exists()
    assert not perimeter.workspace(session).exists(), "nothing of it runs in the poller's own sandbox"
    environment = (folder / "environment.txt").read_text()
    names = {line.partition("=")[0] for line in environment.splitlines()}
    assert perimeter.place.key not in environment and "ANTHROPIC_ENVIRONMENT_KEY" not in names
    assert {"ANTHROPIC_WORK_SECRET", "ANTHROPIC_WORK_ID", "ANTHROPIC_SESSION_ID", "ANTHROPIC_ENVIRONMENT_ID", "ANTHROPIC_BASE_URL"} <= names
    assert {name for name in names if name.startswith("POSTERN_")} == {"POSTERN_LAUNCH"}
    item = json.loads((folder / "item.json").read_text())
    assert item["data"]["id"] == session and perimeter.place.key not in json.dumps(item)
    assert perimeter.place.key not in (folder / "arguments.txt").read_text()
    # Another message starts another run.
    assert perimeter.worker is not None
    perimeter.worker.wait_for("released|the session's turn is over|stopped|ended", seconds=30)
    assert "here.txt" in perimeter.shell(session, "ls").text
    # The script's secrets are masked in the worker's log.
    secret = item["secret"]
    assert secret not in perimeter.worker.log.read_text() and perimeter.place.key not in perimeter.worker.log.read_text()


def test_what_the_script_prints_is_logged_without_secrets(perimeter: Perimeter) -> None:
    path, folder = script(perimeter, SCRIPT.replace("exec", 'echo "here: $ANTHROPIC_WORK_SECRET" >&2\nexec'))
    start(perimeter, path, folder)
    perimeter.run(perimeter.session(), "$ true")
    assert perimeter.worker is not None
    line = perimeter.worker.wait_for("here: ").string
    assert json.loads((folder / "item.json").read_text())["secret"] not in line


def test_only_compatibility_hands_out_the_key(perimeter: Perimeter) -> None:
    path, folder = script(perimeter)
    start(perimeter, path, folder, "--on-work-compat", "true")
    perimeter.run(perimeter.session(), "$ true")
    assert f"ANTHROPIC_ENVIRONMENT_KEY={perimeter.place.key}" in (folder / "environment.txt").read_text()


@pytest.mark.parametrize("failure", ["exit 1", "exit 0"])
def test_a_script_that_starts_nothing_strands_no_session(perimeter: Perimeter, failure: str) -> None:
    """The first run fails, or claims to have begun; the item comes back and the second serves it."""
    text = SCRIPT.replace("exec", f'if [ ! -e "$LAUNCH_FOLDER/tried" ]; then touch "$LAUNCH_FOLDER/tried"; {failure}; fi\nexec')
    path, folder = script(perimeter, text)
    start(perimeter, path, folder, "--on-work-grace", "1")
    assert perimeter.shell(perimeter.session(), "echo served").text == "served"
    assert (folder / "tried").exists()


def test_a_drain_reaches_the_launched_worker_and_nothing_below_it(perimeter: Perimeter) -> None:
    path, folder = script(perimeter, SCRIPT.replace("--max-idle 1", "--max-idle 0"))
    start(perimeter, path, folder)
    perimeter.run(perimeter.session(), "$ ln -s /etc/passwd out")
    assert perimeter.worker is not None
    perimeter.worker.stop(seconds=30)
    # The launched worker has looked at what the session leaves, for which it needs its spawner.
    perimeter.worker.wait_for("launcher: .*released.*reason=drained")
    perimeter.worker.wait_for("launcher: .*nobody should trust.*link_out 1")


def test_what_the_script_has_started_elsewhere_hears_of_the_end(perimeter: Perimeter) -> None:
    """The worker in a session of its own, and a helper in another that no mark names."""
    helper = """setsid env -i sh -c 'trap "echo told >$1/told.txt; exit" TERM; sleep 1000 & wait' helper "$LAUNCH_FOLDER" &\n"""
    text = SCRIPT.replace("--max-idle 1\n", "--max-idle 0 &\nwhile kill -0 $!; do wait $!; done\n").replace("exec ", f"{helper}trap : TERM\nsetsid ")
    path, folder = script(perimeter, text)
    start(perimeter, path, folder)
    perimeter.run(perimeter.session(), "$ ln -s /etc/passwd out")
    assert perimeter.worker is not None
    perimeter.worker.stop(seconds=30)
    perimeter.worker.wait_for("launcher: .*released.*reason=drained")
    perimeter.worker.wait_for("launcher: .*nobody should trust.*link_out 1")
    assert (folder / "told.txt").exists()


#: What a freeze says of a script that runs: it cannot know what that has started.
ELSEWHERE = "what its launcher's script has started elsewhere is not reached from here: stop it there"


def freeze(perimeter: Perimeter, *words: str, status: int = 0) -> tuple[Any, dict[str, Any]]:
    """The reply and the record of one order."""
    reply = perimeter.json("worker", "freeze", *words, status=status)
    return reply, perimeter.audit("freeze")[-1]["body"]


@pytest.mark.parametrize("target", ["session", "all"])
def test_a_freeze_stops_what_the_script_runs_and_says_what_it_cannot_reach(perimeter: Perimeter, target: str) -> None:
    """The launched worker, its sandbox and what is detached in there."""
    path, folder = script(perimeter, SCRIPT.replace("--max-idle 1", "--max-idle 0"))
    start(perimeter, path, folder)
    session = perimeter.session()
    perimeter.shell(session, "; ".join(COUNTER.replace("NAME", f"count-{n}") for n in range(3)))
    paths = [folder / "work" / session / f"count-{n}" for n in range(3)]
    assert all(moves(path) for path in paths)
    words = ["session", session] if target == "session" else ["all"]
    reply, body = freeze(perimeter, *words, status=5)
    stand(perimeter, paths)
    [one] = reply["sessions"]
    assert (one["session"], one["frozen"], one["killed"], one["elsewhere"], one["problem"]) == (session, True, False, True, ELSEWHERE)
    # The launched worker, its spawner, the sandbox's own and three counters.
    assert one["processes_stopped"] >= 6
    assert body["processes_stopped"] == one["processes_stopped"] and body["elsewhere"] == 1
    assert (body["processes_killed"], body["survivors"]) == (0, 0)
    told = perimeter.command("worker", "freeze", *words, status=5).stdout
    assert ELSEWHERE in told and "No session is served now" not in told
    perimeter.command("worker", "thaw", *words)
    assert all(moves(path) for path in paths)


@pytest.mark.parametrize("target", ["session", "agent", "all"])
def test_nothing_is_launched_that_an_order_covers(perimeter: Perimeter, target: str) -> None:
    path, folder = script(perimeter)
    if target == "session":
        # A new session is claimed at once: the order is that of an earlier worker.
        session = perimeter.session()
        words = ["session", session]
        kept = perimeter.state / "frozen.json"
        kept.write_text(json.dumps([words]))
        kept.chmod(0o600)
        perimeter.give(kept)
        start(perimeter, path, folder)
    else:
        start(perimeter, path, folder)
        words = ["agent", perimeter.place.agent] if target == "agent" else ["all"]
        reply, body = freeze(perimeter, *words)
        assert reply["sessions"] == [] and "elsewhere" not in body
        session = perimeter.session()
    assert perimeter.worker is not None
    with perimeter.control.watch(session) as events:
        perimeter.control.say(session, "$ echo ran")
        perimeter.worker.wait_for("nothing is launched: an order to freeze covers the session")
        assert [one["frozen"] for one in perimeter.json("worker", "status")["sessions"]] == [True]
        assert not (folder / "item.json").exists() and perimeter.audit("session_start") == []
        perimeter.command("worker", "thaw", *words)
        events.until(at_rest)
    assert perimeter.results(session)[0].text == "ran"


@pytest.mark.parametrize("compatible", [False, True])
def test_what_a_script_is_given_is_recorded(perimeter: Perimeter, compatible: bool) -> None:
    path, folder = script(perimeter)
    start(perimeter, path, folder, *(["--on-work-compat", "true"] if compatible else []))
    session = perimeter.session()
    perimeter.run(session, "$ true")
    assert perimeter.worker is not None
    perimeter.worker.wait_for("the launched worker has ended", seconds=30)
    perimeter.worker.stop(seconds=30)
    records = perimeter.audit(session=session)
    assert [one["kind"] for one in records] == ["session_start", *["key_use"] * (2 if compatible else 1), "session_stop"]
    begin, end = records[0]["body"], records[-1]["body"]
    assert begin["agent"] == perimeter.place.agent and begin["launcher"]["path"] == str(path) and len(begin["launcher"]["hmac_sha256"]) == 64
    keys = [one["body"] for one in records if one["kind"] == "key_use"]
    assert [one["name"].rsplit(" ", 1)[0] for one in keys] == ["work secret", "environment key"][:len(keys)]
    assert {one["purpose"] for one in keys} == {"handed to the launcher's script"}
    assert end["reason"] == "the item is stopped; the script ended with status 0"
    log = (perimeter.state / "audit.jsonl").read_text()
    assert perimeter.place.key not in log and json.loads((folder / "item.json").read_text())["secret"] not in log
    assert perimeter.json("audit", "verify")["good"]
