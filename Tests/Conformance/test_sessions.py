"""Sessions: life cycle, lists, updates."""

from typing import Any

import pytest

from control import MODEL, TOOLSET, Control, Place, text_event
from hands import Hands
from refusals import refused

ABSENT = "011CZkZAtmR3yMPDzynEDxu7"


def make(api: Any, place: Place, **fields: Any) -> Any:
    return api.call(lambda c: c.beta.sessions.create(**({"agent": place.agent, "environment_id": place.environment} | fields)))


@pytest.mark.behaviour("session-04")
def test_create_pins_a_snapshot(api: Any, control: Control, place: Place) -> None:
    session = make(api, place, title="t", metadata={"a": "b"})
    assert (session.status, session.title, session.metadata, session.archived_at) == ("idle", "t", {"a": "b"}, None)
    assert (session.agent.id, session.agent.version, session.environment_id) == (place.agent, 1, place.environment)
    assert (session.resources, session.outcome_evaluations) == ([], [])
    control.call("POST", f"/v1/agents/{place.agent}", {"system": "later"})
    again = api.call(lambda c: c.beta.sessions.retrieve(session.id))
    assert (again.agent.version, again.agent.system) == (1, None)


def test_create_with_a_pinned_version(api: Any, control: Control, place: Place) -> None:
    control.call("POST", f"/v1/agents/{place.agent}", {"system": "later"})
    assert make(api, place, agent={"type": "agent", "id": place.agent, "version": 1}).agent.system is None
    assert make(api, place, agent={"type": "agent", "id": place.agent}).agent.system == "later"


def test_create_with_overrides(api: Any, control: Control) -> None:
    place = control.place(agent={"system": "base"})
    over = {"type": "agent_with_overrides", "id": place.agent}
    assert make(api, place, agent=over).agent.system == "base"
    session = make(api, place, agent=over | {"system": None, "tools": [], "model": "claude-other"})
    assert (session.agent.system, session.agent.tools, session.agent.model.id) == (None, [], "claude-other")
    assert (session.agent.id, session.agent.version) == (place.agent, 1)


@pytest.mark.behaviour("session-09", "general-14")
def test_multiagent_cannot_be_overridden(control: Control, place: Place) -> None:
    body = {"environment_id": place.environment, "agent": {"type": "agent_with_overrides", "id": place.agent, "multiagent": None}}
    refused(control.http.post("/v1/sessions", json=body), 400, "invalid_request_error", 'Failed to parse request body: unknown field "multiagent"')


@pytest.mark.behaviour("session-10")
def test_overriding_system_prompt_too_long(control: Control, place: Place) -> None:
    agent = {"type": "agent_with_overrides", "id": place.agent, "system": "x" * 100_001}
    refused(control.http.post("/v1/sessions", json={"environment_id": place.environment, "agent": agent}), 400, "invalid_request_error",
            "agent.agent_with_overrides.config.system: must be at most 100000 characters")


@pytest.mark.behaviour("session-17")
def test_vaults_are_for_creation_only(api: Any, control: Control, place: Place) -> None:
    session = make(api, place)
    assert session.vault_ids == []
    error = refused(control.http.post(f"/v1/sessions/{session.id}", json={"vault_ids": []}), 400, "invalid_request_error")
    assert "ot yet supported" in error["message"]


@pytest.mark.behaviour("session-18")
def test_environment_that_does_not_exist(control: Control, place: Place) -> None:
    answer = control.http.post("/v1/sessions", json={"agent": place.agent, "environment_id": f"env_{ABSENT}"})
    refused(answer, 404, "not_found_error", f"Environment env_{ABSENT} not found.")
    assert "x-should-retry" not in answer.headers


@pytest.mark.behaviour("session-12")
def test_initial_events(api: Any, control: Control, place: Place) -> None:
    session = make(api, place, initial_events=[text_event("hello")])
    assert session.status == "running"
    with control.watch(session.id, last_event_id="0") as stream:
        seen = [e["type"] for e in stream.until(lambda e: e["type"] == "session.status_idle")]
    listed = [e["type"] for e in control.events(session.id)]
    assert listed[:3] == ["session.status_running", "session.thread_status_running", "user.message"]
    assert "agent.message" in seen


