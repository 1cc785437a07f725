"""Copy-on-write workspaces: what a session changes stays outside of the folder until somebody here applies it; and the scan at its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conftest import BOTH_USERS
from perimeter import Perimeter
from postern_fixture import clean_environment
from processes import descendants

pytestmark = BOTH_USERS

BEFORE = {"kept.txt": "kept\n", "gone.txt": "gone\n", "edited.txt": "before\n"}
AFTER = {"kept.txt": "kept\nmore\n", "edited.txt": "after\n", "new.txt": "new\n", "deep/er/file": "x\n", "tool.txt": "by a tool"}
CHANGES = "\n\n".join([
    '$ cat kept.txt; echo new >new.txt; echo more >>kept.txt; rm gone.txt; mkdir -p deep/er; echo x >deep/er/file; cat kept.txt',
    '@edit {"file_path":"edited.txt","old_string":"before","new_string":"after"}', '@write {"file_path":"tool.txt","content":"by a tool"}'])


def fill(perimeter: Perimeter, name: str) -> str:
    """A folder of the worker's user with some files."""
    folder = perimeter.make(name)
    for file, text in BEFORE.items():
        (folder / file).write_text(text)
        perimeter.give(folder / file)
    return str(folder)


def start(perimeter: Perimeter, kind: str, **policy: Any) -> None:
    """A managed workspace is a copy of a folder; a shared one is the user's folder itself."""
    perimeter.policy(workspace={"mode": "cow"}, **policy)
    if kind == "shared":
        perimeter.start("--shared-workspace", fill(perimeter, "project"), "--max-idle", "1")
    else:
        perimeter.start("--workspace-source", fill(perimeter, "source"), "--max-idle", "1")


def folder(perimeter: Perimeter, kind: str, session: str) -> Path:
    return perimeter.folder / "project" if kind == "shared" else perimeter.workspace(session)


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("kind", ["managed", "shared"])
@pytest.mark.parametrize("verdict", ["apply", "discard"])
def test_changes_wait_for_a_verdict(perimeter: Perimeter, kind: str, verdict: str) -> None:
    # The worker's user may list what its folder is in; `test_a_folder_in_one_that_cannot_be_listed` is about the rest.
    perimeter.folder.chmod(0o755)
    start(perimeter, kind)
    session = perimeter.session()
    results = perimeter.run(session, CHANGES)
    assert [r.failed for r in results] == [False] * 3 and results[0].text == "kept\nkept\nmore", results
    where = folder(perimeter, kind, session)
    assert contents(where) == BEFORE
    changes = ["--changes", str(perimeter.state / "changes" / session), str(where)]

    def workspace(action: str, *more: str, status: int | None = 0) -> Any:
        return perimeter.command("sandbox", "workspace", action, *changes, *more, status=status, with_state=False)

    perimeter.rest(session)
    told = workspace("diff").stdout
    assert all(name in told for name in ("kept.txt", "gone.txt", "edited.txt", "new.txt", "deep/er/file", "tool.txt"))
    assert contents(where) == BEFORE, "to look changes nothing"
    workspace(verdict)
    assert contents(where) == (AFTER if verdict == "apply" else BEFORE)
    if kind == "shared":
        assert {path.stat().st_uid for path in where.rglob("*")} == {where.stat().st_uid}
    assert "Nothing is changed" in workspace("diff").stdout


def test_a_folder_in_one_that_cannot_be_listed(perimeter: Perimeter) -> None:
    start(perimeter, "shared")
    assert perimeter.shell(perimeter.session(), "cat kept.txt").text == "kept"


