"""The self-test under the policies in force: at a worker's start, and by `postern sandbox selftest --policy`."""

from __future__ import annotations

from pathlib import Path

from conftest import BOTH_USERS
from control import Control, Place
from perimeter import Perimeter

pytestmark = BOTH_USERS


def shown(perimeter: Perimeter) -> Path:
    """A folder of the worker's user that policies bind, with something in it that they hide."""
    folder = perimeter.make("shown")
    for name, text in {".env": "KEY=1", "plain.txt": "plain"}.items():
        (folder / name).write_text(text)
        perimeter.give(folder / name)
    return folder


def test_every_shape_is_tested_before_work_is_claimed(perimeter: Perimeter) -> None:
    folder = str(shown(perimeter))
    perimeter.policy("1-writes", match={"agents": "nobody"}, files={"write": [folder]}, limits={"processes": 64})
    perimeter.policy("2-copies", match={"agents": "nobody"}, workspace={"mode": "cow"}, network={"rules": [{"id": "x", "hosts": "example.com"}]})
    perimeter.policy("3-copies-without-bash", match={"agents": "nobody"}, workspace={"mode": "cow"}, tools={"deny": ["bash"]},
                     network={"rules": [{"id": "y", "hosts": "example.org"}]})
    perimeter.policy("4-reads", workspace={"mode": "ro"}, files={"read": [folder]})
    perimeter.start()
    tests = [one["body"] for one in perimeter.audit("self_test")]
    assert [one.get("policies") for one in tests] == [None, ["1-writes"], ["2-copies", "3-copies-without-bash"], ["4-reads"]]
    assert all(one["passed"] for one in tests)
    assert "file_rules" not in tests[0]["checks"] and all(one["checks"]["file_rules"] for one in tests[1:])
    assert perimeter.shell(perimeter.session(), f"cat {folder}/plain.txt; cat {folder}/.env").text.startswith("plain")


def test_no_session_runs_under_a_policy_whose_sandbox_was_not_shown_to_hold(perimeter: Perimeter, control: Control) -> None:
    missing = perimeter.folder / "missing"
    other = Place(control.agent(), perimeter.place.environment, perimeter.place.key)
    perimeter.policy("1-broken", match={"agents": other.agent}, files={"read": [str(missing)]})
    perimeter.policy("2-whole")
    worker = perimeter.start()
    line = worker.wait_for("does not hold under a policy").string
    assert "1-broken" in line and str(missing) in line
    assert [(one["body"]["policies"], one["body"]["passed"]) for one in perimeter.audit("self_test")[1:]] == [(["1-broken"], False), (["2-whole"], True)]
    # It would start by now, and nobody has shown that it holds.
    missing.mkdir()
    session = control.session(other)
    control.say(session, "$ touch ran.txt")
    worker.wait_for("the self-test did not pass under the policy 1-broken")
    assert not (perimeter.workspace(session) / "ran.txt").exists() and not perimeter.audit("session_start", session)
    assert perimeter.shell(perimeter.session(), "echo runs").text == "runs"


def test_the_command_tests_policies(perimeter: Perimeter) -> None:
    folder = str(shown(perimeter))
    perimeter.policy("1-writes", match={"agents": "nobody"}, files={"write": [folder]})
    perimeter.policy("2-same", match={"agents": "nobody"}, files={"write": [folder]}, tools={"deny": ["bash"]})
    told = perimeter.json("sandbox", "selftest", "--policy", str(perimeter.policies), with_state=False)
    assert told["holds"] and [one["names"] for one in told["policies"]] == [["1-writes", "2-same"], ["strict"]]
    for one in told["policies"]:
        assert one["holds"] and {"boundary": "file_rules", "verdict": "holds", "detail": ""} in one["findings"]
    # Also into the log of a worker that does not run, signed.
    perimeter.command("sandbox", "selftest", "--policy", str(perimeter.policies))
    assert [one["body"].get("policies") for one in perimeter.audit("self_test")] == [None, ["1-writes", "2-same"], ["strict"]]
    perimeter.command("audit", "verify")
    broken = perimeter.policy("3-broken", files={"read": [str(perimeter.folder / "missing")]})
    text = perimeter.command("sandbox", "selftest", "--policy", str(broken), status=125, with_state=False).stdout
    assert "Under the policy 3-broken:" in text and "missing" in text and "FAILS" in text
    broken.write_text("version: 1\nmatch: {metadata: {team: x}}\n")
    assert "match.metadata" in perimeter.command("sandbox", "selftest", "--policy", str(broken), status=5, with_state=False).stderr
