#!/usr/bin/env python3
"""Kills the server and the worker with SIGKILL at random moments while sessions work, cuts the network between them, and counts effects.

    run.py [--kills N] [--sessions M] [--seed S] [--full] [--only TEXT] [--at-once N]

N kills and M sessions are spread over four scenarios: calls at most once and at least once, a killed worker that returns and one that
another replaces. Two more, at most once and at least once, kill nobody and cut the network as often as the others kill. Prints the counts, writes out/faults.json, and fails on any violation. A seed repeats the choices, not the timing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "Tests" / "Support" / "python")]

from scenario import Fault, Outcome, Scenario, run  # noqa: E402

SCENARIOS = [Scenario(at_most_once, fault) for at_most_once in (True, False) for fault in Fault]
COLUMNS = ["sessions", "messages", "calls", "effects", "intents", "effects repeated", "unknown outcomes", "events", "frames", "reconnects"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, help="kills over the scenarios that kill (default 16; 120 with --full)")
    parser.add_argument("--sessions", type=int, help="sessions over the scenarios that kill (default 16; 48 with --full)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: the time; it is printed")
    parser.add_argument("--full", action="store_true", help="the counts that the report in docs/ is made with")
    parser.add_argument("--only", default="", help="only scenarios whose name contains this")
    parser.add_argument("--at-once", type=int, default=2, help="scenarios that run beside each other: they wait for leases more than they work (default 2)")
    options = parser.parse_args()
    kills = options.kills or (120 if options.full else 16)
    sessions = options.sessions or (48 if options.full else 16)
    chosen = [s for s in SCENARIOS if options.only in s.name]
    print(f"seed {options.seed}: {kills} kills over {sessions} sessions", flush=True)
    killing = max(1, sum(s.fault.kills for s in chosen))

    def play(number: int, scenario: Scenario) -> Outcome:
        def say(text: str) -> None:
            print(f"{scenario.name}: {text.strip()}", flush=True)

        say("begins")
        return run(scenario, faults=-(-kills // killing), sessions=max(1, sessions // killing), seed=options.seed + number, say=say)

    with ThreadPoolExecutor(options.at_once) as pool:
        outcomes = list(pool.map(play, range(len(chosen)), chosen))
    report(outcomes)
    return 1 if any(o.findings.violations for o in outcomes) else 0


def report(outcomes: list[Outcome]) -> None:
    widths = [max(len(o.scenario.name) for o in outcomes), *(len(c) for c in COLUMNS)]
    print("\n" + "  ".join(["scenario".ljust(widths[0]), "kills (server+worker)", "cuts", *COLUMNS, "violations", "seconds"]))
    for outcome in outcomes:
        counts = outcome.findings.counts
        kills = f"{outcome.faults['server']}+{outcome.faults['worker']}"
        cells = [outcome.scenario.name.ljust(widths[0]), kills.rjust(21), str(outcome.faults["cut"]).rjust(4)]
        cells += [str(counts[c]).rjust(width) for c, width in zip(COLUMNS, widths[1:])]
        print("  ".join([*cells, str(len(outcome.findings.violations)).rjust(10), f"{outcome.seconds:.0f}".rjust(7)]))
    for outcome in outcomes:
        for violation in outcome.findings.violations:
            print(f"VIOLATION ({outcome.scenario.name}): {violation}")
    total = Counter[str]()
    for outcome in outcomes:
        total.update(outcome.faults)
    print(f"\n{total['server'] + total['worker']} kills, {total['cut']} cuts, {sum(len(o.findings.violations) for o in outcomes)} violations")
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    (out / "faults.json").write_text(json.dumps([{
        "scenario": o.scenario.name, "seed": o.seed, "faults": dict(o.faults), "counts": dict(o.findings.counts), "violations": o.findings.violations,
        "seconds": round(o.seconds, 1)} for o in outcomes], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
