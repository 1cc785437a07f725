"""A proxy that does whatever it is told, to whoever asks: what an attack through a proxy is tried against to show that it is one."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import threading

from acceptor import Acceptor
from world import World

TOLD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\ncareless\n"
FAILED = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class CarelessProxy:
    """HTTP, CONNECT, SOCKS5, pages of its own, and a header that names a unix socket. It knows the names of its world, and nothing but loopback is
    dialled: what would lead elsewhere fails as where there is no route."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._acceptor = Acceptor("careless proxy", socket.create_server(("127.0.0.1", 0)), self._take)
        self.url = f"http://session:none@127.0.0.1:{self._acceptor.port}"

    def close(self) -> None:
        self._acceptor.close()

    def _take(self, client: socket.socket) -> None:
        client.settimeout(60)
        with client, contextlib.suppress(OSError):
            if client.recv(1, socket.MSG_PEEK) == b"\5":
                self._socks(client)
            else:
                self._http(client)

    def _http(self, client: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = client.recv(65_536)
            if not piece:
                return
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        method, _, target = head.split(b"\n")[0].partition(b" ")
        place = re.match(rb"(?:http://)?(\[[^\]]*\]|.*?)(?::(\d+))?(?:/.*)?$", target.rpartition(b" ")[0], re.DOTALL)
        if path := re.search(rb"(?mi)^x-unix-socket: *(\S+)", head):
            with socket.socket(socket.AF_UNIX) as server:
                server.connect(path.group(1).decode())
                return self._splice(client, server, data)
        if target.startswith((b"/", b"*")) or place is None:
            return client.sendall(TOLD)
        try:
            server = self._dial(place.group(1).decode("latin-1"), int(place.group(2) or 80))
        except OSError:
            return client.sendall(FAILED)
        with server:
            if method != b"CONNECT":
                return self._splice(client, server, data)
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            return self._splice(client, server, rest)

    def _socks(self, client: socket.socket) -> None:
        def take(count: int) -> bytes:
            return client.recv(count, socket.MSG_WAITALL)

        offered = take(take(2)[1])
        client.sendall(b"\5" + (b"\2" if 2 in offered else b"\0"))
        if 2 in offered:
            take(take(2)[1])
            take(take(1)[0])
            client.sendall(b"\1\0")
        _, command, _, kind = take(4)
        raw = take({1: 4, 4: 16}[kind]) if kind != 3 else take(take(1)[0])
        host = str(ipaddress.ip_address(raw)) if kind != 3 else raw.decode("latin-1")
        port = int.from_bytes(take(2), "big")
        done, failed = b"\5\0\0\1" + bytes(6), b"\5\4\0\1" + bytes(6)
        if command != 1:
            return client.sendall(done)
        try:
            server = self._dial(host, port)
        except OSError:
            return client.sendall(failed)
        with server:
            client.sendall(done)
            return self._splice(client, server, b"")

    def _dial(self, host: str, port: int) -> socket.socket:
        # As a program in C reads it.
        host = host.strip("[]").partition("\0")[0]
        try:
            address = ipaddress.ip_address(host if ":" in host else socket.inet_aton(host))
        except OSError:
            known = "127.0.0.1" if host.lower().rstrip(".") == "localhost" else self._world.names.addresses(host.lower().rstrip("."))[0]
            address = ipaddress.ip_address(known)
        mapped = getattr(address, "ipv4_mapped", None) or address
        if not (mapped.is_loopback or mapped.is_unspecified):
            raise OSError("no route")
        return socket.create_connection((str(address), port), 10)

    @staticmethod
    def _splice(client: socket.socket, server: socket.socket, first: bytes) -> None:
        server.sendall(first)

        def pump(source: socket.socket, sink: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65_536):
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)

        back = threading.Thread(target=pump, args=(server, client), daemon=True)
        back.start()
        threading.Thread(target=pump, args=(client, server), daemon=True).start()
        back.join()
        # Ends the other thread, which waits for more of the client.
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
