"""Limits of the policy, met one after the other by one session: each is told to the model in words, and the next call works."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from conftest import modes, runs_as_user
from measures import measured
from peaks import Peaks
from perimeter import Perimeter


#: Of the worker's memory, while a call meets a limit.
MOST_GROWTH = 32 << 20


@dataclass
class Limited:
    perimeter: Perimeter
    session: str
    mode: str

    def meet(self, command: str) -> str:
        """What the model is told of a call that meets a limit; the call after it must work, and the worker's memory must have stayed bounded."""
        before = self.perimeter.memory("VmRSS")
        self.perimeter.forget_peak()
        told, after = self.perimeter.run(self.session, f"$ {command}\n\n$ echo still here")
        assert not after.failed and "still here" in after.text, after.text
        peak = self.perimeter.memory("VmHWM")
        measured(f"limits: {self.mode} worker, its memory: {before >> 20} MiB before, peak {peak >> 20} MiB: {command[:60]}")
        assert peak - before < MOST_GROWTH, (before, peak)
        return told.text


@pytest.fixture(scope="module", params=modes())
def limited(request: pytest.FixtureRequest, perimeters: Callable[..., Perimeter]) -> Limited:
    perimeter = perimeters(as_user=runs_as_user(request.param))
    perimeter.policy(limits={
        "memory": "192MiB", "processes": 48, "call_time": "5s", "disk": "48MiB", "file_size": "24MiB", "open_files": 96, "temporary": "8MiB"})
    perimeter.start("--max-idle", "0")
    return Limited(perimeter, perimeter.session(), request.param)


@pytest.fixture(autouse=True)
def told(request: pytest.FixtureRequest, limited: Limited) -> Iterator[None]:
    """Every test's counts and peaks go into the report."""
    assert limited.perimeter.worker is not None
    # Nothing is counted before there is a sandbox.
    limited.perimeter.shell(limited.session, "true")
    began = time.monotonic()
    with Peaks(limited.perimeter.worker.pid, limited.perimeter.workspace(limited.session)) as peaks:
        yield
    name = request.node.originalname.removeprefix("test_").replace("_", " ")
    measured(f"limits: {limited.mode} worker, {name}: {time.monotonic() - began:.1f} s, {peaks}")


def test_memory(limited: Limited) -> None:
    told = limited.meet("/usr/bin/python3 -c 'x = [bytearray(1 << 20) for _ in range(1000)]; print(len(x))'")
    counted = "[memory limit: the sandbox may use 192 MiB"
    assert counted in told or "MemoryError" in told and "[memory limit: each process may use 192 MiB" in told, told


def test_processes(limited: Limited) -> None:
    told = limited.meet("for i in $(seq 200); do sleep 600 & done")
    assert "[process limit: the sandbox may have 48 processes" in told, told


def test_a_fork_bomb(limited: Limited) -> None:
    limited.perimeter.run(limited.session, '@bash {"restart":true}')
    told = limited.meet("bomb() { bomb | bomb & }; bomb; sleep 1; false")
    assert "[process limit" in told, told
    limited.perimeter.run(limited.session, '@bash {"restart":true}')


def test_time(limited: Limited) -> None:
    told = limited.meet("(setsid sleep 611 &); sleep 612")
    assert "5" in told and "time" in told, told
    assert "61" not in limited.perimeter.shell(limited.session, "ps -eo args | grep '[s]leep 61'").text


def test_a_call_cannot_ask_for_more_time(limited: Limited) -> None:
    told = limited.perimeter.run(limited.session, '@bash {"command":"sleep 600","timeout_ms":600000}')[0]
    assert told.failed and "time" in told.text, told


def test_disk(limited: Limited) -> None:
    told = limited.meet("for i in $(seq 20); do head -c 8M /dev/zero >fill-$i || break; done; sleep 4")
    assert "more than its limit of 48 MiB" in told or "[disk limit" in told, told
    limited.meet("rm -f fill-*")


#: Programs that their call leaves behind: one waits before it writes, and one keeps files that have no name.
LEFT_BEHIND = {
    "a writer": """
import time
time.sleep(2)
for i in range(20):
    open(f"left-{i}", "wb").write(bytes(8 << 20))
    time.sleep(0.1)
time.sleep(613)
""",
    "deleted files": """
import os, time
kept = []
for i in range(20):
    kept.append(open(f"gone-{i}", "wb"))
    os.unlink(f"gone-{i}")
    kept[-1].write(bytes(8 << 20))
    kept[-1].flush()
time.sleep(613)
""",
}


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_disk_after_the_call(limited: Limited, name: str) -> None:
    perimeter, session = limited.perimeter, limited.session
    perimeter.run(session, "@write " + json.dumps({"file_path": "left.py", "content": LEFT_BEHIND[name]}))
    started = perimeter.shell(session, "(setsid /usr/bin/python3 left.py 613 >/dev/null 2>&1 &); echo started")
    assert started.text == "started", started.text
    told, deadline = "", time.monotonic() + 60
    while "[disk limit: the workspace holds" not in told and time.monotonic() < deadline:
        told = perimeter.shell(session, "sleep 0.5").text
    assert "more than its limit of 48 MiB" in told, told
    assert ("in deleted files that are still open" in told) == (name == "deleted files"), told
    assert "613" not in perimeter.shell(session, "ps -eo args | grep '[l]eft.py'").text
    limited.meet("rm -f left*")


def test_temporary_files(limited: Limited) -> None:
    told = limited.meet("head -c 64M /dev/zero >/tmp/fill")
    assert "[disk limit: /tmp is full. /tmp and the home folder hold 8 MiB each" in told, told
    # Once until it has room again; also where the command hides its failure.
    told = limited.perimeter.shell(limited.session, "rm /tmp/fill; echo emptied").text
    assert told == "emptied", told
    told = limited.perimeter.shell(limited.session, "head -c 64M /dev/zero 2>/dev/null >/tmp/fill; true").text
    assert "[disk limit: /tmp is full." in told, told
    assert limited.perimeter.shell(limited.session, "echo still").text == "still"
    limited.meet("rm /tmp/fill")


def test_file_size(limited: Limited) -> None:
    told = limited.meet("rm -f fill-*; head -c 32M /dev/zero >large")
    assert "[file size limit: a file may have 24 MiB" in told, told
    limited.meet("rm large")


def test_open_files(limited: Limited) -> None:
    told = limited.meet("/usr/bin/python3 -c 'x = [open(\"/dev/null\") for _ in range(500)]'")
    assert "Too many open files" in told, told


def test_an_output_flood(limited: Limited) -> None:
    told = limited.meet("head -c 200M /dev/zero | tr '\\0' x")
    assert len(told) < 200_000
