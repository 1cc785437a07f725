"""Must show: many sessions with detached children and open connections, stopped by one order; from the command to the last process and the
last packet, and nobody survives."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import modes, runs_as_user
from control import Control
from freezing import freeze, records
from measures import measured
from perimeter import Perimeter
from postern_fixture import Postern
from processes import descendants
from pulses import Pulses

RESTLESS = Path(__file__).parent / "inside" / "restless.py"
FULL = bool(os.environ.get("POSTERN_FULL"))
COUNT, LINK = struct.Struct("!QQ"), struct.Struct("!QQQQ")
#: Moves of each process and frames of each end in a second, over all sessions: what two processors carry of a debug build with room to spare,
#: so that what is measured is the order and not the crowd. No session moves faster than the second says.
MOVES_PER_SECOND = {"shared": 1500, "per_session": 400}
SHORTEST_PAUSE = 0.02


@dataclass(frozen=True)
class Scene:
    """How many sessions, whose worker, and whether they have a proxy process each. One process for all keeps the memory of 200 bounded."""
    mode: str
    egress: str
    full: int
    reduced: int

    @property
    def count(self) -> int:
        return self.full if FULL else self.reduced

    @property
    def pause(self) -> float:
        return max(SHORTEST_PAUSE, self.count / MOVES_PER_SECOND[self.egress])

    def __str__(self) -> str:
        return f"{self.mode} worker, {self.count} sessions, {'one proxy' if self.egress == 'shared' else 'a proxy each'}"


SCENES = [
    scene for scene in (Scene("root", "shared", 200, 40), Scene("root", "per_session", 40, 8), Scene("user", "shared", 50, 10))
    if scene.mode in modes()]


@dataclass(frozen=True)
class State:
    """How far the processes of a session have come by themselves, and when the last of them moved."""
    counts: tuple[int, int]
    sent: int
    received: int
    astray: int
    at: int

    def has_moved_from(self, before: State, steps: int) -> bool:
        pairs = zip((*self.counts, self.sent, self.received), (*before.counts, before.sent, before.received))
        return all(now >= then + steps for now, then in pairs)


class Crowd:
    """Sessions that never rest, all connected to one service outside."""

    def __init__(self, perimeter: Perimeter, pulses: Pulses, scene: Scene) -> None:
        self.perimeter, self.pulses, self.scene = perimeter, pulses, scene
        tools = perimeter.folder / "tools"
        tools.mkdir(mode=0o755)
        self.script = tools / RESTLESS.name
        self.script.write_bytes(RESTLESS.read_bytes())
        self.script.chmod(0o644)
        perimeter.policy(
            files={"read": [str(tools)]},
            network={
                "egress": scene.egress, "rules": [{"id": "pulses", "hosts": pulses.host, "upgrades": ["websocket"]}], "addresses": "127.0.0.0/8"},
            budgets={"egress": dict.fromkeys(("call", "host", "session", "day"), "none")})
        perimeter.start("--max-idle", "0", "--max-sessions", str(scene.count))
        self.sessions: list[str] = []
        for number in range(1, scene.count + 1):
            session = perimeter.session()
            self.sessions.append(session)
            perimeter.control.say(session, f"$ /usr/bin/python3 {self.script} {pulses.host} {session} {pulses.pause}")
            # A few at a time, so that none waits for the others longer than its start may take.
            pulses.wait_for_links(number - 4)
        pulses.wait_for_links(scene.count)

    def state(self, session: str) -> State:
        folder = self.perimeter.workspace(session)
        once, once_at = COUNT.unpack((folder / "count-once").read_bytes())
        twice, twice_at = COUNT.unpack((folder / "count-twice").read_bytes())
        sent, received, astray, link_at = LINK.unpack((folder / "link").read_bytes())
        return State((once, twice), sent, received, astray, max(once_at, twice_at, link_at))

    def states(self) -> dict[str, State]:
        return {session: self.state(session) for session in self.sessions}

    def wait_for_moves(self, before: dict[str, State] | None = None, *, steps: int = 5, seconds: float = 60) -> None:
        """Until every process of every session has moved on and every connection has carried frames both ways."""
        arrived = {session: before[session].sent if before else 0 for session in self.sessions}
        none = State((0, 0), 0, 0, 0, 0)
        deadline = time.monotonic() + seconds
        for session in self.sessions:
            while True:
                try:
                    has_moved = self.state(session).has_moved_from(before[session] if before else none, steps)
                except (FileNotFoundError, struct.error):
                    has_moved = False
                if has_moved and len(self.pulses.links[session].arrivals) >= arrived[session] + steps:
                    break
                assert time.monotonic() < deadline, f"{session} does not move: {(self.perimeter.workspace(session) / 'errors').read_text()}"
                time.sleep(0.01)

    def look(self) -> tuple[dict[str, State], dict[str, int], dict[str, int]]:
        """All that can move: the processes, what has arrived outside, and what waits inside for a process to read it."""
        return self.states(), self.pulses.received(), self.waiting_inside()

    def waiting_inside(self) -> dict[str, int]:
        """Bytes that the kernel holds for the process that owns the connection in each sandbox."""
        waiting = {}
        for pid in self.processes():
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if str(self.script) in arguments and arguments[-3] in self.sessions:
                # Queues are "sending:receiving", in hexadecimal; state 01 is an open connection.
                rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
                waiting[arguments[-3]] = sum(int(row[4].partition(":")[2], 16) for row in rows if row[3] == "01")
        return waiting

    def processes(self) -> list[int]:
        assert self.perimeter.worker is not None
        return descendants(self.perimeter.worker.pid)


@pytest.fixture(params=SCENES, ids=str)
def crowd(request: pytest.FixtureRequest, postern: Postern, control: Control) -> Iterator[Crowd]:
    scene: Scene = request.param
    perimeter = Perimeter(postern, control, as_user=runs_as_user(scene.mode), log_level="info")
    pulses = Pulses(scene.pause)
    try:
        yield Crowd(perimeter, pulses, scene)
    finally:
        perimeter.close()
        pulses.close()


def spread(nanoseconds: list[int]) -> str:
    values = sorted(max(0, one) / 1e6 for one in nanoseconds)
    return f"p50 {values[len(values) // 2]:.0f} ms, p99 {percentile(nanoseconds, 99) / 1e6:.0f} ms, last {values[-1]:.0f} ms"


def percentile(values: list[int], percent: int) -> int:
    """By the nearest rank: of fewer than a hundred the greatest."""
    return max(0, sorted(values)[-(-len(values) * percent // 100) - 1])


def start_time(pid: int) -> str | None:
    """Of a process that is not a zombie; together with its number it is nobody else's."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def test_one_order_stops_all_processes_and_packets(crowd: Crowd) -> None:
    perimeter, pulses, scene = crowd.perimeter, crowd.pulses, crowd.scene
    pulses.go()
    crowd.wait_for_moves()

    began = time.monotonic_ns()
    reply = freeze(perimeter, "all")
    returned = time.monotonic_ns()
    assert {one["session"] for one in reply["sessions"]} == set(crowd.sessions)
    # What the kernel had taken when the order came back has arrived once two commands have begun and ended; nothing moves from then on.
    for _ in range(2):
        perimeter.command("worker", "status")
    still, said = crowd.look(), pulses.sent()
    assert len(still[2]) == scene.count
    # The service outside has not stopped: what it says meanwhile waits before the proxy.
    while not all(now >= said[name] + 3 for name, now in pulses.sent().items()):
        perimeter.command("worker", "status")
        assert crowd.look() == still
    processes = [state.at - began for state in still[0].values()]
    packets = [link.arrivals[-1] - began for link in pulses.links.values()]
    late = sorted(at - returned for link in pulses.links.values() for at in link.arrivals if at > returned)
    measured(f"freeze: {scene}, a move of each every {scene.pause * 1000:.0f} ms: from the command to the last process: {spread(processes)}")
    measured(f"freeze: {scene}: from the command to the last packet outside: {spread(packets)}")
    measured(f"freeze: {scene}: packets that arrived after the command had ended: {len(late)}, the last after {late[-1] / 1e6 if late else 0:.1f} ms")
    assert all(state.at < returned for state in still[0].values())
    assert percentile(processes, 99) < 1_000_000_000 and percentile(packets, 99) < 1_000_000_000

    perimeter.command("worker", "thaw", "all")
    crowd.wait_for_moves(still[0])

    freeze(perimeter, "all")
    before = {pid: started for pid in crowd.processes() if (started := start_time(pid)) is not None}
    # Two that count and one that talks in each sandbox, and what they are in; the first three are at home nowhere else.
    assert len(before) >= 5 * scene.count
    ended = time.monotonic()
    assert perimeter.worker is not None
    if scene.egress == "shared":
        perimeter.worker.stop(seconds=30)
    else:
        perimeter.worker.kill_alone()
    while survivors := [pid for pid, started in before.items() if start_time(pid) == started]:
        assert time.monotonic() < ended + 20, f"{len(survivors)} of {len(before)} survive"
        time.sleep(0.01)
    how = "SIGTERM" if scene.egress == "shared" else "SIGKILL"
    measured(f"kill: {scene}: {how}, frozen: {len(before)} processes, none left after {(time.monotonic() - ended) * 1000:.0f} ms")

    # Nothing was lost or said twice, in either direction, over both freezes.
    last = crowd.states()
    assert not any(state.astray for state in last.values()) and not any(link.astray for link in pulses.links.values())
    orders = [record["body"] for record in records(perimeter, "freeze", "all")]
    assert len(orders) == 2
    for order in orders:
        assert (order["survivors"], order["processes_killed"]) == (0, 0)
        assert order["processes_stopped"] >= 5 * scene.count and order["duration_ms"] < 1000
    assert perimeter.json("audit", "verify")["good"]
