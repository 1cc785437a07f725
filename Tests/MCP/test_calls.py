"""What calls give, and how they end."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peers import HERE, MODERN, Hostile, HostileServer, Server, command, postern, python_of, serving
from postern_fixture import binary, clean_environment
from processes import ChildProcess

SERVERS = [("1", ()), ("1", ("--json",)), ("2", ()), ("2", ("--stateless", "--json"))]


@pytest.mark.parametrize(("sdk", "flags"), SERVERS)
def test_outcomes(server: Callable[..., Server], tmp_path: Path, sdk: str, flags: tuple[str, ...]) -> None:
    url = server(sdk, *flags).url
    broken = postern("call", url, "broken")
    assert broken.status == 2 and "Error executing tool broken" in broken.output and "the tool broken failed" in broken.error
    wrong = postern("call", url, "add", '{"a": "x"}')
    assert wrong.status == 2, wrong
    unknown = postern("call", url, "no-such-tool")
    assert unknown.status in (1, 2) and "no-such-tool" in unknown.output + unknown.error
    added = postern("call", url, "add", "-", "--json", stdin='{"a": 2, "b": 3}')
    assert added.status == 0 and added.json["structuredContent"] == {"result": 5}

    picture = postern("call", url, "picture")
    assert picture.status == 0 and picture.output == "" and re.search(r"image, image/png, \d+ bytes: not shown", picture.error)
    folder = tmp_path / "saved"
    saved = postern("call", url, "picture", "--save", str(folder))
    assert saved.status == 0 and f"{folder}/1.png" in saved.output
    file = folder / "1.png"
    whole = postern("call", url, "picture", "--json").json
    assert file.read_bytes() == base64.b64decode(whole["content"][0]["data"]) and stat.S_IMODE(file.stat().st_mode) == 0o600
    again = postern("call", url, "picture", "--save", str(folder))
    assert again.status == 1 and "File exists" in again.error, "a file is not replaced"


@pytest.mark.parametrize(("sdk", "flags"), SERVERS)
def test_a_big_text_comes_whole_and_is_bounded(server: Callable[..., Server], sdk: str, flags: tuple[str, ...]) -> None:
    url = server(sdk, *flags).url
    size = 3_000_000
    whole = postern("call", url, "big", json.dumps({"size": size}))
    assert whole.status == 0 and whole.output == "x" * size + "\n"
    bounded = postern("call", url, "big", json.dumps({"size": size}), "--max-message-bytes", "1000000")
    assert bounded.status == 1 and "is larger than 1000000 bytes" in bounded.error and bounded.output == ""


def test_a_terminal_gets_the_start_of_a_big_text_and_no_escapes(server: Callable[..., Server]) -> None:
    url = server("2", "--stateless", "--json").url

    def on_terminal(*arguments: str) -> str:
        main, other = os.openpty()
        process = subprocess.Popen([str(binary()), "mcp", "call", *arguments], stdout=other, stderr=subprocess.DEVNULL, env=clean_environment())
        os.close(other)
        output = b""
        while True:
            try:
                more = os.read(main, 65536)
            except OSError:
                break
            if not more:
                break
            output += more
        os.close(main)
        assert process.wait(20) == 0
        return output.decode()

    assert 65_536 <= len(on_terminal(url, "big", '{"size": 200000}')) < 70_000
    shown = on_terminal(url, "echo", json.dumps({"text": "\x1b[2Jgone"}))
    assert "\x1b" not in shown and "gone" in shown
    assert postern("call", url, "echo", json.dumps({"text": "\x1b[2Jgone"})).output == "\x1b[2Jgone\n", "a pipe gets it as it is"


@pytest.mark.parametrize("arguments", ["{", "[]", "1", '{"a":1,"a":2}'])
def test_arguments_that_are_no_object_are_not_sent(arguments: str) -> None:
    done = postern("call", "http://127.0.0.1:9/mcp", "echo", arguments)
    assert done.status == 64 and "the arguments" in done.error


@pytest.mark.parametrize(("sdk", "flags"), [("1", ()), ("2", ())])
def test_progress_extends_the_time_out(server: Callable[..., Server], sdk: str, flags: tuple[str, ...]) -> None:
    url = server(sdk, *flags).url
    lively = postern("call", url, "slow", '{"steps": 6, "seconds": 0.4}', "--timeout", "1")
    assert (lively.status, lively.output) == (0, "done\n"), lively.error
    silent = postern("call", url, "slow", '{"steps": 1, "seconds": 20}', "--timeout", "1")
    assert silent.status == 1 and "neither answered nor told of progress within 1 s" in silent.error
    endless = postern("call", url, "slow", '{"steps": 100, "seconds": 0.2}', "--timeout", "1", "--max-time", "2")
    assert endless.status == 1 and "longer than 2 s" in endless.error


CANCELLED = [("1", (), None), ("2", (), "2025-11-25"), ("2", (), MODERN)]


@pytest.mark.parametrize(("sdk", "flags", "revision"), CANCELLED)
def test_ctrl_c_reaches_the_server_over_http(tmp_path: Path, sdk: str, flags: tuple[str, ...], revision: str | None) -> None:
    with serving(tmp_path, command(sdk, "http", *flags)) as server:
        forced = ["--revision", revision] if revision else []
        call = subprocess.Popen(
            [str(binary()), "mcp", "call", server.url, "wait", *forced], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env=clean_environment())
        server.process.wait_for("WAITING")
        call.send_signal(signal.SIGINT)
        _, error = call.communicate(timeout=20)
        assert call.returncode == 130 and "cancelled" in error
        server.process.wait_for("CANCELLED", seconds=10)


@pytest.mark.parametrize("sdk", ["1", "2"])
def test_ctrl_c_reaches_the_server_over_stdio(sdk: str) -> None:
    call = subprocess.Popen(
        [str(binary()), "mcp", "call", "--stdio", "wait", "--", *command(sdk, "stdio")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, env=clean_environment())
    assert call.stderr is not None
    lines: list[str] = []
    for line in call.stderr:
        lines.append(line)
        if "WAITING" in line:
            break
    call.send_signal(signal.SIGINT)
    rest = call.stderr.read()
    assert call.wait(20) == 130 and "CANCELLED" in rest, rest


def test_a_time_out_cancels_too(tmp_path: Path) -> None:
    with serving(tmp_path, command("1", "http")) as server:
        done = postern("call", server.url, "wait", "--timeout", "1")
        assert done.status == 1
        server.process.wait_for("CANCELLED", seconds=10)


@pytest.mark.parametrize("sdk", ["1", "2"])
def test_a_stream_that_the_server_ends_is_taken_up(tmp_path: Path, sdk: str) -> None:
    with serving(tmp_path, command(sdk, "http", "--events")) as server:
        done = postern("call", server.url, "polled", "--revision", "2025-11-25")
        assert (done.status, done.output) == (0, "after the break\n"), done.error
        server.process.wait_for("RESUMED after")
        assert (tmp_path / "server.log").read_text().count("POLLED") == 1, "the call was made once"


def test_every_page_of_a_list_and_fields_of_arguments(tmp_path: Path) -> None:
    with serving(tmp_path, [python_of("2"), str(HERE / "paged_server.py")]) as server:
        for revision in ("2025-06-18", MODERN):
            tools = postern("tools", server.url, "--json", "--revision", revision).json
            assert [tool["name"] for tool in tools] == [*(f"tool-{n}" for n in range(100)), "query"]
        called = postern("call", server.url, "query", '{"region": "Zürich", "query": "x"}')
        assert (called.status, called.output) == (0, "query in Zürich\n"), called.error


class Following:
    """`postern mcp tools --follow --json`: each list is one line."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [str(binary()), "mcp", "tools", "--follow", "--json", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL, env=clean_environment())

    def list(self) -> set[str]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read() if self.process.stderr else ""
        return {tool["name"] for tool in json.loads(line)}

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=20)
        return self.process.returncode


