"""An MCP client made with the official SDK, of whichever major version is installed, that starts a command: the peer of the bridge's tests.

bridge_client.py MODE COMMAND...

MODE is `legacy` for the handshake, `auto` for what the SDK does by itself. Prints what it has seen as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

try:
    from mcp import Client
except ImportError:
    from mcp import types

    Client = None


def text(result: Any) -> str:
    return "\n".join(block.text for block in result.content)


def is_error(result: Any) -> bool:
    return bool(result.is_error if Client else result.isError)


class Peer:
    """The few things that the two versions do in different ways."""

    def __init__(self, session: Any, changed: asyncio.Event) -> None:
        self.session, self.changed = session, changed

    async def call(self, name: str, arguments: dict[str, Any], progress: list[Any] | None = None) -> Any:
        async def tell(done: float, total: float | None, message: str | None) -> None:
            if progress is not None:
                progress.append([done, total, message])

        return await self.session.call_tool(name, arguments, progress_callback=tell)

    async def cancelled(self) -> None:
        """Cancels a call that runs."""
        begun = asyncio.Event()

        async def tell(*_: Any) -> None:
            begun.set()

        call = asyncio.create_task(self.session.call_tool("wait", {}, progress_callback=tell))
        await begun.wait()
        if not Client:
            # This version leaves it to its user.
            notice = types.CancelledNotification(
                method="notifications/cancelled", params=types.CancelledNotificationParams(requestId=self.session._request_id - 1))
            await self.session.send_notification(types.ClientNotification(notice))
        call.cancel()
        await asyncio.wait([call])


async def scenario(peer: Peer, seen: dict[str, Any]) -> None:
    session = peer.session
    seen["tools"] = sorted(tool.name for tool in (await session.list_tools()).tools)
    seen["echo"] = text(await peer.call("echo", {"text": "ü \u2028 through"}))
    progress: list[Any] = []
    seen["slow"] = text(await peer.call("slow", {"steps": 3, "seconds": 0.01}, progress))
    seen["progress"] = progress
    broken = await peer.call("broken", {})
    seen["broken"] = [is_error(broken), text(broken)]
    try:
        unknown = await peer.call("no-such-tool", {})
        seen["unknown"] = text(unknown) if is_error(unknown) else "accepted"
    except Exception as error:
        seen["unknown"] = str(error)
    seen["prompt"] = (await session.get_prompt("greeting", {"name": "Ada"})).messages[0].content.text
    seen["resource"] = (await session.read_resource("memo://first")).contents[0].text
    await peer.cancelled()
    seen["after"] = text(await peer.call("echo", {"text": "after"}))
    seen["grow"] = text(await peer.call("grow", {}))
    await asyncio.wait_for(peer.changed.wait(), 20)
    seen["grown"] = "added" in [tool.name for tool in (await session.list_tools()).tools]


async def main() -> None:
    mode, command, *arguments = sys.argv[1:]
    parameters = StdioServerParameters(command=command, args=arguments, env=dict(os.environ))
    changed = asyncio.Event()
    seen: dict[str, Any] = {}

    async def hear(message: Any) -> None:
        if "list_changed" in str(getattr(getattr(message, "root", message), "method", "")):
            changed.set()

    async with AsyncExitStack() as stack:
        if Client:
            client = await stack.enter_async_context(Client(parameters, mode=mode, message_handler=hear))
            seen["revision"], seen["server"], seen["instructions"] = client.protocol_version, client.server_info.name, client.instructions
            if client.protocol_version >= "2026":
                subscription = await stack.enter_async_context(client.listen(tools_list_changed=True))

                async def listen() -> None:
                    async for _ in subscription:
                        changed.set()

                listener = asyncio.create_task(listen())
                stack.callback(listener.cancel)
            await scenario(Peer(client, changed), seen)
        else:
            reader, writer = await stack.enter_async_context(stdio_client(parameters))
            session = await stack.enter_async_context(ClientSession(reader, writer, message_handler=hear))
            opened = await session.initialize()
            seen["revision"], seen["server"], seen["instructions"] = opened.protocolVersion, opened.serverInfo.name, opened.instructions
            await scenario(Peer(session, changed), seen)
    print(json.dumps(seen))


asyncio.run(asyncio.wait_for(main(), 40))
