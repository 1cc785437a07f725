"""Fixtures of the tunnel suite: a control plane, an edge, a connector that `postern connector setup` has made, and a plain HTTP server behind it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# `certificates` and `haystack` are the perimeter suite's, `peers` the MCP suite's.
sys.path[:0] = [str(Path(__file__).parent), *(str(ROOT / "Tests" / name) for name in ("Support/python", "Perimeter", "MCP"))]

from processes import ChildProcess  # noqa: E402
from tunnel import Tunnel  # noqa: E402
from time_limit import time_limit  # noqa: E402

#: The longest that a test, its fixtures included, may take.
TEST_SECONDS = 120


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Any:
    """A test that hangs fails."""
    with time_limit(TEST_SECONDS):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Any:
    """A failure is told with what edges, connectors and servers have said last."""
    report = yield
    if report.failed:
        report.sections += [(f"{process.name} ({process.pid})", process.tail(40)) for process in ChildProcess.all]
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The counts of the fault tests, whatever became of them."""
    if counted := sys.modules.get("fault_world"):
        for line in [*counted.reports, counted.total()]:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def tunnel() -> Iterator[Tunnel]:
    with Tunnel() as started:
        yield started
