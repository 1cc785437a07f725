"""What the audit says of files: which rule refused a file tool's call, and what was put into a file because it was too long."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import pytest

from conftest import BOTH_USERS
from perimeter import Perimeter


@pytest.fixture(scope="module")
def served(perimeters: Callable[..., Perimeter]) -> tuple[Perimeter, str]:
    perimeter = perimeters()
    seed = perimeter.make("seed")
    (seed / "secret.env").write_text("hidden")
    (seed / "lock.txt").write_text("protected")
    for path in seed.iterdir():
        perimeter.give(path)
    perimeter.policy(files={"hidden": ["*.env"], "protected": ["lock.txt"]})
    perimeter.start("--workspace-source", str(seed), "--offload-threshold", "1000")
    session = perimeter.session()
    perimeter.run(session, "\n\n".join([
        '@read {"file_path":"secret.env"}', '@read {"file_path":"./secret.env"}', '@read {"file_path":"secret.env"}',
        '@write {"file_path":"lock.txt","content":"x"}', '@read {"file_path":"/etc/passwd"}', '@read {"file_path":"missing"}',
        '@read {"file_path":"lock.txt"}', "$ ln -s secret.env link", '@read {"file_path":"link"}', "$ cat secret.env", "$ seq 1 2000"]))
    return perimeter, session


def test_refused_files_are_recorded_by_rule(served: tuple[Perimeter, str]) -> None:
    perimeter, session = served
    decisions = [r["body"] for r in perimeter.audit("file_decision", session)]
    told = {(d["operation"], d["path"], d["rule"].partition("[")[0]) for d in decisions}
    assert told == {
        ("read", "secret.env", "files.hidden"), ("read", "./secret.env", "files.hidden"), ("write", "lock.txt", "files.protected"),
        ("read", "/etc/passwd", "tool_roots"), ("read", "link", "kernel")}
    # The third read of the same file was only counted.
    assert len(decisions) == 5 and not any(d["allowed"] for d in decisions)


def test_stats_count_them_by_rule(served: tuple[Perimeter, str]) -> None:
    perimeter, _ = served
    denials = perimeter.json("audit", "stats")["file_denials"]
    assert sum(n for rule, n in denials.items() if rule.startswith("files.hidden[")) >= 2
    assert sum(n for rule, n in denials.items() if rule.startswith("files.protected[")) == 1 and denials["tool_roots"] == 1
    assert "FILE DENIALS" in perimeter.command("audit", "stats").stdout


@BOTH_USERS
def test_offloads_are_recorded(perimeter: Perimeter) -> None:
    perimeter.policy()
    perimeter.start("--offload-threshold", "1000")
    session = perimeter.session()
    perimeter.run(session, "$ seq 1 2000")
    offload, = [r["body"] for r in perimeter.audit("offload", session)]
    output = "".join(f"{n}\n" for n in range(1, 2001)).encode()
    assert offload["path"].startswith("/mnt/session/tool_outputs/")
    assert offload["bytes"] in (len(output), len(output) - 1)
    # A worker that was root may not read the session's user's file itself: its spawner opens it.
    key = (perimeter.state / "audit.key").read_bytes()
    kept, = (perimeter.state / "outputs" / session).glob("*.txt")
    assert offload["hmac_sha256"] == hmac.new(key, b"output\0" + kept.read_bytes(), hashlib.sha256).hexdigest()
