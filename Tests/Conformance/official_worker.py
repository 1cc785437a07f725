"""The SDK's own `EnvironmentWorker`, unmodified, in an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from anthropic.lib.environments import EnvironmentWorker

from api import async_client


class OfficialWorker:
    """Serves one environment from `__enter__` to `__exit__`. It handles one session at a time, as it always does."""

    def __init__(self, url: str, environment: str, key: str, folder: Path, *, max_idle: float = 0.2, **options: Any) -> None:
        self._url, self._environment, self._key = url, environment, key
        self._options: dict[str, Any] = {"workdir": folder, "max_idle": max_idle} | options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="official worker", daemon=True)
        self._task: asyncio.Task[None] | None = None
        self._started = threading.Event()
        #: What ended the worker before it was asked to end.
        self.failure: BaseException | None = None

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._task = asyncio.current_task()
        self._started.set()
        # The parent client's own key must never be used by the worker: it is a wrong one.
        client = async_client(self._url, "not-a-key", max_retries=2)
        worker = EnvironmentWorker(client, environment_id=self._environment, environment_key=self._key, **self._options)
        try:
            await worker.run()
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - kept for the one who started the worker
            self.failure = error
        finally:
            await client.close()

    def __enter__(self) -> OfficialWorker:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *error: Any) -> None:
        task = self._task
        if task is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(task.cancel)
        self._thread.join(40)
        if self.failure is not None:
            raise self.failure
