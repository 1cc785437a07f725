"""What leaves a sandbox, as somebody on the worker's machine sees it: live decisions, and policies that are learned from refusals."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from conftest import BOTH_USERS
from perimeter import ORDINARY_USER, Perimeter
from postern_fixture import clean_environment
from web import Web


class Follower:
    """A running `postern sandbox egress`; its lines as they come."""

    def __init__(self, perimeter: Perimeter, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [*perimeter.prefix, str(perimeter.postern.binary), "sandbox", "egress", *arguments, "--state-dir", str(perimeter.state)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=perimeter.folder,
            env=clean_environment(HOME=str(perimeter.work)))
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def until(self, **fields: Any) -> dict[str, Any]:
        """The next decision with those fields."""
        while (line := self._lines.get(timeout=30)) is not None:
            decision = dict(json.loads(line))
            if all(decision.get(name) == value for name, value in fields.items()):
                return decision
        raise AssertionError(f"the follower ended before {fields}: {self.end()}")

    def stop(self) -> tuple[int, str, str]:
        """As Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> tuple[int, str, str]:
        """Exit status, what is left of the output, and standard error."""
        status = self._process.wait(timeout=30)
        rest = ""
        while (line := self._lines.get(timeout=10)) is not None:
            rest += line
        assert self._process.stderr is not None
        return status, rest, self._process.stderr.read()


def network(web: Web, *rules: dict[str, Any]) -> dict[str, Any]:
    return {"rules": list(rules), "addresses": "127.0.0.0/8", "upstream": {"ca_file": str(web.ca_file)}}


def curl(web: Web, path: str, *options: str, host: str = "") -> str:
    quiet = "--silent --show-error --noproxy '' --max-time 20 --output /dev/null --write-out '%{http_code}\\n'"
    return f"curl {quiet} {' '.join(options)} https://{host or web.host}{path}"


def follow(perimeter: Perimeter, web: Web, session: str, *arguments: str) -> Follower:
    """A follower that has seen a decision of the session: from here on it misses none."""
    mark = perimeter.workspace(session) / "followed"
    mark.unlink(missing_ok=True)
    follower = Follower(perimeter, "--follow", "--json", *arguments)
    loop = f"until [ -e followed ]; do {curl(web, '/echo')}; sleep 0.1; done"
    asking = threading.Thread(target=lambda: perimeter.shell(session, loop), daemon=True)
    asking.start()
    follower.until(event="ended", session=session)
    mark.touch()
    asking.join(timeout=30)
    return follower


@BOTH_USERS
def test_decisions_are_seen_live(perimeter: Perimeter, web: Web) -> None:
    perimeter.policy(network=network(web, {"id": "echo", "hosts": web.host, "methods": ["GET", "POST"], "paths": "/echo"}))
    perimeter.start("--max-idle", "0")
    session, other = perimeter.session(), perimeter.session()
    assert perimeter.shell(other, curl(web, "/echo")).text.startswith("200")
    assert perimeter.shell(session, curl(web, "/echo")).text.startswith("200")
    everything, one = follow(perimeter, web, session), follow(perimeter, web, session, "--session", session)
    perimeter.shell(other, curl(web, "/echo"))
    asked = [curl(web, "/echo?secret=1", "--data", "x" * 5000), curl(web, "/other"), curl(web, "/echo", "--request", "DELETE")]
    perimeter.shell(session, "; ".join(asked))
    allowed = one.until(event="allowed", method="POST")
    assert (allowed["host"], allowed["port"], allowed["path"], allowed["rule"]) == ("localhost", web.port, "/echo", "echo")
    ended = one.until(event="ended", call=allowed["call"])
    assert ended["status"] == 200 and ended["sent"] > 5000 and ended["received"] > 5000 and ended["session"] == session
    refused = one.until(event="refused")
    assert (refused["method"], refused["path"], refused["rule"], refused["kind"]) == ("GET", "/other", "echo", "policy")
    assert "path /other is not allowed" in refused["reason"] and refused["time"].endswith("Z")
    assert one.until(event="refused")["method"] == "DELETE"
    # The audit says the same, under the same names.
    assert allowed["call"] in [r["body"]["id"] for r in perimeter.audit("egress_intent", session)]
    assert everything.until(session=session, event="allowed")
    # Ctrl-C ends one in order; the worker's own end ends the other.
    status, rest, error = one.stop()
    assert (status, error) == (0, "") and other not in rest
    assert perimeter.worker is not None
    perimeter.worker.stop(seconds=30)
    status, _, error = everything.end()
    assert (status, error.strip()) == (0, "The worker has ended.")


