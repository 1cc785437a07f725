"""An MCP client made with the official SDK, of whichever major version is installed, that goes by the edge's CONNECT: the peer of the suite.

sdk_client.py URL EDGE-NAME EDGE-PORT EDGE-CA CERTIFICATES TEXT
sdk_client.py URL EDGE-NAME EDGE-PORT EDGE-CA CERTIFICATES TOOL ARGUMENTS

The API key is read from API_KEY. Prints the revision, the number of tools, and what the tool `echo` gives back for TEXT, or TOOL for ARGUMENTS.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client

try:
    import httpx2 as http
    from mcp import Client
except ImportError:
    import httpx as http
    Client = None


def here(edge: str) -> None:
    """The edge's name leads to this machine; nobody has to be asked for the tunnel's."""
    system = socket.getaddrinfo

    def look(host: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return system("127.0.0.1" if name == edge else host, *arguments, **options)

    socket.getaddrinfo = look


async def main() -> None:
    url, edge, port, edge_ca, folder, text, *rest = sys.argv[1:]
    tool, values = (text, json.loads(rest[0])) if rest else ("echo", {"text": text})
    here(edge)
    trusted = ssl.create_default_context(cafile=str(Path(folder, "authorities.pem")))
    trusted.load_cert_chain(Path(folder, "certificate.pem"), Path(folder, "key.pem"))
    proxy = http.Proxy(
        f"https://{edge}:{port}", headers={"Proxy-Authorization": f"Bearer {os.environ['API_KEY']}"},
        ssl_context=ssl.create_default_context(cafile=edge_ca))
    async with http.AsyncClient(verify=trusted, proxy=proxy, timeout=30) as client:
        transport = streamable_http_client(url, http_client=client)
        if Client:
            async with Client(transport) as session:
                print(session.protocol_version, len((await session.list_tools()).tools))
                print((await session.call_tool(tool, values)).content[0].text)
            return
        async with transport as (reader, writer, _), ClientSession(reader, writer) as session:
            opened = await session.initialize()
            print(opened.protocolVersion, len((await session.list_tools()).tools))
            print((await session.call_tool(tool, values)).content[0].text)


asyncio.run(main())
