"""`postern serve --tunnel-edge`: agents' calls past an edge that runs by itself, whom it takes for that edge, and what the edge learns of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import Certificates
from haystack import Search
from peers import command, serving
from test_agents import House, failures, of
from test_reload import Document
from tunnel import DOMAIN, Tunnel

#: A route whose name is nowhere else.
ROUTE = f"canary-{os.urandom(6).hex()}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Tunnel() as tunnel, serving(tmp_path_factory.mktemp("mcp"), command("2", "http")) as server:
        believe(tunnel, tunnel.edge_certificates.ca)
        yield House(tunnel, server, **{ROUTE: "{any: true}"})


def believe(tunnel: Tunnel, authority: Path) -> None:
    """The control plane from now on dials the edge, and knows it by that authority."""
    tunnel.server.stop()
    tunnel.server = tunnel.postern.restart_server("--tunnel-edge", f"127.0.0.1:{tunnel.port}", "--tunnel-edge-ca", str(authority))


def call(text: str) -> str:
    """What has the scripted model call the route's server."""
    return f'@mcp__{ROUTE}__echo {{"text": "{text}"}}'


def echoes(house: House, text: str) -> bool:
    """Whether an agent's call reaches the server, in a session of its own."""
    events = house.turn(house.session(house.agent(ROUTE)), call(text))
    results = of(events, "agent.mcp_tool_result")
    assert all(not result["is_error"] and result["content"][0]["text"] == text for result in results), results
    return len(results) == 1


def knows(house: House, name: str) -> bool:
    """Whether the edge has that name in its memory."""
    search = Search(name)
    search.process(house.tunnel.edge.pid)
    assert search.bytes > 1 << 20
    return bool(search.found)


def hides_routes(tunnel: Tunnel) -> bool:
    return bool(tunnel.control.call("GET", f"/postern/v1/tunnels/{tunnel.id}/settings")["hide_routes"])


def test_an_edge_that_runs_by_itself_serves_agents_and_learns_no_route(house: House) -> None:
    tunnel = house.tunnel
    # What `connector setup` creates hides its routes, and the connector has the key.
    assert hides_routes(tunnel) and "hide_routes is on" in tunnel.setup()
    assert echoes(house, "past an edge elsewhere")
    house.server.process.wait_for("ECHO past an edge elsewhere")
    # A connector without the key is called by no name either.
    document = Document(tunnel)
    assert "  route_key_file: route.key\n" in document.first
    document.put(document.first.replace("  route_key_file: route.key\n", ""))
    document.is_taken()
    assert f"{tunnel.connector_folder}/connector.yaml names no route key" in tunnel.setup()
    told = failures(house.turn(house.session(house.agent(ROUTE)), "hello"))
    assert "the connector also needs the tunnel's route key: `postern connector setup` fetches it" in told[ROUTE], told
    tunnel.connector.wait_for(r'no route has the id \\?"r--[0-9a-f]{32}\.' + tunnel.domain.replace(".", r"\."))
    if is_root := os.geteuid() == 0:
        assert knows(house, tunnel.domain) and not knows(house, ROUTE)
    # Where it is off, the name is told, to that connector too. Setup leaves it off, and says how it is turned on.
    tunnel.command("tunnels", "settings", tunnel.id, "--no-hide-routes")
    assert f"postern tunnels settings {tunnel.id} --hide-routes" in tunnel.setup() and not hides_routes(tunnel)
    assert echoes(house, "by its name")
    if not is_root:
        pytest.skip("the memory of the edge was not looked at, which takes root")
    assert knows(house, ROUTE)


def test_an_edge_of_another_authority_is_not_spoken_to(house: House) -> None:
    tunnel = house.tunnel
    other = Certificates.make(tunnel.folder / "other-edge", f"DNS:{DOMAIN}")
    believe(tunnel, other.ca)
    told = failures(house.turn(house.session(house.agent(ROUTE)), call("to a stranger")))
    assert told == {ROUTE: (
        f'The MCP server "{ROUTE}" cannot be used: no connection: edge TLS: the handshake with 127.0.0.1:{tunnel.port} failed: the '
        "certificate is of no authority that is trusted, or has expired (CERTIFICATE_VERIFY_FAILED) "
        f"(the certificate has to name {DOMAIN}, and be of an authority that is given for the edge)")}
    assert "ECHO to a stranger" not in house.server.process.log.read_text()
    # It was the authority alone.
    believe(tunnel, tunnel.edge_certificates.ca)
    assert echoes(house, "to the edge that it knows")
