"""A network of the test's own on this machine's loopback: a resolver, a service that a policy allows, and others that nobody may reach. Takes
root: for ports below 1024, and to show the resolver to a worker and nobody else."""

from __future__ import annotations

import re
import secrets
import socket
import ssl
import struct
import threading
from pathlib import Path

from acceptor import Acceptor
from certificates import Certificates

#: Names that lead to the allowed service.
ALLOWED, OPAQUE = "allowed.test", "opaque.test"
#: Names that a policy allows and that lead where it lets nobody go: to private networks, to an address beside the granted ones, to each in turn.
PRIVATE, INNER, TURNING = "private.test", "inner.test", "turning.test"
#: A name that a policy denies; like every name that is not listed here it leads to a victim.
DENIED = "denied.test"

#: A request, or what may become one.
_BEGINNING = re.compile(rb"[A-Z]{3,7} |[A-Z]{1,7}\Z")
_METHOD = re.compile(rb"(?:^|\n)([A-Z]{3,7} [^\n]*\n?.*)", re.DOTALL)


class Service:
    """A listener that says who it is, and gives back the head of each request that it finds in what it is sent. Careless: it looks at no body,
    so that a request which is hidden in one is a request. What begins as no request comes back as it is."""

    def __init__(self, name: str, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.heads: list[str] = []
        self._tls = tls
        self.acceptor = Acceptor(name, listener, self._talk)

    @property
    def port(self) -> int:
        return self.acceptor.port

    def close(self) -> None:
        self.acceptor.close()

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self._answer(connection)
        except OSError:
            connection.close()

    def _answer(self, connection: socket.socket) -> None:
        data, begun = b"", False
        while piece := connection.recv(65_536):
            data += piece
            if not begun and not _BEGINNING.match(data):
                return connection.sendall(b"raw " + self.name.encode() + b" " + data)
            last = False
            while b"\r\n\r\n" in data:
                begun = True
                text, _, data = data.partition(b"\r\n\r\n")
                if found := _METHOD.search(text):
                    head = found.group(1).decode("latin-1")
                    self.heads.append(head)
                    last = last or "connection: close" in head.lower()
                    body = f"{self.name} {head}".encode("latin-1")
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n" % (
                        len(body), b"close" if last else b"keep-alive") + body)
            if last:
                return None
        return None


class Names:
    """A resolver: one answer for each name, by UDP, of addresses of version 4."""

    def __init__(self, address: str, table: dict[str, list[str]], others: str) -> None:
        self._table, self._others, self._turn = table, others, 0
        #: Every name that somebody has asked for.
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))

    def serve(self) -> None:
        threading.Thread(target=self._serve, name="names", daemon=True).start()

    def close(self) -> None:
        # A datagram socket's `recvfrom` ends by a datagram only.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._socket.getsockname())

    def addresses(self, name: str) -> list[str]:
        self.asked.append(name)
        found = self._table.get(name, [self._others])
        if name == TURNING:
            self._turn += 1
            return [found[(self._turn - 1) % len(found)]]
        return found

    def _serve(self) -> None:
        with self._socket:
            while True:
                query, peer = self._socket.recvfrom(4096)
                if not query:
                    return
                self._socket.sendto(self._reply(query), peer)

    def _reply(self, query: bytes) -> bytes:
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1:at + 1 + length].decode("latin-1"))
            at += 1 + length
        [kind] = struct.unpack_from(">H", query, at + 1)
        found = [socket.inet_aton(address) for address in self.addresses(".".join(labels).lower())] if kind == 1 else []
        records = b"".join(struct.pack(">HHHIH", 0xC00C, 1, 1, 0, 4) + address for address in found)
        return query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(found), 0, 0) + query[12:at + 5] + records


class World:
    """`granted` is what a policy may name as its addresses; a victim is there too, so that a wrong decision about a name reaches it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Service | Names] = []
        # Its own block of the loopback network, which another run may have at the same time.
        for _ in range(20):
            block = secrets.randbelow(254) + 1
            self._address, self._victim, self._beside = f"127.78.{block}.1", f"127.78.{block}.2", f"127.79.{block}.1"
            self.granted = f"127.78.{block}.0/24"
            try:
                self.names = Names(f"127.78.{block}.53", {
                    ALLOWED: [self._address], OPAQUE: [self._address], PRIVATE: ["10.0.0.1", "169.254.169.254"], INNER: [self._beside],
                    TURNING: [self._address, self._beside],
                }, self._victim)
                break
            except OSError as error:
                failure = error
        else:
            raise failure
        certificates = Certificates.make(folder, f"DNS:{ALLOWED}", f"DNS:{OPAQUE}", f"DNS:{DENIED}", "DNS:localhost")
        self.ca_file = certificates.ca
        tls = certificates.context()
        self.plain = self._service("allowed", (self._address, 80))
        self.secure = self._service("allowed", (self._address, 443), tls)
        #: On another port of the allowed service's address.
        self.other_port = self._service("victim", (self._address, 0))
        self.on_loopback = self._service("victim", ("127.0.0.1", 0))
        self.victims = [self.other_port, self.on_loopback]
        for address in (self._victim, self._beside):
            self.victims += [self._service("victim", (address, 80)), self._service("victim", (address, 443), tls)]
        self.unix_path = folder / "victim.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.unix_path))
        listener.listen()
        self.victims.append(Service("victim", listener))
        self._made += [self.victims[-1], self.names]
        self.names.serve()

    def _service(self, name: str, address: tuple[str, int], tls: ssl.SSLContext | None = None) -> Service:
        service = Service(name, socket.create_server(address, backlog=64), tls)
        self._made.append(service)
        return service

    def close(self) -> None:
        for made in self._made:
            made.close()

    def forget(self) -> None:
        """What has been seen until now counts no more."""
        self.names.asked.clear()
        for service in [self.plain, self.secure, *self.victims]:
            service.heads.clear()
            service.acceptor.connections = 0

    def reached(self) -> list[str]:
        """The victims that somebody has reached."""
        return [f"victim {number}" for number, victim in enumerate(self.victims) if victim.acceptor.connections]

    @property
    def prefix(self) -> list[str]:
        """For a worker's command: it and its proxies ask this resolver, in a mount namespace of their own."""
        files = []
        for name, text in (("resolv.conf", f"nameserver {self._resolver}\n"), ("nsswitch.conf", "hosts: files dns\n")):
            (self._folder / name).write_text(text)
            files.append(str(self._folder / name))
        script = 'mount --bind "$1" /etc/resolv.conf; mount --bind "$2" /etc/nsswitch.conf; shift 2; exec "$@"'
        return ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-ec", script, "sh", *files]

    @property
    def _resolver(self) -> str:
        return self._address.rpartition(".")[0] + ".53"
