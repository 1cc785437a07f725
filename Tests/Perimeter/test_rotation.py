"""Secrets that change while a session lives: the next request carries the new value, the old one stays masked, and what is gone goes nowhere."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from haystack import Search
from perimeter import Perimeter
from web import Web

#: A file is looked at every five seconds.
PATIENCE = 30


class Scene:
    def __init__(self, perimeter: Perimeter, web: Web) -> None:
        self.perimeter, self.web = perimeter, web
        self.values = [f"tok_{secrets.token_hex(16)}"]
        self.file = perimeter.secret_file("token", self.values[0])
        perimeter.policy(
            network={
                "rules": [{"id": "api", "hosts": web.host, "methods": ["GET", "POST"]}], "addresses": "127.0.0.0/8",
                "upstream": {"ca_file": str(web.ca_file)}},
            secrets={"token": {"from": {"file": str(self.file)}, "hosts": web.host, "variable": "TOKEN"}})
        web.seen.clear()
        web.published.clear()
        perimeter.start("--max-idle", "0")
        self.session = perimeter.session()

    def write(self, value: str) -> None:
        """As a secret should be written: the file is there or it is the other one."""
        self.values.append(value)
        new = self.perimeter.secret_file("token.new", value)
        os.replace(new, self.file)

    def send(self, path: str = "/echo") -> tuple[str, str | None]:
        """What a request with the placeholder comes to, and the credential that the server saw; `None` when it saw no request."""
        before = len(self.web.seen)
        told = self.perimeter.shell(self.session, f'curl -sS -i --noproxy "" -H "Authorization: Bearer $TOKEN" {self.web.url}{path}').text
        seen = self.web.seen[before:]
        return told, seen[-1].headers.get("authorization") if seen else None

    def wait(self, kind: str, state: str, count: int = 1) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if sum(r["body"]["state"] == state for r in self.perimeter.audit(kind, self.session)) >= count:
                return
            time.sleep(0.5)
        raise AssertionError(f"no {kind} {state}: {self.perimeter.audit(kind, self.session)}")


@pytest.fixture(scope="module")
def scene(perimeters: Callable[..., Perimeter], web: Web) -> Scene:
    return Scene(perimeters(), web)


def test_the_next_request_carries_the_new_value(scene: Scene) -> None:
    told, seen = scene.send()
    assert seen == f"Bearer {scene.values[0]}" and scene.values[0] not in told
    placeholder = scene.perimeter.shell(scene.session, "echo $TOKEN").text.strip()
    # What the service keeps of the old value comes back later.
    scene.send("/publish")
    scene.write(f"tok_{secrets.token_hex(16)}")
    scene.wait("secret_change", "replaced")
    told, seen = scene.send()
    assert seen == f"Bearer {scene.values[1]}"
    # The sandbox has the same placeholder, in the same shell, and both values look like it.
    assert scene.perimeter.shell(scene.session, "echo $TOKEN").text.strip() == placeholder
    assert f"Bearer {placeholder}" in told and scene.values[1] not in told
    old, _ = scene.send("/public/0")
    assert f"Bearer {placeholder}" in old and scene.values[0] not in old


def test_results_hide_both_values(scene: Scene) -> None:
    # The gate knows them too, should one come from elsewhere.
    told = scene.perimeter.shell(scene.session, f"echo {scene.values[0]}; echo {scene.values[1]}").text
    assert scene.values[0] not in told and scene.values[1] not in told


def test_what_is_gone_goes_nowhere_and_may_come_back(scene: Scene) -> None:
    hidden = scene.file.rename(scene.file.with_name("away"))
    scene.wait("secret_change", "withdrawn")
    told, seen = scene.send()
    assert seen is None and " 403 " in told and "may not use that secret any more" in told
    assert "is not available any more" in told
    hidden.rename(scene.file)
    scene.wait("secret_change", "replaced", count=2)
    _, seen = scene.send()
    assert seen == f"Bearer {scene.values[-1]}"


def test_a_value_of_another_shape_has_another_placeholder(scene: Scene) -> None:
    before = scene.perimeter.shell(scene.session, "echo $TOKEN").text.strip()
    scene.write(f"{secrets.token_hex(8)}.{secrets.token_hex(24)}-{secrets.token_hex(4)}")
    scene.wait("secret_change", "replaced", count=3)
    after = scene.perimeter.shell(scene.session, "echo $TOKEN").text
    assert "[new sandbox:" in after and before not in after
    told, seen = scene.send()
    assert seen == f"Bearer {scene.values[-1]}" and scene.values[-1] not in told
    # What stood for the old value stands for nothing.
    count = len(scene.web.seen)
    refused = scene.perimeter.shell(scene.session, f"curl -sS -i --noproxy '' -H 'Authorization: Bearer {before}' {scene.web.url}/echo").text
    assert " 403 " in refused and len(scene.web.seen) == count


def test_audit_and_logs_say_so_and_hold_no_value(scene: Scene) -> None:
    perimeter = scene.perimeter
    changes = perimeter.audit("secret_change", scene.session)
    assert [c["body"]["state"] for c in changes] == ["replaced", "withdrawn", "replaced", "replaced"]
    assert {c["body"]["name"] for c in changes} == {"token"}
    lost = next(c for c in changes if c["body"]["state"] == "withdrawn")
    assert "there is no such file" in lost["body"]["reason"]
    assert perimeter.worker is not None
    perimeter.worker.wait_for("a secret has a new value.*secret=token")
    perimeter.worker.wait_for("a secret has no value any more.*secret=token")
    for value in scene.values:
        search = Search(value)
        search.tree(perimeter.state)
        search.tree(perimeter.workspace(scene.session))
        for log in perimeter.postern.folder.glob("*.log"):
            search.data(log.name, log.read_bytes())
        assert not search.found, search.found


def test_keys_are_recorded_by_fingerprint(scene: Scene) -> None:
    uses = [r["body"] for r in scene.perimeter.audit("key_use")]
    names = {use["name"].rpartition(" ")[0] for use in uses}
    assert names >= {"environment key", "sessions token", "session authority"}
    assert all(len(use["name"].rpartition(" ")[2]) == 16 for use in uses)
    log = b"".join(Path(p).read_bytes() for p in scene.perimeter.state.glob("audit*.jsonl"))
    assert scene.perimeter.place.key.encode() not in log
