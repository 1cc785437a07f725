"""An MCP server made with the official SDK, of whichever major version is installed: the peer of the suite.

sdk_server.py stdio
sdk_server.py http [--address ADDRESS] [--port N] [--stateless] [--json] [--events] [--auth | --oauth ISSUER [--resource URL]] [--hosts NAME] [--tls CERT KEY [--clients CA]]

Over HTTP it prints its port when it listens. What tools do that must be seen from outside is printed to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import socket
import ssl
import sys
import time
import urllib.parse
import urllib.request
from typing import Any

import anyio
import uvicorn
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.lowlevel.server import NotificationOptions
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.transport_security import TransportSecuritySettings

try:
    from mcp.server.mcpserver import Context, Image, MCPServer
    from mcp_types import ToolAnnotations
    IS_V2 = True
except ImportError:
    from mcp.server.fastmcp import Context, Image
    from mcp.server.fastmcp import FastMCP as MCPServer
    from mcp.types import ToolAnnotations
    IS_V2 = False

#: One pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082")


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Events(EventStore):
    """Keeps every event in memory."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        self._events.append((stream_id, message))
        return f"e{len(self._events)}"

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        number = int(last_event_id[1:])
        if not 0 < number <= len(self._events):
            return None
        tell(f"RESUMED after {last_event_id}")
        stream = self._events[number - 1][0]
        for index in range(number, len(self._events)):
            of, message = self._events[index]
            if of == stream and message is not None:
                await send_callback(EventMessage(message, f"e{index + 1}"))
        return stream


class Tokens:
    """`good` may do everything, `weak` is valid and lacks the scope."""

    async def verify_token(self, token: str) -> AccessToken | None:
        scopes = {"good": ["docs"], "weak": ["other"]}.get(token)
        if scopes is None:
            return None
        return AccessToken(token=token, client_id="suite", scopes=scopes, expires_at=int(time.time()) + 600)


class Introspection:
    """Tokens are what the authorization server says of them (RFC 7662)."""

    def __init__(self, issuer: str) -> None:
        self._place = issuer + "/introspect?"

    def ask(self, token: str, **more: str) -> dict[str, Any]:
        with urllib.request.urlopen(self._place + urllib.parse.urlencode({"token": token} | more), timeout=5) as answer:
            return json.load(answer)

    async def verify_token(self, token: str) -> AccessToken | None:
        said = await asyncio.to_thread(self.ask, token, take="1")
        if not said["active"]:
            return None
        return AccessToken(token=token, client_id="suite", scopes=said["scope"].split(), resource=said["aud"])


class StepUp:
    """Refuses calls of the tool `add` to tokens without the scope `docs.write`, before the server hears of them."""

    def __init__(self, app: Any, tokens: Introspection) -> None:
        self._app, self._tokens = app, tokens

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self._app(scope, receive, send)
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event.get("body", b""), event.get("more_body", False)
        message, token = json.loads(body), dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
        if token and message.get("method") == "tools/call" and message["params"]["name"] == "add":
            said = await asyncio.to_thread(self._tokens.ask, token)
            if said["active"] and "docs.write" not in said["scope"].split():
                challenge = b'Bearer error="insufficient_scope", scope="docs.write"'
                await send({"type": "http.response.start", "status": 403, "headers": [(b"www-authenticate", challenge), (b"content-length", b"0")]})
                return await send({"type": "http.response.body", "body": b""})
        sent = False

        async def again() -> Any:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, send)


