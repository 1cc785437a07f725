"""Which policy holds: chosen inside the perimeter, narrowed from outside at claim and while the session lives, never widened."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from control import Control, Place, at_rest
from measures import measured
from perimeter import Perimeter
from processes import ProcessFailed
from web import Web

KEY = "postern.policy"


def network(web: Web) -> dict[str, Any]:
    return {
        "rules": [
            {"id": "ticks", "hosts": web.host, "methods": "GET", "paths": "/ticks/**"},
            {"id": "upload", "hosts": web.host, "methods": "PUT", "paths": "/upload/**"},
            {"id": "echo", "hosts": web.host, "paths": "/echo"},
        ],
        "addresses": "127.0.0.0/8", "upstream": {"ca_file": str(web.ca_file)},
    }


def get(web: Web, path: str = "/echo", *options: str) -> str:
    quiet = "--silent --show-error --noproxy '' --max-time 20 --output /dev/null --write-out '%{http_code}'"
    return f"curl {quiet} {' '.join(options)} {web.url}{path}"


def loaded(perimeter: Perimeter, session: str) -> dict[str, Any]:
    """The body of the session's last record of a policy."""
    return dict(perimeter.audit("policy_load", session)[-1]["body"])


def failed(perimeter: Perimeter, session: str, words: str) -> None:
    """Waits until the worker has let the session go because of what `words` say."""
    assert perimeter.worker is not None
    perimeter.worker.wait_for(f"released.*{words}.*{session}", seconds=30)


def nothing_ran(perimeter: Perimeter, session: str) -> None:
    """No call began. The control plane may have answered one in place of the worker that gave it back."""
    assert not perimeter.audit("intent", session)
    assert all(result.failed for result in perimeter.results(session))
    assert not (perimeter.workspace(session) / "ran.txt").exists()


def test_the_first_policy_that_matches_holds(perimeter: Perimeter, control: Control) -> None:
    place = perimeter.place
    named = control.agent(name="perimeter-reporter-7")
    perimeter.policy("1-agents", match={"agents": "perimeter-reporter-*"}, variables={"WHICH": "agent"})
    perimeter.policy("2-places", match={"environments": place.environment, "agents": place.agent}, variables={"WHICH": "place"})
    perimeter.policy("3-elsewhere", match={"environments": "env_elsewhere"}, variables={"WHICH": "elsewhere"})
    perimeter.start()
    other = control.agent()
    for agent, which, name in (
        (named, "agent", "1-agents"), (place.agent, "place", "2-places"), (other, "none", "strict"),
    ):
        session = control.session(Place(agent, place.environment, place.key))
        assert perimeter.shell(session, "echo ${WHICH:-none}").text == which
        assert loaded(perimeter, session)["name"] == name


def test_a_match_by_metadata_is_refused_with_its_place_and_remedy(perimeter: Perimeter) -> None:
    """A session does not hold its agent's metadata: a policy that waits for them would never be chosen."""
    path = perimeter.policy("teams", match={"metadata": {"team": ["blue", "red"]}}, variables={"WHICH": "red"})
    with pytest.raises(ProcessFailed) as failure:
        perimeter.start()
    told = perimeter.command("sandbox", "policy", "check", str(path), status=None, with_state=False)
    assert told.returncode != 0
    for text in (str(failure.value), told.stdout + told.stderr):
        assert f"{path}:5:3" in text and "match.metadata" in text and "match.agents" in text, text


NAMED = "perimeter-production-eu"
WIDE: dict[str, Any] = {"match": {"environments": "perimeter-production-*"}, "variables": {"WHICH": "production"}}


def test_an_environment_is_matched_by_the_name_that_the_worker_is_given(perimeter: Perimeter) -> None:
    perimeter.policy("production", **WIDE)
    perimeter.start("--environment-name", NAMED)
    assert perimeter.shell(perimeter.session(), "echo ${WHICH:-none}").text == "production"


