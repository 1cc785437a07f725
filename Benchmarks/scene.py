"""What the benchmarks share: a control plane, its workers, and readings of time and of processes."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from control import Control, Place
from postern_fixture import Postern, clean_environment
from processes import ChildProcess

HERE = Path(__file__).parent
#: Of an edge; tunnels have theirs below it.
DOMAIN = "tunnel.example.com"


class Scene:
    """A fresh control plane over the scripted model."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick
        self.postern = Postern("postern-bench")

    def __enter__(self) -> Scene:
        self.postern.serve("--tunnel-domain", DOMAIN)
        self.control = Control(self.postern.url, self.postern.admin_key)
        return self

    def __exit__(self, *error: Any) -> None:
        self.control.close()
        self.postern.close()

    def count(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    @property
    def server(self) -> ChildProcess:
        assert self.postern.server is not None
        return self.postern.server

    def own_worker(self, place: Place, *arguments: str) -> ChildProcess:
        return self.postern.worker(place.environment, place.key, *arguments, workdir=self.postern.folder / "own-work")

    def official_worker(self, place: Place) -> ChildProcess:
        """The SDK's worker in a process of its own, as its users run it."""
        folder = self.postern.folder / "official-work"
        folder.mkdir(exist_ok=True)
        process = self.postern.own(ChildProcess(
            "official-worker", [sys.executable, str(HERE / "official_worker_main.py"), str(folder)],
            log=self.postern.folder / "official-worker.log", environment=clean_environment(
                ANTHROPIC_BASE_URL=self.postern.url, ANTHROPIC_ENVIRONMENT_ID=place.environment, ANTHROPIC_ENVIRONMENT_KEY=place.key)))
        process.wait_for("serving")
        return process


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, in steps of a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kilobytes(pid: int) -> tuple[int, int]:
    """Resident and proportional size of a process."""
    values = {"Rss": 0, "Pss": 0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in values:
            values[name] = int(rest.split()[0])
    return values["Rss"], values["Pss"]


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found
