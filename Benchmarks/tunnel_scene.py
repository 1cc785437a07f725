"""Three ways from a caller to one upstream: TLS to it, the same TLS through `ssh -R`, and a tunnel of Postern's whose connector ends that TLS."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peer_ssh import SSHPeer
from postern_fixture import clean_environment
from processes import ChildProcess, free_port
from scene import DOMAIN, HERE, Scene, cpu_seconds
from web_server import certificates, program, wait_for_port

Found = dict[str, Any]


@dataclass
class Way:
    """A way to the upstream."""
    name: str
    #: Where the load connects to, and by CONNECT through the edge if need be.
    port: int
    tunnel: Tunnel
    connects: bool = False
    #: The processes in between.
    pids: Callable[[], list[int]] = field(default=lambda: [])


@dataclass
class Tunnel:
    """A tunnel of Postern's with its connector, and a client's certificate for it."""
    id: str
    host: str
    folder: Path
    caller: Path
    connector: ChildProcess | None = None


class TunnelScene:
    """Ends with what it started, last first."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.postern = scene.postern
        self.folder = scene.postern.folder
        self._cleanup = contextlib.ExitStack()
        self.programs = build(self.folder / "programs")
        self.edge_ca, self.edge_certificate, self.edge_key = certificates(made(self.folder / "edge-tls"), DOMAIN)
        (self.folder / "admin.key").write_text(self.postern.admin_key + "\n")
        self.command("keys", "create", "--role", "edge", "--name", "edge-1", "--output", str(self.folder / "edge.key"))
        self.edge = self.postern.start("edge", [
            "edge", "--listen", "127.0.0.1:0", "--domain", DOMAIN, "--tls-cert", str(self.edge_certificate), "--tls-key", str(self.edge_key),
            "--control-plane", self.postern.url, "--edge-key-file", str(self.folder / "edge.key"),
            # All callers come from one address, for which an edge has less than a measure takes.
            "--max-unproved-per-address", "1000", "--max-calls-per-caller", "2000", "--max-calls-per-second", "100000", "--max-connections-per-address", "4000"])
        self.edge_port = int(self.edge.wait_for(r"listening on https://127\.0\.0\.1:(\d+)").group(1))
        self.plain_port, self.tls_port = free_port(), free_port()

    def __enter__(self) -> TunnelScene:
        return self

    def __exit__(self, *error: object) -> None:
        self._cleanup.close()

    def command(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(self.postern.binary), *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, stdin=subprocess.DEVNULL,
            env=clean_environment(POSTERN_API_KEY=self.postern.admin_key, POSTERN_BASE_URL=self.postern.url))
        if done.returncode != 0:
            raise RuntimeError(f"postern {' '.join(arguments)}: {done.stdout.strip()[-400:]}")
        return done.stdout

    # --- the ways ---

    def tunnel(self, name: str, *, edge_port: int | None = None, audit: bool = False, legs: int = 4) -> Tunnel:
        """Sets one up and starts its connector, which reaches the edge at `edge_port`."""
        folder, caller = self.folder / f"connector-{name}", self.folder / f"caller-{name}"
        self.command(
            "connector", "setup", "--folder", str(folder), "--edge", f"127.0.0.1:{edge_port or self.edge_port}", "--edge-name", DOMAIN,
            "--edge-ca-file", str(self.edge_ca), "--route", f"docs=http://127.0.0.1:{self.plain_port}")
        told = json.loads((folder / "tunnel.json").read_text())
        document = folder / "connector.yaml"
        text = document.read_text().replace("    # callers: {clients: [name]}", "    callers: {clients: [bench]}\n    addresses: [127.0.0.0/8]")
        if not audit:
            text = re.sub(r"audit:\n  file: .*\n", "", text)
        document.write_text(f"legs: {legs}\n" + text)
        self.scene.control.call("POST", f"/postern/v1/tunnels/{told['id']}/settings", {"splice": True})
        self.command("tunnels", "client-certificate", "issue", told["id"], "--client", "bench", "--output", str(caller))
        tunnel = Tunnel(told["id"], f"docs.{told['domain']}", folder, caller)
        tunnel.connector = self.connector(tunnel, legs)
        return tunnel

    def connector(self, tunnel: Tunnel, legs: int) -> ChildProcess:
        connector = self.postern.start("connector", ["connector", "run", "--config", str(tunnel.folder / "connector.yaml")])
        for _ in range(legs):
            connector.wait_for("a leg stands")
        return connector

    def postern_path(self, name: str, tunnel: Tunnel, *, connects: bool = False) -> Way:
        connector = tunnel.connector
        assert connector is not None
        return Way(name, self.edge_port, tunnel, connects, lambda: [self.edge.pid, connector.pid])

    def upstream(self, tunnel: Tunnel) -> None:
        """One nginx for all ways: plain for connectors, and with TLS for the others, with the certificate that the tunnel's connector has and the
        same demand for a client's."""
        nginx = program("nginx")
        if nginx is None:
            raise RuntimeError("nginx is not installed")
        home = made(self.folder / "upstream")
        home.chmod(0o711)
        (home / "files").mkdir()
        with open(home / "files" / "large", "wb") as large:
            for _ in range(64):
                large.write(os.urandom(1 << 20))
        configuration = home / "nginx.conf"
        configuration.write_text(f"""
daemon off; worker_processes 1; pid {home}/nginx.pid; error_log {home}/nginx.error.log; {"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 2048; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 600; default_type application/json;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
  root {home}/files;
  server {{ listen 127.0.0.1:{self.plain_port} backlog=1024; location = /call {{ return 200 "{"x" * 1024}"; }} }}
  server {{
    listen 127.0.0.1:{self.tls_port} ssl backlog=1024;
    ssl_certificate {tunnel.folder}/server.pem; ssl_certificate_key {tunnel.folder}/server.key; ssl_protocols TLSv1.3;
    ssl_verify_client on; ssl_client_certificate {tunnel.folder}/runtime-ca.pem; ssl_session_tickets off;
    location = /call {{ return 200 "{"x" * 1024}"; }}
  }}
}}
""", encoding="utf-8")
        self.nginx = self.postern.own(ChildProcess("nginx", [nginx, "-c", str(configuration), "-p", str(home)], log=home / "nginx.log"))
        wait_for_port(self.plain_port)

    def direct(self, tunnel: Tunnel, port: int | None = None) -> Way:
        return Way("direct TLS", port or self.tls_port, tunnel)

    def ssh(self, tunnel: Tunnel, *, through: Callable[[int], int] = lambda port: port) -> Way:
        """`ssh -tt -R` to the upstream's TLS; its connection goes to the port that `through` makes of the server's."""
        peer = SSHPeer(made(self.folder / "ssh"), self.postern.own)
        return Way("ssh -tt -R", peer.forward(self.tls_port, through), tunnel, pids=lambda: peer.pids)

    def relay(self, port: int, milliseconds: int) -> int:
        """The port of a relay to `port` that holds everything back for that long, each way."""
        relay = self.postern.own(ChildProcess(
            "relay", [str(self.programs / "relay"), "-target", f"127.0.0.1:{port}", "-delay", f"{milliseconds}ms"],
            log=self.folder / f"relay-{port}.log"))
        return int(relay.wait_for(r"listening on 127\.0\.0\.1:(\d+)").group(1))

    # --- load ---

    def load_command(self, way: Way, mode: str, *arguments: str) -> list[str]:
        tunnel = way.tunnel
        command = [
            str(self.programs / "load"), "-mode", mode, "-addr", f"127.0.0.1:{way.port}", "-host", tunnel.host, "-cert",
            str(tunnel.caller / "certificate.pem"), "-key", str(tunnel.caller / "key.pem"), "-ca", str(tunnel.folder / "ca.pem"), *arguments]
        if way.connects:
            command += ["-edge-name", DOMAIN, "-edge-ca", str(self.edge_ca), "-api-key-file", str(self.folder / "admin.key")]
        return command

    def load(self, way: Way, mode: str, *arguments: str, threads: int = 1) -> Found:
        """What the load program found, and `cpu_us`: the CPU of the processes in between for each call."""
        before = sum(map(cpu_seconds, way.pids()))
        done = subprocess.run(
            self.load_command(way, mode, *arguments), env=clean_environment(GOMAXPROCS=str(threads), GOGC="400"), capture_output=True, text=True,
            timeout=120, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{way.name}, {mode}: {done.stderr.strip()[-300:]}")
        found: Found = json.loads(done.stdout)
        if found["failures"]:
            raise RuntimeError(f"{way.name}, {mode}: {found['failures']} connections failed: {found['error']}")
        found["cpu_us"] = 1e6 * (sum(map(cpu_seconds, way.pids())) - before) / max(1, found["calls"])
        return found


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def build(folder: Path) -> Path:
    """The load, the relay and the holder of legs, in Go without a dependency."""
    go = program("go") or "go"
    made(folder)
    cache = os.environ.get("GOCACHE") or str(Path.home() / ".cache" / "postern-bench-go")
    subprocess.run(
        [go, "build", "-o", f"{folder}/", "./..."], cwd=HERE / "tunnel", check=True, timeout=300,
        env=clean_environment(GOCACHE=cache, GOFLAGS="-mod=mod", GOPROXY="off", GOTOOLCHAIN="local"))
    return folder
