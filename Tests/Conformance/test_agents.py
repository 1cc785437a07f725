"""Agents and their versions."""

from typing import Any

import pytest

from control import MODEL, TOOLSET, Control, unique
from refusals import refused


def make(api: Any, **fields: Any) -> Any:
    return api.call(lambda c: c.beta.agents.create(**({"name": unique("agent"), "model": MODEL} | fields)))


def test_create_resolves_defaults(api: Any) -> None:
    agent = make(api)
    assert (agent.type, agent.version, agent.archived_at) == ("agent", 1, None)
    assert (agent.tools, agent.mcp_servers, agent.skills, agent.metadata) == ([], [], [], {})
    assert agent.execution_identity.type == "service_account"
    assert agent.created_at == agent.updated_at
    assert agent.model.id == MODEL


def test_create_echoes_what_was_given(api: Any) -> None:
    agent = make(api, description="d", system="s", metadata={"a": "b"}, tools=[
        TOOLSET, {"type": "custom", "name": "look_up", "description": "Looks up", "input_schema": {"type": "object", "properties": {"q": {}}}}])
    assert (agent.description, agent.system, agent.metadata) == ("d", "s", {"a": "b"})
    assert [t.type for t in agent.tools] == ["agent_toolset_20260401", "custom"]
    assert agent.tools[1].name == "look_up"


@pytest.mark.behaviour("agent-08")
@pytest.mark.parametrize("model", [MODEL, {"id": MODEL}])
def test_effort_is_always_resolved(api: Any, model: Any) -> None:
    assert make(api, model=model).model.effort.type in ("low", "medium", "high", "xhigh", "max")


def test_effort_comes_back_as_an_object(api: Any) -> None:
    assert make(api, model={"id": MODEL, "effort": "low"}).model.effort.type == "low"


@pytest.mark.behaviour("agent-04")
def test_permission_policies_are_resolved(api: Any) -> None:
    asks = {"name": "bash", "permission_policy": {"type": "always_ask"}}
    toolset = make(api, tools=[{"type": "agent_toolset_20260401", "configs": [asks]}]).tools[0]
    assert toolset.default_config.enabled is True
    assert toolset.default_config.permission_policy.type == "always_allow"
    bash = next(c for c in toolset.configs if c.name == "bash")
    assert (bash.type, bash.enabled, bash.permission_policy.type) == ("bash", True, "always_ask")


def test_retrieve_and_versions(api: Any) -> None:
    agent = make(api)
    newer = api.call(lambda c: c.beta.agents.update(agent.id, version=1, system="two"))
    assert (newer.version, newer.system, newer.name) == (2, "two", agent.name)
    assert api.call(lambda c: c.beta.agents.retrieve(agent.id)).version == 2
    assert api.call(lambda c: c.beta.agents.retrieve(agent.id, version=1)).system is None
    assert [a.version for a in api.items(lambda c: c.beta.agents.versions.list(agent.id))] == [2, 1]
    assert [a.version for a in api.items(lambda c: c.beta.agents.versions.list(agent.id, limit=1))] == [2, 1]


def test_update_rules(api: Any) -> None:
    agent = make(api, description="d", system="s", tools=[TOOLSET], metadata={"keep": "1", "drop": "2"})
    patched = api.call(lambda c: c.beta.agents.update(agent.id, description=None, system="", tools=[], metadata={"drop": None, "new": "3"}))
    assert not patched.description and not patched.system
    assert (patched.tools, patched.metadata) == ([], {"keep": "1", "new": "3"})


def test_a_stale_version_is_refused(api: Any, control: Control) -> None:
    agent = make(api)
    api.call(lambda c: c.beta.agents.update(agent.id, system="two"))
    answer = control.http.post(f"/v1/agents/{agent.id}", json={"version": 1, "system": "three"})
    assert answer.status_code == 409
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.behaviour("agent-18")
def test_a_null_version_changes_nothing(api: Any, control: Control) -> None:
    agent = make(api)
    after = control.call("POST", f"/v1/agents/{agent.id}", {"version": None})
    assert (after["version"], after["updated_at"]) == (1, after["created_at"])


@pytest.mark.behaviour("agent-17")
def test_regions(api: Any, control: Control) -> None:
    agent = make(api, model={"id": MODEL, "inference_geo": "us"})
    assert agent.model.inference_geo == "us"
    refused(control.http.post(f"/v1/agents/{agent.id}", json={"model": {"id": MODEL, "inference_geo": "mars"}}), 400, "invalid_request_error",
            'Failed to parse request: agent.model.inference_geo: "mars" is not a valid value…')
    # The scripted model refuses a region that it does not know, so it has been sent this one.
    session = control.call("POST", "/v1/sessions", {"agent": agent.id, "environment_id": control.environment()})["id"]
    assert control.turn(session, "hello")[-1]["stop_reason"] == {"type": "end_turn"}
    assert "inference_geo" not in control.call("POST", f"/v1/agents/{agent.id}", {"model": {"id": MODEL}})["model"]


