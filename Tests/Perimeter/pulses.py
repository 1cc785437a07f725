"""The other end of `inside/restless.py`: a service outside that speaks unasked on every connection, and stamps what arrives on each."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

#: The number of a frame, from 1, and the time at which it was sent.
FRAME = struct.Struct("!QQ")
HEAD_BYTES = 65536


@dataclass
class Link:
    """One connection; `name` is what its path says."""
    connection: socket.socket
    name: str = ""
    head: bytes = b""
    #: Frames that were sent, and the rest of the last one that the socket did not take.
    sent: int = 0
    unsent: bytes = b""
    #: When each frame arrived (CLOCK_MONOTONIC, nanoseconds), and how many were not in their turn.
    arrivals: list[int] = field(default_factory=list)
    astray: int = 0
    held: bytes = b""
    is_over: bool = False


class Pulses:
    """Serves `http://localhost:PORT/NAME`. Connections wait until `go`; from then on each gets a frame every `pause` seconds."""

    def __init__(self, pause: float) -> None:
        self.pause = pause
        self.links: dict[str, Link] = {}
        self._all: list[Link] = []
        self._changed = threading.Condition()
        self._may_speak = self._is_closing = False
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self.port = int(self._listener.getsockname()[1])
        self.host = f"localhost:{self.port}"
        self._thread = threading.Thread(target=self._run, name="pulses", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_closing = True
        self._thread.join(10)
        for link in self._all:
            link.connection.close()
        self._listener.close()
        self._selector.close()

    def go(self) -> None:
        self._may_speak = True

    def wait_for_links(self, count: int, *, seconds: float = 30) -> None:
        """Until so many are connected."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.links) >= count, seconds):
                raise TimeoutError(f"{len(self.links)} connections instead of {count}")

    def received(self) -> dict[str, int]:
        """How many frames have arrived on each."""
        return {name: len(link.arrivals) for name, link in self.links.items()}

    def sent(self) -> dict[str, int]:
        """How many frames were sent on each."""
        return {name: link.sent for name, link in self.links.items()}

    def _run(self) -> None:
        due = time.monotonic()
        while not self._is_closing:
            for key, _ in self._selector.select(max(0.0, due - time.monotonic())):
                if key.data is None:
                    self._accept()
                else:
                    self._read(key.data)
            if time.monotonic() < due:
                continue
            due = time.monotonic() + self.pause
            if self._may_speak:
                for link in list(self.links.values()):
                    self._speak(link)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(connection)
        self._all.append(link)
        self._selector.register(connection, selectors.EVENT_READ, link)

    def _read(self, link: Link) -> None:
        try:
            piece = link.connection.recv(HEAD_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        now = time.monotonic_ns()
        if not piece:
            link.is_over = True
            self._selector.unregister(link.connection)
            return
        if not link.name:
            return self._begin(link, piece)
        link.held += piece
        whole = len(link.held) // FRAME.size * FRAME.size
        for number, _ in FRAME.iter_unpack(link.held[:whole]):
            link.arrivals.append(now)
            link.astray += number != len(link.arrivals)
        link.held = link.held[whole:]

    def _begin(self, link: Link, piece: bytes) -> None:
        link.head += piece
        if not link.head.endswith(b"\r\n\r\n"):
            return
        link.connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        with self._changed:
            link.name = link.head.split()[1].decode().rpartition("/")[2]
            self.links[link.name] = link
            self._changed.notify_all()

    def _speak(self, link: Link) -> None:
        if link.is_over:
            return
        if not link.unsent:
            link.sent += 1
            link.unsent = FRAME.pack(link.sent, time.monotonic_ns())
        try:
            link.unsent = link.unsent[link.connection.send(link.unsent):]
        except OSError:
            # Full, or gone: the first is tried again, the other is read of.
            pass
