"""Secrets end to end: a real HTTPS server, an adversarial shell, and a search of everything that the sandbox, the model or a log could hold."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conftest import modes, runs_as_user
from control import Control
from haystack import Search, descendants, sandboxed
from perimeter import Perimeter
from postern_fixture import Postern
from web import FORMS, Web

ATTACK = Path(__file__).parent / "inside" / "attack.py"
GRANTED = {"granted-bearer", "granted-basic", "granted-json", "publish", "published"}


@dataclass
class Run:
    """The attack has been made; the session still lives."""
    perimeter: Perimeter
    session: str
    token: str
    pin: str
    tries: dict[str, dict[str, Any]] = field(default_factory=dict)
    output: str = ""

    @property
    def answers(self) -> Path:
        return self.perimeter.workspace(self.session) / "answers"

    def answer(self, name: str) -> str:
        return (self.answers / f"{name}.body").read_text(encoding="utf-8", errors="replace")

    def refusal(self, name: str) -> str:
        """What the program inside was told."""
        return "".join((self.answers / f"{name}.{part}").read_text(errors="replace") for part in ("head", "error") if
                       (self.answers / f"{name}.{part}").exists())

    @property
    def placeholder(self) -> str:
        lines = (self.perimeter.workspace(self.session) / "environment.txt").read_text().splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith("GITHUB_TOKEN="))


@pytest.fixture(scope="module", params=modes())
def run(request: pytest.FixtureRequest, perimeters: Callable[..., Perimeter], web: Web) -> Run:
    perimeter = perimeters(as_user=runs_as_user(request.param))
    token, pin = f"tok_{secrets.token_hex(16)}", f"Pin-{secrets.token_urlsafe(15)}+/=1"
    perimeter.policy(
        network={
            "rules": [
                {"id": "bearer", "hosts": web.host, "paths": ["/echo/**", "/echo", "/as/*", "/publish"], "credential": "github"},
                {"id": "basic", "hosts": web.host, "paths": "/basic/**", "credential": "pin"},
                {"id": "public", "hosts": web.host, "methods": "GET", "paths": "/public/**"},
                {"id": "other", "hosts": web.other_host},
            ],
            "addresses": "127.0.0.0/8", "upstream": {"ca_file": str(web.ca_file)},
        },
        secrets={
            "github": {"from": {"variable": "REAL_TOKEN"}, "hosts": web.host, "variable": "GITHUB_TOKEN"},
            "pin": {
                "from": {"file": str(perimeter.secret_file("pin", pin))}, "hosts": web.host, "schemes": "basic", "variable": "SERVICE_PIN",
                "body": {"method": "POST", "path": "/basic/login", "pointer": "/login/pin"}},
        })
    web.published.clear()
    web.seen.clear()
    web.cut.clear()
    perimeter.start("--max-idle", "0", "--offload-threshold", "1000", REAL_TOKEN=token)
    session = perimeter.session()
    made = Run(perimeter, session, token, pin)
    results = perimeter.run(session, "\n\n".join([
        "@write " + json.dumps({"file_path": "attack.py", "content": ATTACK.read_text()}),
        f"$ /usr/bin/python3 attack.py {web.url} https://{web.other_host} {' '.join(FORMS)} >log.txt 2>&1",
        # To the model too: short, and long enough to be put into a file.
        "$ cat log.txt answers/*.body answers/*.head; env; cat answers/granted-bearer.body", "$ cat answers/*; env; base64 answers/*",
        '@read {"file_path":"answers/granted-bearer.body"}', '@grep {"pattern":"earer","path":"answers"}', "$ nohup sleep 600 >/dev/null 2>&1 &",
    ]))
    made.output = "\n".join(result.text for result in results)
    lines = (perimeter.workspace(session) / "log.txt").read_text().splitlines()
    made.tries = {one["name"]: one for line in lines if line.startswith("{") for one in [json.loads(line)]}
    assert "memory" in made.tries, lines[-5:]
    return made


def test_the_value_arrives_where_it_should(run: Run, web: Web) -> None:
    assert {n: run.tries[n]["status"] for n in GRANTED} == dict.fromkeys(GRANTED, 200), {n: run.refusal(n) for n in GRANTED}
    echo = next(seen for seen in web.seen if seen.path == "/echo")
    assert echo.headers["authorization"] == f"Bearer {run.token}"
    basic = next(seen for seen in web.seen if seen.path == "/basic/echo")
    assert base64.b64decode(basic.headers["authorization"].removeprefix("Basic ")).decode() == f"robot:{run.pin}"
    login = next(seen for seen in web.seen if seen.path == "/basic/login")
    assert json.loads(login.body) == {"login": {"pin": run.pin}}


def test_answers_hold_the_placeholder_in_its_place(run: Run) -> None:
    assert run.placeholder != run.token and len(run.placeholder) == len(run.token)
    assert f"Bearer {run.placeholder}" in run.answer("granted-bearer")
    for form in FORMS.keys() - {"gzip", "in-the-head"}:
        # A character of base64 that a neighbour shares keeps the bits of the value that are in it (docs/egress.md).
        edge = 4 if form.startswith("base64") else 0
        got, wanted = run.answer(f"as-{form}").encode(), FORMS[form](run.placeholder)
        assert len(got) == len(wanted) and got[edge:len(got) - edge] == wanted[edge:len(wanted) - edge], form
    assert run.placeholder in (run.answers / "as-in-the-head.head").read_text()
    # A service that compresses although it was asked not to is not read, so its answer is not passed on.
    assert run.tries["as-gzip"]["status"] == 502
    assert f"Bearer {run.placeholder}" in run.answer("published")


REFUSED = [
    "url-path", "url-query", "url-escaped", "other-header", "other-scheme", "header-name", "twice", "cookie", "body", "body-escaped",
    "body-chunked", "body-long", "body-json-elsewhere", "own-credential", "no-credential", "other-host", "other-host-fronted", "unencrypted",
    "absent-host", "metadata-service",
]


@pytest.mark.parametrize("name", REFUSED)
def test_elsewhere_it_is_refused(run: Run, name: str) -> None:
    told = run.tries[name]
    assert told["status"] in (400, 403, 421) or (told["status"] == 0 and told["connect"] == 403), (told, run.refusal(name))
    assert "egress policy" in run.refusal(name) or told["status"] in (400, 421), run.refusal(name)


def test_the_server_saw_nothing_of_what_was_refused(run: Run, web: Web) -> None:
    allowed = {"/echo", "/basic/echo", "/basic/login", "/publish", "/public/0"} | {f"/as/{form}" for form in FORMS}
    assert set(web.paths()) == allowed
    assert len(web.seen) == len(allowed), web.paths()
    for seen in web.seen:
        # The value stands in its place and nowhere else, and the placeholder never leaves.
        assert run.placeholder not in seen.text
        carried = seen.text.replace(f'"Bearer {run.token}"', "")
        assert run.token not in carried
    # A body that is not looked at as a whole before it is sent is cut before the placeholder is complete.
    assert all(run.placeholder not in cut.text and cut.path == "/publish" for cut in web.cut)
    # What the policy grants without a credential carries none.
    assert all("authorization" not in seen.headers for seen in web.seen if seen.path.startswith("/public"))


def test_the_model_is_told_of_refusals(run: Run) -> None:
    results = run.perimeter.results(run.session)
    assert "was refused" in results[1].text and "the placeholder of secret" in results[1].text


def test_nothing_in_the_files_of_the_sandbox(run: Run) -> None:
    assert run.perimeter.worker is not None
    state = run.perimeter.state
    processes = sandboxed(run.perimeter.worker.pid)
    assert processes
    root = Path(f"/proc/{processes[-1]}/root")
    for value in (run.token, run.pin):
        search = Search(value)
        search.tree(run.perimeter.workspace(run.session))
        search.tree(state / "outputs")
        if os.geteuid() == 0:
            for folder in ("tmp", "home", "dev/shm", "etc", "run"):
                search.tree(root / folder)
        assert not search.found
        assert search.looked > 100
    # That the search finds what is there: the placeholder is in all these places.
    control = Search(run.placeholder)
    control.tree(run.perimeter.workspace(run.session))
    assert {"raw", "hex", "base64+1"} <= {found.rpartition(": ")[2] for found in control.found}
    assert any("memory.bin" in found for found in control.found) and run.tries["memory"]["status"] > 1 << 20
    if os.geteuid() == 0:
        homes = Search(run.placeholder)
        for folder in ("tmp", "home"):
            homes.tree(root / folder)
        assert sum("kept.txt: raw" in found for found in homes.found) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the memory of others")
def test_nothing_in_the_processes_of_the_sandbox(run: Run) -> None:
    assert run.perimeter.worker is not None
    processes = sandboxed(run.perimeter.worker.pid)
    assert len(processes) >= 2
    for value in (run.token, run.pin, run.perimeter.place.key):
        search = Search(value)
        for pid in processes:
            search.process(pid)
        assert not search.found
        assert search.bytes > 1 << 20
    # The same search finds the placeholder there, and the value in the process that must have it.
    control, proxy = Search(run.placeholder), Search(run.token)
    for pid in processes:
        control.process(pid)
    for pid in set(descendants(run.perimeter.worker.pid)) - set(processes):
        proxy.process(pid)
    assert any("environ" in found for found in control.found)
    assert any("memory" in found for found in proxy.found)
    # Nobody but the worker, which was given it, has it in its environment or arguments.
    assert not [found for found in proxy.found if "environ" in found or "cmdline" in found]


def test_nothing_in_results_events_and_logs(run: Run, postern: Postern, control: Control) -> None:
    events = json.dumps(control.events(run.session)).encode()
    model = json.dumps(control.call("GET", f"/v1/sessions/{run.session}")).encode()
    for value in (run.token, run.pin):
        search = Search(value)
        search.data("tool results", run.output.encode())
        search.data("events", events)
        search.data("session", model)
        for log in postern.folder.glob("*.log"):
            search.data(log.name, log.read_bytes())
        search.tree(postern.folder / "data")
        search.tree(run.perimeter.state)
        search.tree(run.perimeter.policies)
        assert not search.found
    told = Search(run.placeholder)
    told.data("tool results", run.output.encode())
    told.data("events", events)
    assert len(told.found) >= 4


def test_the_audit_names_secrets_and_never_holds_one(run: Run) -> None:
    uses = run.perimeter.audit("secret_use", run.session)
    assert {use["body"]["name"] for use in uses} == {"github", "pin"}
    assert len(uses) >= 4 + len(FORMS)
    refused = run.perimeter.audit("egress_refused", run.session)
    # Equal denials are counted and not written again.
    decisions = {r["body"]["decision"] for r in refused}
    places = [d.rpartition("stands in ")[2] for d in decisions if 'placeholder of secret "github" stands in' in d]
    assert {"the URL", "the body"} <= set(places) and len(places) >= 4, decisions
    assert any('placeholder of secret "pin"' in decision for decision in decisions)
    assert {d.partition(":")[0] for d in decisions} >= {"policy", "secret"}, decisions
    log = b"".join(path.read_bytes() for path in run.perimeter.state.glob("audit*.jsonl"))
    search = Search(run.token)
    search.data("audit", log)
    hidden = Search(run.placeholder)
    hidden.data("audit", log)
    assert not search.found and not hidden.found
