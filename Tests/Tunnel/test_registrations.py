"""Who decides what callers believe of a tunnel, with a control plane that is attacked and one that is set back."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_tunnel import splice, until
from tunnel import Tunnel


@pytest.fixture(scope="module")
def watched() -> Iterator[Tunnel]:
    """A tunnel of its own: its control plane is stopped and set back."""
    with Tunnel() as tunnel:
        document = tunnel.connector_folder / "connector.yaml"
        # Said once: the next process begins with what this one has kept.
        tunnel.connector.wait_for("watches the tunnel's registrations")
        tunnel.connector.stop()
        document.write_text(document.read_text().replace("registrations:\n", "registrations:\n  interval_seconds: 1\n"))
        tunnel.connector = tunnel.start_connector()
        splice(tunnel, True)
        tunnel.certificate("laptop", "laptop", "docs")
        until(lambda: tunnel.curl(tunnel.folder / "laptop").returncode == 0)
        yield tunnel


def authority(tunnel: Tunnel, name: str) -> Path:
    """Another authority, made by the software of its maker."""
    file = tunnel.folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={name}",
         "-keyout", str(tunnel.folder / f"{name}.key"), "-out", str(file), "-addext", "keyUsage=critical,keyCertSign"],
        check=True, capture_output=True)
    (tunnel.folder / f"{name}.key").chmod(0o600)
    return file


def counts(tunnel: Tunnel) -> list[bool]:
    """Of the tunnel's certificates, the oldest first."""
    listed = tunnel.control.call("GET", f"/postern/v1/tunnels/{tunnel.id}/certificates")["data"]
    return [certificate["counts"] for certificate in reversed(listed)]


def believed(tunnel: Tunnel, name: str) -> str:
    return (tunnel.certificate(name, "laptop", "docs") / "authorities.pem").read_text()


def archive(tunnel: Tunnel, number: int) -> None:
    listed = tunnel.control.call("GET", f"/v1/tunnels/{tunnel.id}/certificates")["data"]
    tunnel.command("tunnels", "certificates", "archive", tunnel.id, list(reversed(listed))[number]["id"])


def test_setup_makes_an_owner_key_and_pins_the_key_of_the_log(watched: Tunnel) -> None:
    folder = watched.connector_folder
    assert (folder / "owner.key").stat().st_mode & 0o777 == 0o600
    settings = watched.control.call("GET", f"/postern/v1/tunnels/{watched.id}/settings")
    assert settings["registration"] == "signed" and settings["owner_key"] and settings["owner_key_pending"] is None
    told = watched.command("tunnels", "registrations", watched.id, "--verify", "--log-key-file", str(folder / "registration-log.pem"))
    assert "certificate_added" in told and "owner_key_set" in told and "connector_key_enrolled" in told and "Verified: 4 registrations" in told, told
    wrong = watched.command("tunnels", "registrations", watched.id, "--verify", "--log-key-file", str(folder / "owner.pem"), check=False)
    assert "does not verify" in wrong
    watched.setup()
    assert "Verified: 4 registrations" in watched.command("tunnels", "registrations", watched.id, "--verify")
    assert "are watched" in watched.command("connector", "check", "--config", str(folder / "connector.yaml"))


def test_an_admins_key_alone_adds_no_authority_that_callers_believe(watched: Tunnel) -> None:
    mine = believed(watched, "before")
    attacker = authority(watched, "attacker")
    told = watched.command("tunnels", "certificates", "add", watched.id, str(attacker))
    assert "Nobody who counts has signed for it" in told
    assert counts(watched) == [True, False]
    assert believed(watched, "after") == mine
    watched.connector.wait_for("certificate_added.*false|false.*certificate_added")
    # A statement by the new authority itself is none.
    statement = watched.folder / "self.json"
    statement.write_text(watched.command(
        "connector", "sign", "--tunnel", watched.id, "--key-file", str(watched.folder / "attacker.key"), "--authority", str(attacker)))
    waiting = watched.control.call("GET", f"/v1/tunnels/{watched.id}/certificates")["data"][0]["id"]
    refused = watched.command("tunnels", "certificates", "endorse", watched.id, waiting, "--statement", str(statement), check=False)
    assert "registration" in refused and counts(watched) == [True, False]
    archive(watched, 1)
    assert watched.curl(watched.folder / "laptop").returncode == 0


