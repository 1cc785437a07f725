"""git as it is, by its smart protocol through the proxy, with a password that the sandbox does not have."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import BOTH_USERS, open_folder
from control import unique
from git_service import USER, GitService
from perimeter import Perimeter

pytestmark = BOTH_USERS

PASSWORD = "gits-own-password-0123456789abcdef"
GIT = "git -c user.name=agent -c user.email=agent@sandbox.test"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitService]:
    service = GitService(open_folder(tmp_path_factory, "git"), PASSWORD)
    yield service
    service.close()


@pytest.fixture
def repository(service: GitService) -> Path:
    service.asked.clear()
    return service.repository(f"{unique('work')}.git")


def start(perimeter: Perimeter, service: GitService, *rules: dict[str, Any]) -> str:
    """A session whose policy gives the password to git, under rules for the service."""
    perimeter.policy(
        network={
            "rules": [{"hosts": service.host} | rule for rule in rules], "addresses": "127.0.0.0/8", "upstream": {"ca_file": str(service.ca_file)},
        }, secrets={"git": {"from": {"variable": "REAL_PASSWORD"}, "hosts": service.host, "schemes": "basic", "variable": "GIT_PASSWORD"}})
    perimeter.start("--max-idle", "0", REAL_PASSWORD=PASSWORD)
    return perimeter.session()


def clone(service: GitService, repository: Path) -> str:
    # The service stands on this machine, whose names are not for proxies unless that is said.
    return f"export no_proxy= NO_PROXY=; git clone --quiet https://{USER}:$GIT_PASSWORD@{service.host}/{repository.name} clone"


def carried(service: GitService) -> set[str]:
    """The passwords that the service was sent."""
    return {base64.b64decode(asked.authorization.removeprefix("Basic ")).decode().partition(":")[2] for asked in service.asked if asked.authorization}


def test_clone_and_push(perimeter: Perimeter, service: GitService, repository: Path) -> None:
    session = start(perimeter, service, {"methods": ["GET", "POST"], "paths": f"/{repository.name}/**"})
    told = perimeter.shell(session, f"{clone(service, repository)} && cat clone/file")
    assert told.text == "hello"
    # Larger than what git sends in one piece, and a fetch whose body git compresses.
    push = f"head -c 3M /dev/urandom >large; git add large; {GIT} commit --quiet -m two; git push --quiet origin HEAD:main HEAD:other"
    told = perimeter.shell(session, f"cd clone; {push} && git rev-parse HEAD && git fetch --quiet && git rev-parse origin/other")
    pushed, fetched = told.text.splitlines()
    assert pushed == fetched == service.git("-C", str(repository), "rev-parse", "main")
    assert service.git("-C", str(repository), "cat-file", "-s", "main:large") == str(3 << 20)
    assert any(asked.path.endswith("/git-receive-pack") and asked.coding == "chunked" for asked in service.asked)
    # Only the value arrived, and only outside.
    assert carried(service) == {PASSWORD}
    configuration = (perimeter.workspace(session) / "clone" / ".git" / "config").read_text()
    assert f"{USER}:" in configuration and PASSWORD not in configuration


def test_a_rule_for_reading_lets_nobody_push(perimeter: Perimeter, service: GitService, repository: Path) -> None:
    name = repository.name
    session = start(
        perimeter, service, {"methods": "GET", "paths": f"/{name}/info/refs"}, {"methods": "POST", "paths": f"/{name}/git-upload-pack"})
    told = perimeter.shell(session, f"{clone(service, repository)} && cat clone/file")
    assert told.text == "hello"
    before = service.git("-C", str(repository), "rev-parse", "main")
    told = perimeter.shell(session, f"cd clone; {GIT} commit --quiet --allow-empty -m two; git push origin HEAD:main")
    assert told.failed and "403" in told.text, told.text
    assert service.git("-C", str(repository), "rev-parse", "main") == before
    assert not [asked for asked in service.asked if asked.path.endswith("/git-receive-pack") and asked.method == "POST"]
    # Nor another repository.
    other = service.repository(f"{unique('other')}.git")
    told = perimeter.shell(session, f"cd ..; {clone(service, other)}2")
    assert told.failed and "403" in told.text, told.text
    assert not [asked for asked in service.asked if other.name in asked.path]


def test_a_rule_that_is_pinned_to_the_password(perimeter: Perimeter, service: GitService, repository: Path) -> None:
    session = start(perimeter, service, {"paths": f"/{repository.name}/**", "credential": "git"})
    told = perimeter.shell(session, f"{clone(service, repository)} && cat clone/file")
    assert told.text == "hello"
    assert carried(service) == {PASSWORD} and all(asked.authorization for asked in service.asked)
    # Somebody else's password goes nowhere.
    service.asked.clear()
    told = perimeter.shell(session, f"git ls-remote https://{USER}:somebody-elses@{service.host}/{repository.name}")
    assert told.failed and not service.asked, told.text
