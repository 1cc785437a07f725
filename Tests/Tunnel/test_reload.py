"""A connector whose document and files change while it runs, as operators change them."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certificates import Certificates
from tunnel import Tunnel, Upstream


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Asks again until it holds: for what nobody announces to the outside."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def caller(tunnel: Tunnel) -> Path:
    tunnel.control.call("POST", f"/postern/v1/tunnels/{tunnel.id}/settings", {"splice": True})
    certificate = tunnel.certificate("reload-laptop", "laptop", "docs")
    until(lambda: tunnel.curl(certificate).returncode == 0)
    return certificate


def beside(text: str, line: str) -> str:
    """The document with another line in the route `docs`, which is its first; others may have got routes of their own from other tests."""
    place = "    addresses: [127.0.0.0/8]\n"
    assert place in text
    return text.replace(place, f"{place}    {line}\n", 1)


class Document:
    """The connector's document, replaced as editors and deployments replace files."""

    def __init__(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        self.path = tunnel.connector_folder / "connector.yaml"
        self.first = self.path.read_text()
        self.taken = self._said("is in force")
        self.refused = self._said("is refused, the one")

    def _said(self, text: str) -> int:
        return self.tunnel.connector.log.read_text().count(text)

    def put(self, text: str) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.rename(self.path)

    def is_taken(self) -> None:
        until(lambda: self._said("is in force") > self.taken)
        self.taken = self._said("is in force")

    def is_refused(self) -> str:
        until(lambda: self._said("is refused, the one") > self.refused)
        self.refused = self._said("is refused, the one")
        return [line for line in self.tunnel.connector.log.read_text().splitlines() if "is refused, the one" in line][-1]


@pytest.fixture
def document(tunnel: Tunnel) -> Iterator[Document]:
    document = Document(tunnel)
    yield document
    if document.path.read_text() != document.first:
        document.put(document.first)
        document.is_taken()


def test_a_changed_document_is_taken_up_and_one_with_an_error_is_not(tunnel: Tunnel, caller: Path, document: Document) -> None:
    assert json.loads(tunnel.curl(caller).stdout)["method"] == "GET"
    pid = tunnel.connector.pid
    document.put(document.first.replace("callers: {clients: [laptop]}", "callers: {clients: [nobody]}"))
    document.is_taken()
    assert "caller_not_allowed" in tunnel.curl(caller).stdout
    document.put(document.first + "listen: 1\n")
    told = document.is_refused()
    line = document.first.count("\n") + 1
    assert f"connector.yaml:{line}:1" in told and "listen" in told
    # The one before it stays.
    assert "caller_not_allowed" in tunnel.curl(caller).stdout
    document.put(document.first)
    os.kill(tunnel.connector.pid, signal.SIGHUP)
    document.is_taken()
    assert json.loads(tunnel.curl(caller).stdout)["method"] == "GET"
    assert tunnel.connector.pid == pid and tunnel.connector.is_running
    loads = [json.loads(text)["body"] for text in (tunnel.connector_folder / "audit.jsonl").read_text().splitlines()
             if json.loads(text)["kind"] == "policy_load"]
    assert len(loads) >= 3 and len({load["digest"] for load in loads}) >= 2 and loads[-1]["digest"].startswith("sha256:")


def test_a_call_that_runs_goes_on_over_a_change_and_a_signal(tunnel: Tunnel, caller: Path, document: Document) -> None:
    """A slow upload, of which the upstream has the beginning when the document changes."""
    context = ssl.create_default_context(cafile=str(caller / "authorities.pem"))
    context.load_cert_chain(caller / "certificate.pem", caller / "key.pem")
    with (socket.create_connection(("127.0.0.1", tunnel.port), timeout=30) as plain,
          context.wrap_socket(plain, server_hostname=tunnel.host) as connection):
        intents = (tunnel.connector_folder / "audit.jsonl").read_text().count('"tunnel_intent"')
        connection.sendall(f"POST /slow HTTP/1.1\r\nHost: {tunnel.host}\r\nContent-Length: 10\r\nConnection: close\r\n\r\n01234".encode())
        until(lambda: (tunnel.connector_folder / "audit.jsonl").read_text().count('"tunnel_intent"') > intents)
        document.put(document.first.replace("callers: {clients: [laptop]}", "callers: {clients: [laptop, other]}"))
        document.is_taken()
        os.kill(tunnel.connector.pid, signal.SIGHUP)
        document.is_taken()
        connection.sendall(b"56789")
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["body"] == "0123456789"


def test_a_header_s_file_is_read_again_and_never_comes_back(tunnel: Tunnel, caller: Path, document: Document) -> None:
    secret = tunnel.connector_folder / "header"
    secret.write_text("first-secret-value\n")
    secret.chmod(0o600)
    document.put(beside(document.first, "headers: {X-Key: {file: header}}"))
    document.is_taken()
    told = tunnel.curl(caller)
    assert json.loads(told.stdout)["headers"]["X-Key"] == "[redacted: secret X-Key]"
    secret.write_text("second-secret-value\n")
    document.is_taken()
    tunnel.curl(caller, path="/second-secret-value")
    assert "GET /second-secret-value" in tunnel.upstream.asked
    assert "second-secret-value" not in tunnel.curl(caller, path="/second-secret-value").stdout
    # One that others can read is no secret: the value before it stays.
    secret.chmod(0o644)
    assert "chmod 600" in document.is_refused()
    secret.chmod(0o600)
    document.is_taken()


def test_an_upstream_that_asks_for_a_certificate_gets_the_route_s(tunnel: Tunnel, caller: Path, document: Document) -> None:
    folder = tunnel.folder / "mutual"
    made = Certificates.make(folder, "IP:127.0.0.1")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(
        ["openssl", "req", "-x509", *curve, "-CA", str(made.ca), "-CAkey", str(folder / "ca.key"), "-keyout", str(folder / "client.key"), "-out",
         str(folder / "client.pem"), "-subj", "/CN=connector", "-addext", "basicConstraints=critical,CA:FALSE", "-addext",
         "extendedKeyUsage=clientAuth"], check=True, capture_output=True, timeout=30)
    (folder / "client.key").chmod(0o600)
    context = made.context()
    context.load_verify_locations(made.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    upstream = Upstream()
    upstream.socket = context.wrap_socket(upstream.socket, server_side=True)
    try:
        mutual = document.first.replace(f"http://127.0.0.1:{tunnel.upstream.port}", f"https://127.0.0.1:{upstream.port}", 1)
        mutual = beside(mutual, f"ca_file: {made.ca}")
        document.put(mutual)
        document.is_taken()
        refused = json.loads(tunnel.curl(caller).stdout)
        assert refused["reason"] in ("upstream_connection", "upstream_answer") and not upstream.asked
        assert str(upstream.port) not in refused["error"]["message"]
        document.put(beside(mutual, f"client_certificate: {{certificate_file: {folder}/client.pem, key_file: {folder}/client.key}}"))
        document.is_taken()
        assert json.loads(tunnel.curl(caller, path="/mutual").stdout)["path"] == "/mutual"
        assert upstream.asked == ["GET /mutual"]
    finally:
        upstream.shutdown()
