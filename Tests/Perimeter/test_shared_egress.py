"""`egress: shared`: one proxy process for several sessions, which stay strictly apart in it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import BOTH_USERS
from measures import measured
from perimeter import Perimeter
from web import Web

TOKEN = "tok_0123456789abcdef0123456789abcdef"


def until_proxies(perimeter: Perimeter, count: int) -> list[int]:
    deadline = time.monotonic() + 30
    while len(found := perimeter.proxies()) != count:
        assert time.monotonic() < deadline, f"{len(found)} proxies instead of {count}"
        time.sleep(0.05)
    return found


def policy(perimeter: Perimeter, web: Web, *, egress: str = "shared", **more: Any) -> None:
    perimeter.policy(
        network={
            "egress": egress, "rules": [{"id": "echo", "hosts": web.host}], "addresses": "127.0.0.0/8", "upstream": {"ca_file": str(web.ca_file)},
        }, **more)


def curl(url: str, *options: str) -> str:
    return f"curl --silent --show-error --noproxy '' --max-time 20 {' '.join(options)} {url}"


STATUS = "--output /dev/null --write-out '%{http_code}\\n'"


@BOTH_USERS
def test_what_is_one_sessions_is_of_no_use_in_another(perimeter: Perimeter, web: Web) -> None:
    policy(
        perimeter, web, secrets={"token": {"from": {"variable": "REAL_TOKEN"}, "hosts": web.host, "variable": "SERVICE_TOKEN"}},
        budgets={"egress": {"session": "20KiB"}})
    perimeter.start("--max-idle", "0", REAL_TOKEN=TOKEN)
    one, two = perimeter.session(), perimeter.session()

    def shown(session: str) -> list[str]:
        """The session's proxy, with its token, and its placeholder: in a file, since the gate would mask them."""
        perimeter.shell(session, "(echo $https_proxy; echo $SERVICE_TOKEN) >shown; cp $SSL_CERT_FILE authority.pem; chmod 644 shown authority.pem")
        return (perimeter.workspace(session) / "shown").read_text().split()

    (proxy_one, placeholder_one), (proxy_two, placeholder_two) = shown(one), shown(two)
    assert len(until_proxies(perimeter, 1)) == 1
    assert proxy_one != proxy_two and placeholder_one != placeholder_two
    echo = f"{web.url}/echo"
    for session in (one, two):
        assert perimeter.shell(session, curl(echo, STATUS)).text.strip() == "200"

    # The token: the listener is the session's own, and takes its token only.
    stolen = perimeter.shell(two, curl(echo, "--proxy", proxy_one, "--output /dev/null --write-out '%{http_connect}\\n'"))
    assert "407" in stolen.text
    # The placeholder: no secret is put in its place, here or in a place that is its own at home.
    web.seen.clear()
    perimeter.shell(two, curl(echo, f"--header 'Authorization: Bearer {placeholder_one}'"))
    assert web.seen and web.seen[-1].headers["authorization"] == f"Bearer {placeholder_one}" and TOKEN not in web.seen[-1].text
    perimeter.shell(two, curl(echo, f"--header 'Authorization: Bearer {placeholder_two}'"))
    assert web.seen[-1].headers["authorization"] == f"Bearer {TOKEN}"
    # The authority: what one trusts says nothing in the other.
    (perimeter.workspace(two) / "other.pem").write_bytes((perimeter.workspace(one) / "authority.pem").read_bytes())
    (perimeter.workspace(two) / "other.pem").chmod(0o644)
    assert perimeter.shell(two, curl(echo, STATUS, "--cacert other.pem") + "; echo exit $?").text.split()[-2:] == ["exit", "60"]
    # The budget: one has used its own up.
    big = curl(echo, STATUS, "--data", "x" * 15_000)
    assert [perimeter.shell(one, big).text[:3] for _ in range(2)] == ["200", "403"]
    assert perimeter.shell(two, big).text[:3] == "200"
    # Each has its own records.
    for session in (one, two):
        assert {r["session"] for r in perimeter.audit("egress_intent", session)} == {session}
    assert perimeter.audit("secret_use", two) and not perimeter.audit("secret_use", one)


def test_the_end_of_one_session_leaves_the_others(perimeter: Perimeter, web: Web) -> None:
    policy(perimeter, web)
    perimeter.start("--max-idle", "0")
    one, two = perimeter.session(), perimeter.session()
    for session in (one, two):
        assert perimeter.shell(session, curl(f"{web.url}/echo", STATUS)).text.strip() == "200"
    (process,) = until_proxies(perimeter, 1)
    stream = web.stream("shared")
    with perimeter.control.watch(two) as events:
        perimeter.control.say(two, f"$ timeout 10 {curl(f'{web.url}/ticks/shared')} | wc -c")
        assert stream.begun.wait(20)
        perimeter.control.call("DELETE", f"/v1/sessions/{one}")
        assert perimeter.worker is not None
        perimeter.worker.wait_for(f"the session is over.*{one}", seconds=30)
        assert not stream.broken.is_set()
        del events
    assert perimeter.proxies() == [process]


def test_a_broken_process_ends_its_sessions_and_the_next_has_another(perimeter: Perimeter, web: Web) -> None:
    policy(perimeter, web)
    perimeter.start("--max-idle", "0")
    sessions = [perimeter.session() for _ in range(2)]
    for session in sessions:
        assert perimeter.shell(session, curl(f"{web.url}/echo", STATUS)).text.strip() == "200"
    (process,) = until_proxies(perimeter, 1)
    os.kill(process, signal.SIGKILL)
    assert perimeter.worker is not None
    for session in sessions:
        perimeter.worker.wait_for(f"released: the egress proxy has ended.*{session}", seconds=30)
    # Taken up again, they work, in one process that is another.
    for session in sessions:
        assert perimeter.shell(session, curl(f"{web.url}/echo", STATUS)).text.strip() == "200"
    assert until_proxies(perimeter, 1) != [process]


def test_memory_of_twenty_sessions(perimeter: Perimeter, web: Web) -> None:
    """What sharing is for: less than a third of what processes of their own take."""
    totals: dict[str, int] = {}
    for egress in ("per_session", "shared"):
        policy(perimeter, web, egress=egress)
        perimeter.start("--max-idle", "0")
        sessions = [perimeter.session() for _ in range(20)]
        for session in sessions:
            assert perimeter.shell(session, curl(f"{web.url}/echo", STATUS)).text.strip() == "200"
        pids = until_proxies(perimeter, 1 if egress == "shared" else 20)
        lines = [line for pid in pids for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
        totals[egress] = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        measured(f"memory of 20 sessions' egress, {egress}: {len(pids)} processes, {totals[egress] / 1024:.1f} MiB PSS")
        assert perimeter.worker is not None
        perimeter.worker.stop(seconds=30)
        for session in sessions:
            perimeter.control.call("DELETE", f"/v1/sessions/{session}")
    assert 3 * totals["shared"] < totals["per_session"]
