"""A session that never rests: detached processes that count, and a connection through the egress proxy on which both ends speak unasked.

    python3 restless.py HOST NAME SECONDS

Connects to `http://HOST/NAME` through the proxy that http_proxy names, and begins with the first frame of the other end. SECONDS lie between
two counts of each process and between two frames. A frame is its number, from 1, and the time at which it was sent. What each process has
reached is in a file of the working folder, with the time of the last move: `count-*` has a count; `link` has the frames sent and received,
and how many were not in their turn. Times are CLOCK_MONOTONIC's, in nanoseconds. It runs in a sandbox, so it stands alone.
"""

from __future__ import annotations

import base64
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

FRAME = struct.Struct("!QQ")
COUNT = struct.Struct("!QQ")
LINK = struct.Struct("!QQQQ")


def detach(run: Callable[..., None], *arguments: Any, twice: bool = True) -> None:
    """Runs a function in a process of a session of its own; a second fork takes it from its parent and from leading that session."""
    if os.fork():
        return
    os.setsid()
    if twice and os.fork():
        os._exit(0)
    try:
        run(*arguments)
    finally:
        os._exit(1)


def count(name: str, pause: float) -> None:
    file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644)
    number = 0
    while True:
        number += 1
        # One write: whoever reads sees one state.
        os.pwrite(file, COUNT.pack(number, time.monotonic_ns()), 0)
        time.sleep(pause)


def connect(host: str, name: str) -> socket.socket:
    proxy = urlsplit(os.environ["http_proxy"])
    pair = base64.b64encode(f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}".encode()).decode()
    connection = socket.create_connection((proxy.hostname or "", proxy.port or 80), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(
        f"GET http://{host}/{name} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Basic {pair}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        # One by one: the first frame stands directly behind.
        head += (byte := connection.recv(1))
        if not byte:
            raise ConnectionError(head)
    if head.split()[1] != b"101":
        raise ConnectionError(head)
    return connection


def talk(host: str, name: str, pause: float) -> None:
    connection = connect(host, name)
    connection.settimeout(None)
    file = os.open("link", os.O_WRONLY | os.O_CREAT, 0o644)
    select.select([connection], [], [])
    detach(count, "count-twice", pause)
    detach(count, "count-once", pause, twice=False)
    sent = received = astray = 0
    held = b""
    due = time.monotonic()
    while True:
        rest = due - time.monotonic()
        if rest <= 0:
            sent += 1
            connection.sendall(FRAME.pack(sent, time.monotonic_ns()))
            due = time.monotonic() + pause
        elif select.select([connection], [], [], rest)[0]:
            piece = connection.recv(65536)
            if not piece:
                return
            held += piece
            whole = len(held) // FRAME.size * FRAME.size
            for number, _ in FRAME.iter_unpack(held[:whole]):
                received += 1
                astray += number != received
            held = held[whole:]
        else:
            continue
        os.pwrite(file, LINK.pack(sent, received, astray, time.monotonic_ns()), 0)


if __name__ == "__main__":
    # Nothing of the call's is kept open, so that the call ends.
    null = os.open("/dev/null", os.O_RDWR)
    errors = os.open("errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number, descriptor in enumerate((null, null, errors)):
        os.dup2(descriptor, number)
    detach(talk, sys.argv[1], sys.argv[2], float(sys.argv[3]))
