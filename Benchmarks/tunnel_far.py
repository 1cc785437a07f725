"""The same with 40 ms of round trip on the leg, on the SSH connection and on the direct one."""

from __future__ import annotations

from rows import Row
from scene import Scene
from tunnel_calls import bulk_row, call_rows, rounds
from tunnel_scene import TunnelScene

#: One way.
DELAY = 20


def measure(scene: Scene) -> list[Row]:
    with TunnelScene(scene) as stage:
        far = stage.tunnel("far", edge_port=stage.relay(stage.edge_port, DELAY))
        stage.upstream(far)
        splice = stage.postern_path("Postern", far)
        ways = [
            stage.direct(far, stage.relay(stage.tls_port, DELAY)), stage.ssh(far, through=lambda port: stage.relay(port, DELAY)), splice]
        time = "1.2" if not scene.quick else "0.6"
        taken = rounds(stage, ways, [
            ("one", "kept", ["-c", "1", "-t", time], 1),
            ("many", "kept", ["-c", "32", "-t", time], 1),
            ("fresh", "fresh", ["-c", "8", "-t", time], 1),
            # A window grows with the first of them.
            ("bulk", "bulk", ["-n", "2"], 1),
        ], scene.count(3, 2))
    rows: list[Row] = []
    for case, title in (
            ("one", "40 ms: call on a kept connection, c = 1"), ("many", "40 ms: call on a kept connection, c = 32"),
            ("fresh", "40 ms: call on a new connection, c = 8")):
        for peer in ("ssh -tt -R", "direct TLS"):
            floor = 1.0 if peer == "ssh -tt -R" else None
            rows += call_rows(taken, title, case, splice.name, peer, floor=floor)
    for peer in ("ssh -tt -R", "direct TLS"):
        rows.append(bulk_row(taken, "40 ms: 64 MiB download", "bulk", splice.name, peer, floor=1.0 if peer == "ssh -tt -R" else None))
    return rows
