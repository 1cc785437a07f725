"""A stdio MCP server without any library, which tells what it can reach from where it runs, and does what a server should not.

It speaks 2025-11-25 and needs nothing but the machine's Python.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import Any


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def reaches(address: str, port: int) -> str:
    try:
        with socket.create_connection((address, port), timeout=3):
            return "reached"
    except OSError as error:
        return f"refused: {error}"


def reads(path: str) -> str:
    try:
        if os.path.isdir(path):
            return "list: " + " ".join(sorted(os.listdir(path)))
        with open(path, encoding="utf-8", errors="replace") as file:
            return "read: " + file.read(2000)
    except OSError as error:
        return f"refused: {error}"


def writes(path: str, text: str) -> str:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return "written"
    except OSError as error:
        return f"refused: {error}"


def everywhere(wanted: list[str]) -> str:
    """Where files of those names are found."""
    found = [os.path.join(folder, name) for folder, _, names in os.walk("/") for name in names if name in wanted]
    return " ".join(found) or "nowhere"


def signals() -> str:
    """The processes that can be seen, and whether any but the own can be signalled."""
    seen = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return f"{len(seen)} processes, user {os.getuid()}, parent {os.getppid()}"


def eats(size: int) -> str:
    """Memory that is written to, so that it is there."""
    try:
        held = bytearray(size)
        for index in range(0, size, 4096):
            held[index] = 1
        return "eaten"
    except MemoryError:
        return "refused"


def forks(count: int) -> str:
    """Processes that do nothing."""
    children = []
    try:
        for _ in range(count):
            child = os.fork()
            if child == 0:
                signal.pause()
            children.append(child)
        return f"forked {len(children)}"
    except OSError as error:
        return f"refused: {error}"
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


TOOLS = {
    "big": lambda a: "x" * a["size"],
    "eats": lambda a: eats(a["size"]),
    "forks": lambda a: forks(a["count"]),
    "reaches": lambda a: reaches(a["address"], a["port"]),
    "reads": lambda a: reads(a["path"]),
    "writes": lambda a: writes(a["path"], a["text"]),
    "everywhere": lambda a: everywhere(a["names"]),
    "signals": lambda a: signals(),
    "variables": lambda a: json.dumps(dict(os.environ)),
    "variable": lambda a: str(len(os.environ.get(a["name"], ""))),
    "pid": lambda a: f"{os.getpid()} {initialized}",
}

#: Requests of this server that wait for the client's response, by id, with the request that they belong to.
waiting: dict[str, Any] = {}
held: dict[Any, Any] = {}
initialized = 0


def call(message: dict[str, Any]) -> None:
    name, arguments = message["params"]["name"], message["params"].get("arguments") or {}
    token = (message["params"].get("_meta") or {}).get("progressToken")
    if name == "dies":
        print(f"the end is near {os.environ.get('API_TOKEN', '')}", file=sys.stderr, flush=True)
        os._exit(7)
    if name == "noise":
        sys.stdout.write("this is no message\n")
        for _ in range(300):
            print("noise", file=sys.stderr)
        sys.stderr.flush()
    if name == "holds":
        # Answered by `frees`, or never.
        held[message["id"]] = message
        print("HOLDING", file=sys.stderr, flush=True)
        return
    if name == "frees":
        for request in list(held):
            send({"id": request, "result": {"content": [{"type": "text", "text": "freed"}]}})
        held.clear()
    if name == "asks":
        waiting["question-1"] = message["id"]
        send({"id": "question-1", "method": "roots/list"})
        return
    if token is not None:
        send({"method": "notifications/progress", "params": {"progressToken": token, "progress": 1, "total": 2}})
    text = TOOLS[name](arguments) if name in TOOLS else "done"
    send({"id": message["id"], "result": {"content": [{"type": "text", "text": text}]}})


def main() -> None:
    global initialized
    for line in sys.stdin:
        message = json.loads(line)
        method = message.get("method")
        if method == "initialize":
            send({"id": message["id"], "result": {
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "raw", "version": "1"}}})
        elif method == "notifications/initialized":
            initialized += 1
        elif method == "notifications/cancelled":
            print(f"CANCELLED {message['params']['requestId'] in held}", file=sys.stderr, flush=True)
            held.pop(message["params"]["requestId"], None)
        elif method == "tools/call":
            call(message)
        elif method == "tools/list":
            send({"id": message["id"], "result": {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}})
        elif method is not None and "id" in message:
            send({"id": message["id"], "error": {"code": -32601, "message": f"no {method}"}})
        elif message.get("id") in waiting:
            roots = len(message["result"]["roots"])
            send({"id": waiting.pop(message["id"]), "result": {"content": [{"type": "text", "text": f"{roots} roots"}]}})


if __name__ == "__main__":
    main()
