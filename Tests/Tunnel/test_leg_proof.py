"""Legs through nginx, which ends their TLS: the key is proved by a signed challenge."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certificates import Certificates
from corporate_proxies import program, wait_for_port
from postern_fixture import clean_environment
from processes import ChildProcess, free_port
from test_tunnel import by_certificate
from tunnel import DOMAIN, Tunnel

#: As docs/tunnels.md has it.
LOCATION = """
    location /v1/tunnel/ {
      proxy_pass https://127.0.0.1:EDGE;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_ssl_server_name on;
      proxy_ssl_name tunnel.example.com;
      proxy_ssl_protocols TLSv1.3;
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate CA;
      proxy_read_timeout 1h;
    }
"""


@pytest.fixture(scope="module")
def balancer(tunnel: Tunnel) -> Certificates:
    """What nginx shows: of another authority than the edge's."""
    return Certificates.make(tunnel.folder / "balancer", f"DNS:{DOMAIN}")


@pytest.fixture(scope="module")
def edge(tunnel: Tunnel, balancer: Certificates) -> Iterator[Callable[..., int]]:
    """Starts a further edge, at every address, and gives its port."""
    started: list[ChildProcess] = []

    def start(*arguments: str) -> int:
        process = tunnel.postern.start(f"edge-{len(started) + 2}", [
            "edge", "--listen", ":0", "--domain", DOMAIN, "--tls-cert", str(tunnel.edge_certificates.leaf),
            "--tls-key", str(tunnel.edge_certificates.key), "--control-plane", tunnel.postern.url, "--edge-key-file", str(tunnel.folder / "edge.key"),
            "--name", f"edge-{len(started) + 2}", *arguments,
        ])
        started.append(process)
        return int(process.wait_for(r"listening on https://\*:(\d+)").group(1))

    yield start
    for process in started:
        process.stop()


def nginx(folder: Path, edge: int, shown: Certificates, ca: Path) -> tuple[int, ChildProcess]:
    folder.mkdir()
    port = free_port()
    location = LOCATION.replace("EDGE", str(edge)).replace("CA;", f"{ca};")
    paths = "".join(f"  {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\nhttp {{\n  access_log {folder}/access.log;\n"
        f"{paths}  server {{\n    listen 127.0.0.1:{port} ssl;\n    ssl_certificate {shown.leaf};\n    ssl_certificate_key {shown.key};\n"
        f"    ssl_protocols TLSv1.3;\n{location}  }}\n}}\n")
    process = ChildProcess(
        "nginx", [str(program("nginx")), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")], log=folder / "output.log")
    wait_for_port(port, process)
    return port, process


def connector(tunnel: Tunnel, folder: Path, port: int, balancer: Certificates, proof: str) -> ChildProcess:
    """One more of the tunnel's connectors, whose legs go to that port."""
    shutil.copytree(tunnel.connector_folder, folder)
    # What was seen of the log is asked for anew.
    (folder / "registrations.json").unlink(missing_ok=True)
    (folder / "both.pem").write_text(tunnel.edge_certificates.ca.read_text() + balancer.ca.read_text())
    document = folder / "connector.yaml"
    text = document.read_text().replace(f'"127.0.0.1:{tunnel.port}"', f'"127.0.0.1:{port}"')
    text = text.replace(f'"{tunnel.edge_certificates.ca}"', "both.pem")
    assert "both.pem" in text, text
    document.write_text(text.replace("identity:", f"  proof: {proof}\nname: proved\nlegs: 1\nidentity:"))
    return tunnel.postern.start("proved", ["connector", "run", "--config", str(document), "--log-level", "debug", "--log-format", "text"])


def test_a_leg_stands_through_nginx_and_carries_calls(
    tunnel: Tunnel, balancer: Certificates, edge: Callable[..., int], tmp_path: Path,
) -> None:
    if program("nginx") is None:
        pytest.skip("nginx is not installed")
    laptop = tunnel.certificate("proved-laptop", "laptop", "docs")
    terminators = ["--leg-proof", "challenge", "--leg-terminators"]
    port = edge(*terminators, str(balancer.leaf))
    front, process = nginx(tmp_path / "nginx", port, balancer, tunnel.edge_certificates.ca)
    running = connector(tunnel, tmp_path / "proved", front, balancer, "challenge")
    try:
        running.wait_for("a leg stands")
        # The log is asked for through it as well.
        running.wait_for("watches the tunnel's registrations")
        command = [part.replace(f":{tunnel.port}", f":{port}") for part in tunnel.curl_command(laptop, *by_certificate(laptop), connects=True)]
        done = subprocess.run(command, text=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL, env=clean_environment())
        assert done.returncode == 0, done.stderr
        assert "GET /v1/tunnel/registrations" in (tmp_path / "nginx" / "access.log").read_text()
    finally:
        running.stop()
    # By its certificate alone it is refused, and says what helps.
    plain = connector(tunnel, tmp_path / "plain", front, balancer, "certificate")
    try:
        assert "no_connector_key" in plain.wait_for(".*the edge refused a leg.*").group(0)
        told = tunnel.command("connector", "doctor", "--config", str(tmp_path / "plain" / "connector.yaml"), check=False)
        assert "edges.proof: challenge" in told, told
    finally:
        plain.stop()
        process.stop()


def test_an_edge_takes_no_leg_that_somebody_else_relays(
    tunnel: Tunnel, balancer: Certificates, edge: Callable[..., int], tmp_path: Path,
) -> None:
    if program("nginx") is None:
        pytest.skip("nginx is not installed")
    port = edge("--leg-proof", "challenge", "--leg-terminators", str(tunnel.edge_certificates.leaf))
    front, process = nginx(tmp_path / "nginx", port, balancer, tunnel.edge_certificates.ca)
    running = connector(tunnel, tmp_path / "proved", front, balancer, "challenge")
    try:
        assert "proof_refused" in running.wait_for(".*the edge refused a leg.*").group(0)
    finally:
        running.stop()
        process.stop()
