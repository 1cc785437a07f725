"""The client commands of `postern`, run as a user runs them, against a live control plane and worker."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from authorities import AUTHORITIES
from control import MODEL, Control, Place, unique
from postern_fixture import Postern, clean_environment

#: Exit statuses, as `postern --help` lists them.
FAILURE, SESSION_FAILED, SESSION_WAITS, NOT_FOUND, USAGE, UNAVAILABLE, REFUSED = 1, 2, 3, 4, 64, 69, 77


class Command:
    """Runs `postern` with an API key; a status other than the expected one fails the test with what was printed."""

    def __init__(self, postern: Postern, key: str | None = None) -> None:
        self.postern = postern
        self.variables = clean_environment(POSTERN_BASE_URL=postern.url, POSTERN_API_KEY=key or postern.admin_key)

    def __call__(self, *arguments: str, status: int = 0, text: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(self.postern.binary), *arguments], input=text or "", capture_output=True, text=True, timeout=60, env=self.variables | variables,
            cwd=self.postern.folder, check=False)
        assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str, text: str | None = None) -> Any:
        return json.loads(self(*arguments, "--json", text=text).stdout)

    def lines(self, *arguments: str) -> list[Any]:
        """Of the commands that print one event a line."""
        return [json.loads(line) for line in self(*arguments, "--json").stdout.splitlines()]


@pytest.fixture
def command(postern: Postern) -> Command:
    return Command(postern)


@pytest.fixture(scope="module")
def here(postern: Postern, control: Control) -> Iterator[Place]:
    """A place that Postern's own worker serves."""
    place = control.place()
    worker = postern.worker(place.environment, place.key, "--sandbox", "none", workdir=postern.folder / "commands-work")
    yield place
    worker.stop()


def test_agents_are_made_changed_and_archived(command: Command) -> None:
    name = unique("agent")
    agent = command.json("agents", "create", "--name", name, "--model", MODEL, "--metadata", "team=red")
    assert (agent["name"], agent["version"], agent["metadata"]) == (name, 1, {"team": "red"})
    assert command.json("agents", "update", agent["id"], "--metadata", "team=")["metadata"] == {}
    changed = command.json("agents", "update", agent["id"], "--file", "-", text="description: |\n  reads\n  files\n")
    assert changed["description"] == "reads\nfiles\n" and changed["version"] == 3
    assert command.json("agents", "show", agent["id"]) == changed
    assert name in command("agents", "show", agent["id"]).stdout
    assert agent["id"] in command("agents", "list", "-q").stdout.splitlines()
    command("agents", "archive", agent["id"])
    assert agent["id"] not in command("agents", "list", "-q").stdout
    assert agent["id"] in command("agents", "list", "-q", "--archived").stdout


def test_environments_and_their_keys(command: Command, tmp_path: Path) -> None:
    name = unique("environment")
    file = tmp_path / "environment.yaml"
    file.write_text(f"name: {name}\ndescription: from a file\nmetadata: {{region: eu}}\n")
    environment = command.json("environments", "create", "--file", str(file), "--redelivery", "at_least_once")
    assert environment["metadata"] == {"region": "eu", "postern.redelivery": "at_least_once"} and environment["config"]["type"] == "self_hosted"
    assert command.json("environments", "update", environment["id"], "--description", "another")["description"] == "another"
    secret = command("environments", "keys", "create", environment["id"], "--name", "first").stdout.strip()
    assert secret and "\n" not in secret
    output = tmp_path / "second.key"
    command("environments", "keys", "create", environment["id"], "--output", str(output), "--expires-at", "2999-01-01T00:00:00Z")
    assert output.stat().st_mode & 0o777 == 0o600 and output.read_text().strip() not in ("", secret)
    keys = command.json("environments", "keys", "list", environment["id"])
    assert [key["name"] for key in keys][-1] == "first" and secret not in json.dumps(keys)
    command("environments", "keys", "revoke", environment["id"], keys[0]["id"])
    assert command.json("environments", "keys", "list", environment["id"])[0]["revoked_at"] is not None
    command("environments", "delete", environment["id"])
    command("environments", "show", environment["id"], status=NOT_FOUND)


