#!/usr/bin/env python3
"""Makes contract.json, the reduced contract that the suite holds the server against, out of a full wire contract.

    derive_contract.py FULL_CONTRACT.json > contract.json

Kept: every endpoint's name, method, path, beta header and answer, marked with whether it is in scope today; the event types; and, for
the endpoints in scope, the models that their answers reach, with their fields. `test_contract.py` checks that the pinned SDK agrees.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

IN_SCOPE = ("agents.", "environments.", "sessions.", "models.", "tunnels.")
LATER = ("sessions.resources.",)
NAME = re.compile(r"[A-Z][A-Za-z0-9]+")


def in_scope(name: str) -> bool:
    return name.startswith(IN_SCOPE) and not name.startswith(LATER)


def reached(full: dict[str, Any], roots: list[str]) -> dict[str, Any]:
    """The models that the roots name, directly or through other models and named unions."""
    models: dict[str, Any] = {}
    seen: set[str] = set()
    todo = [name for root in roots for name in NAME.findall(root)]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in full["models"]:
            models[name] = full["models"][name]["fields"]
            todo += [n for text in models[name].values() for n in NAME.findall(text)]
        elif name in full["aliases"]:
            todo += NAME.findall(json.dumps(full["aliases"][name]))
    return dict(sorted(models.items()))


def reduced(full: dict[str, Any]) -> dict[str, Any]:
    endpoints: dict[str, Any] = {}
    for name, endpoint in sorted(full["endpoints"].items()):
        kept = {key: endpoint[key] for key in ("method", "path", "beta", "response", "page", "sse") if endpoint.get(key)}
        endpoints[name] = kept | {"in_scope": in_scope(name)}
    roots = [e.get("response") or e.get("sse") or "" for e in endpoints.values() if e["in_scope"]]
    events = {key: full["events"][key] for key in ("client_sends", "listed", "session_stream", "thread_stream")}
    return {"sdk": full["about"]["sdk"], "endpoints": endpoints, "events": events, "models": reached(full, roots)}


def dump(contract: dict[str, Any]) -> str:
    """One line for each endpoint and model, so that a change reads well."""
    def block(entries: dict[str, Any]) -> str:
        return "{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in entries.items()) + "\n }"
    parts = [f' "sdk": {json.dumps(contract["sdk"])}']
    parts += [f' "{key}": {block(contract[key])}' for key in ("endpoints", "events", "models")]
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        sys.stdout.write(dump(reduced(json.load(file))))
