"""A worker under a policy, and everything that is asked of it: from inside by tool calls, from outside by the `postern` command."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control import Control, Place, unique
from postern_fixture import Postern, clean_environment
from processes import ChildProcess, descendants
from world import World

#: An ordinary user that owns nothing here; the worker runs as it where a test says so.
ORDINARY_USER = 54_322


@dataclass(frozen=True)
class Result:
    """What a tool call came to."""
    failed: bool
    text: str


class Perimeter:
    """Owns one worker's folders: `work` (the workspaces), `state` and `policies`."""

    def __init__(
        self, postern: Postern, control: Control, place: Place | None = None, *, as_user: bool = False, log_level: str = "debug",
        world: World | None = None,
    ) -> None:
        self.postern, self.control = postern, control
        self.place = place or control.place()
        self.as_user = as_user
        self._log_level = log_level
        #: The network that the worker is to see.
        self._world = world
        # Not below the suite's own folder, which is closed to the ordinary user.
        self.folder = Path(tempfile.mkdtemp(prefix="postern-perimeter-"))
        self.folder.chmod(0o711)
        self.work, self.policies = self.folder / "work", self.folder / "policies"
        self.state = self.folder / "state"
        for name in ("work", "policies", "state"):
            self.make(name)
        # The worker refuses a state folder that is open to others.
        self.state.chmod(0o700)
        self.worker: ChildProcess | None = None

    def close(self) -> None:
        if self.worker:
            self.worker.stop(seconds=20)
        if os.environ.get("POSTERN_KEEP"):
            print(f"kept {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def give(self, path: Path) -> Path:
        """Makes the worker's user the owner of a file or folder."""
        if self.as_user:
            os.chown(path, ORDINARY_USER, ORDINARY_USER)
        return path

    def make(self, name: str) -> Path:
        """A folder of the worker's user."""
        path = self.folder / name
        path.mkdir()
        return self.give(path)

    def secret_file(self, name: str, value: str) -> Path:
        path = self.folder / name
        path.write_text(value + "\n", encoding="utf-8")
        path.chmod(0o600)
        return self.give(path)

    def policy(self, name: str = "policy", **document: Any) -> Path:
        """Writes a policy; JSON is YAML."""
        path = self.policies / f"{name}.yaml"
        path.write_text(json.dumps({"version": 1, "name": name} | document, indent=1), encoding="utf-8")
        return self.give(path)

    @property
    def prefix(self) -> list[str]:
        user = str(ORDINARY_USER)
        return ["/usr/bin/setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--"] if self.as_user else []

    def start(self, *arguments: str, **environment: str) -> ChildProcess:
        """Starts the worker on `policies` and waits until it polls."""
        log = self.postern.folder / f"{unique('worker')}.log"
        process = ChildProcess(
            "worker", [
                *(self._world.prefix if self._world else []), *self.prefix, str(self.postern.binary), "worker", "poll",
                "--workdir", str(self.work), "--state-dir", str(self.state), "--policy", str(self.policies), "--log-level", self._log_level, *arguments,
            ], log=log, folder=self.work, environment=clean_environment(
                ANTHROPIC_ENVIRONMENT_ID=self.place.environment, ANTHROPIC_ENVIRONMENT_KEY=self.place.key, ANTHROPIC_BASE_URL=self.postern.url,
                HOME=str(self.work), **environment))
        self.worker = self.postern.own(process)
        process.wait_for("worker .* serves ", seconds=60)
        return process

    def memory(self, field: str) -> int:
        """A line of the worker's own /proc/PID/status in bytes: `VmRSS`, or `VmHWM`, the peak."""
        assert self.worker is not None
        status = Path(f"/proc/{self.worker.pid}/status").read_text(encoding="utf-8")
        return int(status.partition(f"{field}:")[2].split()[0]) << 10

    def forget_peak(self) -> None:
        """Begins `VmHWM` anew, where this user may; elsewhere it is the peak since the worker's start, which is more."""
        assert self.worker is not None
        with contextlib.suppress(PermissionError):
            Path(f"/proc/{self.worker.pid}/clear_refs").write_text("5", encoding="ascii")

    # MARK: From inside

    def session(self, **fields: Any) -> str:
        return self.control.session(self.place, **fields)

    def run(self, session: str, script: str) -> list[Result]:
        """Has the scripted model make the script's calls; their results in the order of the calls."""
        before = len(self.results(session))
        self.control.turn(session, script)
        return self.results(session)[before:]

    def shell(self, session: str, command: str) -> Result:
        return self.run(session, f"$ {command}")[0]

    def results(self, session: str) -> list[Result]:
        events = self.control.events(session)
        answers = {e["tool_use_id"]: e for e in events if e["type"] == "user.tool_result"}
        return [
            Result(bool(a["is_error"]), "".join(block.get("text", "") for block in a["content"] or []))
            for e in events if e["type"] == "agent.tool_use" and (a := answers.get(e["id"]))]

    def workspace(self, session: str) -> Path:
        return self.work / session

    def update(self, session: str, **metadata: str | None) -> None:
        """Changes the metadata of a session, which may be living; `None` takes a key away."""
        self.control.call("POST", f"/v1/sessions/{session}", {"metadata": metadata})

    def rest(self, session: str) -> None:
        """Waits until the worker, started with a short `--max-idle`, has given a session at rest back."""
        assert self.worker is not None
        self.worker.wait_for(f"released.*reason=idle.*{session}", seconds=30)

    # MARK: From outside

    def proxies(self) -> list[int]:
        """The worker's egress proxy processes."""
        assert self.worker is not None
        found = []
        for pid in descendants(self.worker.pid):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_bytes() == b"postern\0egress\0":
                    found.append(pid)
        return found

    def command(self, *arguments: str, status: int | None = 0, with_state: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a `postern` command on this machine, as the worker's user; `status` is what its exit status must be."""
        where = ["--state-dir", str(self.state)] if with_state else []
        done = subprocess.run(
            [*self.prefix, str(self.postern.binary), *arguments, *where], capture_output=True, text=True, timeout=60, cwd=self.folder,
            env=clean_environment(HOME=str(self.work), POSTERN_API_KEY=self.control.key, POSTERN_BASE_URL=self.control.url))
        if status is not None and done.returncode != status:
            raise AssertionError(f"{' '.join(arguments)}: {done.returncode} instead of {status}\n{done.stdout}{done.stderr}")
        return done

    def json(self, *arguments: str, status: int | None = 0, with_state: bool = True) -> Any:
        return json.loads(self.command(*arguments, "--json", status=status, with_state=with_state).stdout)

    def audit(self, kind: str | None = None, session: str | None = None) -> list[dict[str, Any]]:
        """Records of the audit log, as `postern audit export` checks and writes them."""
        chosen = ([] if kind is None else ["--kind", kind]) + ([] if session is None else ["--session", session])
        return [json.loads(line) for line in self.command("audit", "export", *chosen).stdout.splitlines()]