def test_only_the_workers_user_and_root_follow(perimeter: Perimeter, web: Web) -> None:
    perimeter.policy(network=network(web, {"id": "echo", "hosts": web.host}))
    perimeter.start()
    # The folder is closed to others; the socket would be too.
    perimeter.state.chmod(0o711)
    if perimeter.prefix or not Path("/usr/bin/setpriv").exists():
        pytest.skip("needs root, to become somebody else")
    done = subprocess.run(
        ["/usr/bin/setpriv", "--reuid", str(ORDINARY_USER), "--clear-groups", "--regid", str(ORDINARY_USER), "--", str(perimeter.postern.binary),
         "sandbox", "egress", "--follow", "--state-dir", str(perimeter.state)],
        capture_output=True, text=True, timeout=30, env=clean_environment(HOME="/tmp"), cwd="/")
    assert done.returncode == 69 and "ermission" in done.stderr, done.stderr


def run(perimeter: Perimeter, policy: Path, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*perimeter.prefix, str(perimeter.postern.binary), "sandbox", "run", "--policy", str(policy), *options, "--", "sh", "-c", script],
        capture_output=True, text=True, timeout=60, cwd=perimeter.folder, env=clean_environment(HOME=str(perimeter.work)))


def learn(perimeter: Perimeter, policy: Path, script: str, name: str) -> tuple[Path, str]:
    """Runs the script under a policy; the policy that this teaches, which `policy check` takes, and what the script said."""
    done = run(perimeter, policy, script, "--learn")
    assert done.returncode == 0, done.stderr
    learned = perimeter.folder / f"{name}.yaml"
    learned.write_text(done.stdout)
    learned.chmod(0o644)
    perimeter.command("sandbox", "policy", "check", str(learned), with_state=False)
    return learned, done.stderr


def addresses_of(policy: Path) -> str:
    return next(line for line in policy.read_text().splitlines() if line.strip().startswith("addresses:"))


@BOTH_USERS
def test_a_learned_policy_allows_what_was_asked_for_and_nothing_else(perimeter: Perimeter, web: Web) -> None:
    base = perimeter.policy("base", network={"upstream": {"ca_file": str(web.ca_file)}})
    host = web.host
    script = f"{curl(web, '/echo?q=1', host=host)}; {curl(web, '/echo/a', '--data', 'x', host=host)}"
    beside = f"{curl(web, '/echo/x', host=host)}; {curl(web, '/echo', '--data', 'x', host=host)}; {curl(web, '/echo/a', host=host)}"
    web.seen.clear()
    first, said = learn(perimeter, base, script, "first")
    # It stays denied, and each request was read.
    assert said.split()[:2] == ["403", "403"] and not web.seen
    assert "READ IT BEFORE USE" in first.read_text()
    # Where the name leads is known only once it may be looked up.
    second, said = learn(perimeter, first, script, "second")
    assert said.split()[:2] == ["403", "403"] and not web.seen
    assert ["127.0.0.1" in addresses_of(policy) for policy in (first, second)] == [False, True]
    done = run(perimeter, second, script)
    assert (done.returncode, done.stdout.split()) == (0, ["200", "200"]), done.stderr
    assert [(seen.method, seen.path) for seen in web.seen] == [("GET", "/echo?q=1"), ("POST", "/echo/a")]
    web.seen.clear()
    assert run(perimeter, second, beside).stdout.split() == ["403"] * 3 and not web.seen
    # Nothing more is to be learned.
    third, _ = learn(perimeter, second, script, "third")
    assert third.read_text().partition("version:")[2] == second.read_text().partition("version:")[2]
    assert "Nothing was refused" in third.read_text()
    # Of what is asked for by its address it is known at once.
    literal, said = learn(perimeter, base, curl(web, "/echo", host=web.other_host), "literal")
    assert said.split()[0] == "403" and "127.0.0.1" in addresses_of(literal)


