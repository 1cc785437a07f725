"""One way of calling the official SDK for both of its clients, so that each test is written once and runs twice."""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import anyio
import anyio.from_thread
import anyio.to_thread
import httpx2

from recording import AsyncCheckingTransport, CheckingTransport

Condition = Callable[[Any], bool]
#: A stream that has not shown by then what a test waits for never will.
STREAM_SECONDS = 30.0


def sync_client(url: str, key: str, **options: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key=key, base_url=url, http_client=httpx2.Client(transport=CheckingTransport(), timeout=30), **({"max_retries": 0} | options))


def async_client(url: str, key: str, **options: Any) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        api_key=key, base_url=url, http_client=httpx2.AsyncClient(transport=AsyncCheckingTransport(), timeout=30), **({"max_retries": 0} | options))


class SyncAPI:
    mode = "sync"

    def __init__(self, url: str, key: str) -> None:
        self.client = sync_client(url, key)

    def call(self, request: Callable[[Any], Any]) -> Any:
        return request(self.client)

    def items(self, request: Callable[[Any], Any]) -> list[Any]:
        """Every element of a list, over all its pages."""
        return list(request(self.client))

    def stream(self, request: Callable[[Any], Any], *, act: Callable[[], Any], until: Condition) -> list[Any]:
        """Opens a stream, acts, and returns its events up to the one that fulfils the condition."""
        seen = []
        with request(self.client) as stream:
            # Pings keep the connection alive, so only a close from outside ends a wait for what never comes.
            guard = threading.Timer(STREAM_SECONDS, stream.close)
            guard.start()
            try:
                act()
                for event in stream:
                    seen.append(event)
                    if until(event):
                        return seen
            finally:
                guard.cancel()
        raise TimeoutError(f"the stream ended before what was waited for: {[e.type for e in seen]}")

    def close(self) -> None:
        self.client.close()


class AsyncAPI:
    mode = "async"

    def __init__(self, url: str, key: str, portal: anyio.from_thread.BlockingPortal) -> None:
        self._portal = portal
        self.client = async_client(url, key)

    def call(self, request: Callable[[Any], Any]) -> Any:
        async def run() -> Any:
            result = request(self.client)
            return await result if inspect.isawaitable(result) else result
        return self._portal.call(run)

    def items(self, request: Callable[[Any], Any]) -> list[Any]:
        async def run() -> list[Any]:
            return [item async for item in request(self.client)]
        return self._portal.call(run)

    def stream(self, request: Callable[[Any], Any], *, act: Callable[[], Any], until: Condition) -> list[Any]:
        async def run() -> list[Any]:
            seen = []
            with anyio.fail_after(STREAM_SECONDS):
                async with await request(self.client) as stream:
                    await anyio.to_thread.run_sync(act)
                    async for event in stream:
                        seen.append(event)
                        if until(event):
                            return seen
            raise TimeoutError(f"the stream ended before what was waited for: {[e.type for e in seen]}")
        return self._portal.call(run)

    def close(self) -> None:
        self._portal.call(self.client.close)


@contextlib.contextmanager
def open_api(mode: str, url: str, key: str) -> Iterator[SyncAPI | AsyncAPI]:
    if mode == "sync":
        api = SyncAPI(url, key)
        try:
            yield api
        finally:
            api.close()
    else:
        with anyio.from_thread.start_blocking_portal() as portal:
            other = AsyncAPI(url, key, portal)
            try:
                yield other
            finally:
                other.close()
