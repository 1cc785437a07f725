"""Durable requests over HTTP: event append and session create, one at a time and many at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from control import text_event, unique
from raw_http import RawConnection
from rows import Row
from scene import Scene


def latencies(connection: RawConnection, requests: list[bytes], count: int) -> list[float]:
    found = []
    for number in range(count):
        request = requests[number % len(requests)]
        began = time.perf_counter()
        connection.send(request)
        found.append(1000 * (time.perf_counter() - began))
    return found


def rate(connections: list[RawConnection], request: Callable[[int], bytes], each: int) -> float:
    """Requests per second when every connection sends its own, one after the other."""
    barrier = threading.Barrier(len(connections) + 1)

    def work(number: int) -> None:
        mine = request(number)
        barrier.wait()
        for _ in range(each):
            connections[number].send(mine)
        barrier.wait()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(connections))]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    barrier.wait()
    taken = time.perf_counter() - began
    for thread in threads:
        thread.join()
    return len(connections) * each / taken


def measure_appends(scene: Scene) -> list[Row]:
    """Messages are appended to sessions whose model is at work, so that an append is a row in the log and nothing else."""
    writers = 64
    place = scene.control.place()
    sessions = [scene.control.session(place, initial_events=[text_event("!sleep 600000")]) for _ in range(writers)]
    connections = [RawConnection(scene.postern.url, scene.control.key) for _ in range(writers)]

    def request(number: int) -> bytes:
        return connections[number].prepared("POST", f"/v1/sessions/{sessions[number]}/events", {"events": [text_event("append")]})

    # A session lets a thousand events wait, so one writer goes round them all.
    one = latencies(connections[0], [request(n) for n in range(writers)], scene.count(2000, 200))
    together = rate(connections, request, scene.count(100, 20))
    return [
        Row("event append over HTTP, one writer", "ms", one),
        Row("event appends, one writer", "/s", [1000 / (sum(one) / len(one))]),
        Row("event appends, 64 writers", "/s", [together], note="client in Python on the same cores"),
    ]


def measure_creates(scene: Scene) -> list[Row]:
    place = scene.control.place()
    connections = [RawConnection(scene.postern.url, scene.control.key) for _ in range(16)]

    def request(number: int) -> bytes:
        return connections[number].prepared(
            "POST", "/v1/sessions", {"agent": place.agent, "environment_id": place.environment, "title": unique("session")})

    one = latencies(connections[0], [request(0)], scene.count(300, 60))
    together = rate(connections, request, scene.count(60, 10))
    return [Row("session create", "ms", one), Row("session creates, 16 clients", "/s", [together])]
