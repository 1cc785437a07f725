"""How long a new session waits until a worker has claimed it."""

from __future__ import annotations

import random
import time

from control import Control, Place, at_rest, text_event
from rows import Row
from scene import Scene, seconds_between


#: Seconds over which creations are spread: the official worker's rhythm, so that none of its phases is favoured.
RHYTHM = 3.0


def waits(control: Control, place: Place, count: int) -> list[float]:
    """Milliseconds from each session's creation to the acknowledgement of its work item."""
    source = random.Random(1)
    found = []
    for _ in range(count):
        time.sleep(source.uniform(0, RHYTHM))
        session = control.session(place, initial_events=[text_event("$ true")])
        with control.watch(session, last_event_id="0") as stream:
            stream.until(at_rest)
        made = control.call("GET", f"/v1/sessions/{session}")["created_at"]
        item = control.call("GET", f"/v1/environments/{place.environment}/work/{session}")
        found.append(1000 * seconds_between(made, item["acknowledged_at"]))
    return found


def measure(scene: Scene) -> list[Row]:
    own_place, peer_place = scene.control.place(), scene.control.place()
    own = scene.own_worker(own_place, "--max-sessions", "64")
    ours = waits(scene.control, own_place, scene.count(20, 6))
    own.stop()
    peer = scene.official_worker(peer_place)
    theirs = waits(scene.control, peer_place, scene.count(20, 6))
    peer.stop()
    return [Row("session created → claimed", "ms", ours, "official worker", theirs, floor=20, aim=50)]
