"""Starts and stops the processes of Postern for a suite: the scripted model, the control plane, a worker."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType

import httpx2

from processes import ChildProcess, ProcessFailed, free_port

ROOT = Path(__file__).resolve().parents[3]
URL = r"(http://(?:127\.0\.0\.1|localhost):\d+)"


def binary() -> Path:
    """`POSTERN_BIN`, else the newer of the release and the debug build."""
    if named := os.environ.get("POSTERN_BIN"):
        return Path(named)
    built = [path for kind in ("release", "debug") if (path := ROOT / ".build" / kind / "postern").exists()]
    if not built:
        raise FileNotFoundError("no postern binary: build it with `swift build`, or name it in POSTERN_BIN")
    return max(built, key=lambda path: path.stat().st_mtime)


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's variables without any that would steer Postern or the SDK, and `extra`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANTHROPIC_", "POSTERN_"))}
    return kept | extra


class Postern:
    """Owns a temporary folder and what was started in it; everything ends, last first, when it is closed.

    A failed run keeps its folder when `POSTERN_KEEP` is set, and says where it is.
    """

    admin_key = "postern-test-admin-key-0123456789abcdef0123456789abcdef"

    def __init__(self, name: str = "postern") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        # A worker that root starts goes on as a user of its own, who walks to its folders in here.
        self.folder.chmod(0o711)
        self._cleanup = contextlib.ExitStack()
        if os.environ.get("POSTERN_KEEP"):
            self._cleanup.callback(print, f"kept {self.folder}")
        else:
            self._cleanup.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.binary = binary()
        self._started = 0
        self.model_url = ""
        self.url = ""
        self.server: ChildProcess | None = None
        self._serve_arguments: list[str] = []

    def __enter__(self) -> Postern:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._cleanup.close()

    def start(self, name: str, arguments: list[str], **environment: str) -> ChildProcess:
        self._started += 1
        process = ChildProcess(
            name, [str(self.binary), *arguments], log=self.folder / f"{self._started:03}-{name}.log",
            environment=clean_environment(**environment), folder=self.folder,
        )
        return self.own(process)

    def own(self, process: ChildProcess) -> ChildProcess:
        """Takes over a process that was started elsewhere: it is stopped with the others."""
        self._cleanup.callback(process.stop)
        return process

    def start_model(self) -> str:
        process = self.start("scripted-model", ["scripted-model", "--listen", "127.0.0.1:0"])
        self.model_url = process.wait_for(URL).group(1)
        return self.model_url

    def serve(self, *arguments: str, provider: str = "anthropic") -> ChildProcess:
        """Starts the control plane on a port that it keeps over restarts, and waits until it is ready. The model speaks what `provider` does."""
        if not self.model_url:
            self.start_model()
        key_file = self.folder / "model.key"
        key_file.write_text("scripted-model-needs-no-key\n")
        key_file.chmod(0o600)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._serve_arguments = [
            "serve", "--listen", f"127.0.0.1:{port}", "--data", str(self.folder / "data"), "--model-provider", provider,
            "--model-base-url", self.model_url, "--model-api-key-file", str(key_file), *arguments,
        ]
        return self.restart_server()

    def restart_server(self, *more: str) -> ChildProcess:
        """Starts the control plane again, on the same data and port, with `more` arguments this time; the one before must have ended."""
        self.server = self.start("serve", [*self._serve_arguments, *more], POSTERN_ADMIN_KEY=self.admin_key)
        self.server.wait_for(URL)
        self._wait_until_ready()
        return self.server

    def _wait_until_ready(self, *, seconds: float = 20) -> None:
        # The one thing to go by is the answer of /readyz itself, hence the asking again.
        deadline = time.monotonic() + seconds
        with httpx2.Client(base_url=self.url) as client:
            while (answer := client.get("/readyz")).status_code != 200:
                if time.monotonic() > deadline:
                    raise ProcessFailed(f"/readyz still answers {answer.status_code} after {seconds:g} s: {answer.text}")
                time.sleep(0.02)

    def worker(
        self, environment_id: str, key: str, *arguments: str, name: str = "worker", workdir: Path | None = None, url: str | None = None,
    ) -> ChildProcess:
        """Starts `postern worker poll`; `workdir` defaults to `workspaces` in the temporary folder, `url` to the control plane's own."""
        workdir = workdir or self.folder / "workspaces"
        workdir.mkdir(parents=True, exist_ok=True)
        if "--sandbox" not in arguments:
            arguments = (*arguments, "--sandbox", os.environ.get("POSTERN_TEST_SANDBOX", "bubblewrap"))
        return self.start(
            name, ["worker", "poll", "--workdir", str(workdir), *arguments], ANTHROPIC_ENVIRONMENT_ID=environment_id,
            ANTHROPIC_ENVIRONMENT_KEY=key, ANTHROPIC_BASE_URL=url or self.url,
        )
