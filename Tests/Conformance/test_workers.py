"""Workers serve sessions here: the official one, unmodified, and Postern's, held against each other call by call."""

from collections.abc import Iterator
from typing import Any

import pytest

from control import Control, Place, at_rest
from official_worker import OfficialWorker

ASK_BASH = {"type": "agent_toolset_20260401", "configs": [{"name": "bash", "permission_policy": {"type": "always_ask"}}]}


@pytest.fixture(scope="module", params=["official", "postern"])
def worker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def places(worker: str, postern: Any, control: Control) -> Iterator[dict[str, Place]]:
    """Two agents in one environment that the worker serves: one that may do all, one that must ask before bash."""
    free = control.place()
    asking = Place(control.agent(tools=[ASK_BASH]), free.environment, free.key)
    folder = postern.folder / f"work-of-{worker}"
    folder.mkdir()
    if worker == "official":
        with OfficialWorker(postern.url, free.environment, free.key, folder):
            yield {"free": free, "asking": asking}
    else:
        process = postern.worker(free.environment, free.key, "--max-idle", "1", workdir=folder)
        yield {"free": free, "asking": asking}
        process.stop()


def results(control: Control, session: str) -> list[tuple[bool, Any]]:
    """What the worker answered, in the order of the calls: results of parallel calls may arrive in another."""
    events = control.events(session)
    answers = {e["tool_use_id"]: (e["is_error"], e["content"]) for e in events if e["type"] == "user.tool_result"}
    return [answers[e["id"]] for e in events if e["type"] == "agent.tool_use" and e["id"] in answers]


def run(control: Control, place: Place, script: str) -> list[tuple[bool, str]]:
    """The results of the script's calls, as (failed, text)."""
    session = control.session(place)
    control.turn(session, script)
    return [(failed, "".join(block.get("text", "") for block in content)) for failed, content in results(control, session)]


def test_bash(control: Control, places: dict[str, Place]) -> None:
    assert run(control, places["free"], "$ echo hello; echo there >&2\n\n$ cd /tmp && X=1\n\n$ pwd; echo $X\n\n$ false\n\n$ true") == [
        (False, "hello\nthere"), (False, "(no output)"), (False, "/tmp\n1"), (True, "(no output)"), (False, "(no output)")]


@pytest.mark.behaviour("prompt-06")
def test_silent_success(control: Control, places: dict[str, Place]) -> None:
    assert run(control, places["free"], "$ true") == [(False, "(no output)")]


def test_bash_inputs(control: Control, places: dict[str, Place]) -> None:
    got = run(control, places["free"], '$ X=1\n\n@bash {"restart":true}\n\n$ echo "x$X"\n\n@bash {}\n\n@bash {"command":"sleep 20","timeout_ms":300}')
    assert got[:3] == [(False, "(no output)"), (False, "bash session restarted"), (False, "x")]
    assert got[3] == (True, "bash: command is required")
    assert got[4][0] and "timed out after 0.3s" in got[4][1]


def test_no_secret_in_the_environment(control: Control, worker: str, places: dict[str, Place]) -> None:
    # The official worker does not know the other prefix.
    names = "^ANTHROPIC_" if worker == "official" else "^ANTHROPIC_\\|^POSTERN_"
    assert run(control, places["free"], f"$ env | grep -c '{names}'")[0][1].strip() == "0"


def test_files(control: Control, places: dict[str, Place]) -> None:
    assert run(control, places["free"], "\n\n".join([
        '@write {"file_path":"files/a.txt","content":"héllo\\nworld\\nthird\\n"}',
        '@read {"file_path":"files/a.txt"}',
        '@read {"file_path":"files/a.txt","view_range":[2,3]}',
        '@edit {"file_path":"files/a.txt","old_string":"world","new_string":"there"}',
        '@edit {"file_path":"files/a.txt","old_string":"nowhere","new_string":"x"}',
        '@edit {"file_path":"files/a.txt","old_string":"h","new_string":"H","replace_all":true}',
        '@read {"file_path":"files/a.txt"}',
        '@read {"file_path":"files/missing.txt"}',
        '@read {"file_path":"files"}',
    ])) == [
        (False, "wrote 18 bytes to files/a.txt"), (False, "héllo\nworld\nthird\n"), (False, "world\nthird"),
        (False, "edited files/a.txt (1 replacement(s))"), (True, "edit: old_string not found in files/a.txt"),
        (False, "edited files/a.txt (3 replacement(s))"), (False, "Héllo\ntHere\ntHird\n"),
        (True, "read: files/missing.txt: no such file or directory"), (True, "read: files: not a regular file")]


