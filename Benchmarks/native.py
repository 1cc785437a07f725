"""Rows that the binary measures itself, because a Python process in between would be most of the figure."""

from __future__ import annotations

import json
import subprocess

from postern_fixture import clean_environment
from rows import Row
from scene import Scene


def measure_sandbox(scene: Scene) -> list[Row]:
    return rows_of(scene, "sandbox")


def measure_store(scene: Scene) -> list[Row]:
    return rows_of(scene, "store")


def measure_audit(scene: Scene) -> list[Row]:
    return rows_of(scene, "audit")


def measure_redaction(scene: Scene) -> list[Row]:
    return rows_of(scene, "redaction")


def rows_of(scene: Scene, name: str) -> list[Row]:
    """Rows of `postern bench NAME --json`: `{"rows":[{"name","unit","samples","peer_name","peer","sense","floor","aim","note"}]}`."""
    command = [str(scene.postern.binary), "bench", name, "--json", *(["--quick"] if scene.quick else [])]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0 or not done.stdout.lstrip().startswith("{"):
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()
        return [Row(f"{name} (postern bench {name})", note="not available: " + (last[0] if last else f"exit {done.returncode}")[:100])]
    return [Row(**row) for row in json.loads(done.stdout)["rows"]]
