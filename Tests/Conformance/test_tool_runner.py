"""The SDK's `SessionToolRunner`, unmodified: custom tools, confirmations, and the built-in set with a claimed item's token."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from anthropic import beta_async_tool
from anthropic.lib.tools.agent_toolset import AgentToolContext, beta_agent_toolset_20260401

from api import async_client
from control import Control, at_rest
from hands import Hands

CUSTOM = {"type": "custom", "name": "look_up", "description": "Looks up", "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}}}


@beta_async_tool
async def look_up(q: str) -> str:
    """Looks up.

    Args:
        q: What to look for.
    """
    return f"found {q}"


async def drive(client: Any, session: str, tools: list[Any], **options: Any) -> list[Any]:
    seen = []
    with anyio.fail_after(60):
        async for call in client.beta.sessions.events.tool_runner(session, tools=tools, max_idle=0.2, **options):
            seen.append(call)
    await client.close()
    return seen


def test_a_custom_tool_from_the_applications_side(postern: Any, control: Control) -> None:
    place = control.place(agent={"tools": [CUSTOM]})
    session = control.session(place)
    control.say(session, '@look_up {"q":"x"}\n@look_up {"q":"y"}\n\n@look_up {"q":"z"}')
    calls = anyio.run(drive, async_client(postern.url, postern.admin_key), session, [look_up])
    assert [(c.name, c.posted, c.is_error) for c in calls] == [("look_up", True, False)] * 3
    answers = [e["content"][0]["text"] for e in control.events(session) if e["type"] == "user.custom_tool_result"]
    assert answers == ["found x", "found y", "found z"]
    assert at_rest(control.events(session)[-1])


@pytest.mark.parametrize("credential", ["environment key", "sessions token"])
def test_the_built_in_set_with_a_workers_credential(postern: Any, control: Control, tmp_path: Path, credential: str) -> None:
    place = control.place(agent={"tools": [{"type": "agent_toolset_20260401"}, CUSTOM]})
    session = control.session(place)
    control.say(session, '$ echo hello\n@look_up {"q":"x"}')
    hands = Hands(postern.url, place)
    key = place.key if credential == "environment key" else hands.token.key

    async def serve() -> list[Any]:
        async with AgentToolContext(workdir=tmp_path) as context:
            client = async_client(postern.url, "not-a-key")
            return await drive(client, session, [*beta_agent_toolset_20260401(context), look_up], environment_key=key)

    assert sorted(c.name for c in anyio.run(serve)) == ["bash", "look_up"]
    assert "Ran 2 calls, 0 failed." in str(control.events(session))
