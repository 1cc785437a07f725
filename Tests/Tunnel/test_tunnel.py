"""A tunnel as its operators and callers see it, with `curl` and `openssl` as callers."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from haystack import Search
from tunnel import DOMAIN, Tunnel


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Asks again until it holds: for what nobody announces to the outside."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def laptop(tunnel: Tunnel) -> Path:
    return tunnel.certificate("laptop", "laptop", "docs")


def splice(tunnel: Tunnel, allowed: bool) -> None:
    tunnel.control.call("POST", f"/postern/v1/tunnels/{tunnel.id}/settings", {"splice": allowed})


def test_setup_can_be_repeated_and_keeps_its_keys(tunnel: Tunnel) -> None:
    names = ("ca.key", "connector.key", "server.key", "tunnel.token", "connector.yaml")
    before = {name: (tunnel.connector_folder / name).read_bytes() for name in names}
    tunnel.setup()
    assert before == {name: (tunnel.connector_folder / name).read_bytes() for name in names}
    for name in names[:4]:
        assert stat.S_IMODE(os.stat(tunnel.connector_folder / name).st_mode) == 0o600
    assert len(tunnel.control.call("GET", f"/v1/tunnels/{tunnel.id}/certificates")["data"]) == 1
    told = tunnel.command("connector", "check", "--config", str(tunnel.connector_folder / "connector.yaml"))
    assert "4 legs" in told and "route docs" in told


def test_a_key_that_others_can_read_is_not_used(tunnel: Tunnel) -> None:
    key = tunnel.connector_folder / "server.key"
    key.chmod(0o644)
    try:
        told = tunnel.command("connector", "check", "--config", str(tunnel.connector_folder / "connector.yaml"), check=False)
        assert "chmod 600" in told
    finally:
        key.chmod(0o600)


def test_curl_calls_by_connect(tunnel: Tunnel, laptop: Path) -> None:
    done = tunnel.curl(
        laptop, "--proxy-header", f"Proxy-Authorization: Bearer {tunnel.postern.admin_key}", "--data", "hello", connects=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["method"] == "POST" and answer["body"] == "hello"
    assert answer["headers"]["Host"] == f"127.0.0.1:{tunnel.upstream.port}" and answer["headers"]["X-Forwarded-Host"] == tunnel.host


def by_certificate(certificate: Path) -> tuple[str, ...]:
    return ("--proxy-cert", str(certificate / "certificate.pem"), "--proxy-key", str(certificate / "key.pem"))


def test_curl_calls_by_connect_with_its_certificate_alone(tunnel: Tunnel, laptop: Path) -> None:
    done = tunnel.curl(laptop, *by_certificate(laptop), "--data", "hello", connects=True)
    assert done.returncode == 0 and json.loads(done.stdout)["body"] == "hello", done.stderr
    # One for another route opens nothing at the edge.
    other = tunnel.certificate("edge-other", "laptop", "other")
    refused = tunnel.curl(laptop, *by_certificate(other), connects=True)
    assert refused.returncode != 0 and "403" in refused.stderr
    # Nor does a connector's key, which opens legs.
    key = tunnel.connector_folder
    legs = tunnel.curl(laptop, "--proxy-cert", str(key / "connector.pem"), "--proxy-key", str(key / "connector.key"), connects=True)
    assert legs.returncode != 0 and "403" in legs.stderr


def test_a_call_by_connect_ends_with_the_key_that_opened_it(tunnel: Tunnel, laptop: Path) -> None:
    made = tunnel.control.call("POST", "/postern/v1/keys", {"name": "brief", "role": "developer"})
    running = tunnel.start_curl(laptop, "--proxy-header", f"Proxy-Authorization: Bearer {made['secret']}", path="/hold")
    until(lambda: "GET /hold" in tunnel.upstream.asked)
    assert running.poll() is None
    tunnel.control.call("DELETE", f"/postern/v1/keys/{made['id']}")
    started = time.monotonic()
    assert running.wait(10) != 0
    assert time.monotonic() - started < 3
    tunnel.upstream.release.set()


def test_connect_needs_a_key_of_the_workspace(tunnel: Tunnel, laptop: Path) -> None:
    without = tunnel.curl(laptop, connects=True)
    assert without.returncode != 0 and "407" in without.stderr
    wrong = tunnel.curl(laptop, "--proxy-header", "Proxy-Authorization: Bearer wrong", connects=True)
    assert wrong.returncode != 0 and "403" in wrong.stderr


def test_splicing_is_off_until_it_is_switched_on_and_off_at_once(tunnel: Tunnel, laptop: Path) -> None:
    splice(tunnel, False)
    assert tunnel.curl(laptop).returncode != 0
    splice(tunnel, True)
    until(lambda: tunnel.curl(laptop).returncode == 0)
    assert json.loads(tunnel.curl(laptop, path="/other").stdout)["path"] == "/other"
    splice(tunnel, False)
    until(lambda: tunnel.curl(laptop).returncode != 0)
    splice(tunnel, True)
    until(lambda: tunnel.curl(laptop).returncode == 0)


def test_callers_that_are_not_meant_are_refused(tunnel: Tunnel, laptop: Path) -> None:
    splice(tunnel, True)
    until(lambda: tunnel.curl(laptop).returncode == 0)
    asked = len(tunnel.upstream.asked)
    # No certificate.
    assert tunnel.curl(None).returncode != 0
    tunnel.connector.wait_for("no_certificate")
    # One of a client that the route does not name.
    stranger = tunnel.curl(tunnel.certificate("stranger", "stranger"))
    assert "caller_not_allowed" in stranger.stdout
    # One for another route.
    other = tunnel.curl(tunnel.certificate("other", "laptop", "other"))
    assert "route_not_opened" in other.stdout
    # One of another workspace, whose certificate is good there.
    made = tunnel.control.call("POST", "/postern/v1/workspaces", {"name": "elsewhere"})
    key = tunnel.control.call("POST", "/postern/v1/keys", {"name": "elsewhere", "role": "admin", "workspace_id": made["id"]})["secret"]
    theirs = tunnel.folder / "theirs"
    environment = tunnel.environment() | {"POSTERN_API_KEY": key}
    created = subprocess.run(
        [str(tunnel.postern.binary), "tunnels", "create", "--quiet"], env=environment, cwd=tunnel.folder, text=True, capture_output=True, timeout=60)
    assert created.returncode == 0, created.stderr
    issued = subprocess.run(
        [str(tunnel.postern.binary), "tunnels", "client-certificate", "issue", created.stdout.strip(), "--client", "laptop", "--output", str(theirs)],
        env=environment, cwd=tunnel.folder, text=True, capture_output=True, timeout=60)
    assert issued.returncode == 0, issued.stderr
    (theirs / "authorities.pem").write_text((laptop / "authorities.pem").read_text())
    assert tunnel.curl(theirs).returncode != 0
    tunnel.connector.wait_for("another authority|certificate_refused")
    # A request for another host.
    wrong = tunnel.curl(laptop, "--header", "Host: example.com", "--write-out", "%{http_code}")
    assert wrong.stdout.endswith("421")
    # It is recorded with who asked.
    until(lambda: any('"malformed_request"' in line or '"misdirected_request"' in line
                      for line in (tunnel.connector_folder / "audit.jsonl").read_text().splitlines() if "laptop" in line))
    assert len(tunnel.upstream.asked) == asked


def test_openssl_calls_and_resumes_no_identity(tunnel: Tunnel, laptop: Path) -> None:
    splice(tunnel, True)
    until(lambda: tunnel.curl(laptop).returncode == 0)
    session = tunnel.folder / "session.pem"
    base = ["openssl", "s_client", "-connect", f"127.0.0.1:{tunnel.port}", "-servername", tunnel.host, "-CAfile", str(laptop / "authorities.pem"),
            "-verify_return_error", "-verify_hostname", tunnel.host, "-ign_eof"]
    request = f"GET /openssl HTTP/1.1\r\nHost: {tunnel.host}\r\nConnection: close\r\n\r\n".encode()

    def call(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*base, *arguments], input=request, capture_output=True, timeout=60)

    own = ("-cert", str(laptop / "certificate.pem"), "-key", str(laptop / "key.pem"))
    first = call(*own, "-sess_out", str(session))
    assert b'"path": "/openssl"' in first.stdout and b"TLSv1.3" in first.stdout, first.stderr
    # TLS 1.2 is not spoken, and a request without a certificate is not read.
    assert b"/openssl" not in call(*own, "-tls1_2").stdout
    asked = len(tunnel.upstream.asked)
    assert b'"path"' not in call().stdout
    assert len(tunnel.upstream.asked) == asked
    # A resumed session stands for the identity that made it, and is held to the same rules.
    if session.exists():
        again = call("-sess_in", str(session))
        if b'"path"' in again.stdout:
            assert b"Reused" in again.stdout


def test_the_tunnels_authority_answers_for_its_own_names_only(tunnel: Tunnel, laptop: Path) -> None:
    """Callers may trust it beside public authorities: what it signs for another name, or an address, is not believed."""
    folder = tunnel.connector_folder
    for name, holds in ((f"DNS:docs.{tunnel.domain}", True), ("DNS:api.example.com", False), ("IP:127.0.0.1", False)):
        key, leaf, extension = (tunnel.folder / f"forged.{suffix}" for suffix in ("key", "pem", "ext"))
        extension.write_text(f"subjectAltName={name}\n")
        subprocess.run(
            ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(tunnel.folder / "forged.csr"), "-subj", "/O=forged"],
            check=True, capture_output=True, timeout=30)
        subprocess.run(
            ["openssl", "x509", "-req", "-in", str(tunnel.folder / "forged.csr"), "-CA", str(folder / "ca.pem"), "-CAkey", str(folder / "ca.key"),
             "-CAcreateserial", "-CAserial", str(tunnel.folder / "forged.srl"), "-extfile", str(extension), "-out", str(leaf)],
            check=True, capture_output=True, timeout=30)
        done = subprocess.run(
            ["openssl", "verify", "-CAfile", str(laptop / "authorities.pem"), str(leaf)], capture_output=True, text=True, timeout=30)
        assert (done.returncode == 0) == holds, f"{name}: {done.stdout}{done.stderr}"


def test_the_edge_holds_nothing_of_a_call_in_its_memory(tunnel: Tunnel, laptop: Path) -> None:
    splice(tunnel, True)
    until(lambda: tunnel.curl(laptop).returncode == 0)
    canary = f"canary-{os.urandom(12).hex()}"
    for connects in (False, True):
        done = tunnel.curl(
            laptop, "--proxy-header", f"Proxy-Authorization: Bearer {tunnel.postern.admin_key}", "--header", f"X-Canary: {canary}", "--data", canary,
            connects=connects, path=f"/{canary}")
        assert done.returncode == 0 and canary in done.stdout, done.stderr
    if os.geteuid() != 0:
        pytest.skip("needs root, to read the memory of another process")
    search = Search(canary)
    search.process(tunnel.edge.pid)
    assert search.bytes > 1 << 20 and not search.found, search.found
    # The same search finds it where inner TLS ends.
    control = Search(canary)
    control.process(tunnel.connector.pid)
    assert control.found
    # And the edge does hold what it may know.
    known = Search(DOMAIN)
    known.process(tunnel.edge.pid)
    assert known.found


def test_operators_see_the_legs(tunnel: Tunnel) -> None:
    until(lambda: len(tunnel.control.call("GET", f"/postern/v1/tunnels/{tunnel.id}/connectors")["data"]) == 4)
    leg = tunnel.control.call("GET", f"/postern/v1/tunnels/{tunnel.id}/connectors")["data"][0]
    assert len(leg["connector_key"]) == 64 and leg["version"]


def test_calls_come_back_after_a_kill_of_edge_and_connector(tunnel: Tunnel, laptop: Path) -> None:
    splice(tunnel, True)
    until(lambda: tunnel.curl(laptop).returncode == 0)
    port = tunnel.port
    tunnel.edge.kill()
    tunnel.edge = tunnel.start_edge(port)
    started = time.monotonic()
    until(lambda: tunnel.curl(laptop).returncode == 0)
    assert time.monotonic() - started < 10
    tunnel.connector.kill()
    tunnel.connector = tunnel.start_connector()
    until(lambda: tunnel.curl(laptop).returncode == 0)


def test_calls_are_in_the_audit_log_with_their_intent_first(tunnel: Tunnel, laptop: Path) -> None:
    splice(tunnel, True)
    until(lambda: tunnel.curl(laptop, path="/recorded").returncode == 0)
    lines: list[dict[str, Any]] = []
    intents: list[str] = []
    outcomes: dict[str, dict[str, Any]] = {}

    def recorded() -> bool:
        """The outcome is written when the answer has gone, so a caller may be ahead of it."""
        lines[:] = [json.loads(line) for line in (tunnel.connector_folder / "audit.jsonl").read_text().splitlines()]
        intents[:] = [line["body"]["id"] for line in lines if line["kind"] == "tunnel_intent"]
        outcomes.update({line["body"]["id"]: line["body"] for line in lines if line["kind"] == "tunnel_outcome"})
        return bool(intents) and intents[-1] in outcomes

    until(recorded)
    assert outcomes[intents[-1]]["status"] == 200
    assert "/recorded" not in (tunnel.connector_folder / "audit.jsonl").read_text()
    assert any(line["kind"] == "tunnel_refused" and line["body"]["decision"] == "caller_not_allowed" for line in lines)


def call(tool: str, **members: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool}, **members})


def test_a_policy_lets_through_what_it_names_and_records_what_it_refuses(tunnel: Tunnel, laptop: Path) -> None:
    given = {"lines": 1, "path": "/data/a.csv"}
    splice(tunnel, True)
    document = tunnel.connector_folder / "connector.yaml"
    before = document.read_text()
    pins = tunnel.folder / "tools.json"
    pins.write_text('{"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "read", "annotations": {"readOnlyHint": true}}]}}')
    assert tunnel.command("connector", "pin", str(pins)).startswith('pins:\n  "read": sha256:')
    place = "    addresses: [127.0.0.0/8]"
    audit = tunnel.connector_folder / "audit.jsonl"
    recorded = len(audit.read_text().splitlines()) if audit.exists() else 0
    document.write_text(before.replace(place, f"{place}\n    policy: {{tools: {{allow: [read]}}, mod: enforce}}"))
    assert "is no known key here" in tunnel.command("connector", "check", "--config", str(document), check=False)
    document.write_text(before.replace(place, f"{place}\n    policy: {{tools: {{allow: [read]}}}}\n    audit: {{payloads: arguments}}"))
    assert "under a policy" in tunnel.command("connector", "check", "--config", str(document))
    tunnel.connector.kill()
    tunnel.connector = tunnel.start_connector("--metrics-listen", "127.0.0.1:0")
    metrics = tunnel.connector.wait_for(r"metrics are served.*address=(http://127\.0\.0\.1:\d+/metrics)").group(1)
    post = ("--header", "Content-Type: application/json", "--data-binary")
    try:
        until(lambda: tunnel.curl(laptop).returncode == 0)
        body = " " + json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "read", "arguments": given}}) + "\n"
        assert json.loads(tunnel.curl(laptop, *post, body).stdout)["body"] == body
        asked = len(tunnel.upstream.asked)
        refused = json.loads(tunnel.curl(laptop, *post, call("write")).stdout)
        assert refused["id"] == 7 and refused["error"]["code"] == 403 and refused["error"]["data"]["rule"] == "tools.allow"
        assert json.loads(tunnel.curl(laptop, *post, "{").stdout)["error"]["data"]["rule"] == "body.json"
        assert json.loads(tunnel.curl(laptop, *post, call("read"), "--header", "Mcp-Name: write").stdout)["error"]["code"] == 400
        assert len(tunnel.upstream.asked) == asked
        with urllib.request.urlopen(metrics, timeout=10) as answer:
            counted = answer.read().decode()
    finally:
        document.write_text(before)
        tunnel.connector.kill()
        tunnel.connector = tunnel.start_connector()
    for rule, count in (("tools.allow", 1), ("body.json", 1), ("headers.equal", 1)):
        assert f'postern_connector_policy_refusals_total{{route="docs",rule="{rule}",mode="enforce"}} {count}\n' in counted
    assert 'postern_connector_refusals_total{route="docs",reason="policy"} 3\n' in counted
    assert re.search(r'^postern_connector_calls_total\{route="docs",outcome="completed"\} [1-9]', counted, re.MULTILINE)
    assert "postern_connector_legs 4\n" in counted and "postern_connector_legs_wanted 4\n" in counted
    # The page names every series, and none tells who calls, what, or where to.
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8").partition("## Of a connector")[2].partition("\n## ")[0]
    series = set(re.findall(r"^# TYPE (\S+) ", counted, re.MULTILINE))
    assert len(series) > 20 and series == set(re.findall(r"`((?:postern|process)_[a-z_]+)`", page))
    for told in ("laptop", "127.0.0.1", "write", tunnel.id, tunnel.domain):
        assert told not in counted
    lines = [json.loads(line) for line in audit.read_text().splitlines()[recorded:]]
    [message] = next(line["body"]["messages"] for line in lines if line["kind"] == "tunnel_intent" and "messages" in line["body"])
    assert message["method"] == "tools/call" and message["tool"] == "read"
    # The arguments are there because the route asks for them, and their digest is found by whoever has them and the log's key.
    assert message["input"]["payload"] == json.dumps(given, separators=(",", ":"))
    value = tunnel.folder / "arguments.json"
    value.write_text(json.dumps(given, indent=4))
    assert tunnel.command("audit", "digest", "--log", str(audit), str(value)).strip() == message["input"]["hmac_sha256"]
    assert tunnel.command("audit", "digest", "--output", "--log", str(audit), str(value)).strip() != message["input"]["hmac_sha256"]
    assert message["input"]["hmac_sha256"] in tunnel.command("audit", "tail", "--log", str(audit), "--lines", "200", "--kind", "tunnel_intent")
    value.write_text("{")
    assert "is no JSON value" in tunnel.command("audit", "digest", "--log", str(audit), str(value), check=False)
    rules = [line["body"].get("rule") for line in lines if line["kind"] == "tunnel_refused" and line["body"]["decision"] == "policy"]
    assert rules == ["tools.allow", "body.json", "headers.equal"]


def test_a_revoked_key_and_an_archived_tunnel_take_no_more_calls(tunnel: Tunnel, laptop: Path) -> None:
    splice(tunnel, True)
    until(lambda: tunnel.curl(laptop).returncode == 0)
    tunnel.control.call("POST", f"/v1/tunnels/{tunnel.id}/archive")
    started = time.monotonic()
    tunnel.connector.wait_for("tunnel_archived")
    assert time.monotonic() - started < 5
    assert tunnel.curl(laptop).returncode != 0
