"""Postern's own keys: roles, workspaces, revocation. Beyond the contract."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx2
import pytest

from control import MODEL, Control, Place, secret, unique
from hands import Hands
from refusals import refused


def api_key(control: Control, role: str) -> tuple[str, Control]:
    made = control.call("POST", "/postern/v1/keys", {"name": unique("key"), "role": role})
    return str(made["id"]), Control(control.url, secret(made))


def ended_within(seconds: float, read: Any) -> float:
    """How long it took until `read` returned or failed."""
    done = threading.Event()

    def run() -> None:
        try:
            read()
        except (httpx2.HTTPError, RuntimeError, TimeoutError):
            pass
        done.set()

    threading.Thread(target=run, daemon=True).start()
    began = time.monotonic()
    assert done.wait(seconds), f"still open after {seconds:g} s"
    return time.monotonic() - began


def test_a_key_is_shown_once(control: Control) -> None:
    made = control.call("POST", "/postern/v1/keys", {"name": unique("key"), "role": "viewer"})
    listed = control.call("GET", "/postern/v1/keys")["data"]
    assert made["id"] in [k["id"] for k in listed]
    assert secret(made) not in str(listed)


def test_roles(control: Control, place: Place) -> None:
    _, viewer = api_key(control, "viewer")
    _, developer = api_key(control, "developer")
    body = {"name": unique("agent"), "model": MODEL}
    assert viewer.http.get("/v1/agents").status_code == 200
    refused(viewer.http.post("/v1/agents", json=body), 403, "permission_error")
    refused(viewer.http.post("/v1/sessions", json={"agent": place.agent, "environment_id": place.environment}), 403, "permission_error")
    assert developer.http.post("/v1/agents", json=body).status_code == 200
    for credential in (viewer, developer):
        refused(credential.http.post("/postern/v1/keys", json={"name": "more", "role": "admin"}), 403, "permission_error")


def test_a_revoked_key_ends_its_streams_within_a_second(control: Control, place: Place) -> None:
    identifier, key = api_key(control, "developer")
    session = control.session(place)
    with key.watch(session) as stream:
        control.call("DELETE", f"/postern/v1/keys/{identifier}")
        assert ended_within(1.5, lambda: list(stream)) < 1.2
    assert key.http.get("/v1/agents").status_code == 401


def test_a_revoked_environment_key_ends_polls_and_leases(postern: Any, control: Control) -> None:
    agent, environment = control.agent(), control.environment()
    made = control.call("POST", f"/postern/v1/environments/{environment}/keys", {"name": "short-lived"})
    place = Place(agent, environment, secret(made))
    session = control.session(place)
    hands = Hands(postern.url, place)
    with hands.token.watch(session) as stream:
        control.call("DELETE", f"/postern/v1/environments/{environment}/keys/{made['id']}")
        assert ended_within(1.5, lambda: list(stream)) < 1.2
    answer = hands.token.http.post(f"{hands.work}/heartbeat", params={"expected_last_heartbeat": hands.beat["last_heartbeat"]})
    assert answer.status_code in (401, 403, 412)
    other = Place(agent, environment, control.environment_key(environment))
    assert Hands(postern.url, other).session == session, "the item went back to the queue"


@pytest.mark.parametrize("header", ["anthropic-workspace-id"])
def test_another_workspaces_ids_do_not_exist(control: Control, place: Place, header: str) -> None:
    made = control.http.post("/postern/v1/workspaces", json={"name": unique("workspace")})
    assert made.status_code == 200, made.text
    workspace = made.json()["id"]
    key = control.call("POST", "/postern/v1/keys", {"name": unique("key"), "role": "admin", "workspace_id": workspace})
    other = Control(control.url, secret(key))
    session = control.session(place)
    for path in (f"/v1/agents/{place.agent}", f"/v1/environments/{place.environment}", f"/v1/sessions/{session}", f"/v1/sessions/{session}/events"):
        refused(other.http.get(path), 404, "not_found_error")
    refused(other.http.post("/v1/sessions", json={"agent": place.agent, "environment_id": place.environment}), 404, "not_found_error")
    assert other.call("GET", "/v1/agents")["data"] == []