@pytest.mark.parametrize("action", ["diff", "apply", "discard"])
def test_changes_of_a_session_at_work_are_left_alone(perimeter: Perimeter, action: str) -> None:
    start(perimeter, "managed")
    session = perimeter.session()
    perimeter.run(session, CHANGES)
    where = perimeter.workspace(session)
    command = ["sandbox", "workspace", action, "--changes", str(perimeter.state / "changes" / session), str(where)]
    told = perimeter.command(*command, status=1, with_state=False)
    assert "the session's worker has them mounted" in told.stderr and "stop its worker" in told.stderr
    assert contents(where) == BEFORE
    # Another worker's death leaves nothing behind that would hold the changes.
    assert perimeter.worker is not None
    perimeter.worker.kill_alone()
    for _ in range(200):
        told = perimeter.command(*command, status=None, with_state=False)
        if told.returncode == 0:
            break
        assert "mounted" in told.stderr
    assert told.returncode == 0 and contents(where) == (AFTER if action == "apply" else BEFORE)


def test_a_signal_to_everything_drains(perimeter: Perimeter) -> None:
    """As systemd stops a unit: every process of the control group is told, and the worker still needs what is below it."""
    perimeter.policy()
    worker = perimeter.start("--max-idle", "0")
    perimeter.run(perimeter.session(), "$ ln -s /etc/passwd out")
    below = descendants(worker.pid)
    assert len(below) >= 4, "the spawner, bubblewrap, process 1 and the shell"
    for pid in [*below, worker.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    assert worker.wait(seconds=30) == 0
    worker.wait_for("released.*reason=drained")
    worker.wait_for("nobody should trust.*link_out 1")


def test_a_session_finds_its_changes_again(perimeter: Perimeter) -> None:
    start(perimeter, "managed")
    assert perimeter.worker is not None
    session = perimeter.session()
    perimeter.run(session, CHANGES)
    perimeter.worker.stop(seconds=20)
    perimeter.start("--workspace-source", str(perimeter.folder / "source"))
    assert perimeter.shell(session, "cat kept.txt; ls gone.txt; cat tool.txt").text.startswith("kept\nmore")
    assert contents(perimeter.workspace(session)) == BEFORE


DANGERS = "; ".join([
    "ln -s /etc/passwd out", "mkdir -p .git/hooks", "printf '#!/bin/sh\\nid\\n' >.git/hooks/post-checkout", "chmod +x .git/hooks/post-checkout",
    "mkfifo pipe", "mkdir -p .vscode", "echo '{}' >.vscode/tasks.json", "echo harmless >plain.txt"])


def scan(perimeter: Perimeter, session: str) -> dict[str, int]:
    """The counts of the one scan, which follows the release."""
    assert perimeter.worker is not None
    line = perimeter.worker.wait_for(f"the workspace holds what nobody should trust.*{session}", seconds=5).string
    scans = perimeter.audit("workspace_scan", session)
    assert len(scans) == 1
    counts: dict[str, int] = scans[0]["body"]["counts"]
    assert all(kind in line for kind in counts)
    return counts


@pytest.mark.parametrize("mode", ["rw", "cow"])
def test_the_scan_at_the_end_reports_dangers(perimeter: Perimeter, mode: str) -> None:
    perimeter.policy(workspace={"mode": mode})
    perimeter.start("--max-idle", "1")
    session = perimeter.session()
    perimeter.shell(session, DANGERS)
    perimeter.rest(session)
    assert scan(perimeter, session) == {"link_out": 1, "git_hook": 1, "fifo": 1, "agent_configuration": 1}


def test_what_an_archived_session_leaves_is_scanned(perimeter: Perimeter) -> None:
    perimeter.policy()
    perimeter.start()
    session = perimeter.session()
    perimeter.shell(session, DANGERS)
    perimeter.control.call("POST", f"/v1/sessions/{session}/archive")
    assert perimeter.worker is not None
    perimeter.worker.wait_for(f"released.*{session}")
    assert scan(perimeter, session)["link_out"] == 1


@pytest.mark.parametrize("mode", ["rw", "cow"])
def test_a_planted_repository_is_found_and_nothing_of_postern_listens_to_it(perimeter: Perimeter, mode: str) -> None:
    """FS_GIT_PLANT_BARE: plain files in the workspace itself, which git takes for a repository and whose settings it obeys."""
    obeyed = perimeter.make("canary") / "obeyed"
    settings = f"[core]\\n repositoryformatversion = 0\\n bare = false\\n worktree = .\\n fsmonitor = touch {obeyed}\\n"
    perimeter.policy(workspace={"mode": mode})
    perimeter.start("--max-idle", "1")
    session = perimeter.session()
    told = perimeter.shell(session, f"mkdir objects refs; echo ref: refs/heads/x >HEAD; printf '{settings}' >config; ls")
    assert not told.failed, told.text
    perimeter.rest(session)
    # The folder itself, and two of its settings.
    assert scan(perimeter, session) == {"git_configuration": 3}
    where = perimeter.workspace(session)
    if mode == "cow":
        command = ["sandbox", "workspace", "apply", "--changes", str(perimeter.state / "changes" / session), str(where)]
        refused = perimeter.command(*command, status=None, with_state=False)
        assert refused.returncode != 0 and "core.fsmonitor" in refused.stderr
        perimeter.command(*command, "--accept-findings", with_state=False)
    assert not obeyed.exists()
    # Somebody else's git does listen.
    subprocess.run(
        [*perimeter.prefix, "git", "-c", "safe.directory=*", "-C", str(where), "status"], capture_output=True, timeout=30,
        env=clean_environment(HOME=str(perimeter.work)))
    assert obeyed.exists()


def test_dangerous_changes_are_not_applied_unseen(perimeter: Perimeter) -> None:
    start(perimeter, "managed")
    session = perimeter.session()
    perimeter.shell(session, DANGERS)
    perimeter.rest(session)
    where = perimeter.workspace(session)
    command = ["sandbox", "workspace", "apply", "--changes", str(perimeter.state / "changes" / session), str(where)]
    told = perimeter.command(*command, status=None, with_state=False)
    assert told.returncode != 0 and "post-checkout" in told.stderr and "/etc/passwd" in told.stderr
    assert contents(where) == BEFORE
    perimeter.command(*command, "--accept-findings", with_state=False)
    assert (where / "plain.txt").read_text() == "harmless\n" and (where / "out").is_symlink() and not (where / "pipe").exists()


def test_changes_above_the_bound_are_not_applied(perimeter: Perimeter) -> None:
    start(perimeter, "managed")
    session = perimeter.session()
    perimeter.shell(session, "head -c 2000000 /dev/zero >large")
    perimeter.rest(session)
    where = perimeter.workspace(session)
    command = ["sandbox", "workspace", "apply", "--changes", str(perimeter.state / "changes" / session), str(where)]
    told = perimeter.command(*command, "--max-disk", "1MiB", status=None, with_state=False)
    assert told.returncode != 0 and "the bound is 1 MiB: give a larger --max-disk" in told.stderr
    assert contents(where) == BEFORE
    assert perimeter.command(*command, "--max-disk", "1", status=None, with_state=False).returncode == 64
    perimeter.command(*command, with_state=False)
    assert (where / "large").stat().st_size == 2000000


def test_read_only(perimeter: Perimeter) -> None:
    perimeter.policy(workspace={"mode": "ro"})
    perimeter.start("--workspace-source", fill(perimeter, "source"))
    session = perimeter.session()
    results = perimeter.run(session, '$ cat kept.txt\n\n$ echo x >new.txt\n\n@write {"file_path":"a","content":"b"}\n\n$ rm kept.txt')
    assert [r.failed for r in results] == [False, True, True, True]
    assert contents(perimeter.workspace(session)) == BEFORE


def test_the_worker_bounds_what_policies_leave_to_sessions(perimeter: Perimeter) -> None:
    perimeter.policy("1-copies", match={"agents": "nobody"}, workspace={"mode": "cow"})
    perimeter.policy("2-writes")
    perimeter.start("--workspace-mode", "ro")
    told = perimeter.shell(perimeter.session(), "touch made; ls -A")
    assert told.failed or "Read-only file system" in told.text, told.text
    assert "made" not in told.text.splitlines()
