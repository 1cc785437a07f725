"""A worker played by hand: claims an item and posts exactly the results that a test wants."""

from __future__ import annotations

import base64
import json
from typing import Any

from control import Control, Place


def sessions_token(secret: str) -> str:
    padded = secret + "=" * (-len(secret) % 4)
    return str(json.loads(base64.urlsafe_b64decode(padded))["sessions_token"])


class Hands:
    """Holds the lease of one session's work item."""

    def __init__(self, url: str, place: Place, *, worker: str = "by-hand", lease_seconds: int | None = None) -> None:
        self.place = place
        self.key = Control(url, place.key)
        item = self._poll(worker)
        self.item = item
        self.session = str(item["data"]["id"])
        self.work = f"/v1/environments/{place.environment}/work/{item['id']}"
        self.key.call("POST", f"{self.work}/ack")
        self.token = Control(url, sessions_token(item["secret"]))
        ttl = f"&desired_ttl_seconds={lease_seconds}" if lease_seconds else ""
        self.beat = self.token.call("POST", f"{self.work}/heartbeat?expected_last_heartbeat=NO_HEARTBEAT{ttl}")

    def _poll(self, worker: str) -> dict[str, Any]:
        for _ in range(20):
            answer = self.key.http.get(
                f"/v1/environments/{self.place.environment}/work/poll", params={"block_ms": 999}, headers={"anthropic-worker-id": worker})
            if answer.status_code != 200:
                raise RuntimeError(f"poll: {answer.status_code} {answer.text}")
            if item := answer.json():
                return dict(item)
        raise RuntimeError("no work came")

    def answer(self, call: str, text: str = "done", *, is_error: bool = False) -> list[dict[str, Any]]:
        return self.token.send(self.session, {
            "type": "user.tool_result", "tool_use_id": call, "is_error": is_error, "content": [{"type": "text", "text": text}]})

    def stop(self) -> None:
        self.key.call("POST", f"{self.work}/stop", {"force": True})
