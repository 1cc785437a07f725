"""Fixtures of the MCP suite."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "Tests" / "Support" / "python")]

from peers import Server, command, python_of, serving  # noqa: E402
from time_limit import time_limit  # noqa: E402

#: The longest that a test, its fixtures included, may take.
TEST_SECONDS = 60


def pytest_configure(config: pytest.Config) -> None:
    # Before any test, whose time it would take where the packages must be fetched first.
    python_of("1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Any:
    """A test that hangs fails."""
    with time_limit(TEST_SECONDS):
        return (yield)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Gives the server of an SDK with these flags; it is started once and serves every test that asks for it."""
    started: dict[tuple[str, ...], Server] = {}
    with ExitStack() as stack:
        def give(sdk: str, *flags: str) -> Server:
            key = (sdk, *flags)
            if key not in started:
                folder = tmp_path_factory.mktemp("server")
                started[key] = stack.enter_context(serving(folder, command(sdk, "http", *flags)))
            return started[key]

        yield give
