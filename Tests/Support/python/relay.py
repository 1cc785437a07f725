"""A TCP relay on loopback whose connections can be cut, held, and cut short: the network between two living processes."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any, Self

#: Closing a socket with this sends RST and drops what is not sent.
RESET = struct.pack("ii", 1, 0)
PIECE = 1 << 16


class Relay:
    """Passes bytes on to `port` from a port of its own, on a thread of its own, until it is closed."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        #: How many bytes may still pass before everything is cut; None for any number.
        self._remaining: int | None = None
        #: Seconds for which each piece is kept before it goes on, from and to.
        self._delay = (0.0, 0.0)
        self.opened = 0
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # --- faults ---

    def reset(self) -> None:
        """Breaks every open connection off, both ways, with what is on its way."""
        self._run(self._reset())

    def reset_after(self, count: int) -> None:
        """Breaks everything off after `count` more bytes, most likely in the middle of a message."""
        self._run(self._set_remaining(count))

    def hold(self) -> None:
        """Lets nothing through and says so to nobody; new connections are taken and held as well."""
        self._run(self._set_flowing(False))

    def release(self) -> None:
        """What was held goes on; nothing of it is lost."""
        self._run(self._set_flowing(True))

    def delay(self, least: float, most: float) -> None:
        """Each piece comes later by a time between these, in seconds, in its order; (0, 0) for at once."""
        self._delay = (least, most)

    # --- on the relay's own thread ---

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _set_flowing(self, flows: bool) -> None:
        if flows:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def _set_remaining(self, count: int) -> None:
        self._remaining = count

    async def _reset(self) -> None:
        self._remaining = None
        for writer in list(self._connections):
            connection: socket.socket | None = writer.get_extra_info("socket")
            if connection is not None and connection.fileno() >= 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        self._connections.clear()

    async def _end(self) -> None:
        self._server.close()
        self._flowing.set()
        while self._tasks:
            await self._reset()
            await asyncio.wait(self._tasks, timeout=0.1)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections.add(writer)
        self.opened += 1
        upstream: asyncio.StreamWriter | None = None
        try:
            await self._flowing.wait()
            back, upstream = await asyncio.open_connection("127.0.0.1", self._target)
            self._connections.add(upstream)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, upstream))
                both.create_task(self._pass(back, writer))
        except* OSError:
            pass  # a refused or broken side ends the pair; the peers see it for themselves
        finally:
            for side in (writer, upstream):
                if side is not None:
                    self._connections.discard(side)
                    side.close()
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(PIECE):
            if self._delay[1]:
                await asyncio.sleep(random.uniform(*self._delay))
            await self._flowing.wait()
            if self._remaining is not None:
                data, rest = data[:self._remaining], data[self._remaining:]
                self._remaining -= len(data)
                writer.write(data)
                if rest or self._remaining == 0:
                    await self._reset()
                    return
            else:
                writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
