"""The rows PX_* of the threat table from inside a real sandbox, against the real proxy of a real worker, and against a proxy that refuses nothing."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from careless import CarelessProxy
from conftest import ROOT
from perimeter import Perimeter
from world import ALLOWED, DENIED, INNER, OPAQUE, PRIVATE, TURNING, World

ATTACKS = ROOT / "Tests" / "Attacks"
MATRIX = ROOT / "docs" / "threat-matrix-proxy.txt"
PROGRAM = "\n\n".join((ATTACKS / f"{name}.py").read_text() for name in ("harness", "proxy", "run"))

#: How a column's rows are run, and what the head of the table says of it.
COLUMNS = {
    "0": "no proxy that decides: one that does whatever it is told",
    "all/root": "all layers and the proxy, worker started as root",
    "all/user": "the same, worker started as an ordinary user",
    "shared": "as all/root, one proxy process for all sessions",
}
REAL = [name for name in COLUMNS if name != "0"]
CELLS = {"stopped": ".", "passed": "X", "absent": "?", "broken": "!"}

@dataclass
class Column:
    """The rows as one way to run them has left them."""
    rows: list[dict[str, Any]]
    #: What was seen outside: victims that were reached, names that were asked for.
    reached: list[str]
    asked: set[str]
    #: What the audit says was allowed.
    intents: set[str] = field(default_factory=set)
    verified: bool = True

    def of(self, *states: str) -> list[str]:
        return [f"{row['name']}: {row['state']}, {row['detail']}" for row in self.rows if row["state"] in states]


def aims(world: World, **more: Any) -> str:
    return json.dumps({
        "seconds": 60, "loopback_port": world.on_loopback.port, "other_port": world.other_port.port, "unix": str(world.unix_path), **more})


def without_layers(world: World, folder: Path) -> Column:
    proxy = CarelessProxy(world)
    try:
        done = subprocess.run(
            ["/usr/bin/python3", "-I", "-", aims(world, all=False, other_token="none")], input=PROGRAM, capture_output=True, text=True, timeout=120,
            cwd=folder, env={"https_proxy": proxy.url, "PATH": "/usr/bin:/bin"})
    finally:
        proxy.close()
    assert done.returncode == 0, done.stderr
    return Column([json.loads(line) for line in done.stdout.splitlines()], world.reached(), set(world.names.asked))


def under_worker(world: World, perimeter: Perimeter, egress: str) -> Column:
    perimeter.policy(network={
        "egress": egress, "addresses": world.granted, "upstream": {"ca_file": str(world.ca_file)},
        "rules": [
            {"id": "denied", "verdict": "deny", "hosts": DENIED}, {"id": "opaque", "hosts": OPAQUE, "opaque": True, "max_sent": "1MiB"},
            {"id": "allowed", "hosts": [ALLOWED, PRIVATE, INNER, TURNING]},
        ]})
    programs = perimeter.make("programs")
    (programs / "attack.py").write_text(PROGRAM)
    perimeter.start("--workspace-source", str(programs), "--max-idle", "0")
    session, other = perimeter.session(), perimeter.session()
    token = perimeter.shell(other, "echo ${https_proxy#http://session:} | cut -d@ -f1").text
    world.forget()
    told = perimeter.shell(session, f"/usr/bin/python3 -I attack.py '{aims(world, all=True, other_token=token)}' >rows")
    assert not told.failed, told.text
    rows = [json.loads(line) for line in (perimeter.workspace(session) / "rows").read_text().splitlines()]
    intents = {f"{record['body']['host']}:{record['body']['port']}" for record in perimeter.audit("egress_intent", session)}
    return Column(rows, world.reached(), set(world.names.asked), intents, perimeter.json("audit", "verify")["good"])


@pytest.fixture(scope="module")
def column(world: World, perimeters: Callable[..., Perimeter], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Column]:
    """What became of the rows in a column, which is run once."""
    known: dict[str, Column] = {}

    def run(name: str) -> Column:
        if name in known:
            return known[name]
        world.forget()
        if name == "0":
            known[name] = without_layers(world, tmp_path_factory.mktemp("column"))
        else:
            perimeter = perimeters(as_user=name == "all/user", world=world)
            known[name] = under_worker(world, perimeter, "shared" if name == "shared" else "per_session")
            assert perimeter.worker is not None
            perimeter.worker.stop(seconds=20)
        if os.environ.get("POSTERN_ATTACK_DETAILS"):
            print("\n".join(f"{name} {row['name']}: {row['state']}, {row['detail']}" for row in known[name].rows))
        return known[name]

    return run


def test_without_a_proxy_that_decides_the_attacks_pass(column: Callable[[str], Column]) -> None:
    careless = column("0")
    assert not careless.of("stopped", "broken")
    # Those that cannot be tried there need what nothing but the sandbox has.
    assert {row["name"] for row in careless.rows if row["state"] == "absent"} == {
        row["name"] for row in careless.rows if row["name"].startswith("PX_BARE_") or row["name"] == "PX_NAME_LEAK"}
    assert len(careless.reached) >= 5 and "allowed.test.evil.test" in careless.asked


@pytest.mark.parametrize("name", REAL)
def test_no_attack_passes_the_proxy(column: Callable[[str], Column], name: str) -> None:
    real = column(name)
    assert not real.of("passed", "absent", "broken")
    # A row that was killed was not refused.
    assert not [row for row in real.rows if row["detail"].startswith(("signal", "no answer")) or "Error" in row["detail"]]
    assert not real.reached
    assert real.asked == {ALLOWED, OPAQUE, PRIVATE, INNER, TURNING}
    assert real.intents == {f"{ALLOWED}:80", f"{ALLOWED}:443", f"{OPAQUE}:443", f"{TURNING}:80"}
    assert real.verified


def table(columns: dict[str, Column]) -> str:
    lines = [
        "# The rows PX_*: ways round the egress proxy's decisions, from inside a sandbox. Made by Tests/Perimeter/test_attacks.py; held against every run.",
        "# '.' refused, 'X' passed, '?' needs what only a sandbox has. Before each attack the same was done with what the policy allows, and worked.",
        *(f"# {name}: {meaning}" for name, meaning in COLUMNS.items()),
    ]

    def line(name: str, kind: str, layers: str, cells: list[str]) -> str:
        return (f"{name:<26}{kind:<6}{layers:<6}" + "".join(f"{cell:<{len(of) + 1}}" for of, cell in zip(COLUMNS, cells, strict=True))).rstrip()

    lines.append(line("row", "class", "by", list(COLUMNS)))
    for rows in zip(*(columns[name].rows for name in COLUMNS), strict=True):
        assert len({row["name"] for row in rows}) == 1
        lines.append(line(rows[0]["name"], rows[0]["kind"], rows[0]["layers"], [CELLS[row["state"]] for row in rows]))
    return "\n".join(lines) + "\n"


def test_the_table_is_the_committed_one(column: Callable[[str], Column]) -> None:
    made = table({name: column(name) for name in COLUMNS})
    print(made)
    if os.environ.get("POSTERN_WRITE_THREAT_MATRIX"):
        MATRIX.write_text(made)
    assert MATRIX.read_text() == made, "POSTERN_WRITE_THREAT_MATRIX=1 writes it anew"
