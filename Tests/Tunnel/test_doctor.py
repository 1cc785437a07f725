"""`postern connector doctor`: each step of the way broken once, and named with its remedy."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from certificates import Certificates
from corporate_proxies import PASSWORD, USER, program, tinyproxy
from peers import Server, command, serving
from processes import free_port
from test_tunnel import until
from tunnel import DOMAIN, Tunnel


@dataclass
class Told:
    status: int
    text: str
    steps: list[dict[str, Any]]

    def step(self, name: str) -> dict[str, Any]:
        found = [step for step in self.steps if step["step"] == name]
        assert found, f"no step {name}: {self.text}"
        return found[0]

    def fails(self, name: str, *words: str) -> None:
        """Exactly the step `name` fails, and says the words."""
        assert self.status == 5, self.text
        assert [step["step"] for step in self.steps if step["verdict"] == "fail"] == [name], self.text
        step = self.step(name)
        for word in words:
            assert word in step["detail"] + " → " + step["remedy"], step


@contextlib.contextmanager
def tls_server(certificates: Certificates) -> Iterator[int]:
    """Shakes hands and says nothing more. Gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with contextlib.suppress(OSError), connection, certificates.context().wrap_socket(connection, server_side=True) as secured:
                        secured.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])


class Place:
    """A connector's folder with a real MCP server behind its route, to break."""

    def __init__(self, tunnel: Tunnel, server: Server, folder: Path) -> None:
        self.tunnel, self.server, self.folder = tunnel, server, folder
        shutil.copytree(tunnel.connector_folder, folder)
        self.document = folder / "connector.yaml"
        self.edit(f"http://127.0.0.1:{tunnel.upstream.port}", f"http://127.0.0.1:{server.port}")

    def edit(self, old: str, new: str) -> None:
        text = self.document.read_text()
        assert old in text, text
        self.document.write_text(text.replace(old, new))

    def doctor(self, *arguments: object) -> Told:
        done = subprocess.run(
            [str(self.tunnel.postern.binary), "connector", "doctor", "--config", str(self.document), "--json", "--timeout", "5s",
             *(str(argument) for argument in arguments)],
            env=self.tunnel.environment(), text=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        try:
            answer = json.loads(done.stdout)
        except json.JSONDecodeError:
            raise AssertionError(f"{done.returncode}: {done.stdout}{done.stderr}") from None
        assert answer["ok"] == (done.returncode == 0)
        for step in answer["steps"]:
            assert (step["verdict"] == "ok") == ("remedy" not in step), step
        return Told(done.returncode, done.stdout + done.stderr, answer["steps"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("doctor-mcp"), command("2", "http")) as started:
        yield started


@pytest.fixture
def place(tunnel: Tunnel, server: Server, tmp_path: Path) -> Place:
    return Place(tunnel, server, tmp_path / "place")


def test_all_holds_beside_a_running_connector_that_is_not_disturbed(tunnel: Tunnel, place: Place) -> None:
    place.edit(f"127.0.0.1:{tunnel.port}", f"localhost:{tunnel.port}")
    ended = tunnel.connector.log.read_text().count("a leg ended")
    told = place.doctor()
    assert told.status == 0, told.text
    assert [step["step"] for step in told.steps] == [
        "files", "route ids", "DNS", "TCP", "outer TLS", "clock", "registration", "inner TLS", "callers", "trust", "route", "address policy", "upstream TCP", "MCP"]
    # The suite's edge has a certificate of two days.
    assert {step["step"] for step in told.steps if step["verdict"] != "ok"} == {"outer TLS"} and "1 days left" in told.step("outer TLS")["detail"]
    assert "private authority" in told.step("outer TLS")["detail"] and told.step("TCP")["milliseconds"] >= 0
    assert re.search("(89|90) days left", told.step("inner TLS")["detail"]) and f"*.{tunnel.domain}" in told.step("trust")["detail"]
    assert re.search(r"revision 20\d\d-\d\d-\d\d \(\w+ era\), [1-9]\d* tools", told.step("MCP")["detail"]), told.text
    assert "by id by who has the route key" in told.step("route ids")["detail"]
    assert int(told.step("clock")["detail"].split()[0]) < 30
    # Its own legs stand as before.
    assert tunnel.connector.log.read_text().count("a leg ended") == ended
    # For people: one line each, with the same end.
    done = subprocess.run(
        [str(tunnel.postern.binary), "connector", "doctor", "--config", str(place.document), "--route", "docs"], text=True, capture_output=True,
        timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == len(told.steps) + 1, done.stdout
    assert all(line.startswith(("ok ", "warn ", "      → ")) for line in done.stdout.splitlines()), done.stdout


def test_what_breaks_on_the_way_to_the_edge(tunnel: Tunnel, place: Place, tmp_path: Path) -> None:
    good = place.document.read_text()
    edge = f'"127.0.0.1:{tunnel.port}"'

    def broken(old: str, new: str) -> Told:
        place.document.write_text(good)
        place.edit(old, new)
        return place.doctor()

    broken(edge, '"no-such-name.invalid:443"').fails("DNS", "cannot be resolved", "edges.addresses")
    closed = free_port()
    broken(edge, f'"127.0.0.1:{closed}"').fails("TCP", f"connect outwards to 127.0.0.1:{closed}")
    broken(f"name: {DOMAIN}", "name: other.example.com").fails("outer TLS", "goes by that name", "edges.name")
    other = Certificates.make(tmp_path / "other-ca", "DNS:x.example.com")
    with tls_server(other) as port:
        place.document.write_text(good)
        place.edit(str(tunnel.edge_certificates.ca), str(other.ca))
        place.edit(edge, f'"127.0.0.1:{port}"')
        place.doctor().fails("outer TLS", "for another name", "edges.name")
    broken(str(tunnel.edge_certificates.ca), str(other.ca)).fails("outer TLS", "no authority that is trusted", "edges.ca_file", "inspects TLS")
    broken(edge, f'"127.0.0.1:{place.server.port}"').fails("outer TLS", "see whether an edge listens")
    broken(f"id: {tunnel.id}", "id: tnl_01ABCDEFGHJKMNPQRSTVWXYZ").fails("registration", "tunnel_archived", "tunnel.id")


def test_a_key_that_is_not_enrolled_is_by_the_token_and_else_refused(place: Place) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9", "-keyout",
         str(place.folder / "connector.key"), "-out", str(place.folder / "connector.pem"), "-subj", "/CN=new"],
        check=True, capture_output=True, timeout=30)
    (place.folder / "tunnel.token").rename(place.folder / "kept.token")
    place.doctor().fails("registration", "not_enrolled", "identity.enrolment_token_file")
    (place.folder / "kept.token").rename(place.folder / "tunnel.token")
    told = place.doctor()
    assert told.status == 0 and "the token has enrolled" in told.step("registration")["detail"], told.text
    assert "the token" not in place.doctor().step("registration")["detail"]


def test_what_is_wrong_with_files_and_the_server_certificate(tunnel: Tunnel, place: Place) -> None:
    (place.folder / "server.key").chmod(0o644)
    place.doctor().fails("files", "chmod 600")
    (place.folder / "server.key").chmod(0o600)
    place.doctor("--route", "nowhere").fails("files", "no such route")
    # A CA that has not signed it, and none.
    ca = place.folder / "ca.pem"
    kept = ca.read_text()
    other = place.folder.parent / "other"
    tunnel.command("connector", "setup", "--folder", str(other), "--edge", "localhost:1", "--route", "docs=http://10.0.0.1:1")
    ca.write_text((other / "ca.pem").read_text())
    place.doctor().fails("inner TLS", "authority", "postern connector renew")
    ca.unlink()
    told = place.doctor()
    assert told.status == 0 and told.step("inner TLS")["verdict"] == "warn" and "--ca-file" in told.step("inner TLS")["remedy"]
    assert place.doctor("--ca-file", other / "ca.pem").status == 5
    ca.write_text(kept)
    place.edit("  docs:", "  a.b:")
    place.doctor().fails("files", "one label")


def test_what_breaks_on_the_way_to_the_upstream(tunnel: Tunnel, place: Place) -> None:
    good = place.document.read_text()
    upstream = f"http://127.0.0.1:{place.server.port}"

    def broken(old: str, new: str) -> Told:
        place.document.write_text(good)
        place.edit(old, new)
        return place.doctor()

    broken(upstream, "http://no-such-name.invalid:80").fails("DNS", "cannot be resolved", "routes.docs.upstream")
    broken("addresses: [127.0.0.0/8]", "addresses: [10.0.0.0/8]").fails("address policy", "127.0.0.1 is not dialled", "routes.docs.addresses")
    broken(upstream, f"http://127.0.0.1:{free_port()}").fails("upstream TCP", "start the MCP server")
    broken(upstream, upstream.replace("http:", "https:")).fails("upstream TLS", "write http://")
    told = broken("callers: {clients: [laptop]}", "callers: {}")
    assert told.status == 0 and told.step("route")["verdict"] == "warn" and "nobody may call" in told.step("route")["detail"]
    # Something that is no MCP server: a route may carry that, unless it has a policy.
    told = broken(upstream, f"http://127.0.0.1:{tunnel.upstream.port}")
    assert told.status == 0 and told.step("MCP")["verdict"] == "warn" and "--mcp-path" in told.step("MCP")["remedy"], told.text
    place.edit("addresses: [127.0.0.0/8]", "addresses: [127.0.0.0/8]\n    policy: {tools: {allow: [echo]}}")
    place.doctor().fails("MCP", "--mcp-path")


def test_pins_are_held_against_the_tools_of_the_server(place: Place, tmp_path: Path) -> None:
    listed = place.tunnel.command("mcp", "tools", f"http://127.0.0.1:{place.server.port}/mcp", "--json")
    tools = tmp_path / "tools.json"
    tools.write_text(json.dumps({"tools": json.loads(listed)}))
    pinned = dict(re.findall(r'"([^"]+)": (sha256:[0-9a-f]{64})', place.tunnel.command("connector", "pin", str(tools))))
    assert "echo" in pinned

    def policy(pins: dict[str, str]) -> Told:
        text = ", ".join(f'{name}: "{digest}"' for name, digest in pins.items())
        document = re.sub(r"\n    policy:.*", "", place.document.read_text())
        place.document.write_text(document.replace("addresses: [127.0.0.0/8]", f"addresses: [127.0.0.0/8]\n    policy: {{tools: {{pins: {{{text}}}}}}}"))
        return place.doctor()

    told = policy({"echo": pinned["echo"]})
    assert told.status == 0 and "lets 1 be called" in told.step("MCP")["detail"] and told.step("MCP")["verdict"] == "ok", told.text
    policy({"echo": "sha256:" + "0" * 64}).fails("MCP", "defined otherwise than pinned: echo", "postern connector pin")
    told = policy({"echo": pinned["echo"], "was_here": pinned["echo"]})
    assert told.status == 0 and "not there: was_here" in told.step("MCP")["detail"] and told.step("MCP")["verdict"] == "warn"


def test_pins_are_written_after_a_look_at_what_is_different(place: Place) -> None:
    place.edit("addresses: [127.0.0.0/8]", "addresses: [127.0.0.0/8]\n    policy: {tools: {pins: docs.pins.json}}")
    pins = place.folder / "docs.pins.json"

    def pin(*arguments: str) -> str:
        return place.tunnel.command("connector", "pin", "--config", str(place.document), "docs", *arguments, check=False)

    assert "postern connector pin" in place.tunnel.command("connector", "check", "--config", str(place.document), check=False)
    told = pin("--tool", "echo")
    assert "echo: new" in told and "nothing is written" in told and not pins.exists(), told
    assert "1 tools are pinned" in pin("--tool", "echo", "--write")
    assert set(json.loads(pins.read_text())) == {"echo"} and "all as they were pinned" in pin("--tool", "echo")
    told = place.doctor()
    assert told.status == 0 and "lets 1 be called" in told.step("MCP")["detail"], told.text
    # The server, as it is now, against a definition that somebody had looked at.
    pinned = json.loads(pins.read_text())
    pinned["echo"]["description"] = "What it said before."
    pinned["was_here"] = {"name": "was_here"}
    pins.write_text(json.dumps(pinned))
    told = pin()
    assert "echo: changed" in told and re.search(r"^  - .*What it said before", told, re.MULTILINE) and "was_here: gone" in told, told
    assert ": new" in told and json.loads(pins.read_text()) == pinned
    place.doctor().fails("MCP", "defined otherwise than pinned: echo")
    pin("--write")
    assert "was_here" not in json.loads(pins.read_text()) and len(json.loads(pins.read_text())) > 1
    assert "is not asked from here" not in pin() and "has no tool" in pin("--tool", "nowhere")
    # Nothing is asked where the route's own rules do not let a call go.
    place.edit("addresses: [127.0.0.0/8]", "addresses: [10.0.0.0/8]")
    assert "address policy" in pin()


def test_the_corporate_proxy_is_a_step(tunnel: Tunnel, place: Place) -> None:
    if program("tinyproxy") is None:
        pytest.skip("tinyproxy is not installed")
    proxy = tinyproxy(place.folder.parent / "tinyproxy", tunnel.port)
    try:
        place.edit(f'"127.0.0.1:{tunnel.port}"', f'"localhost:{tunnel.port}"')
        place.edit("identity:", f'  proxy: {{url: "{proxy.url}", secret_file: proxy.secret}}\nidentity:')
        secret = place.folder / "proxy.secret"
        secret.write_text(f"{USER}:{PASSWORD}\n")
        secret.chmod(0o600)
        told = place.doctor()
        assert told.status == 0 and "whose name it resolves" in told.step("proxy")["detail"], told.text
        assert "DNS" not in [step["step"] for step in told.steps]
        secret.write_text(f"{USER}:CANARY\n")
        told = place.doctor()
        told.fails("proxy", "refuses the user name and the password (40", "secret_file")
        assert "CANARY" not in told.text
        secret.write_text(f"{USER}:{PASSWORD}\n")
        place.edit(f"localhost:{tunnel.port}", f"localhost:{tunnel.port + 1}")
        place.doctor().fails("proxy", "(403)", f"allow CONNECT to localhost:{tunnel.port + 1}")
    finally:
        proxy.process.stop()


def test_operators_see_when_the_certificate_of_a_connector_ends(tunnel: Tunnel) -> None:
    def legs() -> list[dict[str, Any]]:
        data: list[dict[str, Any]] = tunnel.control.call("GET", f"/postern/v1/tunnels/{tunnel.id}/connectors")["data"]
        return data

    until(lambda: len(legs()) >= 4)
    assert {leg["certificate_days_left"] for leg in legs()} <= {89, 90} and all(leg["certificate_expires_at"] > leg["since"] for leg in legs())
    assert "CERTIFICATE DAYS" in tunnel.command("tunnels", "connectors", tunnel.id)
