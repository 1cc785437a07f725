"""git's own smart HTTP service behind TLS and a password: `https://localhost:PORT/NAME.git`."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from certificates import Certificates

USER = "robot"


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    authorization: str
    #: How the body was sent: its transfer coding and content coding.
    coding: str


class GitService:
    """Runs `git http-backend` for each request that carries the password; the others are told to bring one."""

    def __init__(self, folder: Path, password: str) -> None:
        self._expected = "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()
        self._root = folder / "repositories"
        certificates = Certificates.make(folder, "DNS:localhost")
        self.ca_file = certificates.ca
        self.asked: list[Asked] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.socket = certificates.context().wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.host = f"localhost:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, name="git", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def repository(self, name: str) -> Path:
        """A new one with a file of one commit."""
        path = self._root / name
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(path))
        blob = self.git("-C", str(path), "hash-object", "-w", "--stdin", text="hello\n")
        tree = self.git("-C", str(path), "mktree", text=f"100644 blob {blob}\tfile\n")
        commit = self.git("-C", str(path), "-c", "user.name=a", "-c", "user.email=a@b", "commit-tree", "-m", "one", tree)
        self.git("-C", str(path), "update-ref", "refs/heads/main", commit)
        return path

    @staticmethod
    def git(*arguments: str, text: str = "") -> str:
        done = subprocess.run(["git", *arguments], input=text, check=True, capture_output=True, text=True, timeout=30)
        return done.stdout.strip()

    def admits(self, request: BaseHTTPRequestHandler) -> bool:
        authorization = request.headers.get("authorization", "")
        coding = " ".join(filter(None, (request.headers.get("transfer-encoding"), request.headers.get("content-encoding"))))
        self.asked.append(Asked(request.command, request.path, authorization, coding))
        return authorization == self._expected

    def backend(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
        """Status, header and body of git's answer."""
        path, _, query = request.path.partition("?")
        done = subprocess.run(
            ["git", "http-backend"], input=body, capture_output=True, timeout=60, env={
                "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self._root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
                "REQUEST_METHOD": request.command, "REMOTE_USER": USER, "CONTENT_TYPE": request.headers.get("content-type", ""),
                "CONTENT_LENGTH": str(len(body)), "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
                "GIT_PROTOCOL": request.headers.get("git-protocol", "")})
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head.decode().split("\r\n"))]
        return dict(fields).get("Status", "200 OK"), [field for field in fields if field[0] != "Status"], answer


def _handler(service: GitService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self._body()
            if not service.admits(self):
                return self._answer("401 Unauthorized", [("www-authenticate", 'Basic realm="git"')], b"")
            return self._answer(*service.backend(self, body))

        do_GET = do_POST = _serve  # noqa: N815

        def _body(self) -> bytes:
            if self.headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("content-length") or 0))
            body = b""
            while size := int(self.rfile.readline().strip(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _answer(self, status: str, fields: list[tuple[str, str]], body: bytes) -> None:
            self.send_response(int(status[:3]))
            for name, value in [*fields, ("content-length", str(len(body)))]:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler
