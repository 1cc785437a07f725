"""Legs through a corporate proxy that asks for a password, with squid and tinyproxy."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from corporate_proxies import PASSWORD, USER, CorporateProxy, program, squid, tinyproxy
from tunnel import Tunnel

KINDS = ("tinyproxy", "squid", "squid-tls")


@pytest.fixture(scope="module", params=KINDS)
def proxy(request: pytest.FixtureRequest, tunnel: Tunnel) -> Iterator[CorporateProxy]:
    kind: str = request.param
    if program(kind.removesuffix("-tls")) is None:
        pytest.skip(f"{kind} is not installed")
    folder = tunnel.folder / f"corporate-{kind}"
    started = tinyproxy(folder, tunnel.port) if kind == "tinyproxy" else squid(folder, tunnel.port, tls=kind == "squid-tls")
    yield started
    started.process.stop()


@pytest.fixture
def folder(tunnel: Tunnel, proxy: CorporateProxy, tmp_path: Path) -> Path:
    """A connector's folder whose document sends legs through the proxy, to the edge by a name."""
    folder = tmp_path / "proxied"
    shutil.copytree(tunnel.connector_folder, folder)
    document = folder / "connector.yaml"
    text = document.read_text().replace(f'"127.0.0.1:{tunnel.port}"', f'"localhost:{tunnel.port}"')
    ca = f", ca_file: {proxy.ca}" if proxy.ca else ""
    text = text.replace("identity:", f"  proxy: {{url: \"{proxy.url}\", secret_file: proxy.secret{ca}}}\nname: proxied\nidentity:")
    document.write_text(text)
    (folder / "proxy.secret").write_text(f"{USER}:{PASSWORD}\n")
    (folder / "proxy.secret").chmod(0o600)
    return folder


def told(tunnel: Tunnel, folder: Path, pattern: str) -> str:
    """The first line that fits, of a connector that is started and stopped for it."""
    connector = tunnel.postern.start(
        "proxied", ["connector", "run", "--config", str(folder / "connector.yaml"), "--log-level", "debug", "--log-format", "text"])
    try:
        return connector.wait_for(f".*({pattern}).*").group(0)
    finally:
        connector.stop()


def test_legs_go_through_the_proxy_by_the_edges_name(tunnel: Tunnel, proxy: CorporateProxy, folder: Path) -> None:
    before = len(proxy.requests())
    assert "a leg stands" in told(tunnel, folder, "a leg stands")
    # The proxy has resolved the name; nothing else went anywhere.
    assert re.search(rf"CONNECT localhost:{tunnel.port}", proxy.requests()[before:]), proxy.requests()


def test_a_proxy_that_refuses_is_told_from_an_edge_that_does(tunnel: Tunnel, proxy: CorporateProxy, folder: Path) -> None:
    (folder / "proxy.secret").write_text(f"{USER}:wrong\n")
    line = told(tunnel, folder, "could not be opened")
    assert "refuses the user name and the password (40" in line and "wrong" not in line and proxy.url in line, line
    document = folder / "connector.yaml"
    document.write_text(document.read_text().replace("secret_file: proxy.secret", "").replace('", ,', '",').replace('", }', '"}'))
    assert "asks for a user name and a password (407)" in told(tunnel, folder, "could not be opened")


def test_a_place_that_the_proxy_does_not_allow_is_told(tunnel: Tunnel, proxy: CorporateProxy, folder: Path) -> None:
    document = folder / "connector.yaml"
    document.write_text(document.read_text().replace(f"localhost:{tunnel.port}", f"localhost:{tunnel.port + 1}"))
    line = told(tunnel, folder, "could not be opened")
    assert f"did not connect to localhost:{tunnel.port + 1}: it does not let this host go there (403)" in line, line


def test_the_proxys_secret_is_kept_as_one(tunnel: Tunnel, folder: Path) -> None:
    def check() -> str:
        return tunnel.command("connector", "check", "--config", str(folder / "connector.yaml"), check=False)

    assert "through" in check()
    (folder / "proxy.secret").chmod(0o644)
    assert "chmod 600" in check()
    (folder / "proxy.secret").chmod(0o600)
    (folder / "proxy.secret").write_text("CANARY\n")
    assert "must hold user:password" in check() and "CANARY" not in check()
    document = folder / "connector.yaml"
    document.write_text(re.sub(r'url: "(https?://)', r'url: "\1u:CANARY@', document.read_text()))
    assert "secret_file" in check() and "CANARY" not in check()