def make(arguments: argparse.Namespace) -> Any:
    settings: dict[str, Any] = {}
    if getattr(arguments, "oauth", None):
        settings["auth"] = AuthSettings(
            issuer_url=arguments.oauth, resource_server_url=arguments.resource or f"http://127.0.0.1:{arguments.port}/mcp", required_scopes=["docs"],
            validate_token_resource=True)
        settings["token_verifier"] = Introspection(arguments.oauth)
    if getattr(arguments, "auth", False):
        settings["auth"] = AuthSettings(
            issuer_url="https://auth.example.com", resource_server_url="https://docs.example.com/mcp", required_scopes=["docs"],
            validate_token_resource=False)
        settings["token_verifier"] = Tokens()
    server = MCPServer("suite", instructions="Only for tests.", **settings)

    @server.tool(annotations=ToolAnnotations(readOnlyHint=True, idempotentHint=True))
    def echo(text: str) -> str:
        """Gives the text back.

        Nothing else.
        """
        tell(f"ECHO {text[:40]}")
        return text

    @server.tool(annotations=ToolAnnotations(destructiveHint=True, openWorldHint=True))
    def add(a: int, b: int) -> int:
        return a + b

    @server.tool()
    def picture() -> Image:
        return Image(data=PNG, format="png")

    @server.tool()
    def big(size: int) -> str:
        return "x" * size

    @server.tool()
    def broken() -> str:
        raise ValueError("it is broken")

    @server.tool()
    def variables() -> str:
        return " ".join(sorted(os.environ))

    @server.tool()
    async def slow(steps: int, seconds: float, ctx: Context) -> str:
        """Tells of progress."""
        for step in range(steps):
            await ctx.report_progress(step + 1, steps, f"step {step + 1}")
            await anyio.sleep(seconds)
        return "done"

    @server.tool()
    async def wait(ctx: Context) -> str:
        """Waits until it is cancelled."""
        await ctx.report_progress(0, 1)
        tell("WAITING")
        try:
            await anyio.sleep(60)
        except BaseException:
            tell("CANCELLED")
            raise
        return "not cancelled"

    @server.tool()
    async def polled(ctx: Context) -> str:
        """Ends its stream and answers on the next one."""
        tell("POLLED")
        await ctx.close_sse_stream()
        await anyio.sleep(0.2)
        return "after the break"

    @server.tool()
    async def grow(ctx: Context) -> str:
        """Adds a tool and tells of it, in both ways that there are."""
        server.add_tool(lambda: "new", name="added")
        if IS_V2:
            await ctx.notify_tools_changed()
        await ctx.session.send_tool_list_changed()
        return "grown"

    @server.prompt()
    def greeting(name: str) -> str:
        return f"Greet {name}."

    @server.resource("memo://first")
    def memo() -> str:
        return "the first memo"

    low = server._lowlevel_server if IS_V2 else server._mcp_server
    low.create_initialization_options = functools.partial(low.create_initialization_options, NotificationOptions(tools_changed=True))
    return server


def application(server: Any, arguments: argparse.Namespace) -> Any:
    hosts = [arguments.hosts, f"{arguments.hosts}:*"] if arguments.hosts else ["127.0.0.1:*"]
    security = TransportSecuritySettings(enable_dns_rebinding_protection=True, allowed_hosts=hosts, allowed_origins=[])
    events = Events() if arguments.events else None
    if IS_V2:
        return server.streamable_http_app(
            json_response=arguments.json, stateless_http=arguments.stateless, event_store=events, retry_interval=50 if events else None,
            transport_security=security)
    server.settings.json_response = arguments.json
    server.settings.stateless_http = arguments.stateless
    server.settings.transport_security = security
    server._event_store = events
    server._retry_interval = 50 if events else None
    return server.streamable_http_app()


def main() -> None:
    parser = argparse.ArgumentParser()
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("stdio")
    http = kinds.add_parser("http")
    http.add_argument("--address", default="127.0.0.1")
    http.add_argument("--port", type=int, default=0)
    http.add_argument("--stateless", action="store_true")
    http.add_argument("--json", action="store_true")
    http.add_argument("--events", action="store_true")
    http.add_argument("--auth", action="store_true")
    http.add_argument("--oauth")
    http.add_argument("--resource")
    http.add_argument("--hosts")
    http.add_argument("--tls", nargs=2)
    http.add_argument("--clients")
    arguments = parser.parse_args()
    if arguments.kind == "stdio":
        make(arguments).run("stdio")
        return
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((arguments.address, arguments.port))
    listener.listen(64)
    arguments.port = listener.getsockname()[1]
    app = application(make(arguments), arguments)
    if arguments.oauth:
        app = StepUp(app, Introspection(arguments.oauth))
    settings: dict[str, Any] = {}
    if arguments.tls:
        settings = {"ssl_certfile": arguments.tls[0], "ssl_keyfile": arguments.tls[1]}
    if arguments.clients:
        settings |= {"ssl_ca_certs": arguments.clients, "ssl_cert_reqs": ssl.CERT_REQUIRED}
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, **settings)
    print(f"listening on port {arguments.port}", flush=True)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
