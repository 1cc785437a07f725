"""`tools.ask`: a call waits until somebody inside the perimeter answers; the control plane cannot."""

from __future__ import annotations

import json
import os
from typing import Any

from control import at_rest
from perimeter import Perimeter

ASK = {"ask": [{"tool": "bash", "when": {"/command": ["rm *"]}, "reason": "removing things is asked"}]}


def questions(perimeter: Perimeter) -> list[dict[str, Any]]:
    return list(perimeter.json("worker", "approvals")["questions"])


def asked(perimeter: Perimeter, session: str) -> dict[str, Any]:
    """The one question of a session. Nothing tells that it is there but the answer of `approvals` itself."""
    for _ in range(100):
        if found := [one for one in questions(perimeter) if one["session"] == session]:
            return found[0]
    raise AssertionError("nothing was asked")


def answer(perimeter: Perimeter, verdict: str, command: str = "rm kept.txt; ls") -> tuple[Any, dict[str, Any]]:
    session = perimeter.session()
    perimeter.shell(session, "touch kept.txt")
    with perimeter.control.watch(session) as events:
        perimeter.control.say(session, f"$ {command}")
        question = asked(perimeter, session)
        perimeter.command("worker", verdict, question["id"])
        events.until(at_rest)
    # It is answered once.
    perimeter.command("worker", verdict, question["id"], status=None)
    assert not [one for one in questions(perimeter) if one["session"] == session]
    return perimeter.results(session)[-1], perimeter.audit("approval", session)[-1]["body"]


def test_approved_and_denied(perimeter: Perimeter) -> None:
    perimeter.policy(tools=ASK)
    perimeter.start()
    result, record = answer(perimeter, "approve")
    assert not result.failed and "kept.txt" not in result.text and record["allowed"] is True
    # Whoever the kernel says was at the other end of the worker's socket.
    assert f"uid {os.geteuid()}" in record["by"]
    result, record = answer(perimeter, "deny")
    assert result.failed and "removing things is asked" in result.text and "not approved" in result.text and record["allowed"] is False


def test_the_question_says_what_and_why(perimeter: Perimeter) -> None:
    perimeter.policy(tools=ASK)
    perimeter.start()
    session = perimeter.session()
    with perimeter.control.watch(session) as events:
        perimeter.control.say(session, "$ rm -r everything")
        question = asked(perimeter, session)
        assert "rm -r everything" in question["summary"] and question["reason"] == "removing things is asked"
        assert question["agent"] == perimeter.place.agent and "tools.ask" in question["rule"]
        shown = perimeter.command("worker", "approvals").stdout
        assert question["id"] in shown and "rm -r everything" in shown
        # Another id answers nothing.
        assert perimeter.command("worker", "approve", "sevt_nobody", status=None).returncode != 0
        assert questions(perimeter)
        perimeter.command("worker", "deny", question["id"])
        events.until(at_rest)


def test_nobody_answers(perimeter: Perimeter) -> None:
    perimeter.policy(tools=ASK)
    perimeter.start("--approval-timeout", "1")
    session = perimeter.session()
    results = perimeter.run(session, "$ touch kept.txt\n\n$ rm kept.txt\n\n$ ls")
    assert [r.failed for r in results] == [False, True, False]
    assert "nobody inside the perimeter answered within 1 s" in results[1].text and "kept.txt" in results[2].text
    record = perimeter.audit("approval", session)[-1]["body"]
    assert record["by"] == "time-out" and record["allowed"] is False


def test_a_session_may_ask_to_be_asked(perimeter: Perimeter) -> None:
    perimeter.policy()
    perimeter.start("--approval-timeout", "1")
    session = perimeter.session(metadata={"postern.policy": json.dumps({"tools": ASK})})
    results = perimeter.run(session, "$ touch kept.txt\n\n$ rm kept.txt\n\n$ ls")
    assert [r.failed for r in results] == [False, True, False] and "kept.txt" in results[2].text


def test_a_session_that_could_answer_itself_is_refused(perimeter: Perimeter) -> None:
    """Without a sandbox the socket that answers are given by is the session's as well."""
    perimeter.policy(tools=ASK)
    perimeter.start("--sandbox", "none")
    session = perimeter.session()
    perimeter.control.say(session, "$ touch ran")
    assert perimeter.worker is not None
    perimeter.worker.wait_for("could approve its own calls")
    assert not perimeter.results(session)
