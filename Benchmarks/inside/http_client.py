"""Times requests over one socket each, with as little of its own as Python can have: directly, or through the proxy that http_proxy names.

    python3 http_client.py PLAN

PLAN is JSON: `{"url", "ca", "proxy": true|false, "requests", "connections", "downloads", "uploads", "upload_bytes", "token"}`; `token` names
a variable whose value goes into each request as a bearer token, or is empty. Prints JSON: milliseconds of each request on a connection that
stays open (`kept`) and of each connection with one request (`fresh`), MB/s (10⁶ bytes) of each download and upload (`down`, `up`), and an
entry for each upload that broke off (`broken`). It runs in a sandbox and outside of one alike, so it stands alone.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

PIECE = 256 * 1024


class Client:
    """One connection."""

    def __init__(self, url: str, context: ssl.SSLContext, proxy: str, token: str) -> None:
        target, way = urlsplit(url), urlsplit(proxy or url)
        self.host = target.netloc
        self.socket: socket.socket = socket.create_connection((way.hostname or "", way.port or 80), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = memoryview(bytearray(PIECE))
        self.prefix, self.fields = "", ""
        self.is_over = False
        if way.username:
            pair = f"{unquote(way.username)}:{unquote(way.password or '')}".encode()
            self.fields = f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}\r\n"
        if proxy and target.scheme == "http":
            self.prefix = f"http://{self.host}"
        if target.scheme == "https":
            if proxy:
                self.socket.sendall(f"CONNECT {self.host} HTTP/1.1\r\nHost: {self.host}\r\n{self.fields}\r\n".encode())
                # Unbuffered, so that nothing of what follows is read with it.
                self.file = self.socket.makefile("rb", buffering=0)
                self.head()
                self.fields, self.is_over = "", False
            self.socket = context.wrap_socket(self.socket, server_hostname=target.hostname)
        self.file = self.socket.makefile("rb", buffering=PIECE)
        if token:
            self.fields += f"Authorization: Bearer {token}\r\n"

    def head(self) -> dict[str, str]:
        """Reads an answer's head, which must be a 200; its fields by lower-case name."""
        status = self.file.readline()
        if not status:
            raise ConnectionError("the connection ended before the answer")
        fields: dict[str, str] = {}
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            fields[name.lower()] = value.strip()
        self.is_over = status.startswith(b"HTTP/1.0") or fields.get("connection", "").lower() == "close"
        if status.split()[1:2] != [b"200"]:
            raise RuntimeError(f"{status!r} {fields}")
        return fields

    def get(self, path: str) -> int:
        self.socket.sendall(f"GET {self.prefix}{path} HTTP/1.1\r\nHost: {self.host}\r\n{self.fields}\r\n".encode())
        return self.body(self.head())

    def put(self, path: str, size: int) -> int:
        self.socket.sendall(
            f"POST {self.prefix}{path} HTTP/1.1\r\nHost: {self.host}\r\n{self.fields}Content-Length: {size}\r\n\r\n".encode())
        # Text, as a proxy that looks for secrets would meet.
        piece = memoryview((b"value of line seventeen is nothing much to look at\n" * (PIECE // 51 + 1))[:PIECE])
        for start in range(0, size, PIECE):
            self.socket.sendall(piece[:min(PIECE, size - start)])
        self.body(self.head())
        return size

    def body(self, fields: dict[str, str]) -> int:
        """Reads an answer's body; returns its length."""
        if "content-length" not in fields and self.is_over:
            total = 0
            while count := self.file.readinto(self.buffer):
                total += count
            return total
        if fields.get("transfer-encoding") != "chunked":
            return self.drain(int(fields["content-length"]))
        total = 0
        while size := int(self.file.readline(), 16):
            total += self.drain(size)
            self.file.readline()
        self.file.readline()
        return total

    def drain(self, size: int) -> int:
        rest = size
        while rest > 0:
            count = self.file.readinto(self.buffer[:min(PIECE, rest)])
            if count == 0:
                raise RuntimeError(f"the connection ended {rest} bytes early")
            rest -= count
        return size

    def close(self) -> None:
        self.socket.close()


def main(plan: dict[str, Any]) -> dict[str, list[float]]:
    # Made once: reading the authorities is no part of a connection.
    context = ssl.create_default_context(cafile=plan["ca"] or os.environ.get("SSL_CERT_FILE"))
    proxy = os.environ["http_proxy"] if plan["proxy"] else ""
    token = os.environ[plan["token"]] if plan["token"] else ""

    def connect() -> Client:
        return Client(plan["url"], context, proxy, token)

    found: dict[str, list[float]] = {"kept": [], "fresh": [], "down": [], "up": [], "broken": []}
    client = connect()
    keeps = True

    def timed(run: Callable[[Client], int]) -> tuple[float, int]:
        """Seconds and bytes of one request; a new connection, where the proxy ended the one before, is part of it."""
        nonlocal client, keeps
        began = time.perf_counter()
        if client.is_over or not keeps:
            client.close()
            client = connect()
        try:
            size = run(client)
        except ConnectionError:
            # It says nothing of it and closes after each answer (tinyproxy does).
            if not keeps:
                raise
            keeps = False
            return timed(run)
        return time.perf_counter() - began, size

    for number in range(plan["requests"] + 10):
        seconds, _ = timed(lambda c: c.get("/small"))
        if number >= 10:
            found["kept"].append(1000 * seconds)
    for number in range(plan["connections"] + 1):
        began = time.perf_counter()
        once = connect()
        once.get("/small")
        if number:
            found["fresh"].append(1000 * (time.perf_counter() - began))
        once.close()
    for _ in range(plan["downloads"]):
        seconds, size = timed(lambda c: c.get("/large"))
        found["down"].append(size / seconds / 1e6)
    # Each on a connection of its own, which squid sometimes ends within an upload: that is counted and tried again.
    for _ in range(4 * plan["uploads"]):
        if len(found["up"]) == plan["uploads"]:
            break
        once = connect()
        began = time.perf_counter()
        try:
            found["up"].append(once.put("/upload", plan["upload_bytes"]) / (time.perf_counter() - began) / 1e6)
        except (ConnectionError, ssl.SSLError) as error:
            print(f"an upload broke off: {error}", file=sys.stderr)
            found["broken"].append(1)
        once.close()
    client.close()
    return found


if __name__ == "__main__":
    print(json.dumps({key: [float(f"{v:.4g}") for v in values] for key, values in main(json.loads(sys.argv[1])).items()}))
