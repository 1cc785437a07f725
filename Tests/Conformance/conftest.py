"""Fixtures of the conformance suite, and its closing report."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "Tests" / "Support" / "python")]

from api import AsyncAPI, SyncAPI, open_api  # noqa: E402
from contract import BEHAVIOURS  # noqa: E402
from control import Control, Place  # noqa: E402
from official_worker import OfficialWorker  # noqa: E402
from postern_fixture import Postern  # noqa: E402
from tally import TALLY  # noqa: E402
from time_limit import time_limit  # noqa: E402

#: The longest that a test, its fixtures included, may take.
TEST_SECONDS = 150


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "behaviour(*ids): the observed behaviours that the test checks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker in item.iter_markers("behaviour"):
            if unknown := [i for i in marker.args if i not in BEHAVIOURS.all]:
                raise pytest.UsageError(f"{item.nodeid}: no behaviour {unknown}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.when == "call" or report.failed:
        for marker in item.iter_markers("behaviour"):
            for identifier in marker.args:
                if not report.skipped:
                    TALLY.behaviours[identifier].append(report.passed)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Any:
    """A test that hangs fails."""
    with time_limit(TEST_SECONDS):
        return (yield)


@pytest.fixture(scope="session")
def postern() -> Iterator[Postern]:
    """A live control plane over the scripted model."""
    with Postern("postern-conformance") as started:
        started.serve("--tunnel-domain", "tunnel.example.com")
        yield started


@pytest.fixture(scope="session")
def control(postern: Postern) -> Iterator[Control]:
    control = Control(postern.url, postern.admin_key)
    yield control
    control.close()


@pytest.fixture(scope="session")
def _opened(postern: Postern) -> Iterator[dict[str, SyncAPI | AsyncAPI]]:
    with open_api("sync", postern.url, postern.admin_key) as sync, open_api("async", postern.url, postern.admin_key) as other:
        yield {"sync": sync, "async": other}


@pytest.fixture(params=["sync", "async"])
def api(request: pytest.FixtureRequest, _opened: dict[str, SyncAPI | AsyncAPI]) -> SyncAPI | AsyncAPI:
    """The official SDK: each test that takes it runs with the sync and with the async client."""
    return _opened[request.param]


@pytest.fixture
def place(control: Control) -> Place:
    """An agent, an environment and a key of its own."""
    return control.place()


@pytest.fixture(scope="session")
def served(postern: Postern, control: Control) -> Iterator[Place]:
    """A place whose sessions the official worker serves."""
    place = control.place()
    folder = postern.folder / "official"
    folder.mkdir()
    with OfficialWorker(postern.url, place.environment, place.key, folder):
        yield place


@pytest.fixture(autouse=True)
def no_violations() -> Iterator[None]:
    """A test fails when any answer that passed the SDK's clients during it broke the contract."""
    before = len(TALLY.violations)
    yield
    if new := TALLY.violations[before:]:
        pytest.fail("the contract is broken:\n  " + "\n  ".join(dict.fromkeys(new)), pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    summary = TALLY.summary()
    if not TALLY.held and not TALLY.broken:
        return
    write = terminalreporter.write_line
    endpoints, behaviours, events = summary["endpoints"], summary["behaviours"], summary["event_types"]
    terminalreporter.section(f"conformance with {summary['sdk']}")
    write(f"endpoints:  {endpoints['in_contract']} in the contract, {endpoints['in_scope']} in scope, {endpoints['covered']} covered by both "
          f"clients, {endpoints['passing']} passing")
    for name, states in endpoints["states"].items():
        if set(states.values()) != {"passing"}:
            write(f"  {name}: " + ", ".join(f"{client} {state}" for client, state in states.items()))
    write(f"behaviours: {behaviours['observed']} observed, {behaviours['in_scope']} in scope, {behaviours['covered']} covered, "
          f"{behaviours['passing']} passing, {len(behaviours['overruled'])} overruled by our own rules")
    for identifier, state in behaviours["states"].items():
        if state != "passing":
            write(f"  {identifier}: {state} ({BEHAVIOURS.all[identifier].when})")
    write(f"events:     {len(events['seen'])} of {events['listed']} types seen on SDK streams: {', '.join(events['seen'])}")
    write(f"violations: {summary['violations']}")
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    (out / "conformance.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
