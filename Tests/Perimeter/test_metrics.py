"""What a worker tells of itself: `GET /metrics` on loopback and on a unix socket, and what is not in it."""

from __future__ import annotations

import os
import re
import socket
import stat
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from perimeter import Perimeter

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def value(text: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    assert found, f"no {series} in\n{text}"
    return float(found.group(1))


@pytest.fixture(scope="module")
def served(perimeters: Callable[..., Perimeter]) -> tuple[Perimeter, str, str]:
    """A worker that has served, its address, and a session of it."""
    perimeter = perimeters()
    perimeter.policy(
        tools={"deny": ["grep"]}, network={"rules": [{"id": "one", "hosts": "allowed.example"}]},
        redaction={"detectors": {"email": "mask"}})
    process = perimeter.start("--metrics-listen", "127.0.0.1:0")
    address = process.wait_for(r"metrics are served.*address=(http://127\.0\.0\.1:\d+/metrics)").group(1)
    session = perimeter.session()
    perimeter.run(session, "\n\n".join([
        "$ echo one", "$ false", '@grep {"pattern":"x"}', "$ echo mister.x@example.org",
        "$ curl -sS https://denied.example/ --max-time 5"]))
    return perimeter, address, session


def read(address: str, path: str = "") -> str:
    with urllib.request.urlopen(address + path, timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return answer.read().decode()


def test_it_counts_what_was_done(served: tuple[Perimeter, str, str]) -> None:
    text = read(served[1])
    assert value(text, "postern_worker_sessions") == 1 and value(text, "postern_worker_sandboxes") == 1
    assert value(text, 'postern_worker_tool_calls_total{tool="bash",outcome="succeeded"}') == 2
    assert value(text, 'postern_worker_tool_calls_total{tool="bash",outcome="failed"}') == 2
    assert value(text, 'postern_worker_tool_calls_total{tool="grep",outcome="refused"}') == 1
    assert value(text, 'postern_worker_tool_call_seconds_count{tool="bash"}') == 4
    assert value(text, 'postern_worker_approvals_total{subject="tool",answer="denied_by_policy"}') == 1
    assert value(text, 'postern_worker_redactions_total{door="result",rule="email",action="mask"}') == 1
    assert value(text, 'postern_worker_egress_refusals_total{reason="policy"}') >= 1
    assert value(text, 'postern_worker_sandbox_starts_total{outcome="started"}') == 1
    assert value(text, "postern_worker_sandbox_start_seconds_count") == 1
    assert value(text, 'postern_worker_audit_records_total{kind="intent"}') == 4
    assert value(text, "postern_worker_audit_failures_total") == 0
    # A mark may be shorter than what it stands for, which was counted.
    assert value(text, 'postern_worker_day_bytes{door="result"}') >= value(text, "postern_worker_result_bytes_total") > 500
    assert value(text, 'postern_worker_polls_total{outcome="item"}') == 1
    assert value(text, "process_resident_memory_bytes") > 1 << 20
    # Every layer of the self-test says whether it is there.
    layers = dict(re.findall(r'^postern_worker_layer_missing\{layer="([^"]+)"\} (\d)$', text, re.MULTILINE))
    assert len(layers) > 5 and set(layers.values()) <= {"0", "1"}
    missing = {record["body"]["layer"] for record in served[0].audit("layer_off")}
    assert {layer for layer, is_missing in layers.items() if is_missing == "1"} == missing


def test_a_frozen_session_shows(served: tuple[Perimeter, str, str]) -> None:
    perimeter, address, session = served
    perimeter.command("worker", "freeze", "session", session)
    try:
        assert value(read(address), "postern_worker_sessions_frozen") == 1
    finally:
        perimeter.command("worker", "thaw", "session", session)
    assert value(read(address), "postern_worker_sessions_frozen") == 0


def test_nothing_in_it_tells_who_or_where(served: tuple[Perimeter, str, str]) -> None:
    perimeter, address, session = served
    text = read(address)
    for told in (session, "sesn_", "sevt_", "work_", perimeter.place.environment, perimeter.place.key, "denied.example", "allowed.example",
                 "mister.x", str(perimeter.folder), "curl"):
        assert told not in text


def test_the_page_names_every_series(served: tuple[Perimeter, str, str]) -> None:
    series = set(re.findall(r"^# TYPE (\S+) ", read(served[1]), re.MULTILINE))
    named = set(re.findall(r"`((?:postern|process)_[a-z_]+)`", PAGE.read_text(encoding="utf-8").partition("## Of a worker")[2].partition("\n## ")[0]))
    assert len(series) > 25 and series == named


def test_nothing_else_is_there(served: tuple[Perimeter, str, str]) -> None:
    address = served[1]
    for path, method, status in (("/../", "GET", 404), ("/healthz", "GET", 404), ("", "POST", 405), ("", "DELETE", 405)):
        request = urllib.request.Request(address.removesuffix("/metrics" if path else "") + path, method=method)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        assert refused.value.code == status


def test_a_sandbox_does_not_reach_it(served: tuple[Perimeter, str, str]) -> None:
    perimeter, address, session = served
    direct = perimeter.shell(session, f"curl -sS --noproxy '*' --max-time 5 {address}")
    assert direct.failed and "postern_worker" not in direct.text
    proxied = perimeter.shell(session, f"curl -sS --noproxy '' --max-time 5 {address}")
    assert "postern_worker_sessions" not in proxied.text


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:9464", "[::]:0", "example.com:9464", "9464", "metrics.sock"])
def test_it_is_refused_beyond_loopback(served: tuple[Perimeter, str, str], address: str) -> None:
    told = served[0].command(
        "worker", "poll", "--environment-id", "env_1", "--metrics-listen", address, status=78).stderr
    assert "metrics_listen" in told and "127.0.0.1:" in told and "unix socket" in told


def test_a_unix_socket(perimeters: Callable[..., Perimeter]) -> None:
    perimeter = perimeters()
    path = perimeter.make("run") / "metrics.sock"
    # A worker that was root makes its socket as the user that it goes on as.
    owner = 230_000 if os.geteuid() == 0 else os.geteuid()
    os.chown(path.parent, owner, owner)
    # What a killed worker has left is replaced.
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    os.chown(path, owner, owner)
    process = perimeter.start("--metrics-listen", str(path))
    process.wait_for("metrics are served")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200") and b"\npostern_worker_sessions 0\n" in answer
    process.stop(seconds=20)
    assert not path.exists()


def test_what_is_no_socket_is_left_alone(perimeters: Callable[..., Perimeter]) -> None:
    perimeter = perimeters()
    path = perimeter.make("run") / "precious"
    path.write_text("keep")
    with pytest.raises(Exception, match="no socket"):
        perimeter.start("--metrics-listen", str(path))
    assert path.read_text() == "keep"
