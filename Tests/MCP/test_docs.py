"""What docs/mcp.md shows is what happens."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from peers import ROOT
from postern_fixture import binary, clean_environment
from processes import ChildProcess, free_port

PAGE = (ROOT / "docs" / "mcp.md").read_text(encoding="utf-8")


def plain(text: str) -> str:
    """Without what differs from run to run: durations, and the width of columns that depends on them."""
    return re.sub(r"[0-9.]+ ms", "N ms", text)


def test_the_page(tmp_path: Path) -> None:
    program = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert program is not None
    (tmp_path / "server.py").write_text(program.group(1))
    (tmp_path / "python3").symlink_to(sys.executable)
    port = free_port()
    environment = clean_environment(PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin")
    server = ChildProcess("server.py", [sys.executable, "server.py", str(port)], log=tmp_path / "log", folder=tmp_path, environment=environment)
    ran = 0
    try:
        server.wait_for("Uvicorn running on|Application startup complete")
        for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                words = shlex.split(command.replace(":8000/", f":{port}/"))
                assert words[0] == "postern"
                done = subprocess.run(
                    [str(binary()), *words[1:]], capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path, env=environment)
                assert done.returncode == 0, (command, done.stderr)
                assert plain(done.stdout) == plain(shown.replace(":8000/", f":{port}/")), command
                ran += 1
    finally:
        server.stop()
    assert ran >= 4


def test_every_option_and_status_that_the_page_names_is_there() -> None:
    helps = "".join(
        subprocess.run([str(binary()), "mcp", name, "--help"], capture_output=True, text=True, check=True).stdout for name in ("probe", "tools", "call", "bridge"))
    for option in set(re.findall(r"`(--[a-z-]+)", PAGE)):
        assert option in helps, option
    for option in set(re.findall(r"(--[a-z-]+)", helps)) - {"--help", "--version"}:
        assert option in PAGE, f"{option} is not in docs/mcp.md"
