#!/usr/bin/env python3
"""Runs the benchmarks against a live control plane and prints one table.

    bench.py [GROUP] [--quick] [--only TEXT]

A group is a set of parts: `sandbox` is the perimeter's, with Debian's programs as peers; `tunnel` is that of tunnels, with `ssh -R`. Without
one, all parts run.
Every ratio is taken within the run, against something measured in the same run. `--quick` takes fewer samples. A part that fails is
reported in its row; the others still run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "Tests" / "Support" / "python")]

import claims  # noqa: E402
import concurrent_turns  # noqa: E402
import density  # noqa: E402
import egress  # noqa: E402
import fan_out  # noqa: E402
import memory  # noqa: E402
import native  # noqa: E402
import requests_per_second  # noqa: E402
import tool_calls  # noqa: E402
import tunnel_calls  # noqa: E402
import tunnel_density  # noqa: E402
import tunnel_far  # noqa: E402
import turns  # noqa: E402
from rows import Row, as_json, table  # noqa: E402
from scene import Scene  # noqa: E402

PARTS: list[tuple[str, Callable[[Scene], list[Row]]]] = [
    ("tool calls", tool_calls.measure),
    ("claims", claims.measure),
    ("sandbox", native.measure_sandbox),
    ("store", native.measure_store),
    ("appends", requests_per_second.measure_appends),
    ("session create", requests_per_second.measure_creates),
    ("long history", turns.measure_long_history),
    ("one tool", turns.measure_one_tool),
    ("cpu per turn", turns.measure_cpu),
    ("a thousand turns at once", concurrent_turns.measure),
    ("fan-out", fan_out.measure),
    ("memory of the server", memory.measure_server),
    ("memory of sandboxes", memory.measure_sandboxes),
    ("session start under a policy", density.measure_session_start),
    ("egress", egress.measure),
    ("redaction", native.measure_redaction),
    ("audit", native.measure_audit),
    ("memory of 200 sandboxes", density.measure_sandboxes),
    ("memory of 200 sandboxes with network", density.measure_networked_sandboxes),
    ("memory of egress proxies", density.measure_proxies),
    ("tunnel calls", tunnel_calls.measure),
    ("tunnel at 40 ms", tunnel_far.measure),
    ("tunnel density", tunnel_density.measure_streams),
    ("a thousand tunnels", tunnel_density.measure_thousand),
]

GROUPS = {
    "sandbox": [
        "sandbox", "session start under a policy", "egress", "redaction", "audit", "memory of 200 sandboxes",
        "memory of 200 sandboxes with network", "memory of egress proxies"],
    "tunnel": ["tunnel calls", "tunnel at 40 ms", "tunnel density", "a thousand tunnels"],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("group", nargs="?", choices=sorted(GROUPS), help="only the parts of this group")
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    parser.add_argument("--only", default="", help="only parts whose name contains this: " + ", ".join(name for name, _ in PARTS))
    options = parser.parse_args()
    # A thousand streams need as many descriptors, here and in the server, which inherits the limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    rows: list[Row] = []
    failed = False
    for name, measure in PARTS:
        if options.only not in name or (options.group and name not in GROUPS[options.group]):
            continue
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        try:
            # A fresh control plane for each part, so that none works on another's leavings.
            with Scene(quick=options.quick) as scene:
                rows += measure(scene)
        except Exception as error:  # noqa: BLE001 - one part must not take the others with it
            failed = True
            traceback.print_exc()
            rows.append(Row(name, note=f"FAILED: {error}"[:160]))
    print(table(rows))
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "kernel": platform.release(), "machine": platform.machine(), "binary": os.environ.get("POSTERN_BIN", "")}
    (out / (f"bench-{options.group}.json" if options.group else "bench.json")).write_text(json.dumps({"machine": machine, "rows": as_json(rows)}, indent=1) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
