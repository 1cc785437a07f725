"""A client that talks to one session through crashes: it sends each message once and waits for each turn's end."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import httpx2

from control import Control, at_rest, text_event
from effects import Round, make_round
from sse import Frame, ResumingReader


class FaultyTimes(Exception):
    """A turn did not come to its end in time."""


class SessionClient(threading.Thread):
    """Runs rounds until told that the faults are over; then finishes the round that it is in, and runs one that nothing disturbs."""

    def __init__(self, control: Control, session: str, name: str, seed: int, finish: threading.Event, *, stream_url: str, patience: float) -> None:
        super().__init__(name=f"client of {session}", daemon=True)
        self.session = session
        self.rounds: list[Round] = []
        #: The round that was begun after the last fault.
        self.calm: Round | None = None
        self.reader = ResumingReader(stream_url, control.key, session)
        self.problem: str | None = None
        #: Ids of messages that the server has confirmed.
        self.confirmed: list[str] = []
        self._control = control
        self._name = name
        self._random = random.Random(seed)
        self._finish = finish
        self._patience = patience

    def run(self) -> None:
        self.reader.start()
        try:
            while True:
                is_calm = self._finish.is_set()
                one = make_round(f"{self._name}.{len(self.rounds)}", self._random)
                self.rounds.append(one)
                if is_calm:
                    self.calm = one
                identifier = self._send(one)
                self.confirmed.append(identifier)
                if not self.reader.wait_for(lambda frames: has_ended(frames, identifier), seconds=self._patience):
                    raise FaultyTimes(self.reader.problem or f"round {one.name} did not end within {self._patience:g} s")
                if is_calm:
                    break
        except Exception as error:  # noqa: BLE001 - a client's failure is a finding, not a crash of the suite
            self.problem = f"{self.session}: {error}"

    def _send(self, one: Round) -> str:
        """Sends the message; after a broken connection it first looks whether the message is there."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return str(self._control.send(self.session, text_event(one.text))[0]["id"])
            except httpx2.HTTPError:
                pass
            while True:
                try:
                    there = [e for e in self._control.events(self.session) if e["type"] == "user.message" and text_of(e) == one.text]
                    break
                except httpx2.HTTPError:
                    if time.monotonic() > deadline:
                        raise
                    # A killed server says nothing about its return.
                    time.sleep(0.1)
            if there:
                return str(there[0]["id"])


def text_of(event: dict[str, Any]) -> str:
    return "".join(block.get("text", "") for block in event.get("content") or [])


def has_ended(frames: list[Frame], message: str) -> bool:
    """Whether the turn of a message is over: it came, and a rest came after it."""
    for frame in reversed(frames):
        event = frame.json
        if event["type"].startswith("session.status_") and at_rest(event):
            return any(f.json["id"] == message for f in frames)
        if event["id"] == message:
            return False
    return False
