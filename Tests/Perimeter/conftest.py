"""Fixtures of the perimeter suite: a live control plane, an HTTPS service outside, and workers under policies."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "Tests" / "Support" / "python")]

import measures  # noqa: E402
from control import Control  # noqa: E402
from perimeter import Perimeter  # noqa: E402
from postern_fixture import Postern  # noqa: E402
from time_limit import time_limit  # noqa: E402
from web import Web  # noqa: E402
from world import World  # noqa: E402

#: The longest that a test, its fixtures included, may take.
TEST_SECONDS = 180


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Any:
    """A test that hangs fails."""
    with time_limit(TEST_SECONDS):
        return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """`scripts/test --full` takes these lines into its report."""
    if measures.lines:
        terminalreporter.section("measured")
        for line in measures.lines:
            terminalreporter.write_line(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of pytest-xdist hands its lines to the one that prints them."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["measured"] = measures.lines


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    measures.lines.extend(getattr(node, "workeroutput", {}).get("measured", []))


@pytest.fixture(scope="session")
def postern() -> Iterator[Postern]:
    with Postern("postern-perimeter") as started:
        started.serve("--log-level", "debug")
        yield started


@pytest.fixture(scope="session")
def control(postern: Postern) -> Iterator[Control]:
    control = Control(postern.url, postern.admin_key)
    yield control
    control.close()


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    web = Web(open_folder(tmp_path_factory, "tls"))
    yield web
    web.close()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("needs root, for a resolver and ports of the test's own")
    world = World(open_folder(tmp_path_factory, "world"))
    yield world
    world.close()


def open_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder in which the worker can read a CA, as an ordinary user too."""
    folder = tmp_path_factory.mktemp(name)
    # A process of pytest-xdist has a folder of its own in between.
    for path in (folder, *folder.parents[:3 if "PYTEST_XDIST_WORKER" in os.environ else 2]):
        path.chmod(0o711)
    return folder


def modes() -> list[str]:
    """The users that a worker can be started as here."""
    return ["root", "user"] if os.geteuid() == 0 else ["user"]


def runs_as_user(mode: str) -> bool:
    """Whether root has to become somebody else for that mode."""
    return mode == "user" and os.geteuid() == 0


#: For `pytestmark` of a module.
BOTH_USERS = pytest.mark.parametrize("perimeter", modes(), indirect=True)


@pytest.fixture(scope="module")
def perimeters(postern: Postern, control: Control) -> Iterator[Callable[..., Perimeter]]:
    """Makes perimeters that end with the module."""
    made: list[Perimeter] = []

    def make(**options: Any) -> Perimeter:
        perimeter = Perimeter(postern, control, **options)
        made.append(perimeter)
        return perimeter

    yield make
    for perimeter in made:
        perimeter.close()


@pytest.fixture
def perimeter(request: pytest.FixtureRequest, postern: Postern, control: Control) -> Iterator[Perimeter]:
    """One of the test's own, not started yet. A module that says so (`BOTH_USERS`) gets it for each user that there is."""
    made = Perimeter(postern, control, as_user=runs_as_user(getattr(request, "param", "root")))
    yield made
    made.close()
