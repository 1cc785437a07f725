"""MCP through a tunnel, with software that was not written here: servers and clients of the official SDK in both its major versions."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from peers import command, python_of, serving
from postern_fixture import clean_environment
from tunnel import DOMAIN, Tunnel

#: Answers as a stream or as JSON, sessions or none.
KINDS = {"stream": (), "json": ("--json",), "stateless": ("--stateless",), "plain": ("--json", "--stateless")}
SDKS = ("1", "2")
ROUTES = [f"mcp{sdk}-{kind}" for sdk in SDKS for kind in KINDS]


@pytest.fixture(scope="module")
def served(tunnel: Tunnel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tunnel]:
    """The tunnel with a route to each kind of server."""
    with ExitStack() as stack:
        added = ""
        for route in ROUTES:
            sdk, kind = route.removeprefix("mcp").split("-")
            server = stack.enter_context(serving(tmp_path_factory.mktemp(route), command(sdk, "http", *KINDS[kind])))
            added += f"  {route}:\n    upstream: http://127.0.0.1:{server.port}\n    callers: {{clients: [laptop]}}\n    addresses: [127.0.0.0/8]\n"
        document = tunnel.connector_folder / "connector.yaml"
        document.write_text(document.read_text().rstrip("\n") + "\n" + added)
        tunnel.connector.stop()
        tunnel.connector = tunnel.start_connector()
        tunnel.control.call("POST", f"/postern/v1/tunnels/{tunnel.id}/settings", {"splice": True})
        yield tunnel


@pytest.fixture(scope="module")
def certificate(served: Tunnel) -> Path:
    return served.certificate("mcp-laptop", "laptop")


@pytest.mark.parametrize("route", ROUTES)
def test_postern_speaks_mcp_through_the_tunnel(served: Tunnel, certificate: Path, route: str) -> None:
    options = [
        "--connect-to", f"127.0.0.1:{served.port}", "--ca-file", str(certificate / "authorities.pem"), "--client-cert",
        str(certificate / "certificate.pem"), "--client-key", str(certificate / "key.pem")]
    url = f"https://{route}.{served.domain}/mcp"
    probed = json.loads(served.command("mcp", "probe", url, "--json", *options))
    assert probed["revision"] == ("2025-11-25" if route.startswith("mcp1") else "2026-07-28"), probed
    assert "echo" in served.command("mcp", "tools", url, *options)
    assert served.command("mcp", "call", url, "echo", '{"text": "through"}', *options) == "through\n"


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("client", SDKS)
def test_the_official_clients_go_by_connect(served: Tunnel, certificate: Path, client: str, route: str) -> None:
    done = subprocess.run(
        [python_of(client), str(Path(__file__).with_name("sdk_client.py")), f"https://{route}.{served.domain}/mcp", DOMAIN, str(served.port),
         str(served.edge_certificates.ca), str(certificate), "through"],
        text=True, capture_output=True, timeout=60, env=clean_environment(API_KEY=served.postern.admin_key))
    assert done.returncode == 0, done.stderr
    opened, said = done.stdout.splitlines()
    assert said == "through" and opened.split()[0] >= "2025-11-25" and int(opened.split()[1]) > 5
