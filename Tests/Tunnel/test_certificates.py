"""The connector's server certificate: renewed by a daily command, or from a PKI of the customer's own; `openssl` is that PKI."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from test_tunnel import until
from tunnel import DOMAIN, Tunnel


def openssl(*arguments: object, folder: Path) -> str:
    done = subprocess.run(["openssl", *(str(argument) for argument in arguments)], cwd=folder, text=True, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(tunnel: Tunnel, *arguments: object) -> tuple[int, str]:
    done = subprocess.run(
        [str(tunnel.postern.binary), "connector", *(str(argument) for argument in arguments)], env=tunnel.environment(), cwd=tunnel.folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout


def end_soon(folder: Path, domain: str, days: int) -> None:
    """Puts a server certificate that ends in so many days into the place of the connector's, by its own CA."""
    extension = folder / "leaf.ext"
    extension.write_text(f"subjectAltName=DNS:*.{domain}\nextendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "server.key", "-out", "leaf.csr", "-subj", "/CN=x",
            folder=folder)
    openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-CAserial", "ca.srl", "-days", days,
            "-extfile", extension, "-out", "server.pem", folder=folder)
    (folder / "server.key").chmod(0o600)


@pytest.fixture
def copied(tunnel: Tunnel, tmp_path: Path) -> Path:
    """A copy of the connector's folder, to spoil."""
    folder = tmp_path / "copied"
    shutil.copytree(tunnel.connector_folder, folder)
    return folder


def test_a_daily_renewal_changes_nothing_until_the_certificate_is_due(tunnel: Tunnel, copied: Path) -> None:
    before = {path.name: path.read_bytes() for path in copied.iterdir()}
    status, told = run(tunnel, "renew", "--config", copied / "connector.yaml")
    assert status == 0 and re.search("is good: (89|90) days left", told), told
    status, told = run(tunnel, "renew", "--config", copied / "connector.yaml", "--json")
    answer = json.loads(told)
    assert status == 0 and answer["renewed"] is False and answer["good"] is True and answer["days_left"] in (89, 90)
    assert answer["expires_at"].endswith("Z") and answer["can_renew"] is True
    assert before == {path.name: path.read_bytes() for path in copied.iterdir()}
    assert run(tunnel, "renew", "--config", copied / "connector.yaml", "--renew-before", "90d")[0] == 64
    assert run(tunnel, "renew", "--config", copied / "connector.yaml", "--renew-before", "30")[0] == 64


def test_a_due_certificate_is_renewed_with_a_new_key_beside_the_one_in_use(tunnel: Tunnel, copied: Path) -> None:
    end_soon(copied, tunnel.domain, 10)
    old = (copied / "server.key").read_text()
    status, told = run(tunnel, "renew", "--config", copied / "connector.yaml")
    assert status == 0 and "Renewed" in told and "it ends in 9 days" in told and re.search("(89|90) days left", told), told
    keys = (copied / "server.key").read_text()
    assert old.strip() in keys and keys.count("BEGIN PRIVATE KEY") == 2 and stat.S_IMODE((copied / "server.key").stat().st_mode) == 0o600
    shown = openssl("x509", "-in", "server.pem", "-noout", "-text", folder=copied)
    assert f"DNS:*.{tunnel.domain}" in shown and "prime256v1" in shown and "TLS Web Server Authentication" in shown
    # The new pair does, and the old key goes with the next run.
    assert run(tunnel, "check", "--config", copied / "connector.yaml")[0] == 0
    assert run(tunnel, "renew", "--config", copied / "connector.yaml")[0] == 0
    keys = (copied / "server.key").read_text()
    assert keys.count("BEGIN PRIVATE KEY") == 1 and old.strip() not in keys
    assert run(tunnel, "check", "--config", copied / "connector.yaml")[0] == 0


