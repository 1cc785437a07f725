"""Calls through a tunnel on loopback: kept and new connections, bulk, both beside each other; against direct TLS and `ssh -tt -R`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rows import Row, number, quantile
from scene import Scene
from tunnel_scene import Found, TunnelScene, Way

#: Added to a call on a kept connection, microseconds: floor and aim.
ADDED_FLOOR, ADDED_AIM = 300.0, 150.0

#: What each way is measured by: a name, the load's mode and its arguments, and the threads of the load.
Case = tuple[str, str, Sequence[str], int]


@dataclass
class Rounds:
    """What was found, by case and way, a value for each round."""
    found: dict[str, dict[str, list[Found]]]

    def all(self, case: str, way: str, key: str) -> list[float]:
        values: list[float] = []
        for one in self.found[case].get(way, []):
            values += one[key] if isinstance(one[key], list) else [float(one[key])]
        return values

    def rate(self, case: str, way: str) -> list[float]:
        return [one["calls"] / one["seconds"] for one in self.found[case].get(way, [])]

    def median(self, case: str, way: str, key: str) -> float:
        return quantile(self.all(case, way, key), 0.5) or 0


def rounds(stage: TunnelScene, ways: list[Way], cases: list[Case], count: int) -> Rounds:
    """Each case by each way, and that several times: what else the machine does meets all alike."""
    found: dict[str, dict[str, list[Found]]] = {name: {} for name, *_ in cases}
    for turn in range(count):
        for name, mode, arguments, threads in cases:
            # Another one is the first each time.
            for way in ways[turn % len(ways):] + ways[:turn % len(ways)]:
                found[name].setdefault(way.name, []).append(stage.load(way, mode, *arguments, threads=threads))
    return Rounds(found)


def spread(taken: Rounds, case: str, way: str) -> str:
    return "p50/p90/p99 " + "/".join(number(taken.median(case, way, key) / 1000) for key in ("p50_us", "p90_us", "p99_us")) + " ms"


def call_rows(taken: Rounds, title: str, case: str, own: str, peer: str, *, floor: float | None = None, aim: float | None = None) -> list[Row]:
    """Latency and rate of one way beside another's."""
    def times(way: str) -> list[float]:
        return [value / 1000 for value in taken.all(case, way, "p50_us")]
    cpu = taken.median(case, own, "cpu_us"), taken.median(case, peer, "cpu_us")
    told = f"CPU in between, for a call: {cpu[0]:,.0f} µs" + (f", {peer} {cpu[1]:,.0f} µs" if cpu[1] else "")
    return [
        Row(f"{title}, {own}: p50", "ms", times(own), peer, times(peer), sense="cost",
            note=f"{spread(taken, case, own)}; {peer} {spread(taken, case, peer)}"),
        Row(f"{title}, {own}: calls a second", "/s", taken.rate(case, own), peer, taken.rate(case, peer), sense="rate", floor=floor, aim=aim, note=told),
    ]


def bulk_row(taken: Rounds, title: str, case: str, own: str, peer: str, *, floor: float | None = None, aim: float | None = None) -> Row:
    cpu = taken.median(case, own, "cpu_us") / 1000, taken.median(case, peer, "cpu_us") / 1000
    return Row(f"{title}, {own}", "MiB/s", taken.all(case, own, "mib_per_second"), peer, taken.all(case, peer, "mib_per_second"), sense="rate",
               floor=floor, aim=aim, note=f"CPU in between: {cpu[0]:.0f} ms" + (f", {peer} {cpu[1]:.0f} ms" if cpu[1] else ""))


def added_row(taken: Rounds, case: str, own: str) -> Row:
    pairs = zip(taken.all(case, own, "p50_us"), taken.all(case, "direct TLS", "p50_us"))
    return Row(f"call on a kept connection, c = 1, {own}: added to direct TLS", "µs", [mine - bare for mine, bare in pairs], f"{ADDED_FLOOR:.0f} µs",
               [ADDED_FLOOR], sense="cost", floor=1, aim=ADDED_AIM / ADDED_FLOOR)


def measure(scene: Scene) -> list[Row]:
    with TunnelScene(scene) as stage:
        plain, audited = stage.tunnel("plain"), stage.tunnel("audited", audit=True)
        stage.upstream(plain)
        splice = stage.postern_path("Postern", plain)
        connect = stage.postern_path("Postern by CONNECT", plain, connects=True)
        recorded = stage.postern_path("Postern with audit", audited)
        direct, ssh = stage.direct(plain), stage.ssh(plain)
        ways = [direct, ssh, splice, connect, recorded]
        time = "0.8" if not scene.quick else "0.4"
        taken = rounds(stage, ways, [
            ("one", "kept", ["-c", "1", "-t", time], 1),
            ("many", "kept", ["-c", "32", "-t", time], 1),
            ("fresh", "fresh", ["-c", "8", "-t", time], 1),
            ("bulk", "bulk", ["-n", "1"], 1),
        ], scene.count(4, 2))
        # The bulk transfer takes what the calls leave, whoever records them.
        beside = rounds(stage, [direct, ssh, splice], [("beside", "beside", ["-t", "1"], 2)], scene.count(3, 2))
    own = [splice.name, connect.name, recorded.name]
    rows = [added_row(taken, "one", name) for name in own]
    for case, title, floor in (
            ("one", "call on a kept connection, c = 1", None), ("many", "call on a kept connection, c = 32", 0.7),
            ("fresh", "call on a new connection, c = 8", 1.0)):
        for name in own:
            rows += call_rows(taken, title, case, name, "ssh -tt -R", floor=floor, aim=1.0 if floor else None)
        rows += call_rows(taken, title, case, splice.name, "direct TLS")
    for name in own:
        rows.append(bulk_row(taken, "64 MiB download", "bulk", name, "ssh -tt -R", floor=0.7, aim=1.0))
    rows.append(bulk_row(taken, "64 MiB download", "bulk", splice.name, "direct TLS"))
    for peer in ("ssh -tt -R", "direct TLS"):
        rows += call_rows(beside, "call beside a bulk transfer", "beside", splice.name, peer)[:1]
        rows.append(bulk_row(beside, "the bulk transfer beside calls", "beside", splice.name, peer))
    rows[-1].note = f"load: {taken.found['one']['direct TLS'][0]['cipher']}"
    return rows
