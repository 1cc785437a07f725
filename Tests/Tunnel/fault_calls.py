"""Calls that are counted at both ends: a server that notes each call it runs, and callers that know what each answer must be."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import http.server
import os
import secrets
import socket
import socketserver
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: For everything in one call that its caller waits for. An edge holds a call for 10 s while its connector comes back.
PATIENCE = 15.0


def answer_to(token: str) -> bytes:
    """What belongs to this call and to no other; of several pieces, so that a mixture shows."""
    return b"".join(hashlib.sha256(f"{token}/{piece}".encode()).hexdigest().encode() for piece in range(40))


class CountingServer(socketserver.ThreadingTCPServer):
    """A private HTTP server that counts how often it has run each call. In another network namespace where `namespace` names one."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, namespace: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self.runs: Counter[str] = Counter()
        self.lock = threading.Lock()
        if namespace:
            self.socket.close()
            self.socket = _socket_in(namespace)
        self.server_bind()
        self.server_activate()
        self.port = int(self.server_address[1])
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that is gone is what these tests are about."""


def _socket_in(namespace: str) -> socket.socket:
    """A socket belongs to the namespace of the thread that made it, whoever uses it."""
    made: list[socket.socket | BaseException] = []

    def make() -> None:
        try:
            descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000):  # CLONE_NEWNET
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(descriptor)
            made.append(socket.socket())
        except BaseException as error:
            made.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], BaseException):
        raise made[0]
    return made[0]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CountingServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        token = self.headers["x-token"]
        # A call whose request did not come whole does not run.
        if body != token.encode() * 3:
            return self.send_error(400)
        with self.server.lock:
            self.server.runs[token] += 1
        answer = answer_to(token)
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer[:700])
        if pause := float(self.headers.get("x-pause") or 0):
            time.sleep(pause)
        self.wfile.write(answer[700:])

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


class Unspecific(Exception):
    """What must not be: an end that looks whole and is not, an answer to something else, an answer that is none."""


class Failed(Exception):
    """A call failed, and this is why."""


class InnerTLS:
    """TLS with a connector, over a socket or over another TLS."""

    def __init__(self, carrier: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._carrier = carrier
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._do(self._tls.do_handshake)

    def _do(self, step: Any, *arguments: Any) -> Any:
        while True:
            try:
                done = step(*arguments)
            except ssl.SSLWantReadError:
                self._flush()
                if data := self._carrier.recv(65536):
                    self._in.write(data)
                else:
                    self._in.write_eof()
                continue
            self._flush()
            return done

    def _flush(self) -> None:
        if self._out.pending:
            self._carrier.sendall(self._out.read())

    def sendall(self, data: bytes) -> None:
        self._do(self._tls.write, data)

    def recv(self, size: int) -> bytes:
        return bytes(self._do(self._tls.read, size))


@dataclass(frozen=True)
class Way:
    """How callers come to a tunnel."""
    address: str
    port: int
    host: str
    inner: ssl.SSLContext
    #: Through the edge's own TLS, by CONNECT with this API key; without, by splicing.
    outer: ssl.SSLContext | None = None
    edge_name: str = ""
    api_key: str = ""

    @staticmethod
    def trust(folder: Path) -> ssl.SSLContext:
        """By a folder that `client-certificate issue` made: the tunnel's authorities and nobody else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(folder / "authorities.pem")
        context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
        return context


