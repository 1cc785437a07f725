"""Memory of legs and streams, and a thousand tunnels on one edge."""

from __future__ import annotations

import subprocess
import time

from memory import row
from postern_fixture import clean_environment
from rows import Row
from scene import DOMAIN, Scene, resident_kilobytes
from tunnel_scene import TunnelScene

#: A connector has at most so many legs.
MOST_LEGS = 16


def measure_streams(scene: Scene) -> list[Row]:
    with TunnelScene(scene) as stage:
        tunnel = stage.tunnel("plain", legs=1)
        stage.upstream(tunnel)
        assert tunnel.connector is not None
        one = resident_kilobytes(tunnel.connector.pid)
        tunnel.connector.stop()
        document = tunnel.folder / "connector.yaml"
        # All connections are one caller's, which may have twice as many of them as calls.
        document.write_text(document.read_text().replace("legs: 1", f"legs: {MOST_LEGS}").replace(
            "    callers: {clients: [bench]}", "    callers: {clients: [bench]}\n    limits: {concurrency: 1000, concurrency_per_caller: 1000}"))
        edge = resident_kilobytes(stage.edge.pid)
        tunnel.connector = stage.connector(tunnel, MOST_LEGS)
        full = resident_kilobytes(tunnel.connector.pid)
        edge_full = resident_kilobytes(stage.edge.pid)
        way = stage.postern_path("Postern", tunnel)
        stage.load(way, "kept", "-c", "8", "-t", "0.5")
        before = resident_kilobytes(tunnel.connector.pid), resident_kilobytes(stage.edge.pid)
        count = scene.count(800, 200)
        holder = subprocess.Popen(
            stage.load_command(way, "hold", "-c", str(count)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_environment())
        assert holder.stdin is not None and holder.stdout is not None
        with holder:
            if holder.stdout.readline().strip() != "holding":
                raise RuntimeError("the held connections did not all open")
            after = resident_kilobytes(tunnel.connector.pid), resident_kilobytes(stage.edge.pid)
            holder.stdin.close()
    return [
        Row("connector with one leg, idle", "KiB PSS", [one[1]], note=f"{one[0]} KiB RSS"),
        Row("edge without legs, idle", "KiB PSS", [edge[1]], note=f"{edge[0]} KiB RSS"),
        row("idle leg, at the connector", one, full, MOST_LEGS - 1, f"mean of {MOST_LEGS - 1}"),
        row("idle leg, at the edge", edge, edge_full, MOST_LEGS, f"mean of {MOST_LEGS}"),
        row("idle kept inner connection, at the connector, its upstream connection included", before[0], after[0], count, f"mean of {count}"),
        row("idle kept inner connection, at the edge", before[1], after[1], count, f"mean of {count}"),
    ]


def measure_thousand(scene: Scene) -> list[Row]:
    """Tunnels that are made over the API, and a leg for each, held by one process."""
    count = scene.count(1000, 100)
    with TunnelScene(scene) as stage:
        start = time.monotonic()
        lines = []
        for index in range(count):
            made = scene.control.call("POST", "/v1/tunnels", {"display_name": f"bench {index}"})
            token = scene.control.call("POST", f"/v1/tunnels/{made['id']}/reveal_token")["tunnel_token"]
            lines.append(f"{made['id']} {token}\n")
        creating = time.monotonic() - start
        server, edge = resident_kilobytes(scene.server.pid), resident_kilobytes(stage.edge.pid)
        holder = subprocess.Popen(
            [str(stage.programs / "legs"), "-addr", f"127.0.0.1:{stage.edge_port}", "-edge-name", DOMAIN, "-edge-ca", str(stage.edge_ca)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_environment())
        assert holder.stdin is not None and holder.stdout is not None
        with holder:
            holder.stdin.write("".join(lines) + "\n")
            holder.stdin.flush()
            def stand() -> float:
                assert holder.stdin is not None and holder.stdout is not None
                holder.stdin.write("dial\n")
                holder.stdin.flush()
                words = holder.stdout.readline().split()
                if not words or words[0] != "stand":
                    raise RuntimeError("not all legs stand")
                return float(words[1])
            if holder.stdout.readline().strip() != "ready":
                raise RuntimeError("the keys of the legs could not be made")
            enrolled = stand()
            loaded = resident_kilobytes(scene.server.pid), resident_kilobytes(stage.edge.pid)
            again = [stand() for _ in range(scene.count(3, 1))]
            holder.stdin.close()
    return [
        Row(f"{count} tunnels: made over the API, with their tokens", "s", [creating], note="one after another"),
        Row(f"{count} tunnels: until a leg of each stands, keys enrolled", "s", [enrolled]),
        Row(f"{count} tunnels: until all stand again after all were cut", "s", again),
        row(f"{count} tunnels: a tunnel with its leg, at the edge", edge, loaded[1], count, f"edge {loaded[1][1] / 1024:.0f} MiB PSS"),
        row(f"{count} tunnels: a tunnel with its leg, at the control plane", server, loaded[0], count),
    ]
