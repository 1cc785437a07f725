"""The egress proxy as a process: what it is held to from outside, that it may die, and that its budgets outlive it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import BOTH_USERS
from control import at_rest
from perimeter import Perimeter
from test_policy import get, network
from web import Web

pytestmark = BOTH_USERS


def post(web: Web, size: int) -> str:
    return f"head -c {size} /dev/zero | tr '\\0' x >body; {get(web, '/echo', '--data-binary', '@body')}"


def test_what_the_kernel_holds_it_to(perimeter: Perimeter, web: Web) -> None:
    perimeter.policy(network=network(web))
    perimeter.start()
    assert perimeter.shell(perimeter.session(), get(web)).text == "200"
    [process] = perimeter.proxies()
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2" and 0 not in map(int, status["Uid"].split())
    limits = Path(f"/proc/{process}/limits").read_text()
    [memory] = [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max data size")]
    # Room for 256 connections at their worst, and for the stacks of threads; nothing that would hurt the machine.
    assert memory[0] == memory[1] and 1 << 30 <= int(memory[0]) <= (1 << 30) + (os.cpu_count() or 1) * (16 << 20)
    assert perimeter.worker is not None and "no Landlock" not in perimeter.worker.log.read_text()


def test_it_outlives_a_pause(perimeter: Perimeter, web: Web) -> None:
    """A machine that was suspended, or has no time for it: all that was due meanwhile is due at once."""
    perimeter.policy(network=network(web))
    perimeter.start()
    session = perimeter.session()
    assert perimeter.shell(session, get(web)).text == "200"
    [process] = perimeter.proxies()
    for _ in range(2):
        os.kill(process, signal.SIGSTOP)
        time.sleep(1.1)
        os.kill(process, signal.SIGCONT)
        assert perimeter.shell(session, get(web)).text == "200"
    assert perimeter.proxies() == [process]


def test_many_connections_at_once_fit_into_its_memory(perimeter: Perimeter, web: Web) -> None:
    perimeter.policy(network=network(web))
    perimeter.start()
    session = perimeter.session()
    many = f"for i in $(seq 5); do {get(web, '/echo', '--data-binary', '@body')}; echo; done"
    command = f"head -c 300000 /dev/zero >body; for j in $(seq 24); do ({many}) >out.$j & done; wait; cat out.* | sort | uniq -c"
    assert perimeter.shell(session, command).text.split() == ["120", "200"]


def test_a_session_that_was_idle_has_no_new_budget(perimeter: Perimeter, web: Web) -> None:
    perimeter.policy(network=network(web), budgets={"egress": {"session": "100KiB", "host": "200KiB"}})
    perimeter.start("--max-idle", "1")
    session = perimeter.session()
    assert perimeter.shell(session, post(web, 60_000)).text == "200"
    [first] = perimeter.proxies()
    perimeter.rest(session)
    refused = perimeter.shell(session, post(web, 60_000)).text
    assert refused.startswith("403") and "session" in refused and "budget" in refused
    assert set(perimeter.proxies()) - {first}
    # What is left of it can still be used, by this session; another one has its own.
    assert perimeter.shell(session, post(web, 10_000)).text.startswith("200")
    assert perimeter.shell(perimeter.session(), post(web, 60_000)).text == "200"


def test_a_worker_that_begins_anew_gives_no_new_budget(perimeter: Perimeter, web: Web) -> None:
    perimeter.policy(network=network(web), budgets={"egress": {"host": "100KiB"}})
    perimeter.start()
    session = perimeter.session()
    assert perimeter.shell(session, post(web, 60_000)).text == "200"
    assert perimeter.worker is not None
    perimeter.worker.stop()
    perimeter.start()
    refused = perimeter.shell(session, post(web, 60_000)).text
    assert refused.startswith("403") and "host" in refused and "budget" in refused
    assert perimeter.shell(session, post(web, 10_000)).text.startswith("200")


def test_killed_in_the_middle_of_a_call(perimeter: Perimeter, web: Web) -> None:
    perimeter.policy(network=network(web), budgets={"egress": {"session": "5MiB"}})
    worker = perimeter.start()
    session = perimeter.session()
    name = f"killed-{perimeter.as_user}"
    stream = web.stream(name)
    upload = f"while echo tick; do sleep 0.01; done | {get(web, f'/upload/{name}', '--upload-file', '-')}"
    with perimeter.control.watch(session) as events:
        perimeter.control.say(session, f"$ {upload}; {get(web, f'/ticks/{name}-after')}")
        assert stream.begun.wait(20)
        [process] = perimeter.proxies()
        os.kill(process, signal.SIGKILL)
        worker.wait_for(f"the egress proxy has ended.*{session}", seconds=20)
        assert stream.broken.wait(20)
        pieces = stream.pieces
        events.until(at_rest)
    # The model has a result that says so, the audit a record; nothing arrives any more, and nothing of the call got round the proxy.
    result = perimeter.results(session)[-1]
    assert result.failed and result.text
    assert stream.pieces == pieces and f"/ticks/{name}-after" not in web.paths()
    assert process not in perimeter.proxies()
    assert "egress proxy has ended" in perimeter.audit("session_stop", session)[-1]["body"]["reason"]
    intents: list[Any] = perimeter.audit("egress_intent", session)
    assert len(intents) == 1 and not [one for one in perimeter.audit("egress_outcome", session) if one["body"]["id"] == intents[0]["body"]["id"]]
    assert perimeter.json("audit", "verify")["good"]
    # It goes on with a proxy of its own, and with what is left of its budget.
    assert perimeter.shell(session, get(web)).text == "200"
    assert perimeter.proxies() not in ([], [process])
