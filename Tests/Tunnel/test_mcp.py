"""MCP through a tunnel, with software that was not written here: servers and clients of the official SDK in both its major versions, through an edge
that was started alone; and a part of it, with `curl`, `openssl` and stdio servers from PyPI, through the one of `serve --with-edge`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from peers import command, python_of, serving
from postern_fixture import clean_environment
from test_stdio import GIT, TIME, git_route, repository_in, time_route
from tunnel import DOMAIN, Tunnel

#: Answers as a stream or as JSON, sessions or none.
KINDS = {"stream": (), "json": ("--json",), "stateless": ("--stateless",), "plain": ("--json", "--stateless")}
SDKS = ("1", "2")
ROUTES = [f"mcp{sdk}-{kind}" for sdk in SDKS for kind in KINDS]

#: Through the edge beside the control plane: each client with each major version as server, each with sessions and streams, and without either.
BESIDE = [("1", "mcp1-plain"), ("1", "mcp2-stream"), ("2", "mcp1-stream"), ("2", "mcp2-plain")]
CALLS = [("alone", sdk, route) for sdk in SDKS for route in ROUTES] + [("beside", *call) for call in BESIDE]
PROBES = [("alone", route) for route in ROUTES] + [("beside", "mcp1-plain"), ("beside", "mcp2-stream")]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of each kind: the routes to them, for a connector's document."""
    with ExitStack() as stack:
        added = ""
        for route in ROUTES:
            sdk, kind = route.removeprefix("mcp").split("-")
            server = stack.enter_context(serving(tmp_path_factory.mktemp(route), command(sdk, "http", *KINDS[kind])))
            added += f"  {route}:\n    upstream: http://127.0.0.1:{server.port}\n    callers: {{clients: [laptop]}}\n    addresses: [127.0.0.0/8]\n"
        yield added


class Edges:
    """A tunnel through each kind of edge with a route to each server, started when it is first asked for."""

    def __init__(self, alone: Tunnel, routes: str, stack: ExitStack) -> None:
        self._alone, self._routes, self._stack = alone, routes, stack
        self._served: dict[str, tuple[Tunnel, Path]] = {}

    def give(self, kind: str) -> tuple[Tunnel, Path]:
        """The tunnel, and a client's certificate for it."""
        if kind not in self._served:
            tunnel, routes = self._alone, self._routes
            if kind == "beside":
                tunnel = self._stack.enter_context(Tunnel(with_edge=True))
                routes += time_route() + git_route("git", repository_in(tunnel.folder))
            document = tunnel.connector_folder / "connector.yaml"
            document.write_text(document.read_text().rstrip("\n") + "\n" + routes)
            tunnel.connector.stop()
            tunnel.connector = tunnel.start_connector()
            tunnel.control.call("POST", f"/postern/v1/tunnels/{tunnel.id}/settings", {"splice": True})
            self._served[kind] = tunnel, tunnel.certificate("mcp-laptop", "laptop")
        return self._served[kind]


@pytest.fixture(scope="module")
def edges(tunnel: Tunnel, servers: str) -> Iterator[Edges]:
    with ExitStack() as stack:
        yield Edges(tunnel, servers, stack)


def official(served: Tunnel, certificate: Path, client: str, route: str, *arguments: str) -> list[str]:
    """What a client of that major version says, by CONNECT."""
    done = subprocess.run(
        [python_of(client), str(Path(__file__).with_name("sdk_client.py")), f"https://{route}.{served.domain}/mcp", DOMAIN, str(served.port),
         str(served.edge_certificates.ca), str(certificate), *arguments],
        text=True, capture_output=True, timeout=60, env=clean_environment(API_KEY=served.postern.admin_key))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(("edge", "route"), PROBES)
def test_postern_speaks_mcp_through_the_tunnel(edges: Edges, edge: str, route: str) -> None:
    served, certificate = edges.give(edge)
    options = [
        "--connect-to", f"127.0.0.1:{served.port}", "--ca-file", str(certificate / "authorities.pem"), "--client-cert",
        str(certificate / "certificate.pem"), "--client-key", str(certificate / "key.pem")]
    url = f"https://{route}.{served.domain}/mcp"
    probed = json.loads(served.command("mcp", "probe", url, "--json", *options))
    assert probed["revision"] == ("2025-11-25" if route.startswith("mcp1") else "2026-07-28"), probed
    assert "echo" in served.command("mcp", "tools", url, *options)
    assert served.command("mcp", "call", url, "echo", '{"text": "through"}', *options) == "through\n"


@pytest.mark.parametrize(("edge", "client", "route"), CALLS)
def test_the_official_clients_go_by_connect(edges: Edges, edge: str, client: str, route: str) -> None:
    opened, said = official(*edges.give(edge), client, route, "through")
    assert said == "through" and opened.split()[0] >= "2025-11-25" and int(opened.split()[1]) > 5


@pytest.mark.parametrize(("client", "known"), [("1", TIME), ("2", GIT)])
def test_stdio_servers_beside_the_control_plane(edges: Edges, client: str, known: tuple[str, str, dict[str, str], str]) -> None:
    route, tool, arguments, expected = known
    said = official(*edges.give("beside"), client, route, tool, json.dumps(arguments))
    assert expected in "\n".join(said) and said[0].split()[0] == ("2026-07-28" if client == "2" else "2025-11-25")


def test_curl_and_openssl_beside_the_control_plane(edges: Edges) -> None:
    """`curl` by CONNECT with its certificate alone, and spliced; `openssl` spliced, with and without a certificate."""
    served, certificate = edges.give("beside")
    shown = ("--proxy-cert", str(certificate / "certificate.pem"), "--proxy-key", str(certificate / "key.pem"))
    for done in (served.curl(certificate, *shown, "--data", "hello", connects=True), served.curl(certificate, "--data", "hello")):
        assert done.returncode == 0 and json.loads(done.stdout)["body"] == "hello", done.stderr
    own = ["-cert", str(certificate / "certificate.pem"), "-key", str(certificate / "key.pem")]
    for arguments, is_served in ((own, True), ([], False)):
        asked = len(served.upstream.asked)
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{served.port}", "-servername", served.host, "-CAfile",
             str(certificate / "authorities.pem"), "-verify_return_error", "-verify_hostname", served.host, "-ign_eof", *arguments],
            input=f"GET /openssl HTTP/1.1\r\nHost: {served.host}\r\nConnection: close\r\n\r\n".encode(), capture_output=True, timeout=60)
        assert (b'"path": "/openssl"' in done.stdout) == is_served and len(served.upstream.asked) == asked + is_served, done.stderr
