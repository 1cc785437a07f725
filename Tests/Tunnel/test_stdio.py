"""Routes to stdio servers that the connector starts in a sandbox, and to servers on unix sockets."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from peers import ROOT, python_of
from postern_fixture import clean_environment
from test_tunnel import until
from tunnel import DOMAIN, Tunnel

HERE = Path(__file__).parent
SECRET = "s3cret-of-the-route-4711"


@functools.cache
def python_with_servers() -> str:
    """The interpreter that has the stdio servers from PyPI."""
    script = ROOT / "Tests" / "Support" / "python" / "venv"
    return subprocess.run([script, "stdio"], capture_output=True, text=True, check=True).stdout.strip()


def trees_of(python: str) -> list[str]:
    """What an interpreter of a venv needs to be shown: itself, and the Python that it was made from where that is not the system's."""
    asked = "import sys; print(sys.prefix); print(sys.base_prefix)"
    prefix, base = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    return [prefix] if base == "/usr" else [prefix, str(Path(base).resolve())]


class UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        told = json.dumps({"host": self.headers["host"], "forwarded": self.headers["x-forwarded-host"], "body": body.decode()}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


def route(name: str, command: list[str], read: list[str], more: str = "") -> str:
    """Of the connector's document."""
    callers = "callers: {clients: [laptop, other]}"
    files = f"sandbox: {{files: {{read: {json.dumps(read)}}}, limits: {{memory: 512MiB}}}}"
    return f"  {name}:\n    command: {json.dumps(command)}\n    {callers}\n    {files}\n{more}"


def time_route() -> str:
    python = python_with_servers()
    return route("time", [python, "-m", "mcp_server_time", "--local-timezone=UTC"], trees_of(python))


def git_route(name: str, repository: Path) -> str:
    python = python_with_servers()
    return route(name, [python, "-m", "mcp_server_git", "--repository", "/workspace"], trees_of(python), f"    folder: {repository}\n")


def repository_in(parent: Path) -> Path:
    """With one commit; whoever the server runs as may read it."""
    folder = parent / "repository"
    folder.mkdir()
    (folder / "file.txt").write_text("one\n")
    git = ["git", "-C", str(folder), "-c", "user.name=suite", "-c", "user.email=suite@example.com"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "file.txt"], ["commit", "-q", "-m", "the only commit"]):
        subprocess.run([*git, *arguments], check=True, env=clean_environment())
    return folder


@pytest.fixture(scope="module")
def repository(tunnel: Tunnel) -> Path:
    return repository_in(tunnel.folder)


