"""A server of the official SDK, version 2, with many pages of tools, and a tool whose argument is to be repeated in a header field (2026-07-28)."""

from __future__ import annotations

import asyncio
import socket

import mcp_types as types
import uvicorn
from mcp.server.lowlevel.server import Server
from mcp.server.transport_security import TransportSecuritySettings

PAGES, SIZE = 4, 25
MARKED = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}, "query": {"type": "string"}}}


async def list_tools(context: object, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    page = int(params.cursor) if params and params.cursor else 0
    tools = [types.Tool(name=f"tool-{page * SIZE + n}", description="One of many.", input_schema={"type": "object"}) for n in range(SIZE)]
    if page == PAGES - 1:
        tools.append(types.Tool(name="query", input_schema=MARKED))
    return types.ListToolsResult(tools=tools, next_cursor=str(page + 1) if page + 1 < PAGES else None)


async def call_tool(context: object, params: types.CallToolRequestParams) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=f"{params.name} in {(params.arguments or {}).get('region')}")])


def main() -> None:
    server = Server("paged", version="2", on_list_tools=list_tools, on_call_tool=call_tool)
    app = server.streamable_http_app(
        json_response=True, stateless_http=True,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=True, allowed_hosts=["127.0.0.1:*"]))
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"listening on port {listener.getsockname()[1]}", flush=True)
    asyncio.run(uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
