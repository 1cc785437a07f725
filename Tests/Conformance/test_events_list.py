"""Listing a session's events."""

from typing import Any

import pytest

from control import Control, Place, text_event
from refusals import refused


@pytest.fixture
def talked(control: Control, place: Place) -> str:
    session = control.session(place)
    for word in ("one", "two", "three"):
        control.turn(session, word)
    return session


def test_both_orders_and_pages(api: Any, control: Control, talked: str) -> None:
    everything = [e["id"] for e in control.events(talked)]
    def listed(**filters: Any) -> list[str]:
        return [e.id for e in api.items(lambda c: c.beta.sessions.events.list(talked, **filters))]
    assert listed() == everything
    assert listed(order="desc") == everything[::-1]
    assert listed(limit=1) == everything
    assert listed(limit=4, order="desc") == everything[::-1]


def test_filter_by_type(api: Any, talked: str) -> None:
    found = api.items(lambda c: c.beta.sessions.events.list(talked, types=["user.message", "agent.message"], limit=2))
    assert [e.type for e in found] == ["user.message", "agent.message"] * 3


def test_filter_by_time(api: Any, control: Control, talked: str) -> None:
    events = control.events(talked)
    middle = events[len(events) // 2]
    found = api.items(lambda c: c.beta.sessions.events.list(talked, created_at_gt=middle["processed_at"]))
    assert [e.id for e in found] == [e["id"] for e in events if e["processed_at"] > middle["processed_at"]]
    found = api.items(lambda c: c.beta.sessions.events.list(talked, created_at_lte=middle["processed_at"]))
    assert [e.id for e in found] == [e["id"] for e in events if e["processed_at"] <= middle["processed_at"]]


def test_a_cursor_is_bound_to_its_order(control: Control, talked: str) -> None:
    page = control.call("GET", f"/v1/sessions/{talked}/events", limit=2, order="asc")["next_page"]
    refused(control.http.get(f"/v1/sessions/{talked}/events", params={"page": page, "order": "desc"}), 400, "invalid_request_error")


@pytest.mark.parametrize("cursor", ["nonsense", "AAAA", "eyJhIjoxfQ", "'; drop table events; --", "x" * 5000])
def test_forged_cursors(control: Control, talked: str, cursor: str) -> None:
    for path in (f"/v1/sessions/{talked}/events", "/v1/sessions", "/v1/agents", "/v1/environments"):
        refused(control.http.get(path, params={"page": cursor}), 400, "invalid_request_error")


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "many"])
def test_limits(control: Control, talked: str, limit: str) -> None:
    refused(control.http.get(f"/v1/sessions/{talked}/events", params={"limit": limit}), 400, "invalid_request_error")


def test_unknown_type_in_the_filter(control: Control, talked: str) -> None:
    refused(control.http.get(f"/v1/sessions/{talked}/events", params=[("types[]", "agent.nonsense")]), 400, "invalid_request_error")


def test_a_session_that_does_not_exist(control: Control) -> None:
    absent = "sesn_011CZkZAtmR3yMPDzynEDxu7"
    refused(control.http.get(f"/v1/sessions/{absent}/events"), 404, "not_found_error")
    refused(control.http.post(f"/v1/sessions/{absent}/events", json={"events": [text_event("x")]}), 404, "not_found_error")