def test_a_name_at_the_control_plane_widens_nothing(perimeter: Perimeter, control: Control) -> None:
    """Who may name environments and sessions there, and write their metadata, cannot choose a ceiling here."""
    perimeter.place = control.place(
        environment={"name": NAMED, "metadata": {"name": NAMED, "environment_name": NAMED}},
        agent={"metadata": {"environment": NAMED, "environment_name": NAMED}})
    perimeter.policy("production", **WIDE)
    perimeter.start("--environment-name", "perimeter-test")
    session = perimeter.session(title=NAMED, metadata={"environment": NAMED, "environment_name": NAMED})
    assert perimeter.shell(session, "echo ${WHICH:-none}").text == "none"
    assert loaded(perimeter, session)["name"] == "strict"


def test_without_a_match_nothing_leaves(perimeter: Perimeter, web: Web) -> None:
    perimeter.policy("elsewhere", match={"environments": "env_elsewhere"}, network=network(web))
    perimeter.start()
    assert perimeter.shell(perimeter.session(), get(web)).failed


def test_narrowed_at_claim_by_session_and_environment(perimeter: Perimeter, control: Control, web: Web) -> None:
    perimeter.place = control.place(environment={"metadata": {KEY: json.dumps({"tools": {"deny": ["write"]}, "limits": {"call_time": "20s"}})}})
    perimeter.policy(network=network(web), variables={"ONE": "1", "TWO": "2"})
    perimeter.start()
    session = perimeter.session(metadata={KEY: json.dumps({"network": {"allow": ["ticks"]}, "variables": ["ONE"], "tools": {"deny": ["glob"]}})})
    results = perimeter.run(session, "\n\n".join([
        f"$ {get(web)}", "$ echo $ONE-$TWO", '@write {"file_path":"a","content":"b"}', '@glob {"pattern":"*"}', "$ ls"]))
    assert results[0].text.startswith("403") and "path /echo is not allowed" in results[0].text
    assert results[1].text == "1-"
    assert [r.failed for r in results] == [False, False, True, True, False]
    assert all("denied" in r.text or "policy" in r.text for r in results[2:4])
    body = loaded(perimeter, session)
    assert body["ceiling"] != body["digest"]
    # Another session of the environment is narrowed by the environment alone.
    free = perimeter.run(perimeter.session(), f"$ {get(web)}; echo; echo $ONE-$TWO\n\n" + '@write {"file_path":"a","content":"b"}')
    assert free[0].text.split() == ["200", "1-2"] and free[1].failed


def test_the_network_is_cut_while_the_session_lives(perimeter: Perimeter, web: Web) -> None:
    perimeter.policy(network=network(web))
    perimeter.start()
    session = perimeter.session()
    assert perimeter.shell(session, get(web)).text == "200"
    down, up = web.stream("down"), web.stream("up")
    upload = f"while echo tick; do sleep 0.01; done | {get(web, '/upload/up', '--upload-file', '-')}"
    with perimeter.control.watch(session) as events:
        perimeter.control.say(session, "\n\n".join([
            f"$ ({upload}) & {get(web, '/ticks/down')}; date +%s.%N >cut; wait; echo still here", f"$ {get(web, '/ticks/again')}; echo; {get(web)}"]))
        assert down.begun.wait(20) and up.begun.wait(20)
        perimeter.update(session, **{KEY: json.dumps({"network": {"allow": ["echo"]}})})
        changed, changed_wall = time.monotonic(), time.time()
        events.until(at_rest)
    # Seen from both ends: nothing more arrives inside, nothing more arrives at the server.
    inside = float((perimeter.workspace(session) / "cut").read_text()) - changed_wall
    assert up.broken.is_set()
    outside = up.broken_at - changed
    measured(f"narrowing: cut after {inside * 1000:.0f} ms inside, {outside * 1000:.0f} ms outside")
    assert inside < 1 and outside < 1
    results = perimeter.results(session)[-2:]
    # The call itself goes on, and what is still allowed works.
    assert "still here" in results[0].text
    assert results[1].text.splitlines()[0] == "403" and results[1].text.splitlines()[1].startswith("200")
    assert perimeter.audit("egress_refused", session)


