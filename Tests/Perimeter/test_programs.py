"""Programs as they are, through the proxy: what the variables in the sandbox say is enough for them; and those that know nothing of a proxy."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import modes, runs_as_user
from perimeter import Perimeter
from web import Web
from world import ALLOWED, DENIED, World

TOKEN = "programs-own-token-0123456789abcdef"
PYTHON = "/usr/bin/python3 -c 'import os, NAME; url, value = os.environ[\"URL\"], \"Bearer \" + os.environ[\"TOKEN\"]; CODE'"


def python(name: str, code: str) -> str:
    return PYTHON.replace("NAME", name).replace("CODE", code)


# Java answers no proxy's question for a password by default. Whom it trusts is set for it, where the system has one store for all its runtimes.
JAVA = "java -Xint -XX:-UsePerfData -Djdk.http.auth.tunneling.disabledSchemes= -cp . Get"

PROGRAMS = {
    "curl": "curl --silent --show-error --header \"Authorization: Bearer $TOKEN\" $URL",
    "curl over SOCKS5": "curl --silent --show-error --proxy socks5h://${https_proxy#http://} --header \"Authorization: Bearer $TOKEN\" $URL",
    "urllib": python(
        "urllib.request", 'print(urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": value})).read().decode())'),
    "requests": python("requests", 'print(requests.get(url, headers={"Authorization": value}, timeout=20).text)'),
    "httpx": python("httpx", 'print(httpx.get(url, headers={"Authorization": value}, timeout=20).text)'),
    "Go": "./get",
    "Java": JAVA,
    "git": "git -c http.extraHeader=\"Authorization: Bearer $TOKEN\" ls-remote $URL/repository.git; true",
    "openssl": "printf 'GET /echo HTTP/1.1\\r\\nHost: '${URL#https://}'\\r\\n\\r\\n' | openssl s_client -quiet -connect ${URL#https://} 2>&1; true",
}


#: What a row needs beside what every suite does: what runs it, or the compiler that builds its program outside.
NEEDS = {"Go": "go", "Java": "javac", "Node": "node"}
SOURCES = Path(__file__).with_name("programs")


def skip_without(program: str) -> None:
    if (needed := NEEDS.get(program)) and not shutil.which(needed):
        pytest.skip(f"{needed} is not installed")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of those rows whose compiler is there, built once."""
    folder = tmp_path_factory.mktemp("programs")
    folder.chmod(0o755)
    if shutil.which("go"):
        subprocess.run(
            ["go", "build", "-o", str(folder / "get"), str(SOURCES / "get.go")], check=True, capture_output=True,
            env={"PATH": "/usr/bin:/bin:/usr/local/go/bin", "HOME": str(folder), "GOCACHE": str(folder / "cache"), "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"})
        shutil.rmtree(folder / "cache")
    if shutil.which("javac"):
        subprocess.run(["javac", "-d", str(folder), str(SOURCES / "Get.java")], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def perimeter(perimeters: Callable[..., Perimeter], web: Web, built: Path) -> Perimeter:
    made = perimeters()
    programs = made.make("programs")
    shutil.copytree(built, programs, dirs_exist_ok=True)
    made.policy(
        network={
            "rules": [{"id": "service", "hosts": web.host, "credential": "service"}], "addresses": "127.0.0.0/8",
            "upstream": {"ca_file": str(web.ca_file)},
        },
        secrets={"service": {"from": {"variable": "SERVICE_TOKEN"}, "hosts": web.host, "variable": "TOKEN"}},
        # The service stands on this machine, whose names are not for proxies unless that is said.
        variables={"URL": web.url})
    made.start("--workspace-source", str(programs), SERVICE_TOKEN=TOKEN)
    return made


@pytest.mark.parametrize("program", ["curl", "curl over SOCKS5", "urllib", "requests", "httpx", "Go", "Java", "git"])
def test_a_program_reaches_the_service_with_the_value(perimeter: Perimeter, web: Web, program: str) -> None:
    skip_without(program)
    before = len(web.seen)
    told = perimeter.shell(perimeter.session(), f"export no_proxy= NO_PROXY=; {PROGRAMS[program]}")
    seen = web.seen[before:]
    assert seen and seen[0].headers["authorization"] == f"Bearer {TOKEN}", told.text
    assert TOKEN not in told.text
    if program != "git":
        assert json.loads(told.text.splitlines()[0])[0] == "GET"


def test_java_trusts_what_the_system_trusts_as_well(perimeter: Perimeter) -> None:
    skip_without("Java")
    count = "grep -c 'BEGIN CERTIFICATE' $SSL_CERT_FILE"
    listed = perimeter.shell(perimeter.session(), f"keytool -list -cacerts -storepass changeit 2>/dev/null | grep -c trustedCertEntry; {count}").text
    stores, bundle = (int(line) for line in listed.split())
    assert stores == bundle > 1, listed


def test_a_program_that_dials_by_itself_reaches_nothing(perimeter: Perimeter, web: Web) -> None:
    before = len(web.seen)
    told = perimeter.shell(perimeter.session(), PROGRAMS["openssl"])
    assert len(web.seen) == before and "refused" in told.text.lower(), told.text


#: Each of them dials the host of $URL by itself: what the resolver of the sandbox answers, on port 443 or 80. Without variables that name a proxy
#: Java asks none either. They print the answer, refused or not.
BARE = {
    "curl": "curl --silent --show-error --noproxy '*' --header \"Authorization: Bearer $TOKEN\" $URL",
    "Node": "node --input-type=module --eval 'const { URL: url, TOKEN: token } = process.env; "
            "const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } }); console.log(await answer.text())'",
    "urllib": python(
        "urllib.request",
        'whole = type("", (urllib.request.HTTPErrorProcessor,), dict.fromkeys(["http_response", "https_response"], lambda s, q, a: a)); '
        'print(urllib.request.build_opener(whole).open(urllib.request.Request(url, headers={"Authorization": value})).read().decode())'),
    "Java": JAVA,
}
WITHOUT_PROXY = "unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY"


@pytest.fixture(scope="module", params=modes())
def bare(request: pytest.FixtureRequest, perimeters: Callable[..., Perimeter], world: World, built: Path) -> Perimeter:
    made = perimeters(as_user=runs_as_user(request.param), world=world)
    programs = made.make("programs")
    shutil.copytree(built, programs, dirs_exist_ok=True)
    made.policy(
        network={
            "rules": [{"id": "service", "hosts": ALLOWED, "methods": "GET", "paths": "/open"}], "addresses": world.granted,
            "upstream": {"ca_file": str(world.ca_file)},
        },
        secrets={"service": {"from": {"variable": "SERVICE_TOKEN"}, "hosts": ALLOWED, "variable": "TOKEN"}})
    made.start("--workspace-source", str(programs), SERVICE_TOKEN=TOKEN)
    return made


@pytest.mark.parametrize("program", BARE)
def test_a_program_without_a_proxy_reaches_what_is_allowed_and_nothing_else(bare: Perimeter, world: World, program: str) -> None:
    skip_without(program)
    world.forget()
    urls = [f"https://{ALLOWED}/open", f"https://{ALLOWED}/closed", f"https://{DENIED}/open", f"http://{DENIED}/open"]
    told = bare.run(bare.session(), "\n\n".join(f"$ {WITHOUT_PROXY}; export URL={url}; {BARE[program]}" for url in urls))
    allowed, closed, *denied = [result.text for result in told]
    assert allowed.startswith("allowed GET /open"), allowed
    # The value went out; what came back has the placeholder in its place.
    [head] = world.secure.heads
    assert f"Bearer {TOKEN}" in head and "Bearer " in allowed and TOKEN not in allowed
    assert "path /closed is not allowed" in closed, closed
    for text in denied:
        assert text.startswith(f"Postern refused this request to {DENIED}"), text
    assert not world.reached() and set(world.names.asked) == {ALLOWED}
