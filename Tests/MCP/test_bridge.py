"""`postern mcp bridge`: clients that can only start a command, and servers over HTTP, of the same and of different eras."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from peers import HERE, MODERN, Hostile, HostileServer, Server, command, python_of, serving
from postern_fixture import binary, clean_environment
from processes import free_port

CALLERS = [("1", "legacy"), ("2", "legacy"), ("2", "auto")]


@pytest.mark.parametrize(("sdk", "mode"), CALLERS)
@pytest.mark.parametrize("remote", ["1", "2"])
def test_the_official_clients(tmp_path: Path, sdk: str, mode: str, remote: str) -> None:
    with serving(tmp_path, command(remote, "http")) as server:
        done = subprocess.run(
            [python_of(sdk), str(HERE / "bridge_client.py"), mode, str(binary()), "mcp", "bridge", server.url], capture_output=True, text=True,
            timeout=50, env=clean_environment())
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
        assert seen["revision"] == (MODERN if mode == "auto" else "2025-11-25")
        assert (seen["server"], seen["instructions"]) == ("suite", "Only for tests.")
        assert {"echo", "wait", "grow"} <= set(seen["tools"]) and "added" not in seen["tools"]
        assert (seen["echo"], seen["slow"], seen["after"], seen["grow"]) == ("ü \u2028 through", "done", "after", "grown")
        assert seen["progress"] == [[step, 3, f"step {step}"] for step in (1, 2, 3)]
        assert seen["broken"][0] is True and "Error executing tool broken" in seen["broken"][1]
        assert (seen["prompt"], seen["resource"], seen["grown"]) == ("Greet Ada.", "the first memo", True)
        assert "no-such-tool" in seen["unknown"]
        server.process.wait_for("CANCELLED", seconds=10)
        log = server.process.log.read_text()
        assert log.count("WAITING") == 1 and log.count("ECHO after") == 1, "each call is made once"


class Caller:
    """Speaks to a bridge line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def send(self, *messages: Any) -> None:
        assert self.process.stdin is not None
        for message in messages:
            self.process.stdin.write((message if isinstance(message, str) else json.dumps(message)) + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the bridge has ended"
        return json.loads(line)

    def ask(self, number: int, method: str, **params: Any) -> Any:
        self.send(request(number, method, **params))
        while (message := self.hear()).get("id") != number:
            pass
        return message

    def begin(self) -> None:
        assert "result" in self.ask(1, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "c", "version": "1"})
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def end(self) -> tuple[int, str, str]:
        """Its status, and what it still says on both outputs, after the end of its input."""
        rest, error = self.process.communicate(timeout=30)
        return self.process.returncode, rest, error


def request(number: int, method: str, **params: Any) -> Any:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


