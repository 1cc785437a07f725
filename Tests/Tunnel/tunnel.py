"""Everything that a call through a tunnel needs, started as its operators start it."""

from __future__ import annotations

import contextlib
import http.server
import json
import subprocess
import threading
from pathlib import Path
from types import TracebackType

from certificates import Certificates
from control import Control
from postern_fixture import Postern, clean_environment
from processes import ChildProcess

DOMAIN = "tunnel.example.com"


class Upstream(http.server.ThreadingHTTPServer):
    """A private server: tells what it was asked, and keeps it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        #: Lets go what `/hold` holds.
        self.release = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        self.server.asked.append(f"{self.command} {self.path}")
        if self.path == "/hold":
            self.server.release.wait(60)
        told = json.dumps({"method": self.command, "path": self.path, "headers": dict(self.headers.items()), "body": body.decode()}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_GET = do_POST = _answer

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


class Tunnel:
    """Ends with what it started, last first. The edge is one of its own, or the one that the control plane starts beside itself."""

    def __init__(self, *, with_edge: bool = False) -> None:
        self._with_edge = with_edge
        self._cleanup = contextlib.ExitStack()
        try:
            self._start()
        except BaseException:
            self._cleanup.close()
            raise

    def _start(self) -> None:
        self.postern = self._cleanup.enter_context(Postern("postern-tunnel"))
        self.folder = self.postern.folder
        self.edge_certificates = Certificates.make(self.folder / "edge-tls", f"DNS:{DOMAIN}")
        beside = ["--with-edge", "--edge-listen", "127.0.0.1:0", "--edge-tls-cert", str(self.edge_certificates.leaf), "--edge-tls-key",
                  str(self.edge_certificates.key), "--tunnel-edge-ca", str(self.edge_certificates.ca),
                  "--edge-metrics-listen", "127.0.0.1:0"] if self._with_edge else []
        self.server = self.postern.serve("--tunnel-domain", DOMAIN, *beside)
        self.control = Control(self.postern.url, self.postern.admin_key)
        self._cleanup.callback(self.control.close)
        self.upstream = Upstream()
        self._cleanup.callback(self.upstream.shutdown)
        if self._with_edge:
            self.port = self._listening(self.server)
        else:
            key = self.command("keys", "create", "--role", "edge", "--name", "edge-1", "--output", str(self.folder / "edge.key"))
            assert self.postern.admin_key not in key
            self.edge = self.start_edge()
        self.connector_folder = self.folder / "connector"
        self.setup()
        self.id = json.loads((self.connector_folder / "tunnel.json").read_text())["id"]
        self.domain = json.loads((self.connector_folder / "tunnel.json").read_text())["domain"]
        document = self.connector_folder / "connector.yaml"
        document.write_text(document.read_text().replace(
            "    # callers: {clients: [name]}", "    callers: {clients: [laptop]}\n    addresses: [127.0.0.0/8]"))
        self.connector = self.start_connector()

    def __enter__(self) -> Tunnel:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._cleanup.close()

    @property
    def host(self) -> str:
        return f"docs.{self.domain}"

    def environment(self) -> dict[str, str]:
        return clean_environment(POSTERN_API_KEY=self.postern.admin_key, POSTERN_BASE_URL=self.postern.url)

    def command(self, *arguments: str, check: bool = True) -> str:
        """What a command of `postern` prints on both its outputs."""
        done = subprocess.run(
            [str(self.postern.binary), *arguments], env=self.environment(), cwd=self.folder, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=60, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def start_edge(self, port: int = 0) -> ChildProcess:
        edge = self.postern.start("edge", [
            "edge", "--listen", f"127.0.0.1:{port}", "--domain", DOMAIN, "--tls-cert", str(self.edge_certificates.leaf),
            "--tls-key", str(self.edge_certificates.key), "--control-plane", self.postern.url, "--edge-key-file", str(self.folder / "edge.key"),
            "--log-level", "debug",
        ])
        self.port = self._listening(edge)
        return edge

    @staticmethod
    def _listening(process: ChildProcess) -> int:
        return int(process.wait_for(r"listening on https://127\.0\.0\.1:(\d+)").group(1))

    def setup(self) -> str:
        return self.command(
            "connector", "setup", "--folder", str(self.connector_folder), "--edge", f"127.0.0.1:{self.port}", "--edge-name", DOMAIN,
            "--edge-ca-file", str(self.edge_certificates.ca), "--route", f"docs=http://127.0.0.1:{self.upstream.port}")

    def start_connector(self, *more: str) -> ChildProcess:
        connector = self.postern.start("connector", [
            "connector", "run", "--config", str(self.connector_folder / "connector.yaml"), "--log-level", "debug", "--log-format", "text", *more])
        connector.wait_for("a leg stands", count=4)
        return connector

    def certificate(self, name: str, client: str = "laptop", *routes: str) -> Path:
        """The folder of a client certificate."""
        folder = self.folder / name
        named = [argument for route in routes for argument in ("--route", route)]
        self.command("tunnels", "client-certificate", "issue", self.id, "--client", client, *named, "--output", str(folder))
        return folder

    def curl_command(
        self, certificate: Path | None, *arguments: str, connects: bool = False, path: str = "/mcp", route: str = "docs",
    ) -> list[str]:
        host = f"{route}.{self.domain}"
        known = [f"https://{host}{path}", "--silent", "--show-error", "--max-time", "30", "--cacert",
                 str((certificate or self.folder / "laptop") / "authorities.pem")]
        if certificate:
            known += ["--cert", str(certificate / "certificate.pem"), "--key", str(certificate / "key.pem")]
        if connects:
            known += ["--proxy", f"https://{DOMAIN}:{self.port}", "--proxy-cacert", str(self.edge_certificates.ca),
                      "--connect-to", f"{DOMAIN}:{self.port}:127.0.0.1:{self.port}", "--resolve", f"{DOMAIN}:{self.port}:127.0.0.1"]
        else:
            known += ["--connect-to", f"{host}:443:127.0.0.1:{self.port}"]
        return ["curl", *known, *arguments]

    def curl(
        self, certificate: Path | None, *arguments: str, connects: bool = False, path: str = "/mcp", route: str = "docs",
    ) -> subprocess.CompletedProcess[str]:
        """`curl` through the tunnel: spliced, or by CONNECT with what `arguments` show the edge."""
        return subprocess.run(
            self.curl_command(certificate, *arguments, connects=connects, path=path, route=route), text=True, capture_output=True, timeout=60,
            stdin=subprocess.DEVNULL, env=clean_environment())

    def start_curl(self, certificate: Path, *arguments: str, path: str) -> subprocess.Popen[bytes]:
        """The same by CONNECT, without waiting for its end."""
        process = subprocess.Popen(
            self.curl_command(certificate, *arguments, connects=True, path=path), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=clean_environment())
        self._cleanup.callback(process.kill)
        return process
