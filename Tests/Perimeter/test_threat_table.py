"""No row of the threat table is left out in silence: each is a row of an attack suite and of a committed matrix, or a test that is there."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from conftest import ROOT

ATTACKS = ROOT / "Tests" / "Attacks"
TABLE = ATTACKS / "threats.txt"
MATRICES = [ROOT / "docs" / name for name in ("threat-matrix.txt", "threat-matrix-proxy.txt")]
#: Attacks on what works for an agent outside its own commands.
WORKER_ATTACKS = [f"W{number}" for number in range(1, 21)]


def listed() -> dict[str, tuple[str, list[str]]]:
    """The table: its name, class, and the rows that attack it."""
    rows = [line.split() for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    return {name: (kind, others or [name]) for name, kind, *others in rows}


def suite() -> dict[str, str]:
    """Every row that the suites have, and its class."""
    order = ["harness", *sorted({path.stem for path in ATTACKS.glob("*.py")} - {"harness", "run", "victim", "archives"}), "run"]
    program = "\n\n".join((ATTACKS / f"{name}.py").read_text() for name in order)
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-", '{"list": true}'], input=program, capture_output=True, text=True, timeout=30,
        env={"https_proxy": "http://127.0.0.1:1"})
    assert done.returncode == 0, done.stderr
    return {name: kind for name, kind, _ in map(json.loads, done.stdout.splitlines())}


def measured() -> set[str]:
    """The rows of the committed matrices."""
    lines = [line for path in MATRICES for line in path.read_text().splitlines() if not line.startswith(("#", "row "))]
    return {line.split()[0] for line in lines}


def test_every_row_of_the_table_is_attacked() -> None:
    rows, known = suite(), measured()
    for name, (kind, attacks) in listed().items():
        for attack in attacks:
            assert attack in rows, f"{name}: no suite has a row {attack}"
            assert attack in known, f"{name}: no matrix has a row {attack}"
            assert rows[attack] == kind or kind == "B,h", f"{name} is of class {kind}, its row {attack} of {rows[attack]}"


def test_the_matrices_have_the_rows_of_the_suites() -> None:
    assert measured() == set(suite())


def test_every_attack_on_the_worker_names_a_test_that_is_there() -> None:
    page = (ROOT / "docs" / "threats" / "tools.md").read_text()
    tests = {path: path.read_text() for folder in ("Perimeter", "Poster*Tests") for path in ROOT.glob(f"Tests/{folder}/**/*.[ps]*")
             if path.suffix in (".py", ".swift")}
    named: dict[str, list[str]] = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        numbers = re.findall(r"\bW\d+\b", cells[0]) if line.startswith("| W") else []
        for number in numbers:
            named[number] = re.findall(r"`([^`]+)`", cells[-1])
    assert sorted(named, key=lambda name: int(name[1:])) == WORKER_ATTACKS
    for number, places in named.items():
        assert places, f"{number} names no test"
        for place in places:
            assert is_there(place, tests), f"{number} names {place}, which is not in Tests"


def is_there(place: str, tests: dict[Path, str]) -> bool:
    """`Suite.test`, a suite or a target of Swift; a file of Python, or a test in one: `test_x.py::test_y`."""
    if place.partition("::")[0].endswith(".py"):
        file, _, function = place.partition("::")
        return any(path.name == Path(file).name and f"def {function}" in text for path, text in tests.items())
    name, _, function = place.partition(".")
    return any(
        path.suffix == ".swift" and (re.search(rf"(struct|class|enum|actor|extension) {name}\b", text) or path.parent.name == name)
        and (not function or f"func {function}(" in text) for path, text in tests.items())
