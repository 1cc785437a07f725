#!/usr/bin/env python3
"""One Modal sandbox per session: postern worker poll --on-work /etc/postern/modal.py

Not run here: no account was at hand. The file is compiled, and its logic is run against a stand-in for the `modal` package.

It returns as soon as the sandbox has been made; the worker then waits for the first heartbeat from it, and gives the session back to the
queue if none comes. Needs `pip install modal` and a token in ~/.modal.toml.

Settings: LAUNCH_IMAGE (an image with `postern`), LAUNCH_MODAL_APP (default postern), LAUNCH_TIMEOUT (seconds of a sandbox, default 3600),
LAUNCH_DOMAINS (names that the sandbox may reach, separated by commas, the control plane's first; needed, since Modal's default is an
open network).
"""

import json
import os
import re
import sys


# What the control plane's values may hold. A sandbox's name is no longer than 64.
IDENTIFIER = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}"
PATTERNS = {
    "ANTHROPIC_WORK_ID": IDENTIFIER,
    "ANTHROPIC_ENVIRONMENT_ID": IDENTIFIER,
    "ANTHROPIC_SESSION_ID": r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}",
    "ANTHROPIC_WORK_SECRET": r"[A-Za-z0-9._~+/=-]+",
    "ANTHROPIC_BASE_URL": r"https?://[A-Za-z0-9._~:/%\[\]-]+",
    # What the environment asks for; a worker without it would allow more.
    "ANTHROPIC_WORK_POLICY": r"[ -~]*",
    # The operator's own name for the environment, by which policies are chosen.
    "POSTERN_ENVIRONMENT_NAME": r"[ -~]*",
}


def main() -> int:
    import modal

    item = json.load(sys.stdin)
    variables = {name: os.environ.get(name, "") for name in PATTERNS}
    for name, pattern in PATTERNS.items():
        if not re.fullmatch(pattern, variables[name]):
            print(f"{name} is missing, or holds characters that none has", file=sys.stderr)
            return 1
    session = variables["ANTHROPIC_SESSION_ID"]
    if item.get("data", {}).get("id") != session:
        print("the item is another session's", file=sys.stderr)
        return 1
    domains = [name for name in os.environ.get("LAUNCH_DOMAINS", "").split(",") if name]
    if not domains:
        print("LAUNCH_DOMAINS is not set: name the control plane's host, and what else the sandbox may reach", file=sys.stderr)
        return 1
    secret = modal.Secret.from_dict(variables)
    app = modal.App.lookup(os.environ.get("LAUNCH_MODAL_APP", "postern"), create_if_missing=True)

    # A sandbox of a claim whose lease was lost still has the name: it must be gone before the session runs again.
    try:
        modal.Sandbox.from_name(app.name, session).terminate()
    except modal.exception.NotFoundError:
        pass

    sandbox = modal.Sandbox.create(
        "postern", "worker", "run", "--sandbox", "none", "--workdir", "/workspace",
        app=app,
        name=session,
        image=modal.Image.from_registry(os.environ["LAUNCH_IMAGE"]),
        secrets=[secret],
        timeout=int(os.environ.get("LAUNCH_TIMEOUT", "3600")),
        volumes={"/workspace": modal.Volume.from_name(f"postern-{session}", create_if_missing=True)},
        outbound_domain_allowlist=domains,
    )
    print(f"sandbox {sandbox.object_id} has been made")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:  # Its text can hold what was sent, secrets included.
        print(f"the sandbox could not be made: {type(error).__name__}", file=sys.stderr)
        sys.exit(1)