def test_notices_of_changes(tmp_path: Path) -> None:
    with serving(tmp_path, command("2", "http")) as server:
        following = Following(server.url)
        assert "added" not in following.list()
        assert postern("call", server.url, "grow").output == "grown\n"
        assert "added" in following.list()
        assert following.stop() == 130


def test_notices_of_changes_in_the_older_era() -> None:
    """The SDK tells only the session that made a change, which cannot be another one's here: hence a server of the suite's own."""
    names = ["one"]

    def handle(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        if handler.hello(method, message, "2025-11-25", "s"):
            return
        if method == "GET":
            handler.stream()
            names.append("two")
            handler.write('data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n')
            while len(names) < 3:
                handler.write(":\n\n")
                time.sleep(0.02)
        else:
            handler.result(message, {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]})

    with HostileServer(handle) as server:
        following = Following(server.url)
        while following.list() != {"one", "two"}:
            pass
        names.append("three")
        assert following.stop() == 130


@pytest.mark.parametrize("sdk", ["1", "2"])
def test_a_server_that_comes_back_is_listened_to_again(tmp_path: Path, sdk: str) -> None:
    with serving(tmp_path, command(sdk, "http")) as server:
        following = Following(server.url)
        assert "echo" in following.list()
        server.process.stop()
        again = ChildProcess(
            "mcp-server", command(sdk, "http", "--port", str(server.port)), log=tmp_path / "again.log", environment=clean_environment())
        try:
            again.wait_for("listening on port")
            assert "echo" in following.list()
            assert following.stop() == 130
        finally:
            again.stop()


