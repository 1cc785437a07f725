"""What the machine itself takes for the steps that a tool call cannot do without."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path


def bare_call(folder: Path, rounds: int) -> list[float]:
    """Milliseconds for what is left of a sandboxed call when nothing is computed: two durable appends (the call on the server's disk, the intent
    on the worker's) and six hand-overs between processes (server, worker, sandbox, shell and back). A process that only copies its input stands
    for each other end; no HTTP, no JSON, no sandbox."""
    with tempfile.NamedTemporaryFile(dir=folder) as file, echo() as connection:
        line = b"x" * 300
        samples = []
        for _ in range(rounds):
            start = time.perf_counter()
            for _ in range(2):
                os.write(file.fileno(), line)
                os.fdatasync(file.fileno())
            for _ in range(3):
                connection.send(b"x")
                connection.recv(1)
            samples.append(1000 * (time.perf_counter() - start))
        return samples


class echo:
    """A process that sends back what it is sent."""

    def __enter__(self) -> socket.socket:
        self.here, there = socket.socketpair()
        with there:
            self.process = subprocess.Popen(["cat"], stdin=there, stdout=there)
        return self.here

    def __exit__(self, *error: object) -> None:
        self.here.close()
        self.process.wait()