def test_a_certificate_that_cannot_be_renewed_here_fails_with_its_status(tunnel: Tunnel, copied: Path) -> None:
    end_soon(copied, tunnel.domain, 10)
    elsewhere = copied.parent / "offline"
    elsewhere.mkdir()
    (copied / "ca.key").rename(elsewhere / "ca.key")
    before = (copied / "server.pem").read_bytes()
    status, told = run(tunnel, "renew", "--config", copied / "connector.yaml")
    assert status == 5 and "it ends in 9 days" in told and "--ca-key-file" in told and "--csr" in told, told
    status, told = run(tunnel, "renew", "--config", copied / "connector.yaml", "--json")
    answer = json.loads(told)
    assert status == 5 and answer["good"] is False and answer["days_left"] == 9 and answer["can_renew"] is False and answer["remedy"]
    # Not within this window, so all is well.
    assert run(tunnel, "renew", "--config", copied / "connector.yaml", "--renew-before", "5d")[0] == 0
    # A key of something else, one that others can read, and none.
    status, told = run(tunnel, "renew", "--config", copied / "connector.yaml", "--ca-key-file", copied / "connector.key")
    assert status == 78 and "is not the key of the CA" in told, told
    (elsewhere / "ca.key").chmod(0o644)
    status, told = run(tunnel, "renew", "--config", copied / "connector.yaml", "--ca-key-file", elsewhere / "ca.key")
    assert status == 78 and "chmod 600" in told, told
    status, told = run(tunnel, "renew", "--config", copied / "connector.yaml", "--ca-key-file", elsewhere / "none.key")
    assert status == 78 and "is not there" in told, told
    assert (copied / "server.pem").read_bytes() == before
    (elsewhere / "ca.key").chmod(0o600)
    status, told = run(tunnel, "renew", "--config", copied / "connector.yaml", "--ca-key-file", elsewhere / "ca.key")
    assert status == 0 and "Renewed" in told, told
    assert "PRIVATE" not in told and not (copied / "ca.key").exists()