@pytest.fixture(scope="module")
def served(tunnel: Tunnel, repository: Path) -> Iterator[Tunnel]:
    """The tunnel with a route to each kind of server."""
    socket_path = tunnel.folder / "server.sock"
    server = UnixServer(str(socket_path), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    secret = tunnel.connector_folder / "api-token"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    suite = str(ROOT / "Tests" / "MCP" / "sdk_server.py")
    raw = ["/usr/bin/python3", str(HERE / "stdio_server.py")]
    added = time_route() + git_route("git", repository)
    added += git_route("wgit", repository).replace("sandbox: {", "sandbox: {workspace: {mode: rw}, ")
    added += route("raw", raw, raw[1:], "    env: {API_TOKEN: {file: api-token}}\n")
    added += route("narrow", raw, raw[1:], "    sessions: {most: 3, per_caller: 2, idle_seconds: 2}\n")
    added += route("reread", raw, raw[1:], "    sessions: {most: 3, per_caller: 2, idle_seconds: 600}\n")
    added += route("ruled", raw, raw[1:], "    policy: {tools: {allow: [pid]}}\n")
    added += route("absent", ["/usr/bin/there-is-no-such-program"], [])
    for sdk in ("1", "2"):
        added += route(f"suite{sdk}", [python_of(sdk), suite, "stdio"], [*trees_of(python_of(sdk)), suite])
    added += f"  sock:\n    upstream: unix:{socket_path}\n    callers: {{clients: [laptop]}}\n"
    added += f"  nosock:\n    upstream: unix:{tunnel.folder}/nothing.sock\n    callers: {{clients: [laptop]}}\n"
    document = tunnel.connector_folder / "connector.yaml"
    before = document.read_text()
    document.write_text(before.rstrip("\n") + "\n" + added)
    tunnel.connector.stop()
    tunnel.connector = tunnel.start_connector()
    tunnel.control.call("POST", f"/postern/v1/tunnels/{tunnel.id}/settings", {"splice": True})
    yield tunnel
    server.shutdown()
    tunnel.connector.stop()
    document.write_text(before)
    tunnel.connector = tunnel.start_connector()


@pytest.fixture(scope="module")
def certificate(served: Tunnel) -> Path:
    return served.certificate("stdio-laptop", "laptop")


@pytest.fixture(scope="module")
def stranger(served: Tunnel) -> Path:
    """Of another caller, whom the routes let in too."""
    return served.certificate("stdio-other", "other")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def messages(self) -> list[Any]:
        if self.headers.get("content-type") == "text/event-stream":
            return [json.loads(line.removeprefix("data: ")) for line in self.body.splitlines() if line.startswith("data: ")]
        return [json.loads(self.body)]

    @property
    def text(self) -> str:
        return str(self.messages[-1]["result"]["content"][0]["text"])


@dataclass
class Caller:
    """A client by hand, with `curl`."""

    tunnel: Tunnel
    certificate: Path
    route: str = "raw"
    session: str | None = None
    #: The connector process of before a restart knows other ids.
    numbers: list[int] = field(default_factory=lambda: [0])

    def ask(self, message: Any, *arguments: str, method: str = "POST", session: str | None = None) -> Answer:
        known = ["--include", "-X", method, "-H", "Accept: application/json, text/event-stream", "-H", "Content-Type: application/json", *arguments]
        if session or self.session:
            known += ["-H", f"Mcp-Session-Id: {session or self.session}"]
        if message is not None:
            known += ["--data", message if isinstance(message, str) else json.dumps(message)]
        done = self.tunnel.curl(self.certificate, *known, route=self.route)
        assert done.returncode == 0, f"{done.returncode} {done.stderr}\n{done.stdout}"
        head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
        lines = head.split("\n")
        return Answer(int(lines[0].split()[1]), {n.lower(): v for n, _, v in (line.partition(": ") for line in lines[1:])}, body)

    def open(self) -> Caller:
        hello = {"protocolVersion": "2025-11-25", "capabilities": {"roots": {}}, "clientInfo": {"name": "curl", "version": "1"}}
        answer = self.ask({"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": hello})
        assert answer.status == 200, answer
        self.session = answer.headers["mcp-session-id"]
        # The upstream's own, and the tag that binds it to its caller.
        assert re.fullmatch(r"[0-9a-f]{32}\.[0-9a-f]{32}", self.session)
        assert self.ask({"jsonrpc": "2.0", "method": "notifications/initialized"}).status == 202
        return self

    def message(self, tool: str, arguments: dict[str, Any], **meta: Any) -> dict[str, Any]:
        self.numbers[0] += 1
        params = {"name": tool, "arguments": arguments} | ({"_meta": meta} if meta else {})
        return {"jsonrpc": "2.0", "id": self.numbers[0], "method": "tools/call", "params": params}

    def call(self, tool: str, **arguments: Any) -> str:
        answer = self.ask(self.message(tool, arguments))
        assert answer.status == 200, answer
        return answer.text

    def start(self, tool: str, *more: str, **arguments: Any) -> subprocess.Popen[str]:
        """A call that runs on."""
        host = f"{self.route}.{self.tunnel.domain}"
        return subprocess.Popen(
            ["curl", f"https://{host}/mcp", "--silent", "--no-buffer", "--cacert", str(self.certificate / "authorities.pem"), "--cert",
             str(self.certificate / "certificate.pem"), "--key", str(self.certificate / "key.pem"), "--connect-to",
             f"{host}:443:127.0.0.1:{self.tunnel.port}", "-H", "Accept: application/json, text/event-stream", "-H",
             "Content-Type: application/json", "-H", f"Mcp-Session-Id: {self.session}", "--data",
             json.dumps(self.message(tool, arguments)), *more],
            stdout=subprocess.PIPE, text=True, env=clean_environment())


@pytest.fixture
def caller(served: Tunnel, certificate: Path) -> Iterator[Caller]:
    opened = Caller(served, certificate).open()
    yield opened
    opened.ask(None, method="DELETE")


def said(served: Tunnel, text: str) -> int:
    """How often the connector's log holds the text."""
    return served.connector.tail(1_000_000).count(text)


# Software that was not written here.


#: Of the servers from PyPI: the route, a tool, what it is asked and what its answer holds.
TIME = ("time", "convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}, "21:00")
GIT = ("git", "git_log", {"repo_path": "/workspace"}, "the only commit")


@pytest.mark.parametrize("client", ("1", "2"))
@pytest.mark.parametrize(
    ("route", "tool", "arguments", "expected"),
    [
        TIME,
        GIT,
        ("suite1", "echo", {"text": "through"}, "through"),
        ("suite2", "echo", {"text": "through"}, "through"),
    ])
def test_official_clients_call_stdio_servers(
    served: Tunnel, certificate: Path, client: str, route: str, tool: str, arguments: dict[str, Any], expected: str,
) -> None:
    done = subprocess.run(
        [python_of(client), str(HERE / "sdk_client.py"), f"https://{route}.{served.domain}/mcp", DOMAIN, str(served.port),
         str(served.edge_certificates.ca), str(certificate), tool, json.dumps(arguments)],
        text=True, capture_output=True, timeout=60, env=clean_environment(API_KEY=served.postern.admin_key))
    assert done.returncode == 0, done.stderr
    opened = done.stdout.splitlines()[0].split()
    assert expected in done.stdout and int(opened[1]) >= 2
    modern = client == "2" and route != "suite1"
    assert opened[0] == ("2026-07-28" if modern else "2025-11-25")


# Sessions.


def test_two_callers_with_the_same_ids_do_not_meet(served: Tunnel, certificate: Path, stranger: Path) -> None:
    callers = [Caller(served, certificate).open(), Caller(served, stranger).open(), Caller(served, certificate).open()]
    assert len({one.session for one in callers}) == 3
    pids: list[set[str]] = [set() for _ in callers]

    def work(index: int) -> None:
        for _ in range(5):
            answer = callers[index].ask(callers[index].message("pid", {}, progressToken="same"))
            progress, last = answer.messages
            assert progress["params"]["progressToken"] == "same" and last["id"] == callers[index].numbers[0]
            pids[index].add(answer.text)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Each in a sandbox of its own, where it has the same number.
    assert [len(seen) for seen in pids] == [1, 1, 1]
    assert "written" in callers[0].call("writes", path="/workspace/mark", text="mine")
    assert callers[0].call("reads", path="/workspace/mark") == "read: mine"
    for other in callers[1:]:
        assert callers[0].call("reads", path="/workspace") == "list: mark"
        assert other.call("reads", path="/workspace") == "list: "
    for one in callers:
        assert one.ask(None, method="DELETE").status == 204
        assert one.ask(one.message("pid", {})).status == 404


def test_a_session_is_its_callers_alone(served: Tunnel, caller: Caller, stranger: Path) -> None:
    thief = Caller(served, stranger, session=caller.session)
    unknown = Caller(served, stranger, session="0" * 32)
    for method, message in (("POST", thief.message("pid", {})), ("GET", None), ("DELETE", None)):
        stolen, never = thief.ask(message, method=method), unknown.ask(message, method=method)
        assert (stolen.status, stolen.body) == (never.status, never.body) and stolen.status == 404
    assert caller.call("pid").endswith(" 1")


def test_ids_come_back_as_they_were_sent(caller: Caller) -> None:
    for text in ('"\\u0041-1"', '"1"', "1", "-9007199254740993"):
        body = '{"id" :' + text + ', "jsonrpc":"2.0","method":"tools/call","params":{"name":"pid"}}'
        answer = caller.ask(body)
        assert answer.status == 200 and f'"id": {text}' in answer.body, answer.body


def test_an_answer_alone_is_json_and_with_something_before_it_a_stream(caller: Caller) -> None:
    assert caller.ask(caller.message("pid", {})).headers["content-type"] == "application/json"
    answer = caller.ask(caller.message("pid", {}, progressToken=7))
    assert answer.headers["content-type"] == "text/event-stream"
    assert [message.get("method") for message in answer.messages] == ["notifications/progress", None]


def test_a_server_asks_its_client(caller: Caller) -> None:
    with caller.start("asks") as running:
        assert running.stdout is not None
        question = next(json.loads(line.removeprefix("data: ")) for line in running.stdout if line.startswith("data: "))
        assert question["method"] == "roots/list" and question["id"] != "question-1"
        response = {"jsonrpc": "2.0", "id": question["id"], "result": {"roots": [{"uri": "file:///a"}]}}
        assert caller.ask(response).status == 202
        assert "1 roots" in running.stdout.read()
    # Once only.
    assert caller.ask(response).status == 400


def test_one_stream_listens(caller: Caller) -> None:
    host = f"raw.{caller.tunnel.domain}"
    listener = subprocess.Popen(
        ["curl", f"https://{host}/mcp", "--silent", "--verbose", "--cacert", str(caller.certificate / "authorities.pem"), "--cert",
         str(caller.certificate / "certificate.pem"), "--key", str(caller.certificate / "key.pem"), "--connect-to",
         f"{host}:443:127.0.0.1:{caller.tunnel.port}", "-H", "Accept: text/event-stream", "-H", f"Mcp-Session-Id: {caller.session}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=clean_environment())
    assert listener.stderr is not None and next(line for line in listener.stderr if line.startswith("< HTTP/1.1 200"))
    assert caller.ask(None, method="GET").status == 409
    assert caller.ask(None, method="DELETE").status == 204
    listener.communicate(timeout=20)
    assert listener.returncode == 0


# Cancellation.


def test_going_away_cancels_nothing_in_the_handshake_eras_and_cancelling_does(served: Tunnel, caller: Caller) -> None:
    before = said(served, "HOLDING")
    with caller.start("holds") as running:
        until(lambda: said(served, "HOLDING") > before)
        number = caller.numbers[0]
        running.kill()
    assert said(served, "CANCELLED") == 0
    assert caller.ask({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}).status == 202
    served.connector.wait_for("CANCELLED True")


def test_closing_the_stream_cancels_since_2026(served: Tunnel, certificate: Path) -> None:
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientInfo": {"name": "curl", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {}, "progressToken": "p"}
    modern = Caller(served, certificate, route="suite2")
    headers = ["-H", "MCP-Protocol-Version: 2026-07-28", "-H", "Mcp-Method: tools/call", "-H", "Mcp-Name: wait"]
    host = f"suite2.{served.domain}"
    running = subprocess.Popen(
        ["curl", f"https://{host}/mcp", "--silent", "--no-buffer", "--cacert", str(certificate / "authorities.pem"), "--cert",
         str(certificate / "certificate.pem"), "--key", str(certificate / "key.pem"), "--connect-to", f"{host}:443:127.0.0.1:{served.port}",
         "-H", "Accept: application/json, text/event-stream", "-H", "Content-Type: application/json", *headers,
         "--data", json.dumps(modern.message("wait", {}, **meta))], stdout=subprocess.PIPE, text=True, env=clean_environment())
    assert running.stdout is not None and "event" in running.stdout.readline()
    served.connector.wait_for("WAITING")
    running.kill()
    running.wait()
    served.connector.wait_for("line=CANCELLED route=suite2")
    differs = modern.ask(modern.message("echo", {"text": "x"}, **meta), *headers)
    assert differs.status == 400 and differs.messages[0]["error"]["code"] == -32020
    assert modern.ask(None, "-H", "MCP-Protocol-Version: 2026-07-28", method="GET").status == 405


# A server that ends.


def test_a_server_that_dies_fails_its_calls_and_comes_back(served: Tunnel, caller: Caller) -> None:
    first = caller.call("pid")
    before = said(served, "HOLDING")
    running = caller.start("holds")
    until(lambda: said(served, "HOLDING") > before)
    died = caller.ask(caller.message("dies", {}))
    error = died.messages[-1]["error"]
    assert died.status == 200 and error["code"] == 502 and "not known" in error["message"], died
    told, _ = running.communicate(timeout=20)
    assert json.loads(told)["error"]["code"] == 502
    # The session goes on, with another server that was told of it once, and its handshake.
    assert caller.call("pid") == first
    log = served.connector
    log.wait_for("a server has ended.*exit status 7")
    log.wait_for(r"the end is near \[secret\]")
    assert said(served, SECRET) == 0


def test_a_server_that_dies_again_and_again_is_not_started_without_pause(served: Tunnel, certificate: Path) -> None:
    victim = Caller(served, certificate).open()
    codes = [victim.ask(victim.message("dies", {})) for _ in range(4)]
    assert [answer.messages[-1]["error"]["code"] for answer in codes][:2] == [502, 502]
    assert codes[-1].status == 503 and int(codes[-1].headers["retry-after"]) >= 1, codes
    victim.ask(None, method="DELETE")


def test_a_program_that_is_not_there_is_told(served: Tunnel, certificate: Path) -> None:
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "curl", "version": "1"}}
    answer = Caller(served, certificate, route="absent").ask({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
    assert answer.messages[0]["error"]["code"] == 502 and "mcp-session-id" not in answer.headers
    served.connector.wait_for("there-is-no-such-program")


def test_what_a_server_writes_beside_messages_harms_nobody(served: Tunnel, caller: Caller) -> None:
    assert caller.call("noise") == "done"
    served.connector.wait_for("a line on standard output is no message")
    served.connector.wait_for("more than 100 lines")


def test_what_one_caller_is_told_of_discovery_decides_nothing_for_others(served: Tunnel, certificate: Path, stranger: Path) -> None:
    def discovered(certificate: Path, **more: Any) -> Answer:
        meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"} | more
        message = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}}
        return Caller(served, certificate, "suite2").ask(
            message, "-H", "MCP-Protocol-Version: 2026-07-28", "-H", "Mcp-Method: server/discover")

    refused = discovered(stranger, **{"io.modelcontextprotocol/clientCapabilities": 7})
    assert refused.status == 400 and refused.messages[0]["error"]["code"] == -32602, refused
    known = {"io.modelcontextprotocol/clientInfo": {"name": "curl", "version": "1"}, "io.modelcontextprotocol/clientCapabilities": {}}
    for caller in (certificate, stranger):
        answer = discovered(caller, **known)
        assert answer.status == 200 and "result" in answer.messages[0], answer


# Bounds.


def test_ids_are_bounded(caller: Caller) -> None:
    for size, status in ((1022, 200), (1023, 400)):
        message = caller.message("pid", {}) | {"id": "x" * size}
        assert caller.ask(message).status == status


def test_large_messages_pass_and_too_large_ones_do_not(served: Tunnel, caller: Caller) -> None:
    assert len(caller.call("big", size=6_000_000)) == 6_000_000
    body = served.folder / "body.json"
    for size, status in ((3 << 20, 200), (5 << 20, 413)):
        body.write_text(json.dumps(caller.message("pid", {"padding": "x" * size})))
        # Without waiting for a word, so that the answer may come while the message is still on its way.
        assert caller.ask(f"@{body}", "-H", "Expect:").status == status


def test_many_calls_at_once_each_get_their_own_answer(caller: Caller) -> None:
    batch = [caller.message("big", {"size": size}, progressToken=f"t{size}") for size in range(1, 101)]
    answer = caller.ask(batch)
    assert answer.headers["content-type"] == "text/event-stream"
    results = {message["id"]: len(message["result"]["content"][0]["text"]) for message in answer.messages if "id" in message}
    assert results == {message["id"]: message["params"]["arguments"]["size"] for message in batch}
    tokens = [message["params"]["progressToken"] for message in answer.messages if "method" in message]
    assert sorted(tokens) == sorted(f"t{size}" for size in range(1, 101))


def test_sessions_are_bounded_and_end_when_nobody_uses_them(served: Tunnel, certificate: Path, stranger: Path) -> None:
    mine = [Caller(served, certificate, "narrow").open() for _ in range(2)]
    # The oldest of the caller's own makes room.
    third = Caller(served, certificate, "narrow").open()
    assert mine[0].ask(mine[0].message("pid", {})).status == 404 and third.call("pid")
    Caller(served, stranger, "narrow").open()
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "curl", "version": "1"}}
    full = Caller(served, stranger, "narrow").ask({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
    assert full.status == 503, full

    def ended() -> bool:
        """A look at a session would keep it alive, so the log is asked."""
        lines = [line for line in served.connector.tail(1000).splitlines() if "route=narrow" in line]
        return sum("a server was started" in line for line in lines) == sum("a server has ended" in line for line in lines)

    until(ended)
    assert third.ask(third.message("pid", {})).status == 404


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("-H", "Content-Type: text/plain"), 415), (("-H", "Accept: application/json"), 406), (("-X", "PUT"), 405),
        (("-H", "MCP-Protocol-Version: 1999-01-01"), 400), (("-H", "Mcp-Session-Id: x"), 404),
    ])
