"""What the workers' own audit logs must say after they were killed at random moments."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path

from audit import Findings


def intents(root: Path) -> Counter[str]:
    """How many intents each call has, over the audit logs of every worker below `root`."""
    found: Counter[str] = Counter()
    for log in logs(root):
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # a line that a kill cut short; the verifier says whether that was recorded
            if record.get("kind") == "intent":
                found[record["call"]] += 1
    return found


def logs(root: Path) -> list[Path]:
    return sorted(p for p in root.rglob("audit*.jsonl") if p.is_file())


def check_records(binary: Path, root: Path, effects_of_calls: Counter[str], findings: Findings) -> None:
    """Side effects counted by the target minus intents recorded is zero, and each log verifies from its first record to its last.

    The workers must have ended: a log is held by its writer."""
    recorded = intents(root)
    for call, times in effects_of_calls.items():
        findings.demand(times <= recorded[call], f"call {call} took effect {times} times and has {recorded[call]} intents in the audit")
    findings.counts["intents"] += sum(recorded.values())
    for folder in sorted({log.parent for log in logs(root)}):
        done = subprocess.run([str(binary), "audit", "verify", "--log", str(folder)], capture_output=True, text=True, timeout=120, check=False)
        findings.counts["audit logs"] += 1
        findings.demand(done.returncode == 0, f"{folder.name}: the audit does not verify: {(done.stderr or done.stdout).strip()[-300:]}")
