"""What a refusal must look like."""

from __future__ import annotations

import re
from typing import Any

import httpx2

from recording import error_problems


def refused(answer: httpx2.Response, status: int, kind: str, message: str | None = None, *, retry: bool | None = None) -> dict[str, Any]:
    """Checks a refusal and returns its error; "…" in the message stands for anything. `retry` is what x-should-retry must say."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text[:300]}"
    body = answer.json()
    assert not error_problems(answer.status_code, answer.headers, body)
    error: dict[str, Any] = body["error"]
    assert error["type"] == kind
    if message is not None:
        pattern = ".*".join(re.escape(part) for part in message.split("…"))
        assert re.fullmatch(pattern, error["message"], re.DOTALL), error["message"]
    if retry is not None:
        assert answer.headers.get("x-should-retry") == ("true" if retry else "false")
    return error