@pytest.mark.behaviour("agent-21")
def test_archive_is_final(api: Any, control: Control) -> None:
    agent = make(api)
    archived = api.call(lambda c: c.beta.agents.archive(agent.id))
    assert archived.archived_at is not None
    listed = [a.id for a in api.items(lambda c: c.beta.agents.list(limit=100))]
    assert agent.id not in listed
    assert agent.id in [a.id for a in api.items(lambda c: c.beta.agents.list(limit=100, include_archived=True))]
    assert control.http.post(f"/v1/agents/{agent.id}", json={"system": "x"}).status_code == 400


def test_list_pages_without_gap_or_repeat(api: Any) -> None:
    made = [make(api).id for _ in range(5)]
    page = api.call(lambda c: c.beta.agents.list(limit=2))
    assert [a.id for a in page.data] == made[::-1][:2]
    assert [a.id for a in api.items(lambda c: c.beta.agents.list(limit=2))][:5] == made[::-1]


@pytest.mark.behaviour("agent-03")
@pytest.mark.parametrize(("field", "limit"), [("system", 100_000), ("name", 256), ("description", 2048)])
def test_text_limits_count_characters(control: Control, field: str, limit: int) -> None:
    body = {"name": unique("agent"), "model": MODEL}
    refused(control.http.post("/v1/agents", json=body | {field: "x" * (limit + 1)}), 400, "invalid_request_error",
            f"{field}: maximum string length is {limit}")
    assert control.http.post("/v1/agents", json=body | {field: "é" * limit}).status_code == 200


@pytest.mark.behaviour("agent-01")
@pytest.mark.parametrize("lists", [
    {"allowed_domains": ["a.example"], "blocked_domains": ["b.example"]}, {"allowed_domains": []},
    {"blocked_domains": [f"h{i}.example" for i in range(65)]},
])
def test_web_domain_lists(control: Control, lists: dict[str, Any]) -> None:
    tools = [{"type": "agent_toolset_20260401", "configs": [{"name": "web_fetch"} | lists]}]
    refused(control.http.post("/v1/agents", json={"name": "a", "model": MODEL, "tools": tools}), 400, "invalid_request_error")


@pytest.mark.behaviour("agent-01")
def test_64_web_domains_are_echoed(control: Control) -> None:
    hosts = [f"h{i}.example" for i in range(64)]
    agent = control.call("POST", "/v1/agents", {"name": "a", "model": MODEL, "tools": [
        {"type": "agent_toolset_20260401", "configs": [{"name": "web_fetch", "allowed_domains": hosts}]}]})
    assert next(c for c in agent["tools"][0]["configs"] if c["name"] == "web_fetch")["allowed_domains"] == hosts


CUSTOM = {"type": "custom", "description": "d", "input_schema": {"type": "object"}}
SERVER = {"type": "url", "name": "s", "url": "https://mcp.example/x"}


@pytest.mark.behaviour("agent-02")
@pytest.mark.parametrize("fields", [
    {"tools": [CUSTOM | {"name": f"t{i}"} for i in range(257)]},
    {"mcp_servers": [SERVER | {"name": f"s{i}"} for i in range(21)],
     "tools": [{"type": "mcp_toolset", "mcp_server_name": f"s{i}"} for i in range(21)]},
    {"mcp_servers": [SERVER, SERVER], "tools": [{"type": "mcp_toolset", "mcp_server_name": "s"}]},
    {"mcp_servers": [SERVER]},
    {"tools": [{"type": "mcp_toolset", "mcp_server_name": "nobody"}]},
], ids=["too many tools", "too many servers", "same server twice", "server without toolset", "toolset without server"])
def test_tools_must_fit_together(control: Control, fields: dict[str, Any]) -> None:
    refused(control.http.post("/v1/agents", json={"name": "a", "model": MODEL} | fields), 400, "invalid_request_error")


@pytest.mark.behaviour("agent-09")
def test_unknown_key_in_a_tool_configuration(control: Control) -> None:
    tools = [{"type": "agent_toolset_20260401", "configs": [{"name": "bash", "colour": "red"}]}]
    refused(control.http.post("/v1/agents", json={"name": "a", "model": MODEL, "tools": tools}), 400, "invalid_request_error", "…configs[0]…")


@pytest.mark.behaviour("agent-11")
def test_reserved_custom_tool_name(control: Control) -> None:
    refused(control.http.post("/v1/agents", json={"name": "a", "model": MODEL, "tools": [TOOLSET, CUSTOM | {"name": "mcp__a__b"}]}),
            400, "invalid_request_error", 'tools.1.custom.name: custom tool name "mcp__a__b" uses reserved MCP tool prefix')


@pytest.mark.behaviour("agent-15")
def test_malformed_id(control: Control) -> None:
    refused(control.http.get("/v1/agents/undefined"), 400, "invalid_request_error", "Invalid agent ID.")


@pytest.mark.behaviour("agent-16")
def test_there_is_no_delete(control: Control) -> None:
    refused(control.http.delete(f"/v1/agents/{control.agent()}"), 404, "not_found_error", "not found")


@pytest.mark.behaviour("agent-20")
def test_unknown_effort_on_update(control: Control) -> None:
    refused(control.http.post(f"/v1/agents/{control.agent()}", json={"model": {"id": MODEL, "effort": "huge"}}), 400, "invalid_request_error",
            'Failed to parse request: agent.model.effort: "huge" is not a valid value; …')
