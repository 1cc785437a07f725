"""The reduced contract, and which endpoint a request is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Endpoint:
    name: str
    method: str
    path: str
    in_scope: bool
    #: The name of the answer's type, of a page's element or of a stream's events.
    answer: str
    is_nullable: bool
    page: str | None
    is_stream: bool

    def matches(self, method: str, path: str) -> bool:
        return method == self.method and re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", self.path), path) is not None


class Contract:
    def __init__(self) -> None:
        self.raw: dict[str, Any] = json.loads((HERE / "contract.json").read_text(encoding="utf-8"))
        self.endpoints = [self._endpoint(name, entry) for name, entry in self.raw["endpoints"].items()]

    @staticmethod
    def _endpoint(name: str, entry: dict[str, Any]) -> Endpoint:
        answer = entry.get("response") or entry.get("sse") or ""
        return Endpoint(
            name, entry["method"], entry["path"], entry["in_scope"], answer.removesuffix("?"), answer.endswith("?"), entry.get("page"),
            "sse" in entry)

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        """The endpoint of a request; a fixed segment wins over a parameter."""
        found = [e for e in self.endpoints if e.matches(method, path)]
        return min(found, key=lambda e: e.path.count("{"), default=None)


@dataclass(frozen=True)
class Behaviour:
    id: str
    scope: str
    when: str


class Behaviours:
    @cached_property
    def all(self) -> dict[str, Behaviour]:
        lines = (HERE / "behaviours.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        return {row["id"]: Behaviour(row["id"], row["scope"], row.get("when", f"{row['method']} {row['path']}")) for row in rows}


CONTRACT = Contract()
BEHAVIOURS = Behaviours()