def test_with_a_statement_of_the_owner_a_second_authority_counts_at_once(watched: Tunnel) -> None:
    second = authority(watched, "second")
    owner = watched.folder / "kept-elsewhere.key"
    shutil.move(watched.connector_folder / "owner.key", owner)
    statement = watched.folder / "statement.json"
    statement.write_text(watched.command(
        "connector", "sign", "--tunnel", watched.id, "--key-file", str(owner), "--authority", str(second)))
    watched.command("tunnels", "certificates", "add", watched.id, str(second), "--statement", str(statement))
    assert counts(watched) == [True, True]
    assert believed(watched, "both").count("BEGIN CERTIFICATE") == 2
    watched.connector.wait_for("certificate_added.*true|true.*certificate_added")
    assert watched.curl(watched.folder / "laptop").returncode == 0
    archive(watched, 1)
    # Once only.
    again = watched.command("tunnels", "certificates", "add", watched.id, str(second), "--statement", str(statement), check=False)
    assert "was used before" in again
    # The authority's own key signs as well.
    third = authority(watched, "third")
    watched.command("tunnels", "certificates", "add", watched.id, str(third), "--owner-key-file", str(watched.connector_folder / "ca.key"))
    assert counts(watched) == [True, True]
    archive(watched, 1)


def test_a_control_plane_that_was_set_back_is_noticed(watched: Tunnel) -> None:
    laptop = watched.folder / "laptop"
    database = watched.folder / "data" / "postern.sqlite"
    size = json.loads((watched.connector_folder / "registrations.json").read_text())["head"]["size"]
    until(lambda: json.loads((watched.connector_folder / "registrations.json").read_text())["head"]["size"]
          == watched.control.call("GET", f"/postern/v1/tunnels/{watched.id}/registrations/head")["head"]["size"])
    assert size > 4
    # Somebody who holds the database takes back the last registration, as a restored backup would.
    watched.postern.server.stop()
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("DELETE FROM tunnel_registrations WHERE position = (SELECT MAX(position) FROM tunnel_registrations)")
        # The certificate's row as it was before its last entry.
        connection.execute("UPDATE tunnel_certificates SET archived_at = NULL WHERE archived_at = (SELECT MAX(archived_at) FROM tunnel_certificates)")
        connection.commit()
    watched.postern.restart_server()
    watched.connector.wait_for("calls are refused.*registration_fork|registration_fork.*calls are refused")
    until(lambda: "registration_fork" in watched.curl(laptop).stdout)
    # A restart of the connector forgets nothing.
    watched.connector.stop()
    watched.connector = watched.start_connector()
    until(lambda: "registration_fork" in watched.curl(laptop).stdout)
    lines = (watched.connector_folder / "audit.jsonl").read_text().splitlines()
    assert any('"registration_fork"' in line and "laptop" in line for line in lines)
    config = str(watched.connector_folder / "connector.yaml")
    shown = watched.command("connector", "accept", "--config", config)
    assert "rolled back" in shown
    root = shown.split("head, to accept: ")[1].split()[0]
    assert "nothing is refused for" in watched.command("connector", "accept", "--config", config, "0" * 64, check=False)
    watched.command("connector", "accept", "--config", config, root)
    until(lambda: watched.curl(laptop).returncode == 0 and '"path"' in watched.curl(laptop).stdout)


def test_a_log_that_was_rewritten_is_noticed(watched: Tunnel) -> None:
    laptop = watched.folder / "laptop"
    until(lambda: '"path"' in watched.curl(laptop).stdout)
    watched.postern.server.stop()
    with contextlib.closing(sqlite3.connect(watched.folder / "data" / "postern.sqlite")) as connection:
        # The first entry says that the API alone decides: the rest of it stays as it is.
        position, entry = connection.execute("SELECT position, entry FROM tunnel_registrations ORDER BY position LIMIT 1").fetchone()
        changed = entry.replace(b'"registration":"signed"', b'"registration":"api"')
        assert changed != entry
        connection.execute("UPDATE tunnel_registrations SET entry = ? WHERE position = ?", (changed, position))
        connection.commit()
    watched.postern.restart_server()
    until(lambda: "registration_fork" in watched.curl(laptop).stdout)
