"""One scenario: sessions at work, faults, and the audit afterwards."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from audit import Findings, audit
from client import SessionClient
from control import Control, Place
from effects import count_marks, mark_of
from postern_fixture import Postern
from processes import ChildProcess
from records import check_records
from relay import Relay

LEASE_SECONDS = 5


class Fault(Enum):
    """What is done to the processes: a killed worker comes back on its own folder, or another one takes over when its lease has run out, or nobody
    is killed and the network between them is cut."""
    WORKER_RETURNS = "worker returns"
    WORKER_REPLACED = "worker replaced"
    NETWORK_CUT = "network cut"

    @property
    def kills(self) -> bool:
        return self is not Fault.NETWORK_CUT


@dataclass(frozen=True)
class Scenario:
    #: Whether a call runs at most once (Postern's rule) or at least once (the reference's).
    at_most_once: bool
    fault: Fault

    @property
    def name(self) -> str:
        return ("at most once" if self.at_most_once else "at least once") + ", " + self.fault.value


@dataclass
class Outcome:
    scenario: Scenario
    seed: int
    #: Kills of `server` and `worker`, and each `cut`.
    faults: Counter[str]
    findings: Findings
    seconds: float


class Workers:
    """The one worker that is alive; a killed one returns, or is followed by another in another folder."""

    def __init__(self, postern: Postern, url: str, place: Place, scenario: Scenario, sessions: int) -> None:
        self._postern, self._url, self._place, self._scenario, self._sessions = postern, url, place, scenario, sessions
        self._generation = 0
        self.root = postern.folder / "workers"
        self.process = self._start()

    def _start(self) -> ChildProcess:
        folder = self.root / f"folder-{self._generation if self._scenario.fault is Fault.WORKER_REPLACED else 0}"
        self._generation += 1
        return self._postern.worker(
            self._place.environment, self._place.key, "--max-sessions", str(self._sessions), name=f"worker-{self._generation}", workdir=folder,
            url=self._url)

    def kill(self) -> None:
        self.process.kill_alone()
        self.process = self._start()


def run(scenario: Scenario, *, faults: int, sessions: int, seed: int, say: Callable[[str], None], patience: float = 90) -> Outcome:
    source = random.Random(seed)
    findings = Findings()
    done: Counter[str] = Counter()
    began = time.monotonic()
    with Postern("postern-faults") as postern, ExitStack() as relays:
        postern.serve("--lease-seconds", str(LEASE_SECONDS))
        relay = None if scenario.fault.kills else relays.enter_context(Relay(int(postern.url.rsplit(":", 1)[1])))
        url = relay.url if relay else postern.url
        control = Control(postern.url, postern.admin_key)
        metadata = {} if scenario.at_most_once else {"postern.redelivery": "at_least_once"}
        place = control.place(environment={"metadata": metadata})
        workers = Workers(postern, url, place, scenario, sessions)
        finish = threading.Event()
        clients = [
            SessionClient(control, control.session(place), f"s{number}", source.randrange(1 << 30), finish, stream_url=url, patience=patience)
            for number in range(sessions)
        ]
        for client in clients:
            client.start()
        if relay:
            _cut(relay, clients, source, faults, done, say)
        else:
            _kill(postern, workers, clients, source, faults, done, say)
        finish.set()
        for client in clients:
            client.join(patience * 3)
        findings.violations += [c.problem for c in clients if c.problem]
        findings.violations += [f"{c.session}: its client still waits" for c in clients if c.is_alive()]
        effects_of_calls = _audit(control, clients, workers.root, scenario, findings)
        workers.process.stop()
        check_records(postern.binary, workers.root, effects_of_calls, findings)
        for client in clients:
            client.reader.stop()
        if findings.violations:
            say(f"  logs: {_keep_logs(postern.folder, scenario, seed)}")
    findings.counts["sessions"] = sessions
    return Outcome(scenario, seed, done, findings, time.monotonic() - began)


def _kill(
    postern: Postern, workers: Workers, clients: list[SessionClient], source: random.Random, kills: int, done: Counter[str],
    say: Callable[[str], None],
) -> None:
    for number in range(kills):
        _wait_for_progress(clients)
        # The moment of a kill is random by intent; nothing is waited for here.
        time.sleep(source.uniform(0.05, 1.2))
        if all(c.problem for c in clients):
            return
        victim = source.choice(("server", "worker", "worker", "both"))
        if victim in ("server", "both"):
            assert postern.server is not None
            postern.server.kill_alone()
        if victim in ("worker", "both"):
            workers.kill()
        if victim in ("server", "both"):
            postern.restart_server()
        for name in ("server", "worker") if victim == "both" else (victim,):
            done[name] += 1
        if (number + 1) % 10 == 0:
            say(f"  {number + 1} of {kills} kills, {sum(len(c.rounds) for c in clients)} messages so far")


def _cut(
    relay: Relay, clients: list[SessionClient], source: random.Random, cuts: int, done: Counter[str], say: Callable[[str], None],
) -> None:
    for number in range(cuts):
        _wait_for_progress(clients)
        # The moment of a cut, and how long a silence lasts, are random by intent.
        time.sleep(source.uniform(0.05, 1.2))
        if all(c.problem for c in clients):
            return
        match source.choice(("reset", "in a message", "pause", "silence")):
            case "reset":
                relay.reset()
            case "in a message":
                relay.reset_after(source.randrange(1, 4000))
            case "pause":
                # Shorter than a lease: nothing is lost, everything is late.
                _hold(relay, source.uniform(0.2, LEASE_SECONDS / 2))
            case _:
                # Longer than a lease, and then forgotten, as a firewall forgets: nobody hears an end before.
                _hold(relay, source.uniform(LEASE_SECONDS + 1, LEASE_SECONDS + 4), and_then=relay.reset)
        done["cut"] += 1
        if (number + 1) % 10 == 0:
            say(f"  {number + 1} of {cuts} cuts, {sum(len(c.rounds) for c in clients)} messages so far")


def _hold(relay: Relay, seconds: float, *, and_then: Callable[[], None] | None = None) -> None:
    relay.hold()
    time.sleep(seconds)
    if and_then:
        and_then()
    relay.release()


def _wait_for_progress(clients: list[SessionClient], *, seconds: float = 20) -> None:
    """Until a call has been answered since: a kill that hits sessions which still wait for a lease to run out shows nothing."""
    def answers() -> int:
        return sum(f.event == "user.tool_result" for c in clients for f in list(c.reader.frames))

    before, deadline = answers(), time.monotonic() + seconds
    while answers() == before and time.monotonic() < deadline:
        time.sleep(0.02)


def _audit(control: Control, clients: list[SessionClient], root: Path, scenario: Scenario, findings: Findings) -> Counter[str]:
    """How often each call took effect, by the call's id."""
    effects = count_marks(root)
    of_calls: Counter[str] = Counter()
    for client in clients:
        events = control.events(client.session)
        # The last frames may still be on their way to the reader.
        last = events[-1]["id"] if events else None
        client.reader.wait_for(lambda frames: any(f.json["id"] == last for f in frames), seconds=10)
        audit(
            client, events, effects, at_most_once=scenario.at_most_once, may_give_up=scenario.at_most_once,
            findings=findings)
        of_calls.update({e["id"]: effects[mark_of(e["input"]["command"])] for e in events if e["type"] == "agent.tool_use"})
    return of_calls


def _keep_logs(folder: Path, scenario: Scenario, seed: int) -> Path:
    kept = Path(__file__).resolve().parents[2] / "out" / f"faults-{seed}"
    kept.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("*.log"):
        (kept / log.name).write_bytes(log.read_bytes())
    return kept