def test_what_is_no_streamable_http_is_refused(served: Tunnel, certificate: Path, arguments: tuple[str, ...], status: int) -> None:
    known = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    changed = dict(part.split(": ") for part in arguments[1::2] if ": " in part)
    headers = [argument for name, value in (known | changed).items() for argument in ("-H", f"{name}: {value}")]
    other = [part for part in arguments if part in ("-X", "PUT")]
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    done = served.curl(certificate, "--output", "/dev/null", "--write-out", "%{http_code}", *headers, *other, "--data", json.dumps(message), route="raw")
    assert done.stdout == str(status), done


def test_other_places_have_nothing(served: Tunnel, certificate: Path) -> None:
    done = served.curl(certificate, "--output", "/dev/null", "--write-out", "%{http_code}", route="raw", path="/.well-known/oauth-protected-resource")
    assert done.stdout == "404"


# The boundary.


def test_a_policy_stands_in_front_of_a_server_that_is_started(served: Tunnel, certificate: Path) -> None:
    ruled = Caller(served, certificate, "ruled").open()
    refused = ruled.ask(ruled.message("reads", {"path": "/etc/passwd"}))
    assert refused.messages[0]["error"]["data"]["reason"] == "policy"
    assert ruled.call("pid")
    listed = ruled.ask({"jsonrpc": "2.0", "id": "list", "method": "tools/list"})
    assert [tool["name"] for tool in listed.messages[0]["result"]["tools"]] == ["pid"]