def test_keys_hold_to_their_role_and_workspace(command: Command, postern: Postern, control: Control) -> None:
    workspace = command.json("workspaces", "create", "--name", unique("workspace"))
    assert workspace["id"] in command("workspaces", "list", "-q").stdout.splitlines()
    made = command.json("keys", "create", "--role", "admin", "--workspace", workspace["id"], "--name", "theirs")
    listed = command.json("keys", "list", "--workspace", workspace["id"])
    assert [key["id"] for key in listed] == [made["id"]] and made["secret"] not in json.dumps(listed)
    assert made["id"] not in command("keys", "list", "-q").stdout
    shown = command.json("keys", "show", made["id"])
    assert (shown["id"], shown["role"]) == (made["id"], "admin") and "secret" not in shown

    theirs = Command(postern, made["secret"])
    ours = control.agent()
    theirs("agents", "show", ours, status=NOT_FOUND)
    assert theirs.json("workspaces", "list") == [workspace]
    theirs("workspaces", "create", "--name", "more", status=REFUSED)
    theirs("keys", "list", "--workspace", "wrkspc_other", status=REFUSED)
    # Flags come over what the file says.
    viewer = theirs("keys", "create", "--file", "-", "--role", "viewer", text="name: reader\nrole: admin\n").stdout.strip()
    reader = Command(postern, viewer)
    reader("agents", "list")
    reader("agents", "create", "--name", "x", "--model", MODEL, status=REFUSED)
    command("keys", "revoke", made["id"])
    theirs("agents", "list", status=REFUSED)
    command("keys", "show", "apikey_missing", status=NOT_FOUND)


