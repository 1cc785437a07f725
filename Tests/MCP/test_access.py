"""Tokens, certificates, names and addresses."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import socketserver
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from peers import HostileServer, MODERN, Server, command, postern, serving
from processes import ChildProcess

NAME = "docs.ab12cd34.tunnel.example.com"
METADATA = "https://docs.example.com/.well-known/oauth-protected-resource/mcp"


@pytest.mark.parametrize("sdk", ["1", "2"])
def test_a_token_is_asked_for_refused_and_taken(server: Callable[..., Server], tmp_path: Path, sdk: str) -> None:
    url = server(sdk, "--auth").url

    def token(text: str) -> list[str]:
        file = tmp_path / "token"
        file.write_text(text + "\n")
        return ["--bearer-file", str(file)]

    none = postern("probe", url)
    assert none.status == 77 and "wants an OAuth bearer token" in none.error and "--bearer-file" in none.error and METADATA in none.error
    wrong = postern("tools", url, *token("canary-of-a-token"))
    assert wrong.status == 77 and "refuses the bearer token (invalid_token)" in wrong.error and "canary" not in wrong.error
    weak = postern("call", url, "echo", '{"text": "x"}', *token("weak"))
    assert weak.status == 77 and "403 insufficient_scope" in weak.error and METADATA in weak.error
    good = postern("call", url, "echo", '{"text": "let in"}', *token("good"))
    assert (good.status, good.output) == (0, "let in\n"), good.error
    header = tmp_path / "headers"
    header.write_text("# who I am\n\nAuthorization: Bearer good\nX-Team: docs\n")
    by_file = postern("call", url, "echo", '{"text": "let in"}', "--header-file", str(header))
    assert (by_file.status, by_file.output) == (0, "let in\n"), by_file.error


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("no colon", "Name: value"), ("Bad Name: x", "no name"), ("Host: x", "set by the client"), ("mcp-session-id: x", "set by the client"),
        ("Mcp-Param-Region: x", "set by the client"), ("X-Y: a\x01b", "control character"), ("Content-Length: 3", "set by the client"),
    ],
)
def test_fields_that_would_lie_are_refused_unsent(tmp_path: Path, text: str, rule: str) -> None:
    file = tmp_path / "headers"
    file.write_text(f"X-Fine: 1\n{text}\n")
    done = postern("probe", "http://127.0.0.1:9/mcp", "--header-file", str(file))
    assert done.status == 78 and f"{file}:2: " in done.error and rule in done.error


def test_plain_http_beyond_loopback_is_refused_unless_allowed() -> None:
    done = postern("probe", "http://mcp.example.com/mcp")
    assert done.status == 78 and "--allow-http" in done.error
    with HostileServer(lambda handler, method, headers, message: handler.hello(method, message, MODERN) or handler.result(message, {"tools": []})) as server:
        port = server.url.split(":")[2].split("/")[0]
        allowed = postern("probe", "http://mcp.example.com/mcp?key=hidden", "--allow-http", "--connect-to", f"127.0.0.1:{port}", "--json")
        assert allowed.status == 0 and allowed.json["ok"], allowed.error
        assert server.headers[0]["host"] == "mcp.example.com", "the name is still the one that was asked for"
        assert "hidden" not in allowed.output, "a query may hold a secret"




class Authority:
    """A certificate authority and what it has signed, as files."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        certificate = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(True, None), True).sign(self._key, hashes.SHA256())
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(hours=1)))

    def issue(self, name: str, *, is_server: bool) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if is_server else ExtendedKeyUsageOID.CLIENT_AUTH
        names: list[x509.GeneralName] = [x509.DNSName(name)]
        if name == "127.0.0.1":
            names = [x509.IPAddress(ipaddress.ip_address(name))]
        certificate = (
            self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
            .add_extension(x509.SubjectAlternativeName(names), False).add_extension(x509.ExtendedKeyUsage([usage]), False)
            .sign(self._key, hashes.SHA256()))
        files = (self.folder / f"{name}.crt", self.folder / f"{name}.key")
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return str(files[0]), str(files[1])


