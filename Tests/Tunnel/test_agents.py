"""Agents that call private MCP servers: the official SDK makes them, the control plane calls through a tunnel, an official server answers, and the
connector lets in whom its document names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from control import MODEL, at_rest, text_event, unique
from peers import Server, command, serving
from test_tunnel import until
from tunnel import Tunnel

ALLOW = {"type": "always_allow"}


class House:
    """A tunnel with routes to one MCP server, each for other callers, and agents that name them."""

    def __init__(self, tunnel: Tunnel, server: Server, **more: str) -> None:
        """`more` are routes, with the callers that they name."""
        self.tunnel = tunnel
        self.server = server
        self.client = anthropic.Anthropic(api_key=tunnel.postern.admin_key, base_url=tunnel.postern.url, max_retries=0)
        self.environment = tunnel.control.environment()
        self.ours = self.agent("byagent", "bysession", "bydigest", "nobody")
        self.others = self.agent("byagent", "bysession", "bydigest", "nobody")
        self.first = self.session(self.ours)
        self.second = self.session(self.ours)
        digest = tunnel.control.call("GET", f"/postern/v1/agents/{self.ours}/configuration_digest")
        assert digest["version"] == 1
        callers = {
            "byagent": f"{{agents: [{self.ours}]}}", "bysession": f"{{sessions: [{self.first}]}}", "nobody": "{agents: [agent_x], clients: [laptop]}",
            "bydigest": f"{{agents: [{{id: {self.ours}, version: 1, configuration: \"{digest['configuration_digest']}\"}}]}}", **more}
        document = tunnel.connector_folder / "connector.yaml"
        document.write_text(document.read_text().rstrip("\n") + "\n" + "".join(
            f"  {route}:\n    upstream: http://127.0.0.1:{server.port}\n    callers: {who}\n    addresses: [127.0.0.0/8]\n"
            for route, who in callers.items()))
        tunnel.connector.stop()
        tunnel.connector = tunnel.start_connector()

    def agent(self, *routes: str) -> str:
        made = self.client.beta.agents.create(
            name=unique("agent"), model=MODEL,
            mcp_servers=[{"type": "url", "name": route, "url": f"https://{route}.{self.tunnel.domain}/mcp"} for route in routes],
            tools=[{"type": "mcp_toolset", "mcp_server_name": route, "default_config": {"permission_policy": ALLOW}, "configs": [
                {"name": "add", "permission_policy": {"type": "always_ask"}}, {"name": "big", "enabled": False}]} for route in routes])
        return made.id

    def session(self, agent: str, **fields: Any) -> str:
        return self.client.beta.sessions.create(agent=agent, environment_id=self.environment, **fields).id

    def turn(self, session: str, text: str) -> list[dict[str, Any]]:
        return self.tunnel.control.turn(session, text)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Tunnel(with_edge=True) as tunnel, serving(tmp_path_factory.mktemp("mcp"), command("2", "http")) as server:
        yield House(tunnel, server)


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


def failures(events: list[dict[str, Any]]) -> dict[str, str]:
    return {e["error"]["mcp_server_name"]: e["error"]["message"] for e in of(events, "session.error")
            if e["error"]["type"] == "mcp_connection_failed_error" and e["error"]["retry_status"] == {"type": "retrying"}}


def test_an_agent_calls_a_private_tool(house: House) -> None:
    session = house.session(house.ours)
    with house.client.beta.sessions.events.stream(session_id=session) as stream:
        house.client.beta.sessions.events.send(session_id=session, events=[
            text_event('@mcp__byagent__echo {"text": "through the tunnel"}')])  # type: ignore[list-item]
        seen = []
        for event in stream:
            seen.append(event)
            if event.type == "session.status_idle":
                break
    assert any(e.type == "agent.mcp_tool_use" for e in seen), seen
    use = next(e for e in seen if e.type == "agent.mcp_tool_use")
    assert (use.name, use.mcp_server_name, use.input) == ("echo", "byagent", {"text": "through the tunnel"})
    assert use.evaluated_permission == "allow"
    result = next(e for e in seen if e.type == "agent.mcp_tool_result")
    assert (result.mcp_tool_use_id, result.is_error, result.content[0].text) == (use.id, False, "through the tunnel")
    assert seen[-1].stop_reason.type == "end_turn"
    house.server.process.wait_for("ECHO through the tunnel")
    # Nothing waits in between, and nothing goes to a worker.
    kinds = [e["type"] for e in house.tunnel.control.events(session) if not e["type"].startswith("session.error")]
    assert kinds == [
        "session.status_running", "session.thread_status_running", "user.message", "span.model_request_start", "agent.mcp_tool_use",
        "span.model_request_end", "agent.mcp_tool_result", "span.model_request_start", "agent.message", "span.model_request_end",
        "session.thread_status_idle", "session.usage", "session.status_idle"]


def test_a_gated_call_asks_and_a_disabled_tool_is_not_there(house: House) -> None:
    control = house.tunnel.control
    session = house.session(house.ours)
    with control.watch(session) as stream:
        control.say(session, '@mcp__byagent__add {"a": 2, "b": 40}')
        asked = stream.until(lambda e: e["type"] == "session.status_idle")
        [use] = of(asked, "agent.mcp_tool_use")
        assert use["evaluated_permission"] == "ask" and asked[-1]["stop_reason"] == {"type": "requires_action", "event_ids": [use["id"]]}
        control.send(session, {"type": "user.tool_confirmation", "tool_use_id": use["id"], "result": "allow"})
        [result] = of(stream.until(at_rest), "agent.mcp_tool_result")
        assert result["content"][0]["text"] == "42"
    with control.watch(session) as stream:
        control.say(session, '@mcp__byagent__add {"a": 2, "b": 40}')
        [use] = of(stream.until(lambda e: e["type"] == "session.status_idle"), "agent.mcp_tool_use")
        control.send(session, {"type": "user.tool_confirmation", "tool_use_id": use["id"], "result": "deny"})
        [result] = of(stream.until(at_rest), "agent.mcp_tool_result")
        assert result["is_error"] and result["content"][0]["text"] == "Permission to use add has been rejected."
    events = house.turn(session, '@mcp__byagent__big {"size": 5}')
    assert not of(events, "agent.mcp_tool_use") and "is not available" in str(of(events, "agent.tool_result"))


def test_only_the_agent_and_the_session_that_are_named_get_in(house: House) -> None:
    script = '@mcp__{}__echo {{"text": "{}"}}'
    told = failures(house.turn(house.first, script.format("bysession", "from the named session")))
    assert set(told) == {"nobody"} and "caller_not_allowed" in told["nobody"]
    house.server.process.wait_for("ECHO from the named session")
    # Another session of the same agent, and another agent whose configuration is the same to the letter.
    told = failures(house.turn(house.second, script.format("bydigest", "from the named configuration")))
    assert set(told) == {"nobody", "bysession"}
    house.server.process.wait_for("ECHO from the named configuration")
    events = house.turn(house.session(house.others), script.format("byagent", "from another agent"))
    assert set(failures(events)) == {"nobody", "bysession", "byagent", "bydigest"}
    assert not of(events, "agent.mcp_tool_use") and events[-1]["stop_reason"] == {"type": "end_turn"}
    # Overrides are another configuration.
    overridden = house.session({"type": "agent_with_overrides", "id": house.ours, "system": "Be bold."})  # type: ignore[arg-type]
    assert set(failures(house.turn(overridden, "hello"))) == {"nobody", "bysession", "bydigest"}


def test_an_interrupt_cuts_the_call_and_an_archived_session_calls_nobody(house: House) -> None:
    control = house.tunnel.control
    session = house.session(house.ours)
    with control.watch(session) as stream:
        control.say(session, "@mcp__byagent__wait {}")
        stream.until(lambda e: e["type"] == "agent.mcp_tool_use")
        house.server.process.wait_for("WAITING")
        control.send(session, {"type": "user.interrupt"})
        [result] = of(stream.until(at_rest), "agent.mcp_tool_result")
    assert result["is_error"] and "interrupted" in result["content"][0]["text"]
    house.server.process.wait_for("CANCELLED")
    archived = house.client.beta.sessions.archive(session)
    assert archived.status == "terminated"
    with pytest.raises(anthropic.BadRequestError):
        house.client.beta.sessions.events.send(session_id=session, events=[text_event("hello")])  # type: ignore[list-item]


def test_servers_beyond_the_workspaces_tunnels_are_told(house: House) -> None:
    agent = house.client.beta.agents.create(
        name=unique("agent"), model=MODEL, mcp_servers=[
            {"type": "url", "name": "far", "url": "https://mcp.example.org/mcp"},
            {"type": "url", "name": "foreign", "url": "https://docs.abcd1234.tunnel.example.com/mcp"},
            {"type": "url", "name": "plain", "url": f"http://byagent.{house.tunnel.domain}/mcp"}],
        tools=[{"type": "mcp_toolset", "mcp_server_name": name} for name in ("far", "foreign", "plain")])
    events = house.turn(house.session(agent.id), "hello")
    told = failures(events)
    assert set(told) == {"far", "foreign", "plain"} and events[-1]["stop_reason"] == {"type": "end_turn"}
    assert all("no domain of a tunnel of this workspace" in told[name] for name in ("far", "foreign")) and "https://" in told["plain"]


def test_a_call_is_not_repeated_when_the_server_starts_again(house: House) -> None:
    tunnel = house.tunnel
    session = house.session(house.ours)
    before = house.server.process.log.read_text().count("WAITING")
    with tunnel.control.watch(session) as stream:
        tunnel.control.say(session, "@mcp__byagent__wait {}")
        stream.until(lambda e: e["type"] == "agent.mcp_tool_use")
        until(lambda: house.server.process.log.read_text().count("WAITING") == before + 1)
    tunnel.server.kill_alone()
    tunnel.server.wait(seconds=10)
    tunnel.server = tunnel.postern.restart_server()
    until(lambda: tunnel.control.events(session)[-1]["type"] == "session.status_idle")
    [result] = of(tunnel.control.events(session), "agent.mcp_tool_result")
    assert result["is_error"] and "unknown" in result["content"][0]["text"] and "not repeated" in result["content"][0]["text"]
    assert house.server.process.log.read_text().count("WAITING") == before + 1
