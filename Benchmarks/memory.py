"""Memory: the idle server, and what each idle session, open stream and warm sandbox adds."""

from __future__ import annotations

from raw_http import RawConnection
from rows import Row
from scene import Scene, descendants, resident_kilobytes


def row(name: str, before: tuple[int, int], after: tuple[int, int], count: int, note: str = "") -> Row:
    return Row(name, "KiB PSS", [max(0.0, (after[1] - before[1]) / count)], note=f"{(after[0] - before[0]) / count:.1f} KiB RSS; {note}".rstrip("; "))


def measure_server(scene: Scene) -> list[Row]:
    control, pid = scene.control, scene.server.pid
    place = control.place()
    control.turn(control.session(place), "warm up")
    idle = resident_kilobytes(pid)
    count = scene.count(1000, 200)
    sessions = [control.session(place) for _ in range(count)]
    with_sessions = resident_kilobytes(pid)
    connections = [RawConnection(scene.postern.url, control.key) for _ in range(count)]
    for connection, session in zip(connections, sessions):
        connection.open_stream(f"/v1/sessions/{session}/events/stream")
    with_streams = resident_kilobytes(pid)
    for connection in connections:
        connection.close()
    return [
        Row("idle server", "KiB PSS", [idle[1]], note=f"{idle[0]} KiB RSS"),
        row("idle session", idle, with_sessions, count, f"mean of {count}"),
        row("open stream, its connection included", with_sessions, with_streams, count, f"mean of {count}"),
    ]


def measure_sandboxes(scene: Scene) -> list[Row]:
    control, place = scene.control, scene.control.place()
    count = scene.count(20, 5)
    worker = scene.own_worker(place, "--max-sessions", str(count), "--max-idle", "600")
    control.turn(control.session(place), "$ true")
    def total() -> tuple[int, int]:
        sizes = []
        for pid in descendants(worker.pid):
            try:
                sizes.append(resident_kilobytes(pid))
            except (OSError, PermissionError):
                continue
        return sum(r for r, _ in sizes), sum(p for _, p in sizes)
    before = total()
    for _ in range(count - 1):
        control.turn(control.session(place), "$ true")
    return [row("warm sandbox, all its processes", before, total(), count - 1, f"mean of {count - 1}")]
