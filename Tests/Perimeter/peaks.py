"""How much the sandboxes of a worker use at most: watched from outside, and counted by the kernel where there are control groups."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from haystack import sandboxed

GROUPS = Path("/sys/fs/cgroup")
MIB = 1 << 20
#: Where a control group of version 2 or 1 has what is counted, and behind which word.
FILES = {
    "peak": ["memory.peak", "memory.max_usage_in_bytes"], "killed": ["memory.events", "memory.oom_control"],
    "most": ["pids.peak"], "refused": ["pids.events"],
}
KEYS = {"killed": "oom_kill", "refused": "max"}


class Peaks:
    """Watches the sandboxes below a process, and a workspace, from entry to exit."""

    def __init__(self, worker: int, workspace: Path) -> None:
        self._worker, self._workspace = worker, workspace
        self._is_over = threading.Event()
        self.processes = self.memory = self.disk = 0
        self._before: dict[str, int] = {}

    def __enter__(self) -> Peaks:
        self._before = self._counters()
        self._thread = threading.Thread(target=self._watch, name="peaks", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def __str__(self) -> str:
        found = f"at most {self.processes} processes with {self.memory / MIB:.0f} MiB and {self.disk / MIB:.0f} MiB in the workspace at a look"
        after = self._counters()
        if not after:
            return found + "; no control group counts"
        killed, refused = (after[name] - self._before.get(name, 0) for name in ("killed", "refused"))
        return (
            f"{found}; counted: {killed} killed for want of memory, {refused} processes refused; "
            f"of the session so far: {after['most']} processes, {after['peak'] / MIB:.0f} MiB")

    def _watch(self) -> None:
        while True:
            pids = sandboxed(self._worker)
            self.processes = max(self.processes, len(pids))
            self.memory = max(self.memory, sum(_anonymous(pid) for pid in pids))
            self.disk = max(self.disk, sum(_blocks(path) for path in self._workspace.glob("*")))
            if self._is_over.wait(0.05):
                return

    def _counters(self) -> dict[str, int]:
        """The kernel's, of the control groups that the sandbox is in."""
        groups = {}
        for pid in sandboxed(self._worker)[:1]:
            for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
                _, controllers, path = line.split(":", 2)
                groups |= {name: path.lstrip("/") for name in controllers.split(",")}
        found: dict[str, int] = {}
        for name, files in FILES.items():
            controller = files[0].partition(".")[0]
            folders = [GROUPS / controller / groups.get(controller, "-"), GROUPS / groups.get("", "-")]
            for path in (folder / file for folder in folders for file in files if "postern-sandboxes" in str(folder)):
                with contextlib.suppress(OSError):
                    words = path.read_text().split()
                    found[name] = int(words[words.index(KEYS[name]) + 1] if name in KEYS else words[0])
                    break
        return found if len(found) == len(FILES) else {}


def _anonymous(pid: int) -> int:
    """Bytes that are this process's own; what a fork still shares is counted for both."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10
    return 0


def _blocks(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.lstat().st_blocks * 512
    return 0
