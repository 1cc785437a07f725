"""`postern mcp --certificate`: servers of the official SDK behind a tunnel, dialled through the edge without DNS, and what is said when a step fails."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from authorization_server import AuthorizationServer
from certificates import Certificates
from peers import HERE as MCP_SUITE
from peers import HostileServer, Server, command, python_of, serving
from tunnel import DOMAIN, Tunnel

SDKS = ("1", "2")
ROUTES = [f"dial{sdk}-{kind}" for sdk in SDKS for kind in ("stream", "json")]


@pytest.fixture(scope="module")
def hostile() -> Iterator[HostileServer]:
    """A server whose answers are the test's; `answer` is set by each."""
    with HostileServer(lambda *_: None) as server:
        yield server


@pytest.fixture(scope="module")
def issuer() -> Iterator[AuthorizationServer]:
    with AuthorizationServer() as server:
        yield server


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, tunnel: Tunnel, issuer: AuthorizationServer) -> Iterator[dict[str, Server]]:
    flags = {route: ["--json"] if route.endswith("json") else [] for route in ROUTES}
    flags["dial2-oauth"] = ["--oauth", issuer.issuer, "--resource", f"https://dial2-oauth.{tunnel.domain}/mcp"]
    with ExitStack() as stack:
        yield {
            route: stack.enter_context(serving(tmp_path_factory.mktemp(route), command(route[4], "http", *more))) for route, more in flags.items()}


@pytest.fixture(scope="module")
def dialled(tunnel: Tunnel, servers: dict[str, Server], hostile: HostileServer) -> Iterator[Tunnel]:
    """The tunnel with a route to each server."""
    ports = {route: server.port for route, server in servers.items()} | {"hostile": int(hostile.url.split(":")[2].split("/")[0])}
    ports["nothing"] = free_port()
    document = tunnel.connector_folder / "connector.yaml"
    text = document.read_text()
    added = "".join(
        f"  {route}:\n    upstream: http://127.0.0.1:{port}\n    callers: {{clients: [dialler]}}\n    addresses: [127.0.0.0/8]\n"
        for route, port in ports.items())
    document.write_text(text.rstrip("\n") + "\n" + added)
    tunnel.connector.stop()
    tunnel.connector = tunnel.start_connector()
    tunnel.control.call("POST", f"/postern/v1/tunnels/{tunnel.id}/settings", {"splice": True})
    yield tunnel
    document.write_text(text)


def free_port() -> int:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return int(closed.getsockname()[1])


def issue(tunnel: Tunnel, name: str, *arguments: str, client: str = "dialler", authority: Path | None = None) -> Path:
    folder = tunnel.folder / name
    tunnel.command(
        "tunnels", "client-certificate", "issue", tunnel.id, "--client", client, "--edge", f"127.0.0.1:{tunnel.port}", "--edge-ca-file",
        str(authority or tunnel.edge_certificates.ca), *arguments, "--output", str(folder))
    return folder


@pytest.fixture(scope="module")
def folder(dialled: Tunnel) -> Path:
    return issue(dialled, "dialler")


@pytest.fixture(scope="module")
def key_file(dialled: Tunnel) -> Path:
    file = dialled.folder / "caller-api.key"
    dialled.command("keys", "create", "--role", "developer", "--name", "dialler", "--output", str(file))
    return file


class Ways:
    """The ways through the edge, as options."""

    NAMES = ("certificate", "key", "splice")

    @staticmethod
    def options(way: str, folder: Path, key_file: Path) -> list[str]:
        return ["--certificate", str(folder)] + {"certificate": [], "key": ["--api-key-file", str(key_file)], "splice": ["--via", "splice"]}[way]


def url(tunnel: Tunnel, route: str) -> str:
    return f"https://{route}.{tunnel.domain}/mcp"


def run(tunnel: Tunnel, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(tunnel.postern.binary), "mcp", *arguments], text=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL, cwd=tunnel.folder,
        env=tunnel.environment())


