"""What takes something of a tunnel back ends what runs, within moments, with every process as its operator starts it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_tunnel import by_certificate, until
from tunnel import Tunnel


@pytest.fixture
def place() -> Iterator[Tunnel]:
    """One of its own: it is taken apart. Its connector looks at the log once a minute, by itself."""
    with Tunnel() as started:
        yield started


def hold(place: Tunnel, laptop: Path) -> subprocess.Popen[bytes]:
    """A call that runs."""
    before = place.upstream.asked.count("GET /hold")
    process = place.start_curl(laptop, *by_certificate(laptop), path="/hold")
    until(lambda: place.upstream.asked.count("GET /hold") > before)
    return process


def test_archiving_an_authority_and_revoking_keys_cut_what_runs(place: Tunnel) -> None:
    laptop = place.certificate("laptop", "laptop", "docs")
    place.connector.wait_for("watches the tunnel's registrations")
    # A rotated token takes nothing from who is enrolled.
    running = hold(place, laptop)
    place.command("tunnels", "rotate-token", place.id, "--output", str(place.folder / "token"))
    place.upstream.release.set()
    assert running.wait(30) == 0
    place.upstream.release.clear()
    running = hold(place, laptop)
    [certificate] = place.control.call("GET", f"/v1/tunnels/{place.id}/certificates")["data"]
    start = time.monotonic()
    place.control.call("POST", f"/v1/tunnels/{place.id}/certificates/{certificate['id']}/archive")
    assert running.wait(30) != 0
    print(f"archiving an authority has cut its call after {time.monotonic() - start:.3f} s")
    place.connector.wait_for("calls were cut: the authority")
    refused = place.curl(laptop, *by_certificate(laptop), "--insecure", connects=True)
    assert "authority_archived" in refused.stdout, refused
    told = place.command("tunnels", "rotate-token", place.id, "--revoke-keys", "--output", str(place.folder / "token"))
    assert "Revoked 1 connector key" in told
    # Its key counts no more, and the token that it has enrols none.
    place.connector.wait_for("token_rotated")