def test_a_server_has_no_network_and_none_of_the_connectors_files(served: Tunnel, caller: Caller, certificate: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    for address, port in (("127.0.0.1", listener.getsockname()[1]), ("127.0.0.1", served.port), ("10.0.0.1", 80), ("1.1.1.1", 443)):
        assert caller.call("reaches", address=address, port=port).startswith("refused")
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()
    folder = served.connector_folder
    for name in ("connector.key", "server.key", "ca.key", "connector.yaml", "api-token"):
        assert caller.call("reads", path=str(folder / name)).startswith("refused")
    # Looks at every file that there is, which takes a while on a busy machine.
    names = ["connector.key", "connector.pem", "connector.yaml", "api-token", "tunnel.json"]
    assert caller.ask(caller.message("everywhere", {"names": names}), "--max-time", "55").text == "nowhere"
    for place in (f"/proc/{served.connector.pid}/environ", f"/proc/{served.connector.pid}/root", str(served.folder)):
        assert caller.call("reads", path=place).startswith("refused")
    user = int(re.search(r"user (\d+)", caller.call("signals")).group(1))  # type: ignore[union-attr]
    assert user != 0
    variables = json.loads(caller.call("variables"))
    assert variables.pop("API_TOKEN") == SECRET and not [name for name in variables if name.startswith(("POSTERN_", "ANTHROPIC_"))]
    assert served.postern.admin_key not in json.dumps(variables)


def test_a_server_cannot_reach_another_sessions_files_or_processes(served: Tunnel, caller: Caller, stranger: Path) -> None:
    other = Caller(served, stranger).open()
    assert caller.call("writes", path="/workspace/canary-file", text="x") == "written"
    assert caller.call("writes", path="/tmp/canary-file", text="x") == "written"
    assert other.call("everywhere", names=["canary-file"]) == "nowhere"
    # Its own, and no more.
    count = int(other.call("signals").split()[0])
    assert count <= 5
    other.ask(None, method="DELETE")


def test_a_route_that_comes_again_has_other_folders(served: Tunnel, certificate: Path, stranger: Path) -> None:
    def files() -> list[Path]:
        parent = Path(os.environ.get("TMPDIR", "/tmp"))
        return [path for path in parent.glob("postern-connector.*/reread-*/workspace/canary-of-before") if path not in left]

    # Of connectors that were killed.
    left: list[Path] = []
    left = files()
    before = Caller(served, certificate, "reread").open()
    assert before.call("writes", path="/workspace/canary-of-before", text="x") == "written" and len(files()) == 1
    # Its server runs on for as long as this call does.
    holding = said(served, "HOLDING")
    with before.start("holds") as running:
        until(lambda: said(served, "HOLDING") > holding)
        document = served.connector_folder / "connector.yaml"
        taken = said(served, "is in force")
        document.write_text(document.read_text().replace("idle_seconds: 600", "idle_seconds: 601"))
        until(lambda: said(served, "is in force") > taken)
        after = Caller(served, stranger, "reread").open()
        assert after.call("everywhere", names=["canary-of-before"]) == "nowhere"
        after.ask(None, method="DELETE")
        served.connector.wait_for("a server has ended.*route=reread")
        assert len(files()) == 1 and running.poll() is None
        running.kill()


def test_a_folder_is_read_only_unless_it_is_said(served: Tunnel, certificate: Path, repository: Path) -> None:
    def branch(route: str) -> str:
        git = Caller(served, certificate, route).open()
        git.ask(git.message("git_create_branch", {"repo_path": "/workspace", "branch_name": f"of-{route}"}))
        git.ask(None, method="DELETE")
        return subprocess.run(["git", "-C", str(repository), "branch"], capture_output=True, text=True, check=True).stdout

    assert "of-git" not in branch("git")
    assert "of-wgit" in branch("wgit")


def test_a_server_that_wants_too_much_is_bounded(served: Tunnel, caller: Caller) -> None:
    assert caller.call("eats", size=64 << 20) == "eaten"
    assert caller.call("forks", count=20) == "forked 20"
    assert caller.call("forks", count=1000).startswith("refused")
    greedy = caller.ask(caller.message("eats", {"size": 1 << 30}))
    last = greedy.messages[-1]
    assert last.get("error", {}).get("code") == 502 or greedy.text == "refused", greedy
    assert caller.call("pid")


def test_a_document_that_would_show_a_key_is_told_and_not_served(served: Tunnel, tmp_path: Path) -> None:
    document = served.connector_folder / "wide.yaml"
    text = (served.connector_folder / "connector.yaml").read_text()
    lines = text.split("routes:")[0] + "routes:\n"
    document.write_text(lines + f"  wide:\n    command: [cat]\n    sandbox: {{files: {{read: [{served.connector_folder}]}}}}\n")
    told = served.command("connector", "check", "--config", str(document))
    assert "the connector's own" in told
    document.unlink()


# Unix sockets.


def test_a_server_on_a_unix_socket(served: Tunnel, certificate: Path) -> None:
    done = served.curl(certificate, "--data", "hello", route="sock")
    told = json.loads(done.stdout)
    assert told == {"host": "localhost", "forwarded": f"sock.{served.domain}", "body": "hello"}


def test_a_unix_socket_that_is_not_there_is_told(served: Tunnel, certificate: Path) -> None:
    done = served.curl(certificate, "--data", "hello", route="nosock")
    assert json.loads(done.stdout)["reason"] == "upstream_connection" and "nothing.sock" not in done.stdout
    served.connector.wait_for("nothing.sock")
    told = served.command("connector", "check", "--config", str(served.connector_folder / "connector.yaml"))
    assert "nothing.sock is no unix socket now" in told and "route raw: command:python3" in told
