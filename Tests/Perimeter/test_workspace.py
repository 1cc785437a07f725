"""Copy-on-write workspaces: what a session changes stays outside of the folder until somebody here applies it; and the scan at its end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from perimeter import Perimeter

CHANGES = "\n\n".join([
    '$ cat kept.txt; echo new >new.txt; echo more >>kept.txt; rm gone.txt; mkdir -p deep/er; echo x >deep/er/file; cat kept.txt',
    '@edit {"file_path":"edited.txt","old_string":"before","new_string":"after"}', '@write {"file_path":"tool.txt","content":"by a tool"}'])


def fill(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in (("kept.txt", "kept\n"), ("gone.txt", "gone\n"), ("edited.txt", "before\n")):
        (folder / name).write_text(text)


def start(perimeter: Perimeter, kind: str, **policy: Any) -> None:
    """A managed workspace is a copy of a folder; a shared one is the user's folder itself."""
    perimeter.policy(workspace={"mode": "cow"}, **policy)
    if kind == "shared":
        fill(perimeter.work)
        perimeter.start("--shared-workspace", "true")
    else:
        fill(perimeter.folder / "source")
        perimeter.start("--workspace-source", str(perimeter.folder / "source"))


def folder(perimeter: Perimeter, kind: str, session: str) -> Path:
    return perimeter.work if kind == "shared" else perimeter.workspace(session)


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


BEFORE = {"kept.txt": "kept\n", "gone.txt": "gone\n", "edited.txt": "before\n"}
AFTER = {"kept.txt": "kept\nmore\n", "edited.txt": "after\n", "new.txt": "new\n", "deep/er/file": "x\n", "tool.txt": "by a tool"}


@pytest.mark.parametrize("kind", ["managed", "shared"])
@pytest.mark.parametrize("verdict", ["apply", "discard"])
def test_changes_wait_for_a_verdict(perimeter: Perimeter, kind: str, verdict: str) -> None:
    start(perimeter, kind)
    session = perimeter.session()
    results = perimeter.run(session, CHANGES)
    assert [r.failed for r in results] == [False] * 3 and results[0].text == "kept\nkept\nmore"
    where = folder(perimeter, kind, session)
    assert contents(where) == BEFORE
    changes = ["--changes", str(perimeter.state / "changes" / session), str(where)]

    def workspace(action: str, *more: str, status: int | None = 0) -> Any:
        return perimeter.command("sandbox", "workspace", action, *changes, *more, status=status, with_state=False)

    assert workspace("diff", status=None).returncode != 0, "the session is at work"
    perimeter.end(session)
    told = workspace("diff").stdout
    assert all(name in told for name in ("kept.txt", "gone.txt", "edited.txt", "new.txt", "deep/er/file", "tool.txt"))
    assert contents(where) == BEFORE, "to look changes nothing"
    workspace(verdict)
    assert contents(where) == (AFTER if verdict == "apply" else BEFORE)
    if kind == "shared":
        assert {path.stat().st_uid for path in where.rglob("*")} == {os.geteuid()}
    assert "Nothing is changed" in workspace("diff").stdout


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


@pytest.mark.parametrize("mode", ["rw", "cow"])
def test_the_scan_at_the_end_reports_dangers(perimeter: Perimeter, mode: str) -> None:
    # The profile protects what it knows; here the agent may make all of it.
    perimeter.policy(workspace={"mode": mode})
    perimeter.start()
    session = perimeter.session()
    perimeter.shell(session, DANGERS)
    perimeter.end(session)
    scans = perimeter.audit("workspace_scan", session)
    assert len(scans) == 1
    counts = scans[0]["body"]["counts"]
    print(counts)
    assert counts.get("link_out", counts.get("link", 0)) == 1 and any("git" in kind for kind in counts) and len(counts) >= 3
    assert f"{session}" in perimeter.worker.wait_for(f".*workspace.*{session}", seconds=1).string if perimeter.worker else False


def test_dangerous_changes_are_not_applied_unseen(perimeter: Perimeter) -> None:
    start(perimeter, "managed")
    session = perimeter.session()
    perimeter.shell(session, DANGERS)
    perimeter.end(session)
    where = perimeter.workspace(session)
    command = ["sandbox", "workspace", "apply", "--changes", str(perimeter.state / "changes" / session), str(where)]
    told = perimeter.command(*command, status=None, with_state=False)
    assert told.returncode != 0 and "post-checkout" in told.stderr and "/etc/passwd" in told.stderr
    assert contents(where) == BEFORE
    perimeter.command(*command, "--accept-findings", with_state=False)
    assert (where / "plain.txt").read_text() == "harmless\n" and (where / "out").is_symlink() and not (where / "pipe").exists()


def test_read_only(perimeter: Perimeter) -> None:
    perimeter.policy(workspace={"mode": "ro"})
    fill(perimeter.folder / "source")
    perimeter.start("--workspace-source", str(perimeter.folder / "source"))
    session = perimeter.session()
    results = perimeter.run(session, '$ cat kept.txt\n\n$ echo x >new.txt\n\n@write {"file_path":"a","content":"b"}\n\n$ rm kept.txt')
    assert [r.failed for r in results] == [False, True, True, True]
    assert contents(perimeter.workspace(session)) == BEFORE
