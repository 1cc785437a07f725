"""The work queue, as a worker and as an operator see it."""

from typing import Any

import anthropic
import pytest

from api import AsyncAPI, SyncAPI, open_api
from control import Control, Place, at_rest, secret
from hands import Hands, sessions_token
from refusals import refused

ABSENT = "011CZkZAtmR3yMPDzynEDxu7"


@pytest.fixture
def as_worker(api: Any, postern: Any, place: Place) -> Any:
    """The SDK with the environment key, in the same mode as `api`."""
    with open_api(api.mode, postern.url, place.key) as opened:
        yield opened


def with_token(api: SyncAPI | AsyncAPI, url: str, item: Any) -> Any:
    return open_api(api.mode, url, sessions_token(item.secret))


@pytest.mark.behaviour("work-17", "work-18")
def test_the_life_of_an_item(api: Any, as_worker: Any, postern: Any, control: Control, place: Place) -> None:
    env = place.environment
    session = control.session(place)
    item = as_worker.call(lambda c: c.beta.environments.work.poll(env))
    assert (item.state, item.data.type, item.data.id, item.environment_id) == ("queued", "session", session, env)
    assert (item.acknowledged_at, item.latest_heartbeat_at, item.stopped_at) == (None, None, None)
    acked = as_worker.call(lambda c: c.beta.environments.work.ack(item.id, environment_id=env))
    assert (acked.state, acked.secret) == ("starting", None) and acked.acknowledged_at
    assert as_worker.call(lambda c: c.beta.environments.work.poll(env)) is None
    with with_token(api, postern.url, item) as holder:
        beat = holder.call(lambda c: c.beta.environments.work.heartbeat(item.id, environment_id=env, expected_last_heartbeat="NO_HEARTBEAT"))
        assert (beat.state, beat.lease_extended) == ("active", True)
        beat = holder.call(lambda c: c.beta.environments.work.heartbeat(
            item.id, environment_id=env, expected_last_heartbeat=beat.last_heartbeat))
        assert beat.lease_extended
        assert holder.call(lambda c: c.beta.sessions.retrieve(session)).id == session
        stopping = holder.call(lambda c: c.beta.environments.work.stop(item.id, environment_id=env))
        assert stopping.state == "stopping" and stopping.stop_requested_at
        beat = holder.call(lambda c: c.beta.environments.work.heartbeat(item.id, environment_id=env, expected_last_heartbeat=beat.last_heartbeat))
        assert beat.state == "stopping"
        stopped = holder.call(lambda c: c.beta.environments.work.stop(item.id, environment_id=env, force=True))
        assert stopped.state == "stopped" and stopped.stop_requested_at == stopping.stop_requested_at
    assert api.call(lambda c: c.beta.environments.work.retrieve(item.id, environment_id=env)).state == "stopped"


@pytest.mark.behaviour("work-17")
def test_the_shape_of_an_item(control: Control, place: Place) -> None:
    session = control.session(place)
    item = Control(control.url, place.key).call("GET", f"/v1/environments/{place.environment}/work/poll")
    assert item["id"] == session
    assert set(item) == {
        "id", "type", "environment_id", "data", "state", "metadata", "secret", "created_at", "acknowledged_at", "latest_heartbeat_at",
        "started_at", "stop_requested_at", "stopped_at", "actor"}
    assert item["actor"] is None and item["started_at"] >= item["created_at"]


@pytest.mark.behaviour("work-06")
def test_an_empty_poll_is_null(as_worker: Any, place: Place) -> None:
    assert as_worker.call(lambda c: c.beta.environments.work.poll(place.environment)) is None
    assert as_worker.call(lambda c: c.beta.environments.work.poll(place.environment, block_ms=50)) is None
    with pytest.raises(anthropic.BadRequestError):
        as_worker.call(lambda c: c.beta.environments.work.poll(place.environment, block_ms=0))


def test_a_held_poll_wakes_at_once(as_worker: Any, control: Control, place: Place) -> None:
    control.session(place)
    assert as_worker.call(lambda c: c.beta.environments.work.poll(place.environment, block_ms=999)) is not None