def test_a_server_behind_a_name_and_certificates_as_a_tunnel_has_them(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    certificate, key = ours.issue(NAME, is_server=True)
    client = ours.issue("client", is_server=False)
    foreign = theirs.issue("foreign", is_server=False)
    tls = ["--hosts", NAME, "--tls", certificate, key, "--clients", str(ours.file)]
    with serving(tmp_path, command("2", "http", *tls)) as server:
        url = f"https://{NAME}/mcp"
        to_edge = ["--connect-to", f"127.0.0.1:{server.port}"]
        proof = ["--client-cert", client[0], "--client-key", client[1]]
        good = postern("call", url, "echo", '{"text": "through"}', *to_edge, *proof, "--ca-file", str(ours.file))
        assert (good.status, good.output) == (0, "through\n"), good.error
        for arguments, reason in (
            ([*to_edge, "--ca-file", str(ours.file)], ""),  # no certificate of this side, which asyncio says by breaking the connection
            ([*to_edge, *proof], "the certificate is of no authority that is trusted"),  # the system's do not know theirs
            ([*to_edge, *proof, "--ca-file", str(theirs.file)], "the certificate is of no authority that is trusted"),
            ([*to_edge, "--client-cert", foreign[0], "--client-key", foreign[1], "--ca-file", str(ours.file)], ""),  # another's certificate
        ):
            refused = postern("call", url, "echo", '{"text": "through"}', *arguments, "--timeout", "5")
            assert refused.status == 69 and refused.output == "" and f"no connection: {reason and 'TLS: ' + reason}" in refused.error, (arguments, refused)
        # A server that says why, by a TLS alert.
        openssl = ChildProcess(
            "openssl", ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key, "-CAfile", str(ours.file), "-Verify", "1",
                        "-verify_return_error", "-www"], log=tmp_path / "openssl.log")
        try:
            port = openssl.wait_for(r"ACCEPT 127\.0\.0\.1:(\d+)").group(1)
            told = postern("probe", url, "--connect-to", f"127.0.0.1:{port}", "--ca-file", str(ours.file), "--timeout", "5")
            assert told.status == 69 and "wants another client certificate" in told.error and "CERTIFICATE_REQUIRED" in told.error, told
        finally:
            openssl.stop()
        other = postern("probe", "https://other.ab12cd34.tunnel.example.com/mcp", *to_edge, *proof, "--ca-file", str(ours.file), "--timeout", "5")
        assert other.status == 69 and "no connection: TLS: the certificate is for another name" in other.error, other
    unreadable = postern("probe", url, "--client-cert", str(tmp_path / "none"), "--client-key", client[1])
    assert unreadable.status != 0 and "cannot be read" in unreadable.error


class ConnectProxy(socketserver.StreamRequestHandler):
    """A corporate proxy that knows no names: whatever is asked for leads to one port."""

    port = 0
    asked: list[str] = []

    def handle(self) -> None:
        request = self.rfile.readline().decode()
        self.asked.append(request.split()[1] if request.startswith("CONNECT ") else request)
        while self.rfile.readline().strip():
            pass
        with socket.create_connection(("127.0.0.1", self.port)) as upstream:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=self._copy, args=(upstream, self.connection), daemon=True)
            back.start()
            self._copy(self.connection, upstream)
            back.join(5)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_a_proxy_is_passed_by_connect(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    certificate, key = authority.issue(NAME, is_server=True)
    with serving(tmp_path, command("1", "http", "--hosts", NAME, "--tls", certificate, key)) as server:
        ConnectProxy.port, ConnectProxy.asked = server.port, []
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), ConnectProxy) as proxy:
            proxy.daemon_threads = True
            threading.Thread(target=proxy.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{proxy.server_address[1]}"
            by_option = postern("call", f"https://{NAME}/mcp", "echo", '{"text": "through"}', "--ca-file", str(authority.file), "--proxy", address)
            by_variable = postern("call", f"https://{NAME}/mcp", "echo", '{"text": "through"}', "--ca-file", str(authority.file), HTTPS_PROXY=address)
            proxy.shutdown()
        for done in (by_option, by_variable):
            assert (done.status, done.output) == (0, "through\n"), done.error
        assert set(ConnectProxy.asked) == {f"{NAME}:443"}


def test_a_wrong_host_is_told(server: Callable[..., Server]) -> None:
    """Servers that are bound to a name refuse others (DNS rebinding)."""
    port = server("2", "--stateless").port
    done = postern("probe", "http://mcp.example.com/mcp", "--allow-http", "--connect-to", f"127.0.0.1:{port}")
    assert done.status == 1 and "HTTP 421" in done.error