def test_update(api: Any, place: Place) -> None:
    session = make(api, place, title="t", metadata={"keep": "1", "drop": "2"})
    changed = api.call(lambda c: c.beta.sessions.update(session.id, title="u"))
    assert (changed.title, changed.metadata) == ("u", {"keep": "1", "drop": "2"})


@pytest.mark.behaviour("session-21")
def test_metadata_is_patched(api: Any, place: Place) -> None:
    session = make(api, place, metadata={"keep": "1", "drop": "2"})
    changed = api.call(lambda c: c.beta.sessions.update(session.id, metadata={"drop": None, "new": "3"}))
    assert changed.metadata == {"keep": "1", "new": "3"}


@pytest.mark.behaviour("session-21")
@pytest.mark.parametrize("metadata", [{f"k{i}": "v" for i in range(17)}, {"k" * 65: "v"}, {"k": "v" * 513}])
def test_metadata_limits(control: Control, place: Place, metadata: dict[str, str]) -> None:
    refused(control.http.post("/v1/sessions", json={"agent": place.agent, "environment_id": place.environment, "metadata": metadata}), 400,
            "invalid_request_error")


@pytest.mark.behaviour("session-20")
def test_tools_are_replaced(api: Any, control: Control, place: Place) -> None:
    session = make(api, place)
    with control.watch(session.id) as stream:
        changed = api.call(lambda c: c.beta.sessions.update(session.id, agent={"tools": []}))
        assert changed.agent.tools == []
        updated = stream.until(lambda e: e["type"] == "session.updated")[-1]
    assert updated["agent"]["tools"] == []
    assert "title" not in updated


def test_tools_cannot_change_while_running(control: Control, place: Place) -> None:
    session = control.session(place, initial_events=[text_event("!sleep 60000\nlate")])
    refused(control.http.post(f"/v1/sessions/{session}", json={"agent": {"tools": []}}), 400, "invalid_request_error")


@pytest.mark.behaviour("session-22")
def test_archive_of_an_idle_session(api: Any, control: Control, place: Place) -> None:
    session = make(api, place)
    control.turn(session.id, "hello")
    before = control.events(session.id)
    archived = api.call(lambda c: c.beta.sessions.archive(session.id))
    assert archived.status == "terminated" and archived.archived_at is not None
    assert control.events(session.id) == before
    thread = control.call("GET", f"/v1/sessions/{session.id}/threads")["data"][0]
    assert (thread["status"], thread["archived_at"]) == ("idle", None)


@pytest.mark.behaviour("session-19", "session-23")
def test_a_running_session_is_neither_deleted_nor_archived(control: Control, place: Place) -> None:
    session = control.session(place, initial_events=[text_event("!sleep 60000\nlate")])
    refused(control.http.delete(f"/v1/sessions/{session}"), 400, "invalid_request_error",
            "Cannot delete session while it is running. Send an interrupt event or wait for the session to complete.")
    refused(control.http.post(f"/v1/sessions/{session}/archive"), 400, "invalid_request_error",
            f'Session {session} cannot be archived while its status is "running". Only pending or idle sessions may be archived.')


def test_delete(api: Any, control: Control, place: Place) -> None:
    session = make(api, place)
    with control.watch(session.id) as stream:
        gone = api.call(lambda c: c.beta.sessions.delete(session.id))
        assert stream.until(lambda e: e["type"] == "session.deleted")
        assert list(stream) == [], "session.deleted ends the stream"
    assert (gone.id, gone.type) == (session.id, "session_deleted")
    assert control.http.get(f"/v1/sessions/{session.id}").status_code == 404
    assert control.http.get(f"/v1/sessions/{session.id}/events").status_code == 404


