"""An HTTPS service of the test's own: it echoes, publishes, gives values back in disguise, and streams. What it was sent is kept."""

from __future__ import annotations

import base64
import gzip
import json
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from certificates import Certificates

FORMS: dict[str, Callable[[str], bytes]] = {
    "raw": lambda v: v.encode(),
    "base64": lambda v: base64.b64encode(v.encode()),
    "base64-1": lambda v: base64.b64encode(b"x" + v.encode() + b"yz"),
    "base64-2": lambda v: base64.b64encode(b"xy" + v.encode() + b"z"),
    "base64-url": lambda v: base64.urlsafe_b64encode(v.encode()),
    "hex": lambda v: v.encode().hex().encode(),
    "hex-upper": lambda v: v.encode().hex().upper().encode(),
    "url": lambda v: urllib.parse.quote(v, safe="").encode(),
    "url-all": lambda v: "".join(f"%{b:02X}" for b in v.encode()).encode(),
    "json": lambda v: json.dumps({"value": v}).encode(),
    "in-pieces": lambda v: v.encode(),
    "in-the-head": lambda v: b"",
    "gzip": lambda v: gzip.compress(v.encode()),
}


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: str

    @property
    def text(self) -> str:
        return json.dumps([self.method, self.path, self.headers, self.body])


@dataclass
class Stream:
    """A request or an answer without end, until the other side is gone."""
    begun: threading.Event = field(default_factory=threading.Event)
    broken: threading.Event = field(default_factory=threading.Event)
    broken_at: float = 0
    #: What has arrived of a request.
    pieces: int = 0


class Web:
    """Serves `https://localhost:PORT`, with a certificate of a CA of its own, for `localhost` and `127.0.0.1`."""

    def __init__(self, folder: Path) -> None:
        certificates = Certificates.make(folder, "DNS:localhost", "IP:127.0.0.1")
        self.ca_file = certificates.ca
        self.seen: list[Seen] = []
        #: Requests that broke off.
        self.cut: list[Seen] = []
        self.published: list[str] = []
        self.streams: dict[str, Stream] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        # The handshake belongs to the connection's thread: one that never comes must hold nobody up.
        self._server.socket = certificates.context().wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = int(self._server.server_address[1])
        self.host = f"localhost:{self.port}"
        self.other_host = f"127.0.0.1:{self.port}"
        self.url = f"https://{self.host}"
        threading.Thread(target=self._server.serve_forever, name="web", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def paths(self) -> list[str]:
        return [seen.path for seen in self.seen]

    def stream(self, name: str) -> Stream:
        return self.streams.setdefault(name, Stream())


def _handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            if self.path.startswith("/upload/"):
                return self._upload(web.stream(self.path.rpartition("/")[2]))
            body, is_whole = self._body()
            seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            if not is_whole:
                web.cut.append(seen)
                self.close_connection = True
                return None
            web.seen.append(seen)
            parts = urllib.parse.urlsplit(self.path).path.strip("/").split("/")
            match parts[0]:
                case "as":
                    self._disguised(parts[1], seen.headers.get("authorization", "").rpartition(" ")[2])
                case "publish":
                    web.published.append(seen.text)
                    self._answer(json.dumps({"at": f"/public/{len(web.published) - 1}"}).encode())
                case "public" if parts[1].isdigit():
                    self._answer(web.published[int(parts[1])].encode())
                case "ticks":
                    self._ticks(web.stream(parts[1]))
                case _:
                    self._answer(seen.text.encode())
            return None

        do_GET = do_POST = do_PUT = _serve  # noqa: N815

        def _body(self) -> tuple[str, bool]:
            """The request's body, and whether it came to its end."""
            if self.headers.get("transfer-encoding") != "chunked":
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length).decode("latin-1")
                return body, len(body) == length
            body = ""
            while line := self.rfile.readline().strip():
                size = int(line, 16)
                body += self.rfile.read(size).decode("latin-1")
                self.rfile.readline()
                if size == 0:
                    return body, True
            return body, False

        def _answer(self, body: bytes, **headers: str) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _disguised(self, form: str, value: str) -> None:
            body = FORMS[form](value)
            if form == "in-the-head":
                return self._answer(body, x_value=value, set_cookie=f"v={value}")
            if form == "gzip":
                return self._answer(body, content_encoding="gzip")
            if form != "in-pieces":
                return self._answer(body)
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for byte in body:
                self.wfile.write(b"1\r\n" + bytes([byte]) + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            return None

        def _ticks(self, stream: Stream) -> None:
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.connection.settimeout(20)
            try:
                while True:
                    self.wfile.write(b"5\r\ntick\n\r\n")
                    self.wfile.flush()
                    stream.begun.set()
                    # A stream has a pace of its own.
                    stream.broken.wait(0.01)
            except OSError:
                stream.broken_at = time.monotonic()
                stream.broken.set()
                self.close_connection = True

        def _upload(self, stream: Stream) -> None:
            try:
                while piece := self.rfile.readline():
                    stream.begun.set()
                    stream.pieces += 1
                    if piece == b"0\r\n":
                        break
            except OSError:
                pass
            stream.broken_at = time.monotonic()
            stream.broken.set()
            self.close_connection = True

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler
