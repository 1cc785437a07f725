"""`postern serve --with-edge`: the edge as a process of its own beside the control plane, and what it cannot do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from postern_fixture import clean_environment
from processes import descendants
from test_tunnel import by_certificate, until
from tunnel import Tunnel

EDGE_USER = 230_001
is_root = os.geteuid() == 0


@pytest.fixture
def beside() -> Iterator[Tunnel]:
    with Tunnel(with_edge=True) as started:
        yield started


def children(tunnel: Tunnel) -> list[int]:
    """The edge that runs: a child of the server."""
    return [pid for pid in descendants(tunnel.server.pid) if b"edge-process" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def is_alive(pid: int) -> bool:
    try:
        return status(pid)["State"][0] != "Z"
    except OSError:
        return False


def works(tunnel: Tunnel, laptop: Path) -> bool:
    return tunnel.curl(laptop, *by_certificate(laptop), connects=True).returncode == 0


def test_it_is_confined_works_and_comes_back(beside: Tunnel) -> None:
    laptop = beside.certificate("laptop", "laptop", "docs")
    until(lambda: works(beside, laptop))
    metrics = beside.server.wait_for(r"the edge's metrics are served.*(http://127\.0\.0\.1:\d+/metrics)").group(1)
    with urllib.request.urlopen(metrics, timeout=10) as answer:
        told_of_calls = answer.read().decode()
    assert re.search(r'postern_edge_calls_total\{way="connect_certificate"\} [1-9]', told_of_calls), told_of_calls
    [pid] = children(beside)
    told = status(pid)
    assert told["Seccomp"] == "2" and told["NoNewPrivs"] == "1"
    assert Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:2] == [b"postern", b"edge-process"]
    if is_root:
        assert told["Uid"].split() == [str(EDGE_USER)] * 4 and told["Gid"].split() == [str(EDGE_USER)] * 4 and not told["Groups"]
        assert told["CapEff"] == told["CapPrm"] == "0" * 16
        assert Path(f"/proc/{pid}/environ").read_bytes() == b""
        opened = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
        assert not any("data" in name or "memfd" in name or name.endswith((".key", ".pem")) for name in opened), opened
        # Its user cannot even look into the data folder, nor at the process itself, which is not dumpable.
        for path in (beside.folder / "data", Path(f"/proc/{pid}/fd")):
            denied = subprocess.run(
                ["/bin/ls", str(path)], user=EDGE_USER, group=EDGE_USER, extra_groups=[], capture_output=True, text=True, env=clean_environment(),
                cwd="/", timeout=30)
            assert denied.returncode != 0 and "denied" in denied.stderr and not denied.stdout, denied
    # Killed, it is there again, and so are legs and calls.
    for _ in range(2):
        [pid] = children(beside)
        started = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_alive(pid))
        until(lambda: works(beside, laptop))
        assert time.monotonic() - started < 3
    # Signals of the terminal are not its own.
    [pid] = children(beside)
    os.kill(pid, signal.SIGTERM)
    assert works(beside, laptop) and is_alive(pid)


def test_it_outlives_a_pause(beside: Tunnel) -> None:
    """A machine that was suspended, or has no time for it: all that was due meanwhile is due at once."""
    laptop = beside.certificate("laptop", "laptop", "docs")
    until(lambda: works(beside, laptop))
    [pid] = children(beside)
    for _ in range(2):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(1.1)
        os.kill(pid, signal.SIGCONT)
        assert works(beside, laptop)
    assert children(beside) == [pid] and is_alive(pid)


def test_a_killed_server_leaves_no_edge(beside: Tunnel) -> None:
    [pid] = children(beside)
    beside.server.kill_alone()
    until(lambda: not is_alive(pid), seconds=3)


def test_a_server_that_ends_lets_calls_end(beside: Tunnel) -> None:
    laptop = beside.certificate("laptop", "laptop", "docs")
    until(lambda: works(beside, laptop))
    [pid] = children(beside)
    running = beside.start_curl(laptop, *by_certificate(laptop), path="/hold")
    until(lambda: "GET /hold" in beside.upstream.asked)
    os.kill(beside.server.pid, signal.SIGTERM)
    # Nobody is taken any more; what runs goes on.
    until(lambda: beside.curl(laptop, *by_certificate(laptop), connects=True).returncode == 7)
    assert running.poll() is None
    beside.upstream.release.set()
    assert running.wait(10) == 0
    assert beside.server.wait(seconds=15) == 0
    assert not is_alive(pid)


def test_it_says_what_is_missing(beside: Tunnel) -> None:
    base = ["serve", "--listen", "127.0.0.1:0", "--data", str(beside.folder / "other"), "--model-base-url", beside.postern.model_url, "--with-edge"]
    assert "--tunnel-domain" in beside.command(*base, check=False)
    base += ["--tunnel-domain", "tunnel.example.com"]
    assert "--edge-tls-cert" in beside.command(*base, check=False)
    base += ["--edge-tls-cert", str(beside.edge_certificates.leaf), "--edge-tls-key", str(beside.edge_certificates.key)]
    assert re.search(r"edge.user.*workers", beside.command(*base, "--edge-user", "230000", check=False))
    assert "cannot listen" in beside.command(*base, "--edge-listen", f"127.0.0.1:{beside.port}", check=False)


def test_an_edge_of_its_own_is_filtered_too(tunnel: Tunnel) -> None:
    told = status(tunnel.edge.pid)
    assert told["Seccomp"] == "2" and told["NoNewPrivs"] == "1"
