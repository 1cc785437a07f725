"""Servers that break the rules, break off, or answer what nobody asked."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

import pytest

from peers import Hostile, HostileServer, MODERN, postern


def call(server: HostileServer, *arguments: str) -> Any:
    return postern("call", server.url, "tool", "{}", "--timeout", "5", *arguments)


def answering(revision: str, answer: Any, session: str | None = None) -> HostileServer:
    def handle(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        if not handler.hello(method, message, revision, session):
            answer(handler, method, headers, message)

    return HostileServer(handle)


OK = {"content": [{"type": "text", "text": "ok"}], "resultType": "complete"}


def frame(message: Any, identifier: str | None = None) -> str:
    return (f"id: {identifier}\n" if identifier else "") + f"event: message\ndata: {json.dumps(message)}\n\n"


@pytest.mark.parametrize("revision", ["2025-03-26", "2025-11-25", MODERN])
def test_a_call_whose_connection_breaks_is_not_made_again(revision: str) -> None:
    def cut(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        handler.stream()
        handler.write(": begun\n\n")

    def none(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        handler.close_connection = True
        handler.connection.close()

    def reset(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        handler.close_connection = True
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    def garbage(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        handler.close_connection = True
        handler.write("HTTP/9 what\r\n\r\n")

    for answer in (cut, none, reset, garbage):
        with answering(revision, answer) as server:
            done = call(server)
            assert done.status == 1 and "not known whether" in done.error, done.error
            assert server.count("tools/call") == 1


def test_the_newer_era_does_not_take_a_stream_up() -> None:
    def cut(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        handler.stream()
        handler.write("id: 1\ndata:\n\n")

    with answering(MODERN, cut) as server:
        assert "not known whether" in call(server).error
        assert ("GET", None) not in server.asked


def test_a_stream_is_taken_up_after_the_last_whole_event() -> None:
    kept: dict[str, Any] = {}

    def answer(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        if method == "POST":
            kept["id"] = message["id"]
            handler.stream()
            handler.write("retry: 10\n" + frame({"jsonrpc": "2.0", "method": "notifications/message"}, "a-1") + "id: a-2\ndata: {\"half")
        elif headers.get("last-event-id") == "a-1":
            handler.stream()
            handler.write(frame({"jsonrpc": "2.0", "id": kept["id"], "result": OK}, "a-2"))
        else:
            handler.send(400)

    with answering("2025-11-25", answer, session="s-1") as server:
        done = call(server)
        assert (done.status, done.output) == (0, "ok\n"), done.error
        assert server.count("tools/call") == 1
        assert ("DELETE", None) in server.asked, "the session is ended"
        get = server.headers[server.asked.index(("GET", None))]
        assert get["mcp-session-id"] == "s-1" and get["mcp-protocol-version"] == "2025-11-25" and get["accept"] == "text/event-stream"


def test_a_session_that_is_gone_is_begun_again_once() -> None:
    sessions: list[str] = []

    def handle(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        if isinstance(message, dict) and message.get("method") == "initialize":
            sessions.append(f"s-{len(sessions) + 1}")
        if handler.hello(method, message, "2025-06-18", sessions[-1] if sessions else None):
            return
        if headers.get("mcp-session-id") == "s-1":
            handler.send(404)
        else:
            handler.result(message, OK)

    with HostileServer(handle) as server:
        done = call(server)
        assert (done.status, done.output) == (0, "ok\n"), done.error
        assert sessions == ["s-1", "s-2"] and server.count("tools/call") == 2
        first = server.headers[server.asked.index(("POST", "initialize"))]
        assert "mcp-session-id" not in first and "mcp-protocol-version" not in first


def test_batches_are_read_in_the_one_revision_that_has_them() -> None:
    def batch(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        progress = {"jsonrpc": "2.0", "method": "notifications/message"}
        handler.send(200, json.dumps([progress, {"jsonrpc": "2.0", "id": message["id"], "result": OK}]).encode())

    with answering("2025-03-26", batch) as server:
        assert call(server).output == "ok\n"
    with answering("2025-06-18", batch) as server:
        assert "a batch, which only revision 2025-03-26 has" in call(server).error


def test_a_question_of_the_server_is_answered() -> None:
    answers: list[Any] = []

    def answer(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        if "method" not in message:
            answers.append(message)
            handler.send(202)
            return
        handler.stream()
        handler.write(frame({"jsonrpc": "2.0", "id": "p", "method": "ping"}))
        handler.write(frame({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}}))
        while len(answers) < 2:
            time.sleep(0.005)
        handler.write(frame({"jsonrpc": "2.0", "id": message["id"], "result": OK}))

    with answering("2025-11-25", answer, session="s") as server:
        assert call(server).output == "ok\n"
        assert answers[0] == {"jsonrpc": "2.0", "id": "p", "result": {}}
        assert answers[1]["id"] == 1 and answers[1]["error"]["code"] == -32601


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda handler, message: handler.send(307, Location="http://169.254.169.254/"), "redirects are not followed"),
        (lambda handler, message: handler.send(200, b"<html>", "text/html"), "neither application/json nor text/event-stream"),
        (lambda handler, message: handler.send(200, b"{"), "invalid JSON"),
        (lambda handler, message: handler.send(202), "HTTP 202"),
        (lambda handler, message: handler.send(503, b"try  later", "text/plain"), "HTTP 503: try later"),
        (lambda handler, message: handler.send(500, b"x" * 100_000, "text/plain"), "HTTP 500"),
        (lambda handler, message: handler.result({"id": 999}, OK), "another id"),
        (lambda handler, message: handler.result(message, {"content": "x"}), "list of content"),
        (lambda handler, message: handler.result(message, {"resultType": "task"}), "which was not asked for"),
        (lambda handler, message: handler.error(message, -32603), "refused (-32603)"),
    ],
)
def test_answers_that_are_none(answer: Any, text: str) -> None:
    with answering(MODERN, lambda handler, method, headers, message: answer(handler, message)) as server:
        done = call(server)
        assert done.status in (1, 69) and text in done.error and done.output == "", done
        assert server.count("tools/call") == 1


def test_a_tool_that_asks_for_more() -> None:
    asks = {"resultType": "input_required", "inputRequests": {"a": {"method": "elicitation/create", "params": {"message": "Which\x1b[2J year?"}}}}
    with answering(MODERN, lambda handler, method, headers, message: handler.result(message, asks)) as server:
        done = call(server)
        assert done.status == 3 and "Which" in done.error and "\x1b" not in done.error


@pytest.mark.parametrize("revision", ["2025-11-25", MODERN])
def test_what_never_ends_is_bounded(revision: str) -> None:
    def flood(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        handler.stream()
        while True:
            handler.write("data: " + "x" * 65_000)

    with answering(revision, flood) as server:
        done = call(server, "--max-message-bytes", "2000000")
        assert done.status == 1 and "larger than 2000000 bytes" in done.error


def test_a_trickle_is_no_progress() -> None:
    def trickle(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        handler.stream()
        while True:
            handler.write(": still here\n\n" + frame({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "other", "progress": 1}}))
            time.sleep(0.05)

    with answering(MODERN, trickle) as server:
        done = postern("call", server.url, "tool", "--timeout", "1")
        assert done.status == 1 and "within 1 s" in done.error


def test_a_server_that_speaks_only_what_is_unknown() -> None:
    def future(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        handler.error(message, -32022, 400, {"supported": ["2031-01-01"], "requested": MODERN})

    with HostileServer(future) as server:
        done = postern("probe", server.url, "--json")
        assert done.status == 1 and "2031-01-01" in done.error and done.json["error"]["kind"] == "unsupported_revision"
        assert server.count("initialize") == 0


def test_nothing_answers() -> None:
    done = postern("probe", "http://127.0.0.1:9/mcp", "--json")
    assert done.status == 69 and done.json["error"]["kind"] == "unreachable" and done.json["steps"][0]["error"] == "unreachable"


def test_a_token_that_the_server_repeats_is_not_shown(tmp_path: Any) -> None:
    token, field = tmp_path / "token", tmp_path / "fields"
    token.write_text("canary-of-a-token\n")
    field.write_text("X-Key: canary-of-a-field\n")

    def echo(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        what = f"{headers['authorization']} {headers['x-key']}"
        match message["params"]["name"]:
            case "401": handler.send(401, WWW_Authenticate=f'Bearer error="invalid_token", error_description="{what}", scope="{what}"')
            case "403": handler.send(403, WWW_Authenticate=f'Bearer error="insufficient_scope", error_description="{what}"')
            case "400": handler.send(400, what.encode(), "text/plain")
            case "302": handler.send(302, Location=f"https://x/?{what.replace(' ', '+')}")
            case "type": handler.send(200, b"", f"text/{what.replace(' ', '+')}")
            case _: handler.send(200, json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32603, "message": what}}).encode())

    with answering(MODERN, echo) as server:
        for name in ("401", "403", "400", "302", "type", "error"):
            done = postern("call", server.url, name, "--bearer-file", str(token), "--header-file", str(field))
            assert done.status != 0 and "canary" not in done.output + done.error and "<redacted>" in done.error, (name, done)