def test_a_policy_is_learned_from_a_running_worker(perimeter: Perimeter, web: Web) -> None:
    rule = {"id": "echo", "hosts": web.host, "methods": "GET", "paths": "/echo"}
    perimeter.policy(network=network(web, rule))
    perimeter.start("--max-idle", "0")
    session = perimeter.session()
    perimeter.shell(session, curl(web, "/echo"))
    web.seen.clear()
    follower = Follower(perimeter, "--learn", "--for", "60s", "--session", session)
    # Until it follows, the CONNECT itself is refused.
    statuses = "--silent --noproxy '' --max-time 20 --output /dev/null --write-out '%{http_connect}-%{http_code}'"
    asked = f"curl {statuses} https://{web.other_host}/deep/path"

    def until(answer: str) -> str:
        """Asks until the statuses of CONNECT and request are these."""
        return f"for n in $(seq 100); do {asked} | grep -q '^{answer}' && echo seen && break; sleep 0.1; done"

    assert perimeter.shell(session, until("200-403")).text.startswith("seen")
    perimeter.shell(session, curl(web, "/echo", "--request", "PUT"))
    status, text, error = follower.stop()
    assert (status, error) == (0, "") and "/deep/path" in text and "PUT" in text and "add these rules to that one" in text
    # Denied as before, by whatever way.
    assert not [seen for seen in web.seen if seen.path != "/echo" or seen.method != "GET"]
    learned = perimeter.folder / "learned.yaml"
    learned.write_text(text)
    perimeter.command("sandbox", "policy", "check", str(learned), with_state=False)
    # Nobody learns any more: the CONNECT is refused again.
    assert perimeter.shell(session, until("403-")).text.startswith("seen")


def test_what_the_operator_keeps_inside_does_not_go_out(perimeter: Perimeter, web: Web) -> None:
    words = perimeter.secret_file("customers.txt", "Umbrella Corp")
    perimeter.policy(
        network=network(web, {"id": "echo", "hosts": web.host}), redaction={
            "doors": ["results", "egress"], "dictionaries": [{"name": "customers", "file": str(words), "action": "block"}],
            "patterns": [{"name": "project", "pattern": "PRJ-[0-9]{4}"}],
        })
    perimeter.start("--max-idle", "0")
    session = perimeter.session()
    web.seen.clear()
    # The words are made inside, so that the call does not hold them.
    name = "$(printf 'Umbre%s' 'lla Corp')"
    whole = curl(web, "/echo", "--data", f'"a {name}"')
    chunked = curl(web, "/echo", "--request POST --header 'Transfer-Encoding: chunked' --data-binary @-")
    blocked = perimeter.shell(session, f"{whole}; printf '%s' \"{name}\" | {chunked}")
    assert blocked.text.startswith("403\n403") and not web.seen and "customers" in blocked.text
    masked = perimeter.shell(session, curl(web, "/echo", "--data", "PRJ-1234"))
    assert masked.text.startswith("200") and web.seen[-1].body == "[redacted: project]"
    counts = [(r["body"]["action"], r["body"]["counts"]) for r in perimeter.audit("redaction", session) if r["body"]["door"] == "request"]
    assert counts == [("block", {"customers": 1}), ("block", {"customers": 1}), ("mask", {"project": 1})]
    assert "Umbrella" not in (perimeter.state / "audit.jsonl").read_text()