@pytest.mark.parametrize("sdk", ["1", "2"])
def test_a_started_server_gets_no_variables_but_those_named(sdk: str) -> None:
    arguments = ("call", "--stdio", "variables", "--", *command(sdk, "stdio"))
    plain = postern(*arguments, SECRET_TOKEN="x", AWS_SECRET_ACCESS_KEY="y")
    assert plain.status == 0 and "SECRET" not in plain.output and "PATH" in plain.output, plain.error
    passed = postern("call", "--stdio", "--pass-env", "SECRET_TOKEN", *arguments[2:], SECRET_TOKEN="x")
    assert "SECRET_TOKEN" in passed.output.split()


def test_a_server_that_does_not_start_or_ends_at_once() -> None:
    missing = postern("probe", "--stdio", "--", "no-such-program-anywhere")
    assert missing.status == 69 and "no-such-program-anywhere is in no folder of PATH" in missing.error
    ended = postern("probe", "--stdio", "--json", "--", "sh", "-c", "echo not a message; exit 7")
    assert ended.status == 69 and "exit status 7" in ended.error and "no message: not a message" in ended.error
    assert ended.json["ok"] is False and ended.json["error"]["kind"] == "ended"


DYING = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "tools/call":
        sys.exit(3)
    if message["method"] == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "dying", "version": "1"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
    elif "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no"}}), flush=True)
"""


def test_a_server_that_dies_in_a_call_leaves_its_outcome_unknown() -> None:
    done = postern("call", "--stdio", "any", "--", python_of("2"), "-c", DYING)
    assert done.status == 1 and "not known whether" in done.error and "exit status 3" in done.error


@pytest.mark.parametrize("text", ["::1", "a/b", "a:b", "", "[::1", "a:0", "x@y"])
def test_an_address_to_connect_to_that_is_none(text: str) -> None:
    done = postern("probe", "https://docs.example.com/mcp", "--connect-to", text)
    assert done.status == 64 and "--connect-to" in done.error


def test_a_server_that_ignores_the_end_of_its_input_is_killed_with_its_children(tmp_path: Path) -> None:
    script = tmp_path / "stubborn.sh"
    pids = tmp_path / "pids"
    script.write_text(f"trap '' TERM\nsleep 300 &\necho $$ $! > {pids}\nwhile :; do sleep 0.1; done\n")
    done = postern("probe", "--stdio", "--timeout", "1", "--", "sh", str(script))
    assert done.status == 69
    # They were killed before the command ended; on a busy machine they are gone a moment later.
    deadline = time.monotonic() + 10
    while alive := [pid for pid in pids.read_text().split() if runs(pid)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.01)


def runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