@pytest.mark.parametrize("way", Ways.NAMES)
@pytest.mark.parametrize("route", ROUTES)
def test_servers_behind_a_tunnel_answer(dialled: Tunnel, folder: Path, key_file: Path, route: str, way: str) -> None:
    options = Ways.options(way, folder, key_file)
    probed = run(dialled, "probe", url(dialled, route), "--json", *options)
    assert probed.returncode == 0, probed.stderr
    told = json.loads(probed.stdout)
    assert told["revision"] == ("2025-11-25" if route.startswith("dial1") else "2026-07-28") and told["steps"][0]["step"] == "connect"
    listed = run(dialled, "tools", url(dialled, route), *options)
    assert listed.returncode == 0 and "echo" in listed.stdout, listed.stderr
    called = run(dialled, "call", url(dialled, route), "echo", '{"text": "through"}', *options)
    assert called.stdout == "through\n", called.stderr


class Listener:
    """Passes connections on to a port, and keeps what clients send."""

    def __init__(self, port: int) -> None:
        self.heard = bytearray()
        self.target = port
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self.passes, args=(client, upstream, True), daemon=True).start()
            threading.Thread(target=self.passes, args=(upstream, client, False), daemon=True).start()

    def passes(self, source: socket.socket, sink: socket.socket, heard: bool) -> None:
        try:
            while data := source.recv(65536):
                if heard:
                    self.heard += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_a_route_has_an_id_where_somebody_listens(dialled: Tunnel, folder: Path) -> None:
    """What setup and issuing fetch makes one name at both ends; the listener sees the name only where nothing hides it."""
    hidden = issue(dialled, "hidden", "--hide-routes", "--route", "dial2-json")
    # The edge is shown the certificate too.
    shown = ssl.PEM_cert_to_DER_cert((hidden / "certificate.pem").read_text())
    assert b"postern:route:r--" in shown and b"dial2-json" not in shown
    assert (hidden / "route.key").read_text() == (dialled.connector_folder / "route.key").read_text()
    assert (hidden / "route.key").stat().st_mode & 0o777 == 0o600
    for certificate, way, tells in ((folder, "splice", True), (hidden, "splice", False), (hidden, "connect", False)):
        listener = Listener(dialled.port)
        with listener.socket:
            called = run(
                dialled, "call", url(dialled, "dial2-json"), "echo", '{"text": "hidden"}', "--certificate", str(certificate), "--via", way, "--edge",
                f"127.0.0.1:{listener.port}")
            assert called.stdout == "hidden\n", called.stderr
        assert (b"dial2-json" in listener.heard) == tells
        if not tells and way == "splice":
            assert b"r--" in listener.heard
    # Without its key a folder that hides routes opens nothing.
    (hidden / "route.key").write_text("none\n")
    refused = run(dialled, "tools", url(dialled, "dial2-json"), "--certificate", str(hidden))
    assert refused.returncode == 78 and "route.key holds no route key" in refused.stderr


def test_a_plain_url_under_the_domain_goes_no_other_way(dialled: Tunnel, folder: Path) -> None:
    called = run(dialled, "call", url(dialled, "dial2-json").replace("https", "http"), "echo", '{"text": "plain"}', "--certificate", str(folder))
    assert called.stdout == "plain\n", called.stderr


@pytest.mark.parametrize("sdk", SDKS)
def test_progress_comes_while_the_tool_runs(dialled: Tunnel, servers: dict[str, Server], folder: Path, sdk: str) -> None:
    # One second of silence ends a call; the tool takes longer, and each of its steps is heard in time.
    called = run(
        dialled, "call", url(dialled, f"dial{sdk}-stream"), "slow", '{"steps": 6, "seconds": 0.4}', "--timeout", "1s", "--certificate", str(folder))
    assert called.stdout == "done\n", called.stderr


@pytest.mark.parametrize(("sdk", "route"), [("1", "dial2-stream"), ("2", "dial1-stream")])
def test_clients_that_start_a_command_go_by_the_bridge(dialled: Tunnel, folder: Path, sdk: str, route: str) -> None:
    """An official client of the one era starts `mcp bridge`, and a server of the other is behind the tunnel."""
    done = subprocess.run(
        [python_of(sdk), str(MCP_SUITE / "bridge_client.py"), "auto", str(dialled.postern.binary), "mcp", "bridge", url(dialled, route),
         "--certificate", str(folder)], capture_output=True, text=True, timeout=60, cwd=dialled.folder, env=dialled.environment())
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["revision"] == {"1": "2025-11-25", "2": "2026-07-28"}[sdk] and seen["server"] == "suite"
    assert seen["echo"] == "ü \u2028 through" and len(seen["progress"]) == 3 and seen["after"] == "after" and seen["grown"] is True
    stranger = issue(dialled, f"stranger-{sdk}", client="stranger")
    asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}) + "\n"
    refused = subprocess.run(
        [str(dialled.postern.binary), "mcp", "bridge", url(dialled, route), "--certificate", str(stranger)], input=asked, capture_output=True,
        text=True, timeout=60, env=dialled.environment())
    error = json.loads(refused.stdout)["error"]
    assert refused.returncode == 77 and error["data"] == {"kind": "connector"} and "caller_not_allowed" in error["message"]


