#!/usr/bin/env python3
"""One Modal sandbox per session: postern worker poll --on-work /etc/postern/modal.py

Not run here: no account was at hand. The file is compiled, and its logic is run against a stand-in for the `modal` package.

It returns as soon as the sandbox has been made; the worker then waits for the first heartbeat from it, and gives the session back to the
queue if none comes. Needs `pip install modal` and a token in ~/.modal.toml.

Settings: LAUNCH_IMAGE (an image with `postern`), LAUNCH_MODAL_APP (default postern), LAUNCH_TIMEOUT (seconds of a sandbox, default 3600),
LAUNCH_DOMAINS (names that the sandbox may reach, separated by commas; without it Modal's default, an open network, holds).
"""

import json
import os
import re
import sys


def main() -> int:
    import modal

    item = json.load(sys.stdin)
    session = os.environ["ANTHROPIC_SESSION_ID"]
    if item.get("data", {}).get("id") != session or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", session):
        print("not a session id", file=sys.stderr)
        return 1
    names = ("WORK_ID", "ENVIRONMENT_ID", "SESSION_ID", "WORK_SECRET", "BASE_URL")
    secret = modal.Secret.from_dict({f"ANTHROPIC_{name}": os.environ[f"ANTHROPIC_{name}"] for name in names})
    app = modal.App.lookup(os.environ.get("LAUNCH_MODAL_APP", "postern"), create_if_missing=True)

    # A sandbox of a claim whose lease was lost still has the name: it must be gone before the session runs again.
    try:
        modal.Sandbox.from_name(app.name, session).terminate()
    except modal.exception.NotFoundError:
        pass

    options = {}
    if domains := [name for name in os.environ.get("LAUNCH_DOMAINS", "").split(",") if name]:
        options["outbound_domain_allowlist"] = domains
    sandbox = modal.Sandbox.create(
        "postern", "worker", "run", "--sandbox", "none", "--workdir", "/workspace",
        app=app,
        name=session,
        image=modal.Image.from_registry(os.environ["LAUNCH_IMAGE"]),
        secrets=[secret],
        timeout=int(os.environ.get("LAUNCH_TIMEOUT", "3600")),
        volumes={"/workspace": modal.Volume.from_name(f"postern-{session}", create_if_missing=True)},
        **options,
    )
    print(f"sandbox {sandbox.object_id} has been made")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:  # Its text can hold what was sent, secrets included.
        print(f"the sandbox could not be made: {type(error).__name__}", file=sys.stderr)
        sys.exit(1)
