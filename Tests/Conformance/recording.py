"""HTTP transports for the SDK's clients that hold every answer against the contract as it passes."""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2

import strict
from contract import CONTRACT, Endpoint
from sse import Frame, FrameParser
from tally import TALLY

ENVELOPES = {
    "PageCursor": {"data", "next_page"},
    "BidirectionalPageCursor": {"data", "next_page", "prev_page"},
    "Page": {"data", "has_more", "first_id", "last_id"},
}
ERROR_TYPES = {
    "invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error", "rate_limit_error", "timeout_error",
    "api_error", "overloaded_error", "memory_precondition_failed_error", "memory_path_conflict_error", "conflict_error", "request_too_large",
}


def body_problems(endpoint: Endpoint, body: Any) -> list[str]:
    if endpoint.page:
        if not isinstance(body, dict) or not isinstance(body.get("data"), list):
            return ["a page without data"]
        found = [f"$.{key}: unknown field of a page" for key in body.keys() - ENVELOPES[endpoint.page]]
        return found + strict.problems(body["data"], list[strict.named(endpoint.answer)], "$.data")  # type: ignore[misc]
    if body is None and endpoint.is_nullable:
        return []
    return strict.problems(body, strict.named(endpoint.answer))


def error_problems(status: int, headers: httpx2.Headers, body: Any) -> list[str]:
    where = f"status {status}"
    if not isinstance(body, dict) or body.get("type") != "error" or not isinstance(body.get("error"), dict):
        return [f"{where}: the body is not an error: {str(body)[:200]}"]
    found = [f"{where}: unknown field {key}" for key in body.keys() - {"type", "error", "request_id"}]
    error = body["error"]
    if error.get("type") not in ERROR_TYPES:
        found.append(f"{where}: error type {error.get('type')!r}")
    if not isinstance(error.get("message"), str) or not error["message"]:
        found.append(f"{where}: no message")
    found += [f"{where}: unknown field error.{key}" for key in error.keys() - {"type", "message", "details"}]
    if body.get("request_id") != headers.get("request-id"):
        found.append(f"{where}: request_id {body.get('request_id')!r} is not the header's {headers.get('request-id')!r}")
    return found


def check(client: str, request: httpx2.Request, response: httpx2.Response, content: bytes) -> None:
    endpoint = CONTRACT.endpoint(request.method, request.url.path)
    if endpoint is None:
        return
    kind = response.headers.get("content-type", "")
    if not kind.split(";")[0].endswith("json"):
        return TALLY.answer(endpoint.name, client, [f"status {response.status_code}: content type {kind!r}"])
    body = json.loads(content)
    if response.status_code < 300:
        missing = [] if response.headers.get("request-id", "").startswith("req_") else ["no request-id header"]
        TALLY.answer(endpoint.name, client, body_problems(endpoint, body) + missing)
    else:
        TALLY.violations += [f"{endpoint.name}: {p}" for p in error_problems(response.status_code, response.headers, body)]


class StreamCheck:
    """Looks at the frames of one event stream."""

    def __init__(self, client: str, endpoint: Endpoint) -> None:
        self._client = client
        self._endpoint = endpoint
        self._parser = FrameParser()
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, chunk: bytes) -> None:
        for frame in self._parser.feed(self._decoder.decode(chunk)):
            TALLY.answer(self._endpoint.name, self._client, self._problems(frame))

    def _problems(self, frame: Frame) -> list[str]:
        if frame.event is None:
            return ["a frame without an event line"]
        if frame.event == "ping":
            return []
        event = frame.json
        found = strict.problems(event, strict.named(self._endpoint.answer))
        TALLY.event_types[event.get("type", "?")] += 1
        if event.get("type") != frame.event:
            found.append(f"the frame is named {frame.event} and holds {event.get('type')}")
        if (frame.id is None) != (frame.event in ("event_start", "event_delta")):
            found.append(f"{frame.event}: id {frame.id!r}")
        return found


class SyncChecked(httpx2.SyncByteStream):
    def __init__(self, inner: Any, check: StreamCheck) -> None:
        self._inner, self._check = inner, check

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            self._check.feed(chunk)
            yield chunk

    def close(self) -> None:
        self._inner.close()


class AsyncChecked(httpx2.AsyncByteStream):
    def __init__(self, inner: Any, check: StreamCheck) -> None:
        self._inner, self._check = inner, check

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._check.feed(chunk)
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


def stream_of(request: httpx2.Request, response: httpx2.Response) -> Endpoint | None:
    endpoint = CONTRACT.endpoint(request.method, request.url.path)
    return endpoint if endpoint is not None and endpoint.is_stream and response.status_code == 200 else None


class CheckingTransport(httpx2.HTTPTransport):
    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        if endpoint := stream_of(request, response):
            response.stream = SyncChecked(response.stream, StreamCheck("sync", endpoint))
        else:
            check("sync", request, response, response.read())
        return response


class AsyncCheckingTransport(httpx2.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if endpoint := stream_of(request, response):
            response.stream = AsyncChecked(response.stream, StreamCheck("async", endpoint))
        else:
            check("async", request, response, await response.aread())
        return response