def test_a_long_answer_passes_whole(dialled: Tunnel, folder: Path) -> None:
    called = run(dialled, "call", url(dialled, "dial2-stream"), "big", '{"size": 3000000}', "--certificate", str(folder))
    assert called.stdout == "x" * 3000000 + "\n", called.stderr[:500]


def test_a_session_that_is_gone_is_opened_again(dialled: Tunnel, hostile: HostileServer, folder: Path) -> None:
    calls: list[str] = []

    def answer(server: Any, method: str, headers: dict[str, str], message: Any) -> None:
        sessions = hostile.count("initialize")
        if server.hello(method, message, session=f"session-{sessions}"):
            return
        name = message.get("method")
        calls.append(f"{name} {headers.get('mcp-session-id')}")
        if name == "tools/list":
            server.result(message, {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]})
        elif sessions == 1:
            server.send(404)
        else:
            server.result(message, {"content": [{"type": "text", "text": "again"}]})

    hostile.asked.clear()
    hostile.answer = answer
    called = run(dialled, "call", url(dialled, "hostile"), "echo", "{}", "--certificate", str(folder))
    assert called.stdout == "again\n", called.stderr
    assert [call for call in calls if "tools/call" in call] == ["tools/call session-1", "tools/call session-2"]
    assert hostile.count("initialize") == 2


@pytest.mark.parametrize("way", Ways.NAMES)
def test_a_connector_that_is_killed_in_a_call_leaves_it_unknown_and_not_repeated(
    dialled: Tunnel, hostile: HostileServer, folder: Path, key_file: Path, way: str,
) -> None:
    called = threading.Event()

    def answer(server: Any, method: str, headers: dict[str, str], message: Any) -> None:
        if server.hello(method, message):
            return
        if message.get("method") == "tools/list":
            return server.result(message, {"tools": []})
        called.set()
        server.stream()
        server.write(": begun\n\n")
        server.rfile.read(1)

    hostile.asked.clear()
    hostile.answer = answer
    with subprocess.Popen(
        [str(dialled.postern.binary), "mcp", "call", url(dialled, "hostile"), "echo", "{}", *Ways.options(way, folder, key_file)],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=dialled.environment()) as caller:
        assert called.wait(30)
        dialled.connector.kill_alone()
        output, error = caller.communicate(timeout=30)
    dialled.connector.stop()
    dialled.connector = dialled.start_connector()
    assert caller.returncode == 1 and output == "", (caller.returncode, error)
    assert "it is not known whether the server has carried out the request, which is not sent again" in error
    assert hostile.count("tools/call") == 1


# MARK: What says no


def test_the_connectors_refusals_are_told_with_their_reason(dialled: Tunnel, hostile: HostileServer, folder: Path) -> None:
    other = issue(dialled, "stranger", client="stranger")
    refused = run(dialled, "tools", url(dialled, "hostile"), "--certificate", str(other))
    assert refused.returncode == 77 and "the tunnel's connector refuses the request (caller_not_allowed)" in refused.stderr, refused.stderr
    narrow = issue(dialled, "narrow", "--route", "docs")
    refused = run(dialled, "tools", url(dialled, "hostile"), "--certificate", str(narrow), "--via", "splice")
    assert refused.returncode == 77 and "(route_not_opened)" in refused.stderr, refused.stderr
    refused = run(dialled, "tools", url(dialled, "hostile"), "--certificate", str(narrow))
    assert refused.returncode == 1 and "CONNECT: the edge answers 403" in refused.stderr, refused.stderr
    gone = run(dialled, "tools", url(dialled, "nothing"), "--certificate", str(folder))
    assert gone.returncode == 69 and "(upstream_connection)" in gone.stderr, gone.stderr

    # A server that says what a connector would say is not believed.
    def answer(server: Any, method: str, headers: dict[str, str], message: Any) -> None:
        server.send(403, b'{"reason": "caller_not_allowed"}', Postern_Answer_By="connector")

    hostile.answer = answer
    forged = run(dialled, "tools", url(dialled, "hostile"), "--certificate", str(folder))
    assert "HTTP 403" in forged.stderr and "the tunnel's connector" not in forged.stderr, forged.stderr


