"""A child process whose output is kept in a file and can be waited for line by line."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
import weakref
from pathlib import Path
from typing import ClassVar


class ProcessFailed(Exception):
    """The process ended, or did not say in time what was waited for. The text holds the end of its output."""


class ChildProcess:
    """Starts at construction, in a process group of its own, so that a kill reaches its children too."""

    #: Those that somebody still holds: what they have said explains a failure.
    all: ClassVar[weakref.WeakSet[ChildProcess]] = weakref.WeakSet()

    def __init__(self, name: str, arguments: list[str], *, log: Path, environment: dict[str, str] | None = None, folder: Path | None = None) -> None:
        self.name = name
        self.log = log
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._closed = False
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, cwd=folder,
            start_new_session=True, text=True, errors="replace",
        )
        self._reader = threading.Thread(target=self._read, name=f"{name} output", daemon=True)
        self._reader.start()
        self.all.add(self)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self.log.open("a", encoding="utf-8") as file:
            for line in self._process.stdout:
                file.write(line)
                file.flush()
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_for(self, pattern: str, *, count: int = 1, seconds: float = 30) -> re.Match[str]:
        """The first match of `pattern` in a line of the output, past or coming, or the `count`th."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + seconds
        read = found = 0
        with self._changed:
            while True:
                while read < len(self._lines):
                    match = expression.search(self._lines[read])
                    read += 1
                    found += match is not None
                    if match and found == count:
                        return match
                remaining = deadline - time.monotonic()
                if self._closed or remaining <= 0:
                    why = "ended" if self._closed else f"was silent for {seconds:g} s"
                    raise ProcessFailed(f"{self.name} {why} before {pattern!r}:\n{self.tail()}")
                self._changed.wait(remaining)

    def tail(self, lines: int = 30) -> str:
        return "".join(self._lines[-lines:])

    def stop(self, *, seconds: float = 10) -> int:
        """Asks politely, then kills; returns the exit status."""
        if self.is_running:
            self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return self.kill()
        self._kill_group()
        return status

    def kill(self) -> int:
        """SIGKILL, to the process itself first: what it leaves behind must cope."""
        if self.is_running:
            self._process.kill()
        status = self._process.wait()
        self._kill_group()
        return status

    def kill_alone(self) -> int:
        """SIGKILL to the one process only, as a machine's out-of-memory killer would."""
        if self.is_running:
            self._process.kill()
        return self._process.wait()

    def wait(self, *, seconds: float) -> int:
        return self._process.wait(seconds)

    def _kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def descendants(root: int) -> list[int]:
    """The processes below one, nearest first."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def free_port() -> int:
    """A port that was free a moment ago, for what must come back on the same one after a kill."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