class PKI:
    """An authority of a company."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/O=Example/CN=Root",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign", folder=folder)

    def sign(self, csr: Path, name: str, *lines: str) -> Path:
        (self.folder / "ext").write_text("\n".join(lines) + "\n")
        openssl("x509", "-req", "-in", csr, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-CAserial", "ca.srl", "-days", "20",
                "-extfile", "ext", "-out", name, folder=self.folder)
        return self.folder / name


def test_a_certificate_of_the_customers_own_pki(tunnel: Tunnel, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    own = ["setup", "--folder", folder, "--edge", f"127.0.0.1:{tunnel.port}", "--edge-name", DOMAIN, "--edge-ca-file", tunnel.edge_certificates.ca,
           "--route", f"docs=http://127.0.0.1:{tunnel.upstream.port}"]
    status, told = run(tunnel, *own, "--csr")
    assert status == 0 and "server.csr" in told, told
    known = json.loads((folder / "tunnel.json").read_text())
    domain = known["domain"]
    shown = openssl("req", "-in", "server.csr", "-noout", "-text", "-verify", folder=folder)
    assert f"DNS:*.{domain}" in shown and "TLS Web Server Authentication" in shown
    assert stat.S_IMODE((folder / "server.csr.key").stat().st_mode) == 0o600
    assert not (folder / "ca.key").exists() and not (folder / "ca.pem").exists() and not (folder / "server.pem").exists()
    # Asked for again, the key stays; nothing is registered, and no CA is made in between.
    key = (folder / "server.csr.key").read_bytes()
    assert run(tunnel, *own, "--csr")[0] == 0 and (folder / "server.csr.key").read_bytes() == key
    status, told = run(tunnel, *own)
    assert status == 78 and "waits for its certificate" in told and not (folder / "ca.key").exists(), told

    pki = PKI(tmp_path / "pki")
    usual = (f"subjectAltName=DNS:*.{domain}", "authorityKeyIdentifier=keyid", "extendedKeyUsage=serverAuth")
    take = [*own, "--server-ca", pki.folder / "ca.pem", "--server-certificate"]
    wrong = pki.sign(folder / "server.csr", "wrong.pem", f"subjectAltName=DNS:*.zz.{DOMAIN}", *usual[1:])
    status, told = run(tunnel, *take, wrong)
    assert status == 78 and f"does not name docs.{domain}" in told, told
    status, told = run(tunnel, *take, pki.folder / "ca.pem")
    assert status == 78 and "--server-certificate" in told, told
    assert run(tunnel, *own, "--server-certificate", wrong)[0] == 64
    assert not tunnel.control.call("GET", f"/v1/tunnels/{known['id']}/certificates")["data"] and not (folder / "server.pem").exists()

    good = pki.sign(folder / "server.csr", "good.pem", *usual)
    for _ in range(2):
        status, told = run(tunnel, *take, good)
        assert status == 0 and "good for 19 days" in told, told
    assert len(tunnel.control.call("GET", f"/v1/tunnels/{known['id']}/certificates")["data"]) == 1
    assert (folder / "server.pem").read_text().strip() == good.read_text().strip() and not (folder / "server.csr.key").exists()
    assert stat.S_IMODE((folder / "server.key").stat().st_mode) == 0o600
    assert run(tunnel, "check", "--config", folder / "connector.yaml")[0] == 0
    # Setup keeps it while it is good; within the window a renewal says what to do, and fails.
    assert run(tunnel, "renew", "--config", folder / "connector.yaml", "--renew-before", "10d")[0] == 0
    status, told = run(tunnel, "renew", "--config", folder / "connector.yaml")
    assert status == 5 and "it ends in 19 days" in told and "--csr" in told, told
    # The next request has a key of its own, and the pair in use stays until its certificate is there.
    before = (folder / "server.key").read_bytes()
    assert run(tunnel, *own, "--csr")[0] == 0
    assert (folder / "server.key").read_bytes() == before and (folder / "server.csr.key").read_bytes() != key
    again = pki.sign(folder / "server.csr", "again.pem", *usual)
    assert run(tunnel, *take, again)[0] == 0
    assert (folder / "server.key").read_text().count("PRIVATE KEY-----\n") == 4
    assert run(tunnel, "check", "--config", folder / "connector.yaml")[0] == 0

    # It serves: legs stand, and a caller that trusts the tunnel's CA alone gets through.
    document = folder / "connector.yaml"
    document.write_text(re.sub(r"    # callers:.*", "    callers: {clients: [laptop]}\n    addresses: [127.0.0.0/8]", document.read_text()))
    connector = tunnel.postern.start("connector", ["connector", "run", "--config", str(document), "--log-format", "text"])
    connector.wait_for("a leg stands", count=4)
    issued = tmp_path / "laptop"
    tunnel.command("tunnels", "client-certificate", "issue", known["id"], "--client", "laptop", "--output", str(issued))
    done = subprocess.run(
        ["curl", f"https://docs.{domain}/mcp", "--silent", "--show-error", "--max-time", "30", "--cacert", str(issued / "authorities.pem"), "--cert",
         str(issued / "certificate.pem"), "--key", str(issued / "key.pem"), "--proxy", f"https://{DOMAIN}:{tunnel.port}", "--proxy-cacert",
         str(tunnel.edge_certificates.ca), "--resolve", f"{DOMAIN}:{tunnel.port}:127.0.0.1", "--proxy-header",
         f"Proxy-Authorization: Bearer {tunnel.postern.admin_key}"],
        text=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    connector.stop()
    assert done.returncode == 0 and json.loads(done.stdout)["path"] == "/mcp", done.stderr


def test_a_folder_with_a_ca_of_its_own_takes_no_other(tunnel: Tunnel, copied: Path) -> None:
    status, told = run(tunnel, "setup", "--folder", copied, "--csr")
    assert status == 78 and "has a CA of its own" in told and not (copied / "server.csr").exists(), told


def test_a_check_holds_the_server_certificate_to_the_rules_of_callers(tunnel: Tunnel, copied: Path, tmp_path: Path) -> None:
    def check() -> tuple[int, str]:
        return run(tunnel, "check", "--config", copied / "connector.yaml")

    assert check()[0] == 0
    end_soon(copied, tunnel.domain, 10)
    status, told = check()
    assert status == 0 and "it ends in 9 days" in told and "connector renew" in told, told
    # Another CA of the same name, a name that is missing, a CA that is none.
    kept = (copied / "ca.pem").read_text()
    pki = PKI(tmp_path / "other")
    (copied / "ca.pem").write_text((pki.folder / "ca.pem").read_text())
    status, told = check()
    assert status == 78 and "authority" in told and "server.pem" in told, told
    (copied / "ca.pem").write_text((copied / "server.pem").read_text())
    status, told = check()
    assert status == 78 and "ca.pem" in told, told
    (copied / "ca.pem").write_text(kept)
    document = copied / "connector.yaml"
    text = document.read_text()
    document.write_text(text.replace("audit:\n  file: audit.jsonl", "audit:\n  file: nowhere/audit.jsonl"))
    status, told = check()
    assert status != 0 and "audit.file" in told, told
    document.write_text(text.replace("  docs:", "  docs:\n    header: {}"))
    status, told = check()
    assert status == 78 and "is no known key here" in told and "headers" in told, told


def test_a_running_connector_takes_a_renewed_pair_over_and_tells_of_it(tunnel: Tunnel, copied: Path) -> None:
    end_soon(copied, tunnel.domain, 10)
    document = copied / "connector.yaml"
    document.write_text(document.read_text().replace("identity:", "name: renewed\nlegs: 2\nidentity:", 1))
    connector = tunnel.postern.start("renewed", ["connector", "run", "--config", str(document), "--log-format", "text"])
    try:
        connector.wait_for("a leg stands")

        def days() -> list[int]:
            return sorted(leg["certificate_days_left"] for leg in tunnel.control.call("GET", f"/postern/v1/tunnels/{tunnel.id}/connectors")["data"])

        until(lambda: days()[:2] == [9, 9])
        status, told = run(tunnel, "renew", "--config", document)
        assert status == 0 and "Renewed" in told, told
        # The running connector reads the pair, and says when it ends with new legs.
        until(lambda: len(days()) == 6 and days()[0] >= 89)
    finally:
        connector.stop()
