"""Server-sent events: a parser of frames, and a reader that resumes after a break with `Last-Event-ID`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx2


@dataclass(frozen=True)
class Frame:
    event: str | None
    id: str | None
    data: str

    @cached_property
    def json(self) -> Any:
        return json.loads(self.data)


class FrameParser:
    """Feed it text in pieces of any size; it answers the frames that are complete. Comments make no frame."""

    def __init__(self) -> None:
        self._buffer = ""

    def feed(self, text: str) -> Iterator[Frame]:
        self._buffer += text.replace("\r\n", "\n")
        while "\n\n" in self._buffer:
            block, self._buffer = self._buffer.split("\n\n", 1)
            if (frame := self._frame(block)) is not None:
                yield frame

    @staticmethod
    def _frame(block: str) -> Frame | None:
        event: str | None = None
        identifier: str | None = None
        data: list[str] = []
        for line in block.split("\n"):
            if line.startswith(":"):
                continue
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            match name:
                case "event":
                    event = value
                case "id":
                    identifier = value
                case "data":
                    data.append(value)
        if event is None and not data:
            return None
        return Frame(event, identifier, "\n".join(data))


def frames(chunks: Iterable[str]) -> Iterator[Frame]:
    parser = FrameParser()
    for chunk in chunks:
        yield from parser.feed(chunk)


class ResumingReader(threading.Thread):
    """Collects every stored event of a session once, however often the connection breaks, until `stop` or the session's end.

    It trusts the server's `id:` and nothing else: what comes twice is collected twice, so that a fault shows.
    """

    def __init__(self, base_url: str, key: str, session: str, *, start: str | None = "0") -> None:
        super().__init__(name=f"reader of {session}", daemon=True)
        self._url = f"{base_url}/v1/sessions/{session}/events/stream"
        self._headers = {"authorization": f"Bearer {key}", "accept": "text/event-stream"}
        self._last = start
        self._stopped = threading.Event()
        self._changed = threading.Condition()
        self.frames: list[Frame] = []
        self.reconnects = 0
        self.problem: str | None = None

    def run(self) -> None:
        with httpx2.Client(timeout=httpx2.Timeout(5, read=60)) as client:
            while not self._stopped.is_set():
                try:
                    self._read(client)
                except httpx2.HTTPError:
                    pass
                self.reconnects += 1
                # No event tells when a killed server is back: a short pause between tries.
                self._stopped.wait(0.1)

    def _read(self, client: httpx2.Client) -> None:
        headers = dict(self._headers)
        if self._last is not None:
            headers["last-event-id"] = self._last
        with client.stream("GET", self._url, headers=headers) as response:
            if response.status_code != 200:
                if response.status_code < 500:
                    self.problem = f"stream answered {response.status_code}: {response.read()[:300]!r}"
                    self._stopped.set()
                return
            for frame in frames(response.iter_text()):
                if self._stopped.is_set():
                    return
                if frame.id is None:
                    continue
                self._last = frame.id
                with self._changed:
                    self.frames.append(frame)
                    self._changed.notify_all()

    def wait_for(self, condition: Any, *, seconds: float) -> bool:
        """Whether `condition(self.frames)` came true in time."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: condition(self.frames) or self.problem, seconds)) and not self.problem

    def stop(self) -> None:
        self._stopped.set()