def test_paths_outside_the_workspace(control: Control, places: dict[str, Place]) -> None:
    got = run(control, places["free"], "\n".join([
        '@read {"file_path":"/etc/passwd"}', '@read {"file_path":"../../../etc/passwd"}', '@write {"file_path":"/etc/x","content":""}']))
    assert [failed for failed, _ in got] == [True] * 3
    assert all("is outside the session's working directory" in text for _, text in got)


def test_glob_and_grep(control: Control, places: dict[str, Place]) -> None:
    got = run(control, places["free"], "\n\n".join([
        '@write {"file_path":"g/one.txt","content":"needle here\\n"}', '@write {"file_path":"g/two.md","content":"nothing\\n"}',
        '@glob {"pattern":"*.txt","path":"g"}', '@glob {"pattern":"*.none","path":"g"}', '@glob {"pattern":"/etc/*"}',
        '@grep {"pattern":"needle","path":"g"}', '@grep {"pattern":"absent","path":"g"}']))
    assert got[2][1].endswith("/g/one.txt") and "\n" not in got[2][1]
    assert got[3] == (False, "no matches")
    assert got[4] == (True, "glob: absolute pattern not permitted; pass a relative pattern (and optionally path)")
    assert got[5][1].strip().endswith("g/one.txt:1:needle here")
    assert got[6] == (False, "no matches")


def test_images_and_pdfs_are_blocks(control: Control, places: dict[str, Place]) -> None:
    session = control.session(places["free"])
    control.turn(session, "\n\n".join([
        "$ printf '\\x89PNG\\r\\n\\x1a\\n' > p.png; printf '%%PDF-1.4' > d.pdf", '@read {"file_path":"p.png"}', '@read {"file_path":"d.pdf"}']))
    blocks = [content[0] for _, content in results(control, session)[1:]]
    assert [(b["type"], b["source"]["type"], b["source"]["media_type"]) for b in blocks] == [
        ("image", "base64", "image/png"), ("document", "base64", "application/pdf")]


def test_parallel_calls_run_in_order_and_are_all_answered(control: Control, places: dict[str, Place]) -> None:
    got = run(control, places["free"], "\n".join(f"$ echo {i} | tee -a order.txt" for i in range(8)) + "\n\n$ cat order.txt; rm order.txt")
    assert got[:8] == [(False, str(i)) for i in range(8)]
    assert got[8][1].split() == [str(i) for i in range(8)]


def test_confirmation(control: Control, places: dict[str, Place]) -> None:
    session = control.session(places["asking"])
    with control.watch(session) as stream:
        control.say(session, "$ echo allowed\n\n$ echo denied")
        for verdict in ("allow", "deny"):
            call = stream.until(lambda e: e["type"] == "agent.tool_use")[-1]
            assert call["evaluated_permission"] == "ask"
            control.send(session, {"type": "user.tool_confirmation", "tool_use_id": call["id"], "result": verdict})
        stream.until(at_rest)
    assert [content[0]["text"] for _, content in results(control, session)] == ["allowed"]
    denied = [e for e in control.events(session) if e["type"] == "agent.tool_result"]
    assert len(denied) == 1 and denied[0]["is_error"]


def test_interrupt(control: Control, places: dict[str, Place]) -> None:
    session = control.session(places["free"])
    with control.watch(session) as stream:
        control.say(session, "$ echo started\n\n$ sleep 3")
        stream.until(lambda e: e["type"] == "user.tool_result")
        stream.until(lambda e: e["type"] == "agent.tool_use")
        control.send(session, {"type": "user.interrupt"})
        assert stream.until(at_rest)[-1]["stop_reason"] == {"type": "end_turn"}
    assert "again" in str(control.turn(session, "$ echo again"))


def test_a_second_turn_later(control: Control, places: dict[str, Place]) -> None:
    session = control.session(places["free"])
    control.turn(session, "$ echo one > kept.txt")
    control.turn(session, "$ cat kept.txt")
    assert results(control, session)[-1][1][0]["text"] == "one"
