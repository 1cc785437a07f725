"""What must hold when the dust has settled, checked for one session."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from client import SessionClient, text_of
from control import at_rest
from effects import mark_of


@dataclass
class Findings:
    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def demand(self, holds: bool, text: str) -> None:
        if not holds:
            self.violations.append(text)


def audit(
    client: SessionClient, events: list[dict[str, Any]], effects: Counter[str], *, at_most_once: bool, may_give_up: bool, findings: Findings,
) -> None:
    """`may_give_up`: whether a call may be reported as unknown. It may not where another worker is to run it again."""
    here = client.session
    ids = Counter(e["id"] for e in events)
    findings.counts["events"] += len(events)
    findings.demand(max(ids.values(), default=0) <= 1, f"{here}: an event is listed twice")
    findings.demand(bool(events) and at_rest(events[-1]), f"{here}: not at rest: {events[-1] if events else 'no events'}")
    _messages(client, events, findings)
    _calls(client, events, effects, at_most_once, may_give_up, findings)
    _stream(client, events, findings)


def _messages(client: SessionClient, events: list[dict[str, Any]], findings: Findings) -> None:
    listed = Counter(text_of(e) for e in events if e["type"] == "user.message")
    identifiers = {e["id"] for e in events}
    for one in client.rounds:
        findings.counts["messages"] += 1
        findings.demand(listed[one.text] == 1, f"{client.session}: message {one.name} is there {listed[one.text]} times")
    for identifier in client.confirmed:
        findings.demand(identifier in identifiers, f"{client.session}: the confirmed message {identifier} is lost")


def _calls(
    client: SessionClient, events: list[dict[str, Any]], effects: Counter[str], at_most_once: bool, may_give_up: bool, findings: Findings,
) -> None:
    here = client.session
    calls = {e["id"]: mark_of(e["input"]["command"]) for e in events if e["type"] == "agent.tool_use"}
    results: dict[str, list[dict[str, Any]]] = {identifier: [] for identifier in calls}
    for event in events:
        if event["type"] in ("user.tool_result", "agent.tool_result"):
            findings.demand(event["tool_use_id"] in calls, f"{here}: a result for no call: {event['id']}")
            results.setdefault(event["tool_use_id"], []).append(event)
    asked = Counter(calls.values())
    calm = client.calm.marks if client.calm else ()
    for one in client.rounds:
        for mark in one.marks:
            findings.counts["calls"] += 1
            findings.demand(asked[mark] == 1, f"{here}: call {mark} was asked for {asked[mark]} times")
    for identifier, mark in calls.items():
        answers = results[identifier]
        findings.demand(len(answers) == 1, f"{here}: call {mark} has {len(answers)} results")
        if not answers:
            continue
        times = effects[mark]
        findings.counts["effects"] += times
        answer = answers[0]
        if not answer.get("is_error"):
            findings.demand(text_of(answer).strip() == mark, f"{here}: call {mark} was answered with {text_of(answer)!r}")
            findings.demand(times >= 1, f"{here}: call {mark} is answered and left no mark")
        else:
            findings.counts["unknown outcomes"] += 1
            findings.demand(may_give_up, f"{here}: call {mark} was given up although it may be repeated: {text_of(answer)!r}")
            findings.demand(mark not in calm, f"{here}: call {mark} was given up although nothing had disturbed it: {text_of(answer)!r}")
            findings.demand("unknown" in text_of(answer).lower(), f"{here}: call {mark} failed with {text_of(answer)!r}")
        if times > 1:
            findings.counts["effects repeated"] += 1
            findings.demand(not at_most_once, f"{here}: call {mark} left its mark {times} times")


def _stream(client: SessionClient, events: list[dict[str, Any]], findings: Findings) -> None:
    here = client.session
    frames = list(client.reader.frames)
    numbers = [int(f.id) for f in frames if f.id is not None]
    findings.counts["frames"] += len(frames)
    findings.counts["reconnects"] += client.reader.reconnects
    findings.demand(numbers == sorted(set(numbers)), f"{here}: the stream repeated or reordered frames")
    newest = {f.json["id"]: f.json for f in frames}
    listed = {e["id"]: e for e in events}
    for identifier in listed.keys() - newest.keys():
        findings.violations.append(f"{here}: the stream lost {listed[identifier]['type']} {identifier}")
    for identifier in newest.keys() - listed.keys():
        findings.violations.append(f"{here}: the list lost {newest[identifier]['type']} {identifier}")
    for identifier in newest.keys() & listed.keys():
        findings.demand(newest[identifier] == listed[identifier], f"{here}: {identifier} differs between stream and list")
    repeated = Counter(f.json["id"] for f in frames if not f.json["type"].startswith("user.") and f.json["type"] != "system.message")
    findings.demand(max(repeated.values(), default=0) <= 1, f"{here}: an event came twice on the stream")
