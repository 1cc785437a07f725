"""From the append of an event to its receipt, with many subscribers to one session."""

from __future__ import annotations

import selectors
import socket
import time

from control import text_event, unique
from raw_http import RawConnection
from rows import Row
from scene import Scene


def receipts(streams: list[socket.socket], marker: bytes, began: float) -> list[float]:
    """Milliseconds until each stream has shown the marker."""
    found: list[float] = []
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ, bytearray())
        waiting = len(streams)
        while waiting:
            ready = selector.select(10)
            if not ready:
                raise RuntimeError(f"{waiting} subscribers did not get the event within 10 s")
            for key, _ in ready:
                key.data.extend(key.fileobj.recv(65536))  # type: ignore[union-attr]
                if marker in key.data:
                    found.append(1000 * (time.perf_counter() - began))
                    selector.unregister(key.fileobj)
                    waiting -= 1
    return found


def measure(scene: Scene) -> list[Row]:
    return [measure_with(scene, count) for count in (50, 1000)]


def measure_with(scene: Scene, subscribers: int) -> Row:
    control = scene.control
    # The model is at work all the while: an append is the only thing that happens.
    session = control.session(control.place(), initial_events=[text_event("!sleep 600000")])
    connections = [RawConnection(scene.postern.url, control.key) for _ in range(subscribers)]
    name = f"append → receipt, {subscribers} subscribers"
    try:
        streams = [c.open_stream(f"/v1/sessions/{session}/events/stream") for c in connections]
    except RuntimeError as error:
        return Row(name, note=f"not available: {error}"[:120])
    found: list[float] = []
    sender = RawConnection(scene.postern.url, control.key)
    for _ in range(scene.count(20, 5)):
        marker = unique("marker-of-the-append")
        request = sender.prepared("POST", f"/v1/sessions/{session}/events", {"events": [text_event(marker + ".")]})
        began = time.perf_counter()
        sender.send(request)
        found += receipts(streams, marker.encode() + b".", began)
    for connection in [*connections, sender]:
        connection.close()
    return Row(name, "ms", found, note="one Python process reads them all")
