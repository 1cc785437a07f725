"""The audit log of a worker that has served: verified, counted, compared with the control plane, exported; what was changed is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from control import Control
from hands import Hands
from perimeter import Perimeter


class Served:
    """A worker that has served two sessions and ended."""

    def __init__(self, perimeter: Perimeter) -> None:
        self.perimeter = perimeter
        self.mirror = perimeter.make("mirror")
        perimeter.policy(tools={"deny": ["grep"]})
        process = perimeter.start("--audit-mirror", str(self.mirror))
        self.root_key = process.wait_for(r"root_key=([0-9a-f]{64})").group(1)
        self.sessions = [perimeter.session(), perimeter.session()]
        for session in self.sessions:
            perimeter.run(session, "\n\n".join([
                "$ echo one", "$ false", '@write {"file_path":"a","content":"b"}', '@grep {"pattern":"x"}', '@read {"file_path":"a"}']))
        process.stop(seconds=20)
        self.log = perimeter.state / "audit.jsonl"
        self.lines = self.log.read_bytes().splitlines(keepends=True)

    def verify(self, *arguments: str, status: int = 0) -> Any:
        return self.perimeter.json("audit", "verify", "--root-key", self.root_key, *arguments, status=status)


@pytest.fixture(scope="module")
def served(perimeters: Callable[..., Perimeter]) -> Served:
    return Served(perimeters())


@pytest.fixture
def restored(served: Served) -> Iterator[Path]:
    """The log, which is as it was afterwards."""
    before = served.log.read_bytes()
    yield served.log
    served.log.write_bytes(before)


def test_verify(served: Served) -> None:
    report = served.verify("--mirror", str(served.mirror))
    assert report["good"] and report["root_key_pinned"] and report["open_intents"] == 0 and report["unknown"] == 0
    assert report["records"] == len(served.lines) and report["unsigned_records"] == 0
    assert report["mirrored_checkpoints"] == report["checkpoints"]
    assert served.perimeter.command("audit", "verify", "--root-key", "0" * 64, status=5)


@pytest.mark.parametrize("part", range(12))
def test_a_changed_byte_is_named(served: Served, restored: Path, part: int) -> None:
    # Spread over the log: one byte of one line at a time, whatever it stands for.
    number = part * (len(served.lines) - 1) // 11
    lines = list(served.lines)
    line = bytearray(lines[number])
    line[(part * 37) % (len(line) - 1)] ^= 1
    lines[number] = bytes(line)
    restored.write_bytes(b"".join(lines))
    report = served.verify(status=5)
    assert not report["good"]
    # A hash stands in the line after its record's: where one of the two was changed, the pair is named by either.
    assert report["finding"]["line"] in (number, number + 1, number + 2), report["finding"]
    assert report["finding"]["file"].endswith("audit.jsonl")
    assert f"audit.jsonl:{report['finding']['line']}" in (
        (told := served.perimeter.command("audit", "verify", status=5)).stdout + told.stderr)


def test_lines_removed_swapped_and_cut_off_are_named(served: Served, restored: Path) -> None:
    lines = served.lines
    half = len(lines) // 2
    for changed in (
        lines[:half] + lines[half + 1:], lines[:half] + [lines[half + 1], lines[half]] + lines[half + 2:],
        lines[:half] + lines[half:half + 1] + lines[half:],
    ):
        restored.write_bytes(b"".join(changed))
        assert served.verify(status=5)["finding"]["line"] in range(half, half + 3)
    # Cut off at an earlier checkpoint: whole by itself, and too short for its mirror.
    last = [n for n, line in enumerate(lines) if json.loads(line)["kind"] == "checkpoint"][-2]
    restored.write_bytes(b"".join(lines[:last + 1]))
    assert not served.verify("--mirror", str(served.mirror), status=5)["good"]


def test_stats(served: Served) -> None:
    stats = served.perimeter.json("audit", "stats")
    # What the policy denies never begins: it has an approval's record and an outcome, and no intent.
    assert stats["tools"] == {"bash": 4, "write": 2, "read": 2} and stats["kinds"]["approval"] == 2
    assert set(stats["sessions"]) == set(served.sessions)
    assert stats["kinds"]["intent"] == 8 and stats["kinds"]["outcome"] == 10
    one = served.perimeter.json("audit", "stats", "--session", served.sessions[0])
    assert set(one["sessions"]) == {served.sessions[0]} and one["tools"]["bash"] == 2


def test_every_record_carries_the_policy(served: Served) -> None:
    digest = json.loads(served.perimeter.command(
        "sandbox", "policy", "show", str(served.perimeter.policies / "policy.yaml"), "--json", with_state=False).stdout)["digest"]
    checked = served.perimeter.command("sandbox", "policy", "check", str(served.perimeter.policies), with_state=False).stdout.splitlines()
    of_all = checked[-1].split()[-1]
    assert of_all.startswith("sha256:") and of_all != digest and digest in checked[0]
    records = served.perimeter.audit()
    of_sessions = [one for one in records if "session" in one]
    assert len(of_sessions) > 20 and {one.get("policy") for one in of_sessions} == {digest}
    others = [one for one in records if "session" not in one]
    assert {one.get("policy") for one in others} == {of_all}
    # What the log says of itself too.
    assert {one["kind"] for one in others} >= {"genesis", "checkpoint", "worker_start", "self_test", "key_use", "worker_stop"}


def test_reconcile(served: Served) -> None:
    for session in served.sessions:
        served.perimeter.command("audit", "reconcile", session)


def test_reconcile_names_calls_that_the_worker_did_not_make(served: Served, control: Control) -> None:
    # Somebody else holds the environment's key and answers in the worker's name.
    session = served.perimeter.session()
    with control.watch(session) as events:
        control.say(session, "$ echo from somewhere else")
        hands = Hands(control.url, served.perimeter.place)
        call = events.until(lambda e: e["type"] == "agent.tool_use")[-1]
        hands.answer(call["id"])
    told = served.perimeter.command("audit", "reconcile", session, status=5)
    assert call["id"] in told.stdout + told.stderr
    hands.stop()


def test_exports(served: Served) -> None:
    command = served.perimeter.command
    assert command("audit", "export").stdout.encode() == b"".join(served.lines)
    assert command("audit", "export", "--after", "5").stdout.encode() == b"".join(served.lines[5:])
    syslog = command("audit", "export", "--format", "syslog", "--host", "here").stdout.splitlines()
    assert len(syslog) == len(served.lines)
    assert all(line.startswith("<") and "1 " in line[:8] and " here " in line and "postern@32473" in line for line in syslog)
    assert syslog[0].endswith(served.lines[0].decode().strip())
    otlp = [json.loads(line) for line in command("audit", "export", "--format", "otlp").stdout.splitlines()]
    logs = [log for one in otlp for resource in one["resourceLogs"] for scope in resource["scopeLogs"] for log in scope["logRecords"]]
    assert len(logs) == len(served.lines) and all(log["timeUnixNano"].isdigit() for log in logs)


def test_tail(served: Served) -> None:
    shown = served.perimeter.command("audit", "tail").stdout
    assert "worker_stop" in shown


def test_a_changed_log_is_not_continued(served: Served, restored: Path) -> None:
    lines = list(served.lines)
    lines[4] = lines[4].replace(b'"seq":5', b'"seq":6')
    restored.write_bytes(b"".join(lines))
    with pytest.raises(Exception, match="audit"):
        served.perimeter.start()
