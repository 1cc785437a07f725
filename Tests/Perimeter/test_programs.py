"""Programs as they are, through the proxy: what the variables in the sandbox say is enough for them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from perimeter import Perimeter
from web import Web

TOKEN = "programs-own-token-0123456789abcdef"
PYTHON = "/usr/bin/python3 -c 'import os, NAME; url, value = os.environ[\"URL\"], \"Bearer \" + os.environ[\"TOKEN\"]; CODE'"


def python(name: str, code: str) -> str:
    return PYTHON.replace("NAME", name).replace("CODE", code)


PROGRAMS = {
    "curl": "curl --silent --show-error --header \"Authorization: Bearer $TOKEN\" $URL",
    "curl over SOCKS5": "curl --silent --show-error --proxy socks5h://${https_proxy#http://} --header \"Authorization: Bearer $TOKEN\" $URL",
    "urllib": python(
        "urllib.request", 'print(urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": value})).read().decode())'),
    "requests": python("requests", 'print(requests.get(url, headers={"Authorization": value}, timeout=20).text)'),
    "httpx": python("httpx", 'print(httpx.get(url, headers={"Authorization": value}, timeout=20).text)'),
    "Go": "./get",
    # Java keeps roots of its own and answers no proxy's question by default, so both are set.
    "Java": "keytool -importcert -noprompt -alias egress -file $SSL_CERT_FILE -keystore roots.p12 -storepass changeit 2>/dev/null; "
            "java -Xint -XX:-UsePerfData -Djdk.http.auth.tunneling.disabledSchemes= -Djavax.net.ssl.trustStore=roots.p12 "
            "-Djavax.net.ssl.trustStorePassword=changeit -cp . Get",
    "git": "git -c http.extraHeader=\"Authorization: Bearer $TOKEN\" ls-remote $URL/repository.git; true",
    "openssl": "printf 'GET /echo HTTP/1.1\\r\\nHost: '${URL#https://}'\\r\\n\\r\\n' | openssl s_client -quiet -connect ${URL#https://} 2>&1; true",
}


#: What a row needs beside what every suite does: the compiler that builds its program outside.
COMPILERS = {"Go": "go", "Java": "javac"}
SOURCES = Path(__file__).with_name("programs")


def build(folder: Path) -> None:
    """Builds the programs for those rows whose compiler is there."""
    if shutil.which("go"):
        subprocess.run(
            ["go", "build", "-o", str(folder / "get"), str(SOURCES / "get.go")], check=True, capture_output=True,
            env={"PATH": "/usr/bin:/bin:/usr/local/go/bin", "HOME": str(folder), "GOCACHE": str(folder / "cache"), "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"})
        shutil.rmtree(folder / "cache")
    if shutil.which("javac"):
        subprocess.run(["javac", "-d", str(folder), str(SOURCES / "Get.java")], check=True, capture_output=True)


@pytest.fixture(scope="module")
def perimeter(perimeters: Callable[..., Perimeter], web: Web) -> Perimeter:
    made = perimeters()
    programs = made.make("programs")
    build(programs)
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
    if (compiler := COMPILERS.get(program)) and not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    before = len(web.seen)
    told = perimeter.shell(perimeter.session(), f"export no_proxy= NO_PROXY=; {PROGRAMS[program]}")
    seen = web.seen[before:]
    assert seen and seen[0].headers["authorization"] == f"Bearer {TOKEN}", told.text
    assert TOKEN not in told.text
    if program != "git":
        assert json.loads(told.text.splitlines()[0])[0] == "GET"


def test_a_program_that_dials_by_itself_reaches_nothing(perimeter: Perimeter, web: Web) -> None:
    before = len(web.seen)
    told = perimeter.shell(perimeter.session(), PROGRAMS["openssl"])
    assert len(web.seen) == before and "refused" in told.text.lower(), told.text
