"""A keep-alive connection that sends prepared bytes: the least that a client written in Python can cost."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit


class RawConnection:
    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self._host = parts.netloc
        self._key = key
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def prepared(self, method: str, path: str, body: Any = None, extra: str = "") -> bytes:
        content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        head = (f"{method} {path} HTTP/1.1\r\nhost: {self._host}\r\nauthorization: Bearer {self._key}\r\n{extra}"
                f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n")
        return head.encode() + content

    def send(self, request: bytes) -> bytes:
        """Sends and waits for the whole answer, which must be a 200; returns its body."""
        self._socket.sendall(request)
        status = self._file.readline()
        length = 0
        chunked = False
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.lower().partition(b":")
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                chunked = b"chunked" in value
        body = self._chunks() if chunked else self._file.read(length)
        if b" 200 " not in status:
            raise RuntimeError(f"{status!r} {body[:300]!r}")
        return body

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self._file.readline(), 16):
            parts.append(self._file.read(size))
            self._file.readline()
        self._file.readline()
        return b"".join(parts)

    def open_stream(self, path: str) -> socket.socket:
        """Asks for an event stream, reads its head, and hands over the socket, which is non-blocking from then on."""
        self._socket.sendall(self.prepared("GET", path, extra="accept: text/event-stream\r\n"))
        status = self._file.readline()
        if b" 200 " not in status:
            raise RuntimeError(f"stream: {status!r}")
        while self._file.readline() not in (b"\r\n", b""):
            pass
        self._socket.setblocking(False)
        return self._socket

    def close(self) -> None:
        self._file.close()
        self._socket.close()