def test_a_tool_is_denied_while_the_session_lives_and_never_given_back(perimeter: Perimeter) -> None:
    perimeter.policy()
    perimeter.start()
    session = perimeter.session()
    assert not perimeter.shell(session, "touch a").failed
    perimeter.update(session, **{KEY: json.dumps({"tools": {"deny": ["bash"]}})})
    denied = perimeter.run(session, '$ echo ran > ran.txt\n\n@glob {"pattern":"*"}')
    assert denied[0].failed and "tools.deny" in denied[0].text and "ran.txt" not in denied[1].text
    # Asking for more, or for nothing, changes nothing.
    for wish in ('{"tools": {"deny": []}}', '{"tools": {"allow": ["*"]}}', "{}", None):
        perimeter.update(session, **{KEY: wish})
        assert perimeter.shell(session, "echo again").failed
    assert not (perimeter.workspace(session) / "ran.txt").exists()


def test_more_than_the_ceiling_changes_nothing(perimeter: Perimeter, web: Web) -> None:
    perimeter.policy(network=network(web), tools={"deny": ["grep"]}, limits={"call_time": "30s"})
    perimeter.start()
    wish = {
        "network": {"rules": [{"id": "all", "hosts": [web.host, web.other_host]}]}, "files": {"read": ["/root", "/etc"], "write": ["/srv"]},
        "tools": {"allow": ["*"], "deny": []}, "limits": {"call_time": "1h", "memory": "none"}, "variables": ["HOME", "SECRET"],
        "secrets": ["github"], "forwards": ["db"], "workspace": {"mode": "rw"},
    }
    session = perimeter.session(metadata={KEY: json.dumps(wish)})
    results = perimeter.run(session, "\n\n".join([
        f"$ {get(web)}; echo; {get(web, '/elsewhere')}; echo; {get(web).replace(web.host, web.other_host)}", '@grep {"pattern":"x"}',
        "$ ls /root; ls /srv; cat /etc/shadow"]))
    assert results[0].text.splitlines()[:2] == ["200", "403"] and "000" in results[0].text
    assert results[1].failed and results[2].failed
    assert "/elsewhere" not in web.paths()


@pytest.mark.parametrize(
    "wish", ['{"network": {"alow": []}}', '{"limits": {"memory": "a lot"}}', "[7]", '{"tools": {"deny": 7}}'])
def test_an_unreadable_wish_stops_the_session_at_claim(perimeter: Perimeter, wish: str) -> None:
    perimeter.policy()
    perimeter.start()
    session = perimeter.session(metadata={KEY: wish})
    perimeter.control.say(session, "$ touch ran.txt")
    failed(perimeter, session, "policy cannot be put in force")
    nothing_ran(perimeter, session)


def test_an_unreadable_wish_stops_a_living_session(perimeter: Perimeter) -> None:
    perimeter.policy()
    perimeter.start()
    session = perimeter.session()
    perimeter.shell(session, "true")
    perimeter.update(session, **{KEY: '{"network": 7}'})
    failed(perimeter, session, "narrower policy cannot be put in force")
    assert "failed" in perimeter.audit("session_stop", session)[-1]["body"]["reason"]


def test_an_environments_unreadable_wish_stops_its_sessions(perimeter: Perimeter, control: Control) -> None:
    perimeter.place = control.place(environment={"metadata": {KEY: '{"nonsense": true}'}})
    perimeter.policy()
    perimeter.start()
    session = perimeter.session()
    control.say(session, "$ touch ran.txt")
    failed(perimeter, session, "policy cannot be put in force")
    nothing_ran(perimeter, session)
