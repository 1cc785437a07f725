"""The egress proxy against no proxy and against Debian's: added latency and throughput, plain and with TLS inspection."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control import Watch
from peer_proxies import PeerProxy, squid, tinyproxy
from rows import Row
from scene import HERE, Scene
from web_server import UPLOAD, WebServer

Found = dict[str, list[float]]


@dataclass
class Kind:
    """What is compared."""
    name: str
    scheme: str
    peers: list[PeerProxy]
    token: str = ""


class Inside:
    """A session under a policy that allows the server; programs run in its sandbox."""

    def __init__(self, scene: Scene, web: WebServer, folder: Path) -> None:
        self.scene = scene
        # Every user can read it: the sandbox has one of its own.
        tools = folder / "tools"
        tools.mkdir()
        tools.chmod(0o755)
        self.script = Path(shutil.copy(HERE / "inside" / "http_client.py", tools))
        self.script.chmod(0o644)
        policy = write_policy(folder, web, read=[str(tools)])
        place = scene.control.place()
        scene.own_worker(place, "--policy", str(policy), "--max-sessions", "4")
        self.session = scene.control.session(place)

    def run(self, plan: dict[str, Any]) -> Found:
        Watch.patience = 240
        command = f"python3 {self.script} {shlex.quote(json.dumps(plan))}"
        events = self.scene.control.turn(self.session, f"$ {command}")
        result = next(e for e in events if e["type"] in ("user.tool_result", "agent.tool_result"))
        text = "".join(block.get("text", "") for block in result["content"])
        if result.get("is_error") or not text.startswith("{"):
            raise RuntimeError(f"inside: {text[-400:]}")
        return dict(json.loads(text))


def write_policy(folder: Path, web: WebServer, *, read: list[str], egress: str = "per_session") -> Path:
    """A policy that allows the server and has a secret for it."""
    secret = folder / "token"
    secret.write_text("bench-token-0123456789abcdefghijklmnop\n", encoding="utf-8")
    secret.chmod(0o600)
    path = folder / "policy.yaml"
    path.write_text(json.dumps({
        "version": 1, "name": "bench", "files": {"read": read},
        "network": {
            "egress": egress, "rules": [{"id": "web", "hosts": list(web.hosts.values()), "methods": ["GET", "POST"]}],
            "addresses": ["127.0.0.0/8", "::1/128"], "upstream": {"ca_file": str(web.ca)}},
        "secrets": {"bench": {"from": {"file": str(secret)}, "hosts": [web.hosts["https"]], "variable": "BENCH_TOKEN"}},
        "limits": {"call_time": "10m"}, "budgets": {"egress": dict.fromkeys(("call", "host", "session", "day"), "none")},
    }, indent=1), encoding="utf-8")
    return path


def outside(plan: dict[str, Any], proxy: str) -> Found:
    """The same script here, directly or through a proxy."""
    environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()} | {"http_proxy": proxy}
    done = subprocess.run(
        ["/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable, str(HERE / "inside" / "http_client.py"), json.dumps(plan)],
        env=environment, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"outside through {proxy or 'nothing'}: {done.stderr.strip().splitlines()[-1]}")
    return dict(json.loads(done.stdout))


def measure(scene: Scene) -> list[Row]:
    with contextlib.ExitStack() as stack:
        folder = scene.postern.folder
        # Users other than root are on their way to their own files in it.
        folder.chmod(0o711)
        web = WebServer(folder / "web")
        stack.callback(web.stop)
        proxies = [tinyproxy(folder), squid(folder, web.ca, inspects=False), squid(folder, web.ca, inspects=True)]
        for proxy in proxies:
            if proxy.process:
                stack.callback(proxy.process.stop)
        inside = Inside(scene, web, folder)
        small, plain_squid, inspecting = proxies
        kinds = [
            Kind("plain HTTP", "http", [small, plain_squid]),
            Kind("TLS, inspected", "https", [inspecting, small, plain_squid]),
            Kind("TLS, inspected, a secret put in and masked", "https", [], token="BENCH_TOKEN"),
        ]
        rows: list[Row] = []
        for kind in kinds:
            rows += compare(scene, web, inside, kind)
        return rows


def compare(scene: Scene, web: WebServer, inside: Inside, kind: Kind) -> list[Row]:
    plan = {
        "url": web.url(kind.scheme), "ca": str(web.ca), "proxy": False, "token": "", "requests": scene.count(200, 40),
        "connections": scene.count(30, 5), "downloads": scene.count(3, 1), "uploads": scene.count(3, 1), "upload_bytes": UPLOAD}
    own: Found = {}
    others: dict[str, Found] = {"direct": {}}
    missing: dict[str, str] = {}
    # Rounds of all of them, so that what else the machine does meets all alike.
    for _ in range(scene.count(3, 1)):
        # In a sandbox the variables name the authority.
        gather(own, inside.run(plan | {"proxy": True, "ca": "", "token": kind.token}))
        gather(others["direct"], outside(plan, ""))
        for peer in kind.peers:
            name = peer.name if peer.ca or kind.scheme == "http" else f"{peer.name}, TLS unread"
            if peer.missing:
                missing[name] = peer.missing
            elif name not in missing:
                try:
                    gather(others.setdefault(name, {}), outside(plan | {"proxy": True, "ca": str(peer.ca or web.ca)}, peer.url))
                except RuntimeError as error:
                    missing[name] = f"not available: {error}"[:140]
    rows: list[Row] = []
    for key, title, unit, note in (
            ("kept", "request on an open connection", "ms", ""), ("fresh", "new connection and one request", "ms", ""),
            ("down", "download of 256 MiB", "MB/s", "ratio: share of that rate"), ("up", "upload of 64 MiB", "MB/s", "ratio: share of that rate")):
        for name in [*others, *(n for n in missing if n not in others)]:
            peer = {} if name in missing else others[name]
            broken = [f"{len(found['broken'])} uploads through {who} broke off" for who, found in (("Postern", own), (name, peer))
                      if key == "up" and found.get("broken")]
            rows.append(Row(
                f"egress proxy, {kind.name}: {title}", unit, own[key], name, peer.get(key, []), sense="cost",
                note=missing.get(name) or "; ".join([*([note] if note else []), *broken])))
    return rows


def gather(into: Found, found: Found) -> None:
    for key, values in found.items():
        into.setdefault(key, []).extend(values)
