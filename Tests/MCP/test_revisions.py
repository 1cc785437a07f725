"""Every revision, with both major versions of the official SDK, with and without sessions, by JSON and by streams, over HTTP and over stdio."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from peers import MODERN, Server, command, postern, revisions_of

NAMES = {"echo", "add", "picture", "big", "broken", "variables", "slow", "wait", "polled", "grow"}
SHAPES = {"stateful-sse": (), "stateful-json": ("--json",), "stateless-sse": ("--stateless",), "stateless-json": ("--stateless", "--json")}
CASES = [(sdk, shape, revision) for sdk in "12" for shape in SHAPES for revision in (*revisions_of(sdk), None)]


@pytest.mark.parametrize(("sdk", "shape", "revision"), CASES)
def test_http(server: Callable[..., Server], sdk: str, shape: str, revision: str | None) -> None:
    url = server(sdk, *SHAPES[shape]).url
    forced = ["--revision", revision] if revision else []
    spoken = revision or (MODERN if sdk == "2" else "2025-11-25")
    probe = postern("probe", url, "--json", *forced).json
    assert probe["ok"] and probe["revision"] == spoken and probe["server"]["name"] == "suite"
    assert probe["era"] == ("modern" if spoken == MODERN else "handshake")
    assert probe["has_session"] == ("stateful" in shape and spoken != MODERN)
    assert probe["tools"] >= len(NAMES) and "tools" in probe["capabilities"] and probe["instructions"] == "Only for tests."
    steps = [step["step"] for step in probe["steps"]]
    found_out = {MODERN: ["server/discover"], None: ["server/discover", "initialize", "notifications/initialized"]}
    opening = found_out[MODERN] if spoken == MODERN else found_out[None][1 if revision else 0:]
    assert steps == ["connect", *opening, "tools/list"]
    called = postern("call", url, "echo", json.dumps({"text": f"ü {spoken}"}), *forced)
    assert (called.status, called.output, called.error) == (0, f"ü {spoken}\n", "")


@pytest.mark.parametrize(("sdk", "revision"), [(sdk, revision) for sdk in "12" for revision in (*revisions_of(sdk), None)])
def test_stdio(sdk: str, revision: str | None) -> None:
    forced = ["--revision", revision] if revision else []
    spoken = revision or (MODERN if sdk == "2" else "2025-11-25")
    called = postern("call", "--stdio", *forced, "echo", '{"text": "over pipes"}', "--", *command(sdk, "stdio"))
    assert (called.status, called.output) == (0, "over pipes\n"), called.error
    assert "ECHO over pipes" in called.error, "the server's standard error is the command's"
    if revision is None:
        probe = postern("probe", "--stdio", "--json", "--", *command(sdk, "stdio")).json
        assert probe["ok"] and probe["revision"] == spoken and probe["transport"] == "stdio" and probe["tools"] >= len(NAMES)


def test_a_revision_that_the_server_does_not_speak(server: Callable[..., Server]) -> None:
    done = postern("probe", server("1").url, "--revision", MODERN)
    assert done.status == 1 and f"does not speak revision {MODERN}" in done.error


def test_the_table_of_tools(server: Callable[..., Server]) -> None:
    done = postern("tools", server("2", "--stateless", "--json").url)
    lines = done.output.splitlines()
    assert done.status == 0 and lines[0].split() == ["NAME", "HINTS", "DESCRIPTION"]
    echo = next(line for line in lines if line.startswith("echo "))
    assert "read-only, idempotent" in echo and echo.endswith("Gives the text back.")
    assert "destructive, open-world" in next(line for line in lines if line.startswith("add "))
    tools = postern("tools", server("2", "--stateless", "--json").url, "--json").json
    assert {tool["name"] for tool in tools} >= NAMES
    assert next(tool for tool in tools if tool["name"] == "add")["inputSchema"]["required"] == ["a", "b"]


def test_the_probe_for_people(server: Callable[..., Server]) -> None:
    done = postern("probe", server("1").url)
    assert done.status == 0
    for text in ("suite", "2025-11-25 (handshake era)", "kept by the server", "Streamable HTTP", "tools/list", " ms"):
        assert text in done.output
