"""Rows of the table: samples, what they are held against, and whether the floor and the aim are met."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Row:
    name: str
    unit: str = ""
    samples: list[float] = field(default_factory=list)
    #: What the samples are held against, measured in the same run.
    peer_name: str = ""
    peer: list[float] = field(default_factory=list)
    #: "faster": the ratio is peer / own and must be at least the floor. "cost": own / peer, at most the floor. "rate": own / peer, at least the
    #: floor.
    sense: str = "faster"
    floor: float | None = None
    aim: float | None = None
    note: str = ""

    @property
    def median(self) -> float | None:
        return quantile(self.samples, 0.5)

    @property
    def p95(self) -> float | None:
        return quantile(self.samples, 0.95)

    @property
    def ratio(self) -> float | None:
        own, other = self.median, quantile(self.peer, 0.5)
        if not own or not other:
            return None
        return other / own if self.sense == "faster" else own / other

    @property
    def verdict(self) -> str:
        if self.floor is None or self.ratio is None:
            return ""
        def met(bound: float) -> bool:
            assert self.ratio is not None
            return self.ratio <= bound if self.sense == "cost" else self.ratio >= bound
        if not met(self.floor):
            return "floor MISSED"
        return "aim met" if self.aim is not None and met(self.aim) else "floor met, aim missed" if self.aim is not None else "floor met"


def quantile(samples: list[float], share: float) -> float | None:
    """Nearest rank; nothing for no samples."""
    if not samples:
        return None
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def number(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    digits = f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{digits} {unit}".strip()


HEADER = ["what", "n", "median", "p95", "against", "its median", "its p95", "ratio", "floor", "aim", "verdict", "note"]


def cells(row: Row) -> list[str]:
    bound = "≤ " if row.sense == "cost" else "≥ "
    return [
        row.name, str(len(row.samples) or ""), number(row.median, row.unit), number(row.p95, row.unit), row.peer_name,
        number(quantile(row.peer, 0.5), row.unit), number(quantile(row.peer, 0.95), row.unit), f"{row.ratio:.2f}×" if row.ratio else "",
        f"{bound}{row.floor:g}×" if row.floor else "", f"{bound}{row.aim:g}×" if row.aim else "", row.verdict, row.note]


def table(rows: list[Row]) -> str:
    lines = [HEADER, *(cells(r) for r in rows)]
    shown = [i for i in range(len(HEADER)) if any(line[i] for line in lines[1:])]
    widths = {i: max(len(line[i]) for line in lines) for i in shown}
    return "\n".join("  ".join(line[i].ljust(widths[i]) for i in shown).rstrip() for line in lines)


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    return [{
        "name": r.name, "unit": r.unit, "n": len(r.samples), "median": r.median, "p95": r.p95, "against": r.peer_name or None,
        "against_median": quantile(r.peer, 0.5), "against_p95": quantile(r.peer, 0.95), "ratio": r.ratio, "sense": r.sense, "floor": r.floor,
        "aim": r.aim, "verdict": r.verdict or None, "note": r.note or None} for r in rows]
