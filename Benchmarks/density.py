"""Memory of many warm sandboxes, and of the egress proxies of sessions that do nothing."""

from __future__ import annotations

import time
from pathlib import Path

from control import Place
from egress import write_policy
from processes import ChildProcess
from rows import Row
from scene import Scene, descendants, resident_kilobytes
from web_server import WebServer


def arguments_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")


def sizes(worker: ChildProcess) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Resident and proportional KiB of each process of the sandboxes, and of each egress proxy."""
    sandboxes, proxies = [], []
    for pid in descendants(worker.pid):
        try:
            size, arguments = resident_kilobytes(pid), arguments_of(pid)
        except OSError:
            continue
        (proxies if arguments[1:2] == ["egress"] else sandboxes).append(size)
    return sandboxes, proxies


def warm(scene: Scene, place: Place, count: int) -> None:
    """So many sessions that have made a call each."""
    for _ in range(count):
        scene.control.turn(scene.control.session(place), "$ true")


def measure_sandboxes(scene: Scene) -> list[Row]:
    count = scene.count(200, 20)
    place = scene.control.place()
    worker = scene.own_worker(place, "--max-sessions", str(count), "--max-idle", "600")
    warm(scene, place, count)
    found, proxies = sizes(worker)
    total = sum(pss for _, pss in found)
    _, own = resident_kilobytes(worker.pid)
    return [
        Row(f"{count} warm sandboxes, all their processes", "MiB PSS", [total / 1024],
            note=f"{total / count:,.0f} KiB each, {len(found) / count:.1f} processes each; {len(proxies)} egress proxies"),
        Row(f"their worker, with {count} sessions", "MiB PSS", [own / 1024]),
    ]


def measure_networked_sandboxes(scene: Scene) -> list[Row]:
    """The same under a network policy, with one proxy process for all of them."""
    count = scene.count(200, 20)
    folder = scene.postern.folder
    web = WebServer(folder / "web")
    try:
        policy = write_policy(folder, web, read=[], egress="shared")
        place = scene.control.place()
        worker = scene.own_worker(place, "--max-sessions", str(count), "--max-idle", "600", "--policy", str(policy))
        # Each has been through the proxy once.
        call = f"$ curl --silent --noproxy '' --output /dev/null --write-out '%{{http_code}}' {web.url('https')}/small"
        for _ in range(count):
            events = scene.control.turn(scene.control.session(place), call)
            if not any("200" in str(event.get("content")) for event in events if event["type"] == "user.tool_result"):
                raise RuntimeError("a session did not reach the server through its proxy")
        found, proxies = sizes(worker)
        if len(proxies) != 1:
            return [Row(f"{count} warm sandboxes with network", note=f"{len(proxies)} proxy processes instead of one")]
        total = sum(pss for _, pss in found)
        rss, own = proxies[0]
        _, working = resident_kilobytes(worker.pid)
        return [
            Row(f"{count} warm sandboxes with network, all their processes", "MiB PSS", [total / 1024], note=f"{total / count:,.0f} KiB each"),
            Row(f"their one shared egress proxy, {count} sessions", "MiB PSS", [own / 1024],
                note=f"{own / count:,.0f} KiB each; {rss / 1024:,.0f} MiB RSS"),
            Row(f"their worker, with {count} sessions with network", "MiB PSS", [working / 1024]),
        ]
    finally:
        web.stop()


def measure_proxies(scene: Scene) -> list[Row]:
    count = scene.count(20, 4)
    folder = scene.postern.folder
    folder.chmod(0o711)
    web = WebServer(folder / "web")
    try:
        policy = write_policy(folder, web, read=[])
        place = scene.control.place()
        worker = scene.own_worker(place, "--max-sessions", str(count), "--max-idle", "600", "--policy", str(policy))
        warm(scene, place, count)
        _, proxies = sizes(worker)
        if not proxies:
            return [Row("idle egress proxy", note="no proxy process was found")]
        resident = sorted(rss for rss, _ in proxies)[len(proxies) // 2]
        return [Row(f"idle egress proxy, one of {len(proxies)}", "KiB PSS", [float(pss) for _, pss in proxies], note=f"{resident:,} KiB RSS")]
    finally:
        web.stop()


def measure_session_start(scene: Scene) -> list[Row]:
    """What a network policy adds to a new session's first call: a proxy process, its authority, its listeners."""
    folder = scene.postern.folder
    folder.chmod(0o711)
    web = WebServer(folder / "web")
    try:
        policy = write_policy(folder, web, read=[])
        bare, networked = scene.control.place(), scene.control.place()
        workers = [scene.own_worker(bare, "--max-sessions", "100")]
        workers.append(scene.postern.worker(
            networked.environment, networked.key, "--max-sessions", "100", "--policy", str(policy), name="networked-worker",
            workdir=folder / "networked-work"))
        found: dict[str, list[float]] = {bare.environment: [], networked.environment: []}
        for number in range(scene.count(30, 5) + 1):
            for place in (bare, networked):
                began = time.perf_counter()
                session = scene.control.session(place)
                scene.control.turn(session, "$ true")
                if number:
                    found[place.environment].append(1000 * (time.perf_counter() - began))
        return [Row(
            "new session with one call, under a network policy", "ms", found[networked.environment], "without network", found[bare.environment],
            sense="cost", note="with a proxy process of its own")]
    finally:
        web.stop()