class Connection:
    """One connection to the connector; carries calls one after the other."""

    def __init__(self, way: Way, patience: float = PATIENCE) -> None:
        self.calls = 0
        self._buffer = b""
        self._closing = contextlib.ExitStack()
        try:
            carrier = socket.create_connection((way.address, way.port), timeout=patience)
            self._closing.callback(carrier.close)
            carrier.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if way.outer:
                carrier = way.outer.wrap_socket(carrier, server_hostname=way.edge_name)
                self._closing.callback(carrier.close)
                self._connect(carrier, way)
            self._tls = InnerTLS(carrier, way.inner, way.host)
        except BaseException:
            self.close()
            raise

    def _connect(self, carrier: socket.socket, way: Way) -> None:
        carrier.sendall(
            f"CONNECT {way.host}:443 HTTP/1.1\r\nHost: {way.host}:443\r\nProxy-Authorization: Bearer {way.api_key}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            data = carrier.recv(4096)
            if not data:
                raise Failed("CONNECT: the edge closed the connection")
            head += data
        status = int(head.split()[1])
        if status != 200:
            raise Failed(f"CONNECT: {status}")

    def close(self) -> None:
        self._closing.close()

    def call(self, token: str, host: str, pause: float = 0) -> None:
        """Returns when the right answer has come, whole."""
        body = token * 3
        self.calls += 1
        self._tls.sendall(
            f"POST /run HTTP/1.1\r\nHost: {host}\r\nX-Token: {token}\r\nX-Pause: {pause}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        head, _, rest = self._until(b"\r\n\r\n").partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        status = int(lines[0].split()[1])
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self._buffer = rest
        if "content-length" in fields:
            length = int(fields["content-length"])
            while len(self._buffer) < length:
                self._more()
            answer, self._buffer = self._buffer[:length], self._buffer[length:]
        else:
            answer = self._chunks()
        if status != 200:
            said = answer.decode(errors="replace")
            if fields.get("postern-answer-by") != "connector" or '"reason"' not in said:
                raise Unspecific(f"status {status}: {said[:200]}")
            raise Failed("connector: " + said.partition('"reason":"')[2].partition('"')[0])
        if answer != answer_to(token):
            raise Unspecific(f"the answer to {token} is another one's, or none: {answer[:80]!r} ({len(answer)} bytes)")

    def _chunks(self) -> bytes:
        answer = b""
        while True:
            line, _, self._buffer = self._until(b"\r\n").partition(b"\r\n")
            size = int(line, 16)
            while len(self._buffer) < size + 2:
                self._more()
            answer += self._buffer[:size]
            self._buffer = self._buffer[size + 2:]
            if not size:
                return answer

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._more()
        return self._buffer

    def _more(self) -> None:
        try:
            data = self._tls.recv(65536)
        except ssl.SSLZeroReturnError:
            data = b""
        if not data:
            # With close_notify: whoever takes this for the end of an answer has been lied to, unless nothing of it had begun.
            if self._buffer:
                raise Unspecific(f"an orderly end in the middle of an answer, after {self._buffer[:60]!r}")
            raise Failed("inner TLS: an orderly end before an answer")
        self._buffer += data


def reason(error: Exception) -> str:
    """A word for why a call failed; `Unspecific` where that cannot be told."""
    match error:
        case Failed(): return str(error)
        case ssl.SSLEOFError(): return "TLS cut without close_notify"
        case ssl.SSLError():
            for alert, meaning in (("INTERNAL_ERROR", "edge: no connector (internal_error)"), ("UNRECOGNIZED_NAME", "edge: unrecognized_name"),
                                   ("CERTIFICATE_EXPIRED", "connector: certificate refused"), ("BAD_CERTIFICATE", "connector: certificate refused"),
                                   ("CERTIFICATE_UNKNOWN", "connector: certificate refused"), ("UNKNOWN_CA", "connector: certificate refused"),
                                   ("CERTIFICATE_VERIFY_FAILED", "connector: certificate refused")):
                if alert in str(error):
                    return meaning
        case ConnectionRefusedError(): return "TCP refused"
        case ConnectionResetError() | BrokenPipeError(): return "TCP reset"
        case TimeoutError(): return "caller's time is over"
    raise Unspecific(f"{type(error).__name__}: {error}") from error


@dataclass
class Tally:
    """What became of the calls of one run."""
    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    recoveries: list[float] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    #: Tokens whose answers have come.
    heard: set[str] = field(default_factory=set)
    #: Calls that ran and whose answers have not come: their callers know that they do not know.
    unknown: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def calls(self) -> int:
        return self.answered + self.failed.total()


class Load:
    """Callers that go on calling, each one call at a time; half of them keep their connections for a while."""

    def __init__(self, ways: list[Way], tally: Tally, *, callers: int = 8, patience: float = PATIENCE) -> None:
        self._ways, self._tally, self._patience = ways, tally, patience
        self._stop = threading.Event()
        self._progress = threading.Condition()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(callers)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(self._patience * 3)

    def wait(self, calls: int, *, seconds: float = 100) -> None:
        """Returns when so many further calls were answered or failed."""
        goal, deadline = self._tally.calls + calls, time.monotonic() + seconds
        with self._progress:
            while self._tally.calls < goal:
                assert self._progress.wait(max(0.0, deadline - time.monotonic())), f"{self._tally.calls} of {goal} calls after {seconds:g} s"

    def _run(self, number: int) -> None:
        way = self._ways[number % len(self._ways)]
        keeps = number // len(self._ways) % 2 == 0
        connection: Connection | None = None
        while not self._stop.is_set():
            connection = self.one(way, connection, pause=0.02 if number % 3 == 0 else 0)
            if connection and (not keeps or connection.calls >= 20):
                connection.close()
                connection = None
        if connection:
            connection.close()

    def one(self, way: Way, connection: Connection | None = None, pause: float = 0) -> Connection | None:
        """One call; the connection, where it can carry another."""
        token, tally = secrets.token_hex(16), self._tally
        why = None
        with tally.lock:
            tally.sent.add(token)
        try:
            try:
                connection = connection or Connection(way, self._patience)
                connection.call(token, way.host, pause)
            except Unspecific:
                raise
            except Exception as error:
                why = reason(error)
        except Unspecific as violation:
            why = "unspecific"
            with tally.lock:
                tally.violations.append(str(violation))
        with tally.lock:
            if why is None:
                tally.answered += 1
                tally.heard.add(token)
            else:
                tally.failed[why] += 1
        with self._progress:
            self._progress.notify_all()
        if why is None:
            return connection
        if connection:
            connection.close()
        # Nobody who was refused comes again at once.
        self._stop.wait(0.02)
        return None

    def recovery(self, *, bound: float = 30) -> float:
        """Seconds from now until a call that begins now or later succeeds, on a connection of its own; each way is tried at once."""
        began = time.monotonic()
        done: list[float] = []
        threads = [threading.Thread(target=self._recover, args=(way, began, bound, done), daemon=True) for way in self._ways]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(done) == len(self._ways), f"no call succeeded within {bound:g} s on {len(self._ways) - len(done)} of the ways"
        return max(done)

    def _recover(self, way: Way, began: float, bound: float, done: list[float]) -> None:
        while time.monotonic() - began < bound:
            if connection := self.one(way):
                done.append(time.monotonic() - began)
                return connection.close()


@contextlib.contextmanager
def judged(server: CountingServer, tally: Tally) -> Iterator[None]:
    """Holds both ends against each other when the calls are over."""
    yield
    with server.lock:
        runs = Counter({token: count for token, count in server.runs.items() if token in tally.sent})
    for token, count in runs.items():
        if count > 1:
            tally.violations.append(f"{token} ran {count} times")
    tally.violations += [f"{token} was answered and did not run" for token in tally.heard if not runs[token]]
    tally.unknown = len(set(runs) - tally.heard)
