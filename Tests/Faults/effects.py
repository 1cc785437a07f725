"""Scripts whose every call leaves exactly one mark in the session's workspace, and the counting of those marks."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

MARKS = "effects.txt"


@dataclass(frozen=True)
class Round:
    """One message of a client: its text, and the marks that its calls leave."""
    name: str
    text: str
    marks: tuple[str, ...]


def make_round(name: str, source: random.Random) -> Round:
    """A message that makes the scripted model call bash in one to three turns of one to three parallel calls each."""
    turns: list[str] = []
    marks: list[str] = []
    for turn in range(source.randint(1, 3)):
        lines: list[str] = []
        for call in range(source.randint(1, 3)):
            mark = f"{name}.{turn}.{call}"
            before, after = source.choice(("", "sleep 0.05; ")), source.choice(("", "sleep 0.05; "))
            lines.append(f"$ {before}echo {mark} >> {MARKS}; {after}echo {mark}")
            marks.append(mark)
        turns.append("\n".join(lines))
    return Round(name, f"round {name}\n" + "\n\n".join(turns), tuple(marks))


def mark_of(command: str) -> str:
    """The mark that a command of `make_round` leaves."""
    return command.rsplit("echo ", 1)[1].strip()


def count_marks(folder: Path) -> Counter[str]:
    """How often each mark was left, wherever below the folder."""
    found: Counter[str] = Counter()
    for file in folder.rglob(MARKS):
        found.update(file.read_text(encoding="utf-8").split())
    return found