def test_each_step_of_the_way_says_that_it_failed(dialled: Tunnel, folder: Path, key_file: Path, tmp_path: Path) -> None:
    docs, given = url(dialled, "dial2-json"), ["--certificate", str(folder)]
    refused = run(dialled, "tools", docs, *given, "--edge", f"127.0.0.1:{free_port()}")
    assert refused.returncode == 69 and "edge TCP: 127.0.0.1:" in refused.stderr, refused.stderr
    foreign = Certificates.make(tmp_path / "foreign", f"DNS:{DOMAIN}")
    refused = run(dialled, "tools", docs, *given, "--edge-ca", str(foreign.ca))
    assert refused.returncode == 69 and "edge TLS: the handshake" in refused.stderr and "CERTIFICATE_VERIFY_FAILED" in refused.stderr
    wrong = tmp_path / "wrong.key"
    wrong.write_text("psk_nobody\n")
    refused = run(dialled, "tools", docs, *given, "--api-key-file", str(wrong))
    assert "CONNECT: the edge answers 403: there is no such tunnel, or it is not open to this caller" in refused.stderr, refused.stderr
    refused = run(dialled, "tools", url(dialled, "nowhere"), *given)
    assert refused.returncode == 69 and "inner TLS: the edge says that no connector takes the call" in refused.stderr, refused.stderr

    # Another authority than the tunnel's: the connector is not believed, and hears nothing of the request.
    mistrusting = tmp_path / "mistrusting"
    shutil.copytree(folder, mistrusting)
    shutil.copy(make_authority(tmp_path / "other"), mistrusting / "authorities.pem")
    refused = run(dialled, "tools", docs, "--certificate", str(mistrusting))
    assert refused.returncode == 1 and "inner TLS: the connector's certificate is refused" in refused.stderr, refused.stderr
    assert "is not the key of an authority that is registered for the tunnel" in refused.stderr

    # A certificate that another authority than the workspace's has signed.
    stolen = tmp_path / "stolen"
    shutil.copytree(folder, stolen)
    (stolen / "certificate.pem").write_bytes(foreign.leaf.read_bytes())
    (stolen / "key.pem").write_bytes(foreign.key.read_bytes())
    refused = run(dialled, "tools", docs, "--certificate", str(stolen), "--via", "splice")
    assert refused.returncode == 69 and "the connector refuses the client certificate" in refused.stderr, refused.stderr


def make_authority(folder: Path) -> Path:
    """An authority that keeps the rules, and is nobody's."""
    folder.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "ca.key", "-out",
         folder / "ca.pem", "-days", "2", "-subj", "/CN=other", "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
         "keyUsage=critical,keyCertSign", "-addext", "subjectKeyIdentifier=hash"], check=True, capture_output=True)
    return folder / "ca.pem"


def test_splicing_that_is_off_says_so(dialled: Tunnel, folder: Path) -> None:
    settings = f"/postern/v1/tunnels/{dialled.id}/settings"
    dialled.control.call("POST", settings, {"splice": False})
    try:
        wanted = "inner TLS: the edge says that there is no such tunnel, or that it is not open to splicing"
        for _ in range(100):
            refused = run(dialled, "tools", url(dialled, "dial2-json"), "--certificate", str(folder), "--via", "splice")
            if wanted in refused.stderr:
                break
        assert wanted in refused.stderr and refused.returncode == 69
    finally:
        dialled.control.call("POST", settings, {"splice": True})