@contextmanager
def bridge(*arguments: str) -> Iterator[Caller]:
    process = subprocess.Popen(
        [str(binary()), "mcp", "bridge", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=clean_environment())
    try:
        yield Caller(process)
    finally:
        process.kill()
        process.communicate()


def test_what_is_no_message_is_told_and_calls_that_run_are_finished(server: Callable[..., Server]) -> None:
    with bridge(server("2", "--stateless", "--json").url) as caller:
        caller.send(request(7, "tools/list"), "no message", "[]", "{}")
        assert [caller.hear().get("error", {}).get("code") for _ in range(4)] == [-32600, -32700, -32600, -32600]
        caller.begin()
        assert caller.ask(2, "ping")["result"] == {}
        assert caller.ask(3, "resources/subscribe", uri="a:b")["error"]["code"] == -32601
        caller.send(request(4, "tools/call", name="slow", arguments={"steps": 1, "seconds": 0.2}))
        status, rest, error = caller.end()
        assert (status, error) == (0, "") and [json.loads(line)["result"]["content"][0]["text"] for line in rest.splitlines()] == ["done"]


def test_signals_end_it_and_cancel_what_runs(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        folder = tmp_path / number.name
        folder.mkdir()
        with serving(folder, command("2", "http")) as server, bridge(server.url) as caller:
            caller.begin()
            caller.send(request(2, "tools/call", name="wait", arguments={}))
            server.process.wait_for("WAITING")
            caller.process.send_signal(number)
            assert caller.process.wait(20) == 130
            server.process.wait_for("CANCELLED", seconds=10)


def test_a_server_that_is_away_and_comes_back(tmp_path: Path) -> None:
    """`initialize` says what is wrong; once the server is there the same bridge serves."""
    port = free_port()
    with bridge(f"http://127.0.0.1:{port}/mcp") as caller:
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
        for number in (1, 2):
            error = caller.ask(number, "initialize", **hello)["error"]
            assert error["code"] == -32603 and "no connection" in error["message"] and error["data"] == {"kind": "unreachable"}
        assert caller.ask(3, "tools/list")["error"]["code"] == -32600
        with serving(tmp_path, command("2", "http", "--port", str(port))):
            caller.begin()
            assert "result" in caller.ask(4, "tools/list")
        assert "no connection" in caller.ask(5, "tools/list")["error"]["message"]
        assert caller.end()[0] == 0
    with bridge(f"http://127.0.0.1:{port}/mcp") as caller:
        assert "error" in caller.ask(1, "initialize", **hello)
        status, rest, error = caller.end()
        assert (status, rest) == (69, "") and "no connection" in error


def test_a_missing_token_is_told_and_a_given_one_is_not(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-secret-token\n")

    def answer(to: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        given = headers.get("authorization", "none")
        to.send(401, f"you sent {given}".encode(), "text/plain", WWW_Authenticate=f'Bearer error="invalid_token", error_description="{given}"')

    with HostileServer(answer) as server:
        for options, words in (([], "--bearer-file FILE"), (["--bearer-file", str(token)], "get a new one")):
            with bridge(server.url, *options) as caller:
                told = caller.ask(1, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "c", "version": "1"})
                status, rest, error = caller.end()
                assert words in told["error"]["message"] and status == 77
                assert "a-secret-token" not in json.dumps(told) + rest + error


def test_an_unknown_outcome_is_told_and_the_call_not_made_again() -> None:
    def answer(to: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        if to.hello(method, message, MODERN):
            return
        if message and message.get("method") == "tools/call":
            to.stream()
        elif message:
            to.result(message, {"tools": [], "resultType": "complete"})

    with HostileServer(answer) as server, bridge(server.url) as caller:
        caller.begin()
        error = caller.ask(2, "tools/call", name="pay", arguments={})["error"]
        assert error["data"] == {"kind": "outcome_unknown"} and "not known" in error["message"]
        assert "result" in caller.ask(3, "tools/list")
        assert server.count("tools/call") == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_closed_descriptors_are_no_others(closed: str) -> None:
    """What the process opens would get their number, and be read or written in their place: a closed input is one that has ended."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" mcp bridge http://127.0.0.1:9/mcp {closed}', str(binary())], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=20, env=clean_environment())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_client_that_reads_no_more_ends_it(server: Callable[..., Server]) -> None:
    with bridge(server("2", "--stateless", "--json").url) as caller:
        caller.begin()
        assert caller.process.stdout is not None
        caller.process.stdout.close()
        caller.process.stdout = None
        caller.send(request(2, "tools/list"))
        assert caller.process.wait(20) == 0


def test_a_client_that_reads_slowly_gets_everything_in_order(server: Callable[..., Server]) -> None:
    """Far more than pipes and queues hold, and input that waits behind it."""
    with bridge(server("2", "--stateless", "--json").url) as caller:
        caller.begin()
        for number in range(2, 12):
            caller.send(request(number, "tools/call", name="big", arguments={"size": 700_000}))
        answers = [caller.hear() for _ in range(10)]
        assert sorted(answer["id"] for answer in answers) == list(range(2, 12))
        assert all(len(answer["result"]["content"][0]["text"]) == 700_000 for answer in answers)
        assert caller.end()[0] == 0