@pytest.mark.behaviour("session-03")
def test_lists_hide_what_is_over(api: Any, place: Place) -> None:
    kept, archived = make(api, place), make(api, place)
    api.call(lambda c: c.beta.sessions.archive(archived.id))
    def listed(**filters: Any) -> list[str]:
        return [s.id for s in api.items(lambda c: c.beta.sessions.list(agent_id=place.agent, **filters))]
    assert listed() == [kept.id]
    assert listed(include_archived=True) == [archived.id, kept.id]


@pytest.mark.behaviour("general-08")
def test_list_filters_and_pages(api: Any, control: Control, place: Place) -> None:
    made = [make(api, place).id for _ in range(4)]
    def listed(**filters: Any) -> list[str]:
        return [s.id for s in api.items(lambda c: c.beta.sessions.list(agent_id=place.agent, **filters))]
    assert listed() == made[::-1]
    assert listed(order="asc") == made
    assert listed(limit=1) == made[::-1]
    assert listed(limit=3, order="asc") == made
    assert listed(statuses=["running"]) == []
    assert listed(statuses=["idle", "running"]) == made[::-1]
    assert listed(agent_version=2) == []
    first = control.call("GET", "/v1/sessions", agent_id=place.agent, limit=2)
    assert "prev_page" not in first
    second = control.call("GET", "/v1/sessions", agent_id=place.agent, limit=2, page=first["next_page"])
    assert [s["id"] for s in second["data"]] == made[::-1][2:]
    back = control.call("GET", "/v1/sessions", agent_id=place.agent, limit=2, page=second["prev_page"])
    assert [s["id"] for s in back["data"]] == made[::-1][:2]


def test_list_by_creation_time(api: Any, place: Place) -> None:
    first, second = make(api, place), make(api, place)
    def listed(**filters: Any) -> list[str]:
        return [s.id for s in api.items(lambda c: c.beta.sessions.list(agent_id=place.agent, **filters))]
    assert listed(created_at_gt=first.created_at) == [second.id]
    assert listed(created_at_lte=first.created_at) == [first.id]


@pytest.mark.behaviour("session-01", "session-02")
def test_list_filters_that_name_nothing(control: Control, place: Place) -> None:
    control.session(place)
    assert control.call("GET", "/v1/sessions", deployment_id=f"depl_{ABSENT}")["data"] == []
    everything = control.call("GET", "/v1/sessions")["data"]
    assert control.call("GET", "/v1/sessions", agent_version=7)["data"] == everything


def test_an_archived_session_takes_no_result(postern: Any, control: Control, place: Place) -> None:
    session = control.session(place)
    hands = Hands(postern.url, place)
    control.turn(session, "hello")
    control.call("POST", f"/v1/sessions/{session}/archive")
    answer = hands.token.http.post(f"/v1/sessions/{session}/events", json={"events": [
        {"type": "user.tool_result", "tool_use_id": f"sevt_{ABSENT}", "content": []}]})
    assert answer.status_code in (400, 401, 403)


def test_archived_agent_or_environment_take_no_session(control: Control) -> None:
    place = control.place()
    control.call("POST", f"/v1/agents/{place.agent}/archive")
    body = {"agent": place.agent, "environment_id": place.environment}
    assert control.http.post("/v1/sessions", json=body).status_code == 400
    other = control.place()
    control.call("POST", f"/v1/environments/{other.environment}/archive")
    body = {"agent": other.agent, "environment_id": other.environment}
    assert control.http.post("/v1/sessions", json=body).status_code == 400


def test_session_usage_and_stats_grow(api: Any, control: Control, place: Place) -> None:
    session = make(api, place)
    control.turn(session.id, "hello")
    after = api.call(lambda c: c.beta.sessions.retrieve(session.id))
    created = after.usage.cache_creation
    assert after.usage.input_tokens + created.ephemeral_5m_input_tokens + created.ephemeral_1h_input_tokens > 0
    assert after.usage.output_tokens > 0
    assert after.stats.active_seconds is not None


def test_tool_set_of_a_session(api: Any, place: Place) -> None:
    session = make(api, place, agent={"type": "agent_with_overrides", "id": place.agent, "tools": [TOOLSET], "model": {"id": MODEL}})
    assert session.agent.tools[0].default_config.enabled is True
