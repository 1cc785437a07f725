"""What the suite has covered so far: endpoints by kind of client, observed behaviours by test, violations."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from contract import BEHAVIOURS, CONTRACT


@dataclass
class Tally:
    #: (endpoint, kind of client) -> answers that held
    held: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: (endpoint, kind of client) -> answers that did not
    broken: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: Every violation of the contract, in order; a test that adds one fails.
    violations: list[str] = field(default_factory=list)
    #: Behaviour id -> whether each of its tests passed.
    behaviours: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    event_types: Counter[str] = field(default_factory=Counter)

    def answer(self, endpoint: str, client: str, problems: list[str]) -> None:
        (self.broken if problems else self.held)[endpoint, client] += 1
        self.violations += [f"{endpoint}: {problem}" for problem in problems]

    def summary(self) -> dict[str, Any]:
        scope = [e.name for e in CONTRACT.endpoints if e.in_scope]
        def state(name: str, client: str) -> str:
            if self.broken[name, client]:
                return "failing"
            return "passing" if self.held[name, client] else "not covered"
        endpoints = {name: {client: state(name, client) for client in ("sync", "async")} for name in scope}
        rows = [b for b in BEHAVIOURS.all.values() if b.scope == "now"]
        behaviours = {
            b.id: "not covered" if b.id not in self.behaviours else "passing" if all(self.behaviours[b.id]) else "failing" for b in rows
        }
        return {
            "sdk": CONTRACT.raw["sdk"],
            "endpoints": {
                "in_contract": len(CONTRACT.endpoints), "in_scope": len(scope),
                "covered": sum(all(s != "not covered" for s in states.values()) for states in endpoints.values()),
                "passing": sum(all(s == "passing" for s in states.values()) for states in endpoints.values()),
                "not_in_scope": sorted(e.name for e in CONTRACT.endpoints if not e.in_scope),
                "states": endpoints,
            },
            "behaviours": {
                "observed": len(BEHAVIOURS.all), "in_scope": len(rows),
                "covered": sum(state != "not covered" for state in behaviours.values()),
                "passing": sum(state == "passing" for state in behaviours.values()),
                "overruled": [b.id for b in BEHAVIOURS.all.values() if b.scope == "overruled"],
                "states": behaviours,
            },
            "event_types": {
                "listed": len(CONTRACT.raw["events"]["session_stream"]), "seen": dict(sorted(self.event_types.items())),
            },
            "violations": len(self.violations),
        }


TALLY = Tally()
