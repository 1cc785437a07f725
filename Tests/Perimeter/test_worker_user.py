"""A worker that is started as root: its spawner stays root, and it goes on as a user of its own that can do nothing beyond its work."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from haystack import descendants
from perimeter import ORDINARY_USER, Perimeter

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

#: The usual number, and another.
USUAL, OTHER = 230_000, 54_399
TOKEN = "tok_of_the_environment_0123456789"

#: Tries to open everything below its arguments, and to connect to every socket.
PROBE = """
import os, socket, sys
for root in sys.argv[1:]:
    for path in [root] + [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names]:
        try:
            os.close(os.open(path, os.O_RDONLY)); print("open", path)
        except OSError: pass
        try:
            socket.socket(socket.AF_UNIX).connect(path); print("connected", path)
        except OSError: pass
        try:
            os.listdir(path); print("listed", path)
        except OSError: pass
print("end")
"""


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def as_user(user: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as the worker is run: that user, its group, nothing else."""
    return subprocess.run(
        ["/usr/bin/setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", "--inh-caps=-all", "--", *command],
        capture_output=True, text=True, timeout=30)


def refused(perimeter: Perimeter, *arguments: str) -> str:
    """What the worker says of a start that it refuses."""
    done = subprocess.run(
        [str(perimeter.postern.binary), "worker", "poll", "--environment-id", "env_x", "--base-url", perimeter.postern.url, "--workdir",
         str(perimeter.work), "--state-dir", str(perimeter.state), *arguments],
        capture_output=True, text=True, timeout=60, env=dict(os.environ, ANTHROPIC_ENVIRONMENT_KEY="k"), cwd=perimeter.folder)
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("user", [USUAL, OTHER])
def test_it_goes_on_as_an_ordinary_user(perimeter: Perimeter, user: int) -> None:
    perimeter.policy(secrets={"s": {"from": {"variable": "REAL_TOKEN"}, "hosts": "example.com", "variable": "TOKEN"}})
    process = perimeter.start(*(() if user == USUAL else ("--user", str(user))), REAL_TOKEN=TOKEN)
    told = status(process.pid)
    assert told["Uid"].split() == told["Gid"].split() == [str(user)] * 4 and told["Groups"] == ""
    assert {told[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert told["NoNewPrivs"] == "1"
    here = Path(f"/proc/{process.pid}")
    # Files of a process that cannot be dumped are root's.
    assert (here / "environ").stat().st_uid == 0 and (here / "mem").stat().st_uid == 0
    assert as_user(user, "cat", str(here / "environ")).returncode != 0
    assert re.search(r"Max core file size\s+0\s+0", (here / "limits").read_text())
    for name in ("environ", "cmdline"):
        contents = (here / name).read_bytes()
        assert TOKEN.encode() not in contents and perimeter.place.key.encode() not in contents
        assert b"REAL_TOKEN" not in contents and b"ENVIRONMENT_KEY" not in contents
    assert not [link for link in (here / "fd").iterdir() if "handover" in os.readlink(link)], "what was handed over is closed"
    spawner = next(pid for pid in descendants(process.pid) if "spawner" in Path(f"/proc/{pid}/cmdline").read_text())
    assert status(spawner)["Uid"].split() == ["0"] * 4
    assert TOKEN.encode() not in Path(f"/proc/{spawner}/cmdline").read_bytes() and Path(f"/proc/{spawner}/environ").read_bytes() == b""
    # It serves sessions all the same, each as a user of its own.
    assert perimeter.shell(perimeter.session(), "echo served").text == "served"
    assert {path.stat().st_uid for path in perimeter.state.rglob("*") if not path.is_relative_to(perimeter.state / "outputs")} == {user}
    assert as_user(user, "cat", "/etc/shadow").returncode != 0


def test_a_session_cannot_reach_what_is_the_workers(perimeter: Perimeter) -> None:
    mirror = perimeter.make("mirror")
    mirror.chmod(0o700)
    perimeter.policy()
    perimeter.start("--audit-mirror", str(mirror))
    session = perimeter.session()
    perimeter.shell(session, "echo x >file")
    user = perimeter.workspace(session).stat().st_uid
    assert 210_000 <= user < 220_000
    # The names are known to the attacker: that the folders cannot be listed is not what keeps the files shut.
    files = [str(path) for folder in (perimeter.state, mirror) for path in (folder, *folder.rglob("*")) if session not in path.name or path.is_file()]
    assert {"audit.jsonl", "audit.key", "control.sock", "lock"} <= {Path(file).name for file in files}
    for path in (perimeter.state, perimeter.state / "sessions"):
        assert path.stat().st_mode & 0o077 == 0
    tried = as_user(user, "/usr/bin/python3", "-c", PROBE, *files)
    assert tried.stdout == "end\n", tried.stdout + tried.stderr
    # The same as the worker's own user opens them, so the probe can tell.
    assert "connected" in as_user(USUAL, "/usr/bin/python3", "-c", PROBE, *files).stdout


def test_files_of_roots_are_read_where_a_policy_names_them(perimeter: Perimeter) -> None:
    closed = perimeter.make("closed")
    closed.chmod(0o700)
    words = perimeter.secret_file("closed/words", "Nightjar")
    perimeter.policy(redaction={"dictionaries": [{"name": "projects", "file": str(words), "action": "mask"}]}, files={"read": [str(perimeter.make("closed/tree"))]})
    (closed / "tree" / "text").write_text("in a folder that the worker cannot walk to\n")
    (perimeter.policies / "policy.yaml").chmod(0o600)
    perimeter.policies.chmod(0o700)
    perimeter.start()
    said = perimeter.shell(perimeter.session(), f"echo Night''jar; cat {closed}/tree/text; cat {words}").text
    assert "Nightjar" not in said and "in a folder" in said, said


def test_the_state_of_a_worker_that_was_root_is_taken_over(perimeter: Perimeter) -> None:
    perimeter.policy()
    process = perimeter.start("--user", "root")
    assert status(process.pid)["Uid"].split() == ["0"] * 4
    process.wait_for("layer of the sandbox is not in force.*worker user")
    session = perimeter.session()
    perimeter.shell(session, "echo kept >kept.txt")
    process.stop(seconds=20)
    assert "worker user" in {record["body"]["layer"] for record in perimeter.audit("layer_off")}
    owner = perimeter.workspace(session).stat().st_uid
    assert (perimeter.state / "audit.jsonl").stat().st_uid == 0
    perimeter.start()
    assert perimeter.shell(session, "cat kept.txt").text == "kept"
    assert perimeter.workspace(session).stat().st_uid == owner
    for path in (perimeter.work, perimeter.state, *(path for path in perimeter.state.rglob("*") if path.is_file() and "outputs" not in path.parts)):
        assert path.stat().st_uid == USUAL, path
    assert perimeter.json("audit", "verify")["good"]


@pytest.mark.parametrize("more", [(), ("--user", "root")], ids=["own user", "root"])
def test_every_tool_works_without_a_sandbox(perimeter: Perimeter, more: tuple[str, ...]) -> None:
    """Sessions are users of their own there, and walk to their files through folders that they cannot list; the worker's own stay shut."""
    perimeter.policy()
    process = perimeter.start("--sandbox", "none", "--offload-threshold", "1000", *more)
    session = perimeter.session()
    results = perimeter.run(session, "\n\n".join([
        "$ echo one > a.txt; id -u", '@read {"file_path":"a.txt"}', '@write {"file_path":"b/c.txt","content":"two"}',
        '@edit {"file_path":"b/c.txt","old_string":"two","new_string":"three"}', '@glob {"pattern":"**/*.txt"}', '@grep {"pattern":"thr"}',
        "$ seq 1 2000"]))
    assert not [one for one in results if one.failed], results
    assert 210_000 <= int(results[0].text) < 220_000
    assert "one" in results[1].text and "b/c.txt" in results[4].text and "three" in results[5].text
    path = re.search(r"(/\S+/\S+\.txt)", results[6].text)
    assert path, results[6].text
    offloaded = perimeter.run(session, f"$ tail -1 {path[1]}\n\n" + '@read {"file_path":"' + path[1] + '","view_range":[1999,2000]}')
    assert offloaded[0].text.strip() == "2000" and "2000" in offloaded[1].text and not offloaded[1].failed, offloaded
    refused = perimeter.shell(session, f"ls {perimeter.work}; ls {perimeter.state}; cat {perimeter.state}/audit.jsonl")
    assert refused.text.count("ermission denied") == 3, refused
    process.stop(seconds=20)
    # Sessions walk in before as well as after a restart.
    perimeter.start("--sandbox", "none", *more)
    assert perimeter.run(session, '@read {"file_path":"b/c.txt"}')[0].text.count("three") == 1


def test_without_a_sandbox_a_place_that_nobody_can_walk_to_is_refused(perimeter: Perimeter) -> None:
    closed = perimeter.make("closed")
    closed.chmod(0o700)
    os.chown(closed, USUAL, USUAL)
    said = refused(perimeter, "--sandbox", "none", "--workdir", str(closed / "work"))
    assert f"cannot walk through {closed}" in said and "chmod o+x" in said, said


def test_all_layers_is_not_with_root(perimeter: Perimeter) -> None:
    assert "stays root" in refused(perimeter, "--user", "root", "--require-all-layers", "true")
    # Nor where its sandboxes are made by others, which it cannot ask.
    assert "require_all_layers and on_work exclude each other" in refused(perimeter, "--on-work", "/bin/true", "--require-all-layers", "true")


@pytest.mark.parametrize("trick", ["link", "second name", "another's"])
def test_a_state_folder_with_a_trick_in_it_is_refused(perimeter: Perimeter, trick: str) -> None:
    secret = perimeter.secret_file("secret", "root's own")
    sessions = perimeter.state / "sessions"
    sessions.mkdir(mode=0o700)
    (perimeter.state / "lock").touch(mode=0o600)
    journal = sessions / "sesn_1.journal"
    if trick == "link":
        journal.symlink_to(secret)
    elif trick == "second name":
        journal.hardlink_to(secret)
    else:
        journal.touch()
        os.chown(journal, ORDINARY_USER, ORDINARY_USER)
    said = refused(perimeter)
    assert "sesn_1.journal" in said and "remove it" in said, said
    assert secret.stat().st_uid == 0


@pytest.mark.parametrize("folder", ["work", "state", "mirror"])
def test_a_folder_with_other_things_in_it_is_not_taken(perimeter: Perimeter, folder: str) -> None:
    mirror = perimeter.make("mirror")
    place = perimeter.folder / folder
    (place / "payroll.db").touch()
    said = refused(perimeter, "--audit-mirror", str(mirror))
    assert "payroll.db" in said and f"chown {USUAL} '{place}'" in said and "--user root" in said, said
    assert place.stat().st_uid == 0 and (place / "payroll.db").stat().st_uid == 0


def test_a_link_to_a_folder_is_not_taken(perimeter: Perimeter) -> None:
    real = perimeter.make("real")
    perimeter.state.rmdir()
    perimeter.state.symlink_to(real)
    refused(perimeter)
    assert real.stat().st_uid == 0


def test_a_place_that_it_cannot_reach_is_named(perimeter: Perimeter) -> None:
    perimeter.folder.chmod(0o700)
    said = refused(perimeter)
    assert f"user {USUAL}" in said and "chmod o+x" in said and "--user root" in said, said
    perimeter.folder.chmod(0o711)
    closed = perimeter.make("closed")
    closed.chmod(0o700)
    assert "workspace_source" in refused(perimeter, "--workspace-source", str(closed))


@pytest.mark.parametrize("user", ["210000", "nobody-of-that-name"])
def test_users_that_cannot_be_gone_on_as(perimeter: Perimeter, user: str) -> None:
    assert "user:" in refused(perimeter, "--user", user)


def test_the_descriptor_of_another_is_not_believed(perimeter: Perimeter) -> None:
    done = subprocess.run(
        [str(perimeter.postern.binary), "worker", "poll"], capture_output=True, text=True, timeout=60, env=dict(os.environ, POSTERN_HANDOVER_FD="3"))
    assert done.returncode != 0 and "for the program's own use" in done.stderr