def test_tunnels_their_tokens_and_certificates(command: Command, postern: Postern, control: Control, tmp_path: Path) -> None:
    tunnel = command.json("tunnels", "create", "--name", unique("tunnel"))
    assert command.json("tunnels", "show", tunnel["id"]) == tunnel and tunnel["domain"] in command("tunnels", "list").stdout
    token = command("tunnels", "reveal-token", tunnel["id"]).stdout.strip()
    assert token.startswith("tnlt_") and command("tunnels", "reveal-token", tunnel["id"]).stdout.strip() == token
    output = tmp_path / "tunnel.token"
    rotated = command("tunnels", "rotate-token", tunnel["id"], "--reason", "a test", "--output", str(output))
    assert output.stat().st_mode & 0o777 == 0o600 and output.read_text().strip() not in ("", token)
    assert output.read_text().strip() not in rotated.stdout
    command("tunnels", "reveal-token", tunnel["id"], "--output", str(tmp_path / "none" / "token"), status=FAILURE)
    assert command.json("tunnels", "settings", tunnel["id"])["splice"] is False
    assert command.json("tunnels", "settings", tunnel["id"], "--splice")["splice"] is True
    hidden = command.json("tunnels", "settings", tunnel["id"], "--hide-routes")
    assert hidden["hide_routes"] is True and hidden["splice"] is True
    assert command.json("tunnels", "settings", tunnel["id"], "--no-hide-routes")["hide_routes"] is False

    pem = tmp_path / "ca.pem"
    pem.write_text(AUTHORITIES[0])
    certificate = command.json("tunnels", "certificates", "add", tunnel["id"], str(pem))
    assert certificate["fingerprint"] in command("tunnels", "certificates", "list", tunnel["id"]).stdout
    # A file with a key in it is not sent at all, not even to a server that is not there.
    pem.write_text(AUTHORITIES[1] + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    refused = command("tunnels", "certificates", "add", tunnel["id"], str(pem), "--base-url", "http://127.0.0.1:9", status=FAILURE)
    assert "nothing was sent" in refused.stderr

    folder = tmp_path / "certificate"
    issued = command.json("tunnels", "client-certificate", "issue", tunnel["id"], "--client", "curl", "--route", "docs", "--ttl", "10m", "--output",
                          str(folder))
    assert (folder / "key.pem").stat().st_mode & 0o777 == 0o600 and "PRIVATE KEY" in (folder / "key.pem").read_text()
    assert (folder / "certificate.pem").read_text().strip() == issued["certificate_pem"].strip()
    assert (folder / "authorities.pem").read_text().strip() == AUTHORITIES[0].strip() and "PRIVATE" not in json.dumps(issued)
    # The pair fits together.
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    command("tunnels", "client-certificate", "issue", tunnel["id"], "--client", "curl", "--ttl", "25h", "--output", str(folder), status=USAGE)

    assert command("tunnels", "connectors", tunnel["id"]).stdout == "" and command.json("tunnels", "connector-keys", "list", tunnel["id"]) == []
    command("tunnels", "connector-keys", "revoke", tunnel["id"], "0" * 64, status=NOT_FOUND)
    command("tunnels", "certificates", "archive", tunnel["id"], certificate["id"])
    command("tunnels", "archive", tunnel["id"])
    assert tunnel["id"] not in command("tunnels", "list", "-q").stdout and tunnel["id"] in command("tunnels", "list", "-q", "--archived").stdout
    seal = postern.folder / "data" / "seal.key"
    assert seal.stat().st_mode & 0o777 == 0o600
    edge = command.json("keys", "create", "--role", "edge")
    Command(postern, edge["secret"])("tunnels", "list", status=REFUSED)


def test_a_session_runs_to_its_end(command: Command, here: Place) -> None:
    done = command("sessions", "run", "--agent", here.agent, "--environment", here.environment, "$ echo from the worker")
    assert "from the worker" in done.stdout and done.stdout.endswith("idle: end_turn\n") and "1 tool call" in done.stderr
    session = next(word for word in done.stderr.split() if word.startswith("sesn_"))
    again = command("sessions", "run", "--session", session, "--json", "-", text="$ echo again\n").stdout.splitlines()
    assert json.loads(again[-1])["type"] == "session.status_idle" and any("again" in line for line in again)
    events = command.lines("sessions", "events", session, "--type", "agent.tool_use")
    assert [event["input"]["command"] for event in events] == ["echo from the worker", "echo again"]
    assert "from the worker" in command("sessions", "events", session).stdout
    assert command.json("sessions", "update", session, "--title", "a title")["title"] == "a title"
    command("sessions", "send", session, "$ echo sent")
    assert "sent" in command("sessions", "attach", session).stdout
    command("sessions", "archive", session)
    command("sessions", "delete", session)
    command("sessions", "show", session, status=NOT_FOUND)


def test_the_status_tells_how_a_session_ended(command: Command, control: Control, here: Place) -> None:
    asking = control.agent(tools=[{"type": "agent_toolset_20260401", "default_config": {"permission_policy": {"type": "always_ask"}}}])
    run = ("sessions", "run", "--environment", here.environment)
    done = command(*run, "--agent", asking, "$ echo confirmed", status=SESSION_WAITS)
    session = next(word for word in done.stderr.split() if word.startswith("sesn_"))
    call = command.lines("sessions", "events", session, "--type", "agent.tool_use")[0]["id"]
    command("sessions", "send", session, "--allow", call)
    assert "confirmed" in command("sessions", "attach", session).stdout
    failed = command(*run, "--agent", here.agent, "!error 400", status=SESSION_FAILED)
    assert failed.stderr.strip()


def test_what_is_wrong_is_said_with_a_status(command: Command, here: Place) -> None:
    command("agents", "creat", status=USAGE)
    command("agents", "create", "--model", MODEL, status=USAGE)
    command("agents", "create", "--file", "/nonexistent.yaml", status=FAILURE)
    command("agents", "list", status=REFUSED, POSTERN_API_KEY="wrong-key-wrong-key-wrong-key")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert "is the server running" in command("agents", "list", status=UNAVAILABLE, POSTERN_BASE_URL=nobody).stderr
    worker = command("worker", "poll", "--unrestricted-paths", status=USAGE).stderr
    assert "policy" in worker and "--sandbox none" in worker
    command("worker", "poll", "--environment-id", here.environment, "--max-idle", "1 day", status=78)


def test_the_store_is_checked_and_copied_while_the_server_runs(command: Command, postern: Postern, control: Control, tmp_path: Path) -> None:
    agent = control.agent()
    data = str(postern.folder / "data")
    command("store", "check", "--data", data)
    copy = tmp_path / "copy.sqlite"
    assert command.json("store", "backup", "--data", data, str(copy))["file"] == str(copy)
    with sqlite3.connect(copy) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert any(agent in {str(cell) for cell in row} for table in tables for row in database.execute(f'SELECT * FROM "{table}"'))
    command("store", "backup", "--data", data, str(copy), status=FAILURE)


def test_a_sandbox_passes_output_and_status_through(command: Command, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("given\n")
    if os.geteuid() == 0:
        # A folder of root's is served to nobody.
        os.chown(tmp_path, 54_321, 54_321)
    done = command("sandbox", "run", "--workspace", str(tmp_path), "--env", "WORD=hello", "--", "sh", "-c", "echo $WORD; cat in.txt; echo no >&2; exit 7", status=7)
    assert done.stdout == "hello\ngiven\n" and "no" in done.stderr


def test_doctor_asks_by_the_proxy_it_is_given(command: Command) -> None:
    done = command("doctor", "--base-url", "https://192.0.2.9", "--proxy", "http://127.0.0.1:1", "--json", status=5)
    finding = next(finding for finding in json.loads(done.stdout) if finding["subject"] == "base URL")
    assert "127.0.0.1" in json.dumps(finding) or "refused" in json.dumps(finding).lower(), finding


def test_the_system_call_filter_is_data(command: Command) -> None:
    calls = {call["name"]: call for call in command.json("sandbox", "seccomp")["calls"]}
    assert calls["bpf"]["otherwise"] != "allow" and calls["clone3"]["otherwise"] != "allow"