def test_an_item_that_is_not_acknowledged_comes_again(as_worker: Any, control: Control, place: Place) -> None:
    control.session(place)
    first = as_worker.call(lambda c: c.beta.environments.work.poll(place.environment))
    assert as_worker.call(lambda c: c.beta.environments.work.poll(place.environment)) is None
    again = None
    while again is None:
        again = as_worker.call(lambda c: c.beta.environments.work.poll(place.environment, block_ms=100, reclaim_older_than_ms=100))
    assert again.id == first.id and again.secret


def test_list_update_and_stats(api: Any, as_worker: Any, control: Control, place: Place) -> None:
    env = place.environment
    sessions = [control.session(place) for _ in range(3)]
    items = as_worker.items(lambda c: c.beta.environments.work.list(env, limit=2))
    assert [i.data.id for i in items] == sessions[::-1]
    assert {i.secret for i in items} == {None}
    changed = api.call(lambda c: c.beta.environments.work.update(items[0].id, environment_id=env, metadata={"a": "b"}))
    assert changed.metadata == {"a": "b"}
    assert api.call(lambda c: c.beta.environments.work.update(items[0].id, environment_id=env, metadata={"a": None})).metadata == {}
    stats = api.call(lambda c: c.beta.environments.work.stats(env))
    assert (stats.depth, stats.pending) == (3, 0) and stats.oldest_queued_at
    as_worker.call(lambda c: c.beta.environments.work.poll(env, anthropic_worker_id="one"))
    stats = api.call(lambda c: c.beta.environments.work.stats(env))
    assert (stats.depth, stats.pending, stats.workers_polling) == (2, 1, 1)