def test_what_does_not_fit_together_is_refused_before_anything_is_dialled(dialled: Tunnel, folder: Path, tmp_path: Path) -> None:
    given = ["--certificate", str(folder)]
    refused = run(dialled, "tools", "https://docs.example.com/mcp", *given)
    assert refused.returncode != 0 and f"is for hosts like ROUTE.{dialled.domain}, not for docs.example.com" in refused.stderr
    refused = run(dialled, "tools", f"https://docs.{dialled.domain}:8443/mcp", *given)
    assert "a tunnel has no ports" in refused.stderr
    for options in (["--ca-file", "x"], ["--connect-to", "x"], ["--proxy", "http://x"]):
        assert run(dialled, "tools", url(dialled, "docs"), *given, *options).returncode == 64
    for options in (["--edge", "x"], ["--via", "splice"], ["--api-key-file", "x"]):
        assert run(dialled, "tools", url(dialled, "docs"), *options).returncode == 64
    readable = tmp_path / "readable"
    shutil.copytree(folder, readable)
    (readable / "key.pem").chmod(0o644)
    refused = run(dialled, "tools", url(dialled, "docs"), "--certificate", str(readable))
    assert "can be read by others than its owner" in refused.stderr
    other = issue(dialled, "second")
    mixed = tmp_path / "mixed"
    shutil.copytree(folder, mixed)
    shutil.copy(other / "key.pem", mixed / "key.pem")
    refused = run(dialled, "tools", url(dialled, "docs"), "--certificate", str(mixed))
    assert "the key is not the client certificate's" in refused.stderr


# MARK: What an edge gets to see


class SpyingEdge:
    """Ends the outer TLS with the edge's own certificate, as a hostile edge can, keeps what comes out of it, and passes it on to the real one."""

    def __init__(self, tunnel: Tunnel, certificate: Path | None) -> None:
        self._inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._inside.load_cert_chain(tunnel.edge_certificates.leaf, tunnel.edge_certificates.key)
        self._outside = ssl.create_default_context(cafile=str(tunnel.edge_certificates.ca))
        if certificate:
            self._outside.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
        self._target = tunnel.port
        self.seen = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    @contextmanager
    def running(self) -> Iterator[SpyingEdge]:
        threading.Thread(target=self._serve, daemon=True).start()
        try:
            yield self
        finally:
            self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(raw,), daemon=True).start()

    def _relay(self, raw: socket.socket) -> None:
        with self._inside.wrap_socket(raw, server_side=True) as client, socket.create_connection(("127.0.0.1", self._target)) as plain, \
                self._outside.wrap_socket(plain, server_hostname=DOMAIN) as edge:
            back = threading.Thread(target=self._copy, args=(edge, client, False), daemon=True)
            back.start()
            self._copy(client, edge, True)
            back.join(10)

    def _copy(self, source: ssl.SSLSocket, target: ssl.SSLSocket, keeps: bool) -> None:
        try:
            while data := source.recv(65536):
                if keeps:
                    self.seen += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_no_api_key_and_no_word_of_a_call_reaches_the_edge(dialled: Tunnel, folder: Path, key_file: Path) -> None:
    canary = "canary-4711-in-the-call"
    arguments = ["call", url(dialled, "dial2-json"), "echo", json.dumps({"text": canary}), "--certificate", str(folder)]
    with SpyingEdge(dialled, folder).running() as spy:
        called = run(dialled, *arguments, "--edge", f"127.0.0.1:{spy.port}")
        assert called.stdout == canary + "\n", called.stderr
    keys = [dialled.postern.admin_key.encode(), key_file.read_text().strip().encode()]
    assert spy.seen.startswith(b"CONNECT dial2-json.") and len(spy.seen) > 500
    for secret in [*keys, canary.encode(), b"Bearer", b"Authorization", b"POST", (folder / "key.pem").read_bytes().splitlines()[1]]:
        assert secret not in spy.seen
    # The same look finds the key where the caller was told to send it.
    with SpyingEdge(dialled, None).running() as spy:
        called = run(dialled, *arguments, "--edge", f"127.0.0.1:{spy.port}", "--api-key-file", str(key_file))
        assert called.stdout == canary + "\n", called.stderr
    assert keys[1] in spy.seen and canary.encode() not in spy.seen


def test_tokens_by_oauth_for_a_server_behind_the_tunnel(dialled: Tunnel, folder: Path, issuer: AuthorizationServer) -> None:
    """The resource's metadata comes through the tunnel, the token from an authorization server outside of it."""
    secret, url = dialled.folder / "client-secret", f"https://dial2-oauth.{dialled.domain}/mcp"
    secret.write_text(issuer.secret)
    options = ["--certificate", str(folder), "--oauth-issuer", issuer.issuer, "--oauth-client-id", issuer.client_id, "--oauth-client-secret-file", str(secret)]
    assert dialled.command("mcp", "call", url, "add", '{"a": 1, "b": 2}', *options) == "3\n"
    assert [(form["resource"], form["scope"]) for form in issuer.forms] == [(url, "docs"), (url, "docs docs.write")]
