"""A small plain client of the control plane: what a suite needs to set a scene, without the SDK in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx2

from sse import Frame, frames

TOOLSET: dict[str, Any] = {"type": "agent_toolset_20260401"}
MODEL = "claude-sonnet-5"
_numbers = count(1)


def unique(stem: str) -> str:
    """A name that no other scene of this process uses."""
    return f"{stem}-{next(_numbers)}"


def text_event(text: str) -> dict[str, Any]:
    return {"type": "user.message", "content": [{"type": "text", "text": text}]}


def secret(made: dict[str, Any]) -> str:
    """The secret of a key that was just made."""
    return str(made["secret"])


@dataclass(frozen=True)
class Place:
    """An agent and an environment with a worker's key."""
    agent: str
    environment: str
    key: str


class Control:
    """Requests with one credential. Answers are JSON; a refusal raises with the server's text."""

    def __init__(self, url: str, key: str, *, timeout: float = 30) -> None:
        self.url = url
        self.key = key
        self.http = httpx2.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=timeout)

    def close(self) -> None:
        self.http.close()

    def call(self, method: str, path: str, body: Any = None, **parameters: Any) -> Any:
        answer = self.http.request(method, path, json=body, params=parameters or None) if body is not None else self.http.request(
            method, path, params=parameters or None)
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def agent(self, **fields: Any) -> str:
        body = {"name": unique("agent"), "model": MODEL, "tools": [TOOLSET]} | fields
        return str(self.call("POST", "/v1/agents", body)["id"])

    def environment(self, **fields: Any) -> str:
        return str(self.call("POST", "/v1/environments", {"name": unique("environment"), "config": {"type": "self_hosted"}} | fields)["id"])

    def environment_key(self, environment: str) -> str:
        return secret(self.call("POST", f"/postern/v1/environments/{environment}/keys", {"name": unique("key")}))

    def place(self, *, agent: dict[str, Any] | None = None, environment: dict[str, Any] | None = None) -> Place:
        made = self.environment(**(environment or {}))
        return Place(self.agent(**(agent or {})), made, self.environment_key(made))

    def session(self, place: Place, **fields: Any) -> str:
        return str(self.call("POST", "/v1/sessions", {"agent": place.agent, "environment_id": place.environment} | fields)["id"])

    def send(self, session: str, *events: dict[str, Any]) -> list[dict[str, Any]]:
        return list(self.call("POST", f"/v1/sessions/{session}/events", {"events": list(events)}).get("data") or [])

    def say(self, session: str, text: str) -> list[dict[str, Any]]:
        return self.send(session, text_event(text))

    def events(self, session: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        page: str | None = None
        while True:
            parameters = {"limit": 1000} | ({"page": page} if page else {})
            answer = self.call("GET", f"/v1/sessions/{session}/events", **parameters)
            found += answer["data"]
            page = answer.get("next_page")
            if not page:
                return found

    def watch(self, session: str, *, thread: str | None = None, deltas: tuple[str, ...] = (), last_event_id: str | None = None) -> Watch:
        path = f"/v1/sessions/{session}/threads/{thread}/stream" if thread else f"/v1/sessions/{session}/events/stream"
        return Watch(self.http, path, deltas, last_event_id)

    def turn(self, session: str, *events: dict[str, Any] | str, until: Callable[[dict[str, Any]], bool] | None = None) -> list[dict[str, Any]]:
        """Sends the events (a string is a message) and returns what the stream shows until the session is at rest."""
        with self.watch(session) as stream:
            self.send(session, *(text_event(e) if isinstance(e, str) else e for e in events))
            return stream.until(until or at_rest)


def at_rest(event: dict[str, Any]) -> bool:
    """Whether the event ends a turn for good."""
    if event["type"] == "session.status_idle":
        return bool(event["stop_reason"]["type"] != "requires_action")
    return event["type"] in ("session.status_terminated", "session.deleted")


class Watch:
    """An open event stream; once entered, everything that happens is in it. It gives up after `patience` seconds of its life."""

    patience = 30.0

    def __init__(self, http: httpx2.Client, path: str, deltas: tuple[str, ...], last_event_id: str | None) -> None:
        headers = {"accept": "text/event-stream"} | ({"last-event-id": last_event_id} if last_event_id is not None else {})
        self._context = http.stream("GET", path, params=[("event_deltas[]", d) for d in deltas], headers=headers, timeout=60)
        self.frames: list[Frame] = []

    def __enter__(self) -> Watch:
        self.response = self._context.__enter__()
        if self.response.status_code != 200:
            raise RuntimeError(f"stream: {self.response.status_code} {self.response.read()[:500]!r}")
        self._coming = frames(self._chunks())
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)

    def _chunks(self) -> Iterator[str]:
        # Signs of life make no frame, so the time is looked at for each piece that arrives.
        deadline = time.monotonic() + self.patience
        for chunk in self.response.iter_text():
            if time.monotonic() > deadline:
                raise TimeoutError(f"still waiting after {self.patience:g} s; seen: {[f.event for f in self.frames]}")
            yield chunk

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for frame in self._coming:
            self.frames.append(frame)
            if frame.event != "ping":
                yield frame.json

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Everything up to the first event for which the condition holds. An end of the stream before that is an error."""
        seen: list[dict[str, Any]] = []
        for event in self:
            seen.append(event)
            if condition(event):
                return seen
        raise RuntimeError(f"the stream ended before what was waited for; seen: {[e['type'] for e in seen]}")