@pytest.mark.behaviour("work-18")
def test_a_stopped_item_comes_back_with_the_next_message(postern: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    Hands(postern.url, place).stop()
    with control.watch(session) as stream:
        control.say(session, "$ true")
        hands = Hands(postern.url, place)
        assert hands.session == session
        call = stream.until(lambda e: e["type"] == "agent.tool_use")[-1]
        hands.answer(call["id"])
        stream.until(at_rest)


@pytest.mark.behaviour("work-16")
def test_repeated_stops_change_nothing(postern: Any, control: Control, place: Place) -> None:
    control.session(place)
    hands = Hands(postern.url, place)
    first = control.call("POST", f"{hands.work}/stop", {"force": True})
    assert control.call("POST", f"{hands.work}/stop", {"force": True}) == first
    assert control.call("POST", f"{hands.work}/stop", {}) == first


def test_a_late_acknowledgement_is_a_final_conflict(postern: Any, control: Control, place: Place) -> None:
    control.session(place)
    hands = Hands(postern.url, place)
    hands.stop()
    answer = hands.key.http.post(f"{hands.work}/ack")
    assert (answer.status_code, answer.headers.get("x-should-retry")) == (409, "false")


@pytest.mark.behaviour("work-13")
def test_a_heartbeat_without_precondition(control: Control, place: Place) -> None:
    control.session(place)
    key = Control(control.url, place.key)
    item = key.call("GET", f"/v1/environments/{place.environment}/work/poll")
    path = f"/v1/environments/{place.environment}/work/{item['id']}"
    beat = key.call("POST", f"{path}/heartbeat")
    assert (beat["lease_extended"], beat["state"]) == (True, "active")
    assert control.call("GET", path)["acknowledged_at"]
    assert key.call("POST", f"{path}/heartbeat")["last_heartbeat"] >= beat["last_heartbeat"]


@pytest.mark.behaviour("work-14")
@pytest.mark.parametrize("expected", ["NO_HEARTBEAT", "2020-01-01T00:00:00.000000Z", "nonsense"])
def test_a_wrong_precondition(postern: Any, control: Control, place: Place, expected: str) -> None:
    control.session(place)
    hands = Hands(postern.url, place)
    answer = hands.token.http.post(f"{hands.work}/heartbeat", params={"expected_last_heartbeat": expected})
    error = refused(answer, 412, "invalid_request_error", f"…{expected}…actual was …")
    assert error["details"]["error_code"] == "heartbeat_precondition_failed"
    state = error["details"]["current_state"]
    assert (state["state"], state["lease_extended"], state["last_heartbeat"]) == ("active", False, hands.beat["last_heartbeat"])
    assert state["ttl_seconds"] == hands.beat["ttl_seconds"]


@pytest.mark.behaviour("work-15")
def test_the_length_of_a_lease(postern: Any, control: Control, place: Place) -> None:
    control.session(place)
    assert Hands(postern.url, place).beat["ttl_seconds"] == 300
    control.session(place)
    assert Hands(postern.url, place, lease_seconds=120).beat["ttl_seconds"] == 120


def test_a_lease_that_runs_out_sends_the_item_back(postern: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    late = Hands(postern.url, place, lease_seconds=1)
    again = Hands(postern.url, place, worker="another")
    assert again.session == session
    answer = late.token.http.post(f"{late.work}/heartbeat", params={"expected_last_heartbeat": late.beat["last_heartbeat"]})
    assert answer.status_code in (401, 403, 412)
    assert late.token.http.get(f"/v1/sessions/{session}").status_code in (401, 403)


@pytest.mark.behaviour("work-01")
def test_a_revoked_key(control: Control, place: Place) -> None:
    made = control.call("POST", f"/postern/v1/environments/{place.environment}/keys", {"name": "short-lived"})
    key = Control(control.url, secret(made))
    assert key.call("GET", f"/v1/environments/{place.environment}/work")["data"] == []
    assert control.http.delete(f"/postern/v1/environments/{place.environment}/keys/{made['id']}").status_code in (200, 204)
    answer = key.http.get(f"/v1/environments/{place.environment}/work")
    assert answer.status_code == 401
    assert answer.json()["error"] == {"type": "authentication_error", "message": "OAuth access token has been revoked."}
    assert "request-id" not in answer.headers and answer.json().get("request_id") is None


@pytest.mark.behaviour("work-03")
def test_an_api_key_on_the_workers_routes(control: Control, place: Place) -> None:
    for path in ("/work", "/work/poll"):
        refused(control.http.get(f"/v1/environments/{place.environment}{path}"), 401, "authentication_error", retry=False)


def test_a_workers_key_on_the_operators_routes(control: Control, postern: Any, place: Place) -> None:
    control.session(place)
    hands = Hands(postern.url, place)
    for credential in (hands.key, hands.token):
        refused(credential.http.get(hands.work), 403, "permission_error")
        refused(credential.http.post(hands.work, json={"metadata": {}}), 403, "permission_error")
        refused(credential.http.get("/v1/agents"), 403, "permission_error")
        refused(credential.http.post("/v1/sessions", json={}), 403, "permission_error")


@pytest.mark.behaviour("work-04")
def test_a_credential_that_means_nothing(control: Control, place: Place) -> None:
    answer = Control(control.url, "sk-ant-oat01-garbage").http.get(f"/v1/environments/{place.environment}/work")
    refused(answer, 401, "authentication_error", "Invalid bearer token", retry=False)


@pytest.mark.behaviour("work-05")
@pytest.mark.parametrize("absent", [False, True])
def test_a_key_of_another_environment(control: Control, place: Place, absent: bool) -> None:
    other = f"env_{ABSENT}" if absent else control.environment()
    answer = Control(control.url, place.key).http.get(f"/v1/environments/{other}/work/poll")
    refused(answer, 403, "permission_error", "Token not authorized for this environment", retry=False)


@pytest.mark.behaviour("work-07")
def test_reclaim_of_nothing(control: Control, place: Place) -> None:
    answer = Control(control.url, place.key).http.get(f"/v1/environments/{place.environment}/work/poll?reclaim_older_than_ms=0")
    refused(answer, 400, "invalid_request_error", "reclaim_older_than_ms: Input should be greater than or equal to 1")


@pytest.mark.behaviour("work-09")
def test_post_poll_is_the_update_route(control: Control, place: Place) -> None:
    refused(control.http.post(f"/v1/environments/{place.environment}/work/poll", json={}), 400, "invalid_request_error", "metadata: Field required")


@pytest.mark.behaviour("work-10", "general-01")
def test_wrong_method(control: Control, place: Place) -> None:
    refused(control.http.put(f"/v1/environments/{place.environment}/work/poll"), 405, "invalid_request_error", "Method Not Allowed")


@pytest.mark.behaviour("work-11")
def test_the_key_of_a_deleted_environment(control: Control, place: Place) -> None:
    control.call("DELETE", f"/v1/environments/{place.environment}")
    refused(Control(control.url, place.key).http.get(f"/v1/environments/{place.environment}/work/stats"), 404, "not_found_error",
            f"Environment {place.environment} not found.")
