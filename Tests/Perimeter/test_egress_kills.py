"""The worker, its spawner and the egress proxy are killed with SIGKILL at random moments while programs send requests: nothing has reached the
service whose intent is not in the audit, and what became of each is settled."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from conftest import BOTH_USERS
from control import at_rest
from measures import measured
from perimeter import Perimeter
from processes import descendants
from test_policy import get, network
from web import Web

pytestmark = BOTH_USERS

#: Kills, and more turns of 40 requests each than they take.
KILLS, TURNS = (16, 200) if os.environ.get("POSTERN_FULL") else (5, 100)
#: A session whose proxy was killed is given back and served again later and later.
MOST_PROXIES = 2


def arrived(web: Web, mark: str) -> int:
    """Requests that have reached the service, whole or not."""
    return sum(mark in seen.path for seen in [*web.seen, *web.cut])


def wait_for_more(web: Web, mark: str, count: int, *, seconds: float = 60) -> bool:
    """Nothing tells of a request but the service's own list."""
    before, deadline = arrived(web, mark), time.monotonic() + seconds
    while arrived(web, mark) < before + count:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def spawner(perimeter: Perimeter) -> int:
    assert perimeter.worker is not None
    return next(pid for pid in descendants(perimeter.worker.pid) if b"spawner" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))


def test_no_request_without_its_intent(perimeter: Perimeter, web: Web) -> None:
    perimeter.policy(network=network(web))
    perimeter.start()
    session = perimeter.session()
    source = random.Random(seed := int(time.time()))
    print(f"seed {seed}")
    mark = f"?of={session}"
    requests = f"for i in $(seq 40); do {get(web, f'/echo{mark}.$i')}; done".replace(f"{web.url}/echo{mark}.$i", f'"{web.url}/echo{mark}.$i"')
    killed = {"worker": 0, "spawner": 0, "proxy": 0}
    with perimeter.control.watch(session) as events:
        events.patience = 150
        perimeter.control.say(session, "\n\n".join([f"$ {requests}"] * TURNS))
        for _ in range(KILLS):
            assert wait_for_more(web, mark, source.randint(1, 30)), "no request arrives any more"
            time.sleep(source.uniform(0, 0.02))
            victim = source.choice(("worker", "worker", "spawner", "proxy") if killed["proxy"] < MOST_PROXIES else ("worker", "spawner"))
            killed[victim] += 1
            assert perimeter.worker is not None
            if victim == "proxy":
                for process in perimeter.proxies():
                    os.kill(process, signal.SIGKILL)
                continue
            if victim == "spawner":
                os.kill(spawner(perimeter), signal.SIGKILL)
            # Without its spawner a worker ends; how it does that is not waited for here.
            perimeter.worker.kill_alone()
            perimeter.start()
        # Whatever is under way then is cut short too.
        perimeter.control.send(session, {"type": "user.interrupt"})
        events.until(at_rest)
    assert perimeter.worker is not None
    perimeter.worker.stop(seconds=20)
    intents = perimeter.audit("egress_intent", session)
    effects = arrived(web, mark)
    measured(f"audit: {killed} killed, {effects} requests arrived, {len(intents)} intents, {max(0, effects - len(intents))} requests without one")
    assert 0 < effects <= len(intents)
    report = perimeter.json("audit", "verify")
    assert report["good"] and report["open_intents"] == 0
