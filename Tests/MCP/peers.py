"""The peers of the suite: servers of the official SDK in its two major versions, and one that breaks the rules."""

from __future__ import annotations

import functools
import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from postern_fixture import binary, clean_environment
from processes import ChildProcess

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HANDSHAKE = ("2025-03-26", "2025-06-18", "2025-11-25")
MODERN = "2026-07-28"


@functools.cache
def python_of(sdk: str) -> str:
    """The interpreter with that major version of the SDK: `2` runs the suite, `1` has a venv of its own."""
    if sdk == "2":
        return sys.executable
    script = ROOT / "Tests" / "Support" / "python" / "venv"
    return subprocess.run([script, "mcp1"], capture_output=True, text=True, check=True).stdout.strip()


def revisions_of(sdk: str) -> tuple[str, ...]:
    return HANDSHAKE if sdk == "1" else (*HANDSHAKE, MODERN)


def command(sdk: str, *arguments: str) -> list[str]:
    return [python_of(sdk), str(HERE / "sdk_server.py"), *arguments]


@contextmanager
def serving(folder: Path, arguments: list[str], scheme: str = "http") -> Iterator[Server]:
    process = ChildProcess("mcp-server", arguments, log=folder / "server.log", environment=clean_environment())
    try:
        port = int(process.wait_for(r"listening on port (\d+)").group(1))
        yield Server(f"{scheme}://127.0.0.1:{port}/mcp", port, process)
    finally:
        process.stop()


@dataclass
class Server:
    url: str
    port: int
    process: ChildProcess


@dataclass
class Outcome:
    status: int
    output: str
    error: str

    @property
    def json(self) -> Any:
        return json.loads(self.output)


def postern(*arguments: str, seconds: float = 60, stdin: str | None = None, **environment: str) -> Outcome:
    done = subprocess.run(
        [str(binary()), "mcp", *arguments], capture_output=True, text=True, timeout=seconds, check=False, input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL, env=clean_environment(**environment))
    return Outcome(done.returncode, done.stdout, done.stderr)


#: What a handler gets: method, headers, body as JSON (None for none); it writes the answer itself.
Answer = Callable[["Hostile", str, dict[str, str], Any], None]


@dataclass
class HostileServer:
    """An HTTP server whose answers are the test's, and that keeps what it was asked: (HTTP method, JSON-RPC method)."""

    answer: Answer
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __enter__(self) -> HostileServer:
        owner = self

        class Bound(Hostile):
            server_of_test = owner

        class Threads(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Threads(("127.0.0.1", 0), Bound)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/mcp"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, method: str) -> int:
        return sum(1 for _, name in self.asked if name == method)


class Hostile(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of_test: HostileServer

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, OSError):
            self.close_connection = True

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        message = json.loads(body) if body else None
        test = self.server_of_test
        with test.changed:
            test.asked.append((self.command, message.get("method") if isinstance(message, dict) else None))
            test.headers.append({k.lower(): v for k, v in self.headers.items()})
            test.changed.notify_all()
        test.answer(self, self.command, {k.lower(): v for k, v in self.headers.items()}, message)

    do_POST = do_GET = do_DELETE = _take

    def send(self, status: int, body: bytes = b"", content_type: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def result(self, message: Any, result: dict[str, Any], **headers: str) -> None:
        self.send(200, json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode(), **headers)

    def error(self, message: Any, code: int, status: int = 200, data: Any = None) -> None:
        error = {"code": code, "message": "refused"} | ({"data": data} if data is not None else {})
        self.send(status, json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}).encode())

    def stream(self) -> None:
        """Begins a stream of events that ends with the connection."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()

    def write(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def hello(self, method: str, message: Any, revision: str = "2025-11-25", session: str | None = None) -> bool:
        """Answers what opens a connection; whether it did."""
        name = message.get("method") if isinstance(message, dict) else None
        if name == "server/discover":
            if revision == MODERN:
                self.result(message, {"supportedVersions": [MODERN], "capabilities": {"tools": {}}, "resultType": "complete"})
            else:
                self.error(message, -32601)
        elif name == "initialize":
            hello = {"protocolVersion": revision, "capabilities": {"tools": {"listChanged": True}}, "serverInfo": {"name": "hostile", "version": "1"}}
            self.result(message, hello, **({"Mcp_Session_Id": session} if session else {}))
        elif name == "notifications/initialized":
            self.send(202)
        elif method == "DELETE":
            self.send(200)
        else:
            return False
        return True

    def log_message(self, *_: object) -> None:
        pass
