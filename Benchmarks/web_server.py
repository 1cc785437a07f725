"""An nginx of the bench's own, over HTTP and HTTPS, so that the server is not what limits a proxy."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from processes import ChildProcess, free_port

LARGE = 256 << 20
UPLOAD = 64 << 20


def program(name: str) -> str | None:
    return shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


class WebServer:
    def __init__(self, folder: Path) -> None:
        nginx = program("nginx")
        if nginx is None:
            raise RuntimeError("nginx is not installed")
        folder.mkdir()
        folder.chmod(0o711)
        self.ca, certificate, key = certificates(folder)
        files = folder / "files"
        files.mkdir()
        files.chmod(0o755)
        (files / "small").write_bytes(b"x" * 1024)
        with open(files / "large", "wb") as large:
            for _ in range(LARGE >> 20):
                large.write(b"The quick brown fox looks at nothing of importance here.\n"[:64].ljust(64, b"." ) * 16384)
        plain, tls, sink = free_port(), free_port(), free_port()
        self.hosts = {"http": f"localhost:{plain}", "https": f"localhost:{tls}"}
        configuration = folder / "nginx.conf"
        configuration.write_text(f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000; client_max_body_size 0; default_type text/plain;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{sink}; location / {{ return 200 "ok"; }} }}
  server {{
    listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl;
    ssl_certificate {certificate}; ssl_certificate_key {key}; root {files};
    # The body is read to its end before the answer: nginx would answer at once if it did not pass the request on.
    location = /upload {{
      client_body_buffer_size {UPLOAD + 1024}; proxy_pass http://127.0.0.1:{sink}; proxy_pass_request_body off; proxy_set_header Content-Length "";
    }}
  }}
}}
""", encoding="utf-8")
        self.process = ChildProcess("nginx", [nginx, "-c", str(configuration), "-p", str(folder)], log=folder / "nginx.log")
        wait_for_port(plain)

    def url(self, scheme: str) -> str:
        return f"{scheme}://{self.hosts[scheme]}"

    def stop(self) -> None:
        self.process.stop()


def wait_for_port(port: int) -> None:
    """Until something listens there. A listening socket says so to nobody, so it is tried."""
    import socket
    import time
    deadline = time.monotonic() + 15
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def certificates(folder: Path, name: str = "localhost") -> tuple[Path, Path, Path]:
    """A CA, and a certificate of it with its key for `name`."""
    ca, ca_key, leaf, key = (folder / name for name in ("ca.pem", "ca.key", "leaf.pem", "leaf.key"))
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    openssl("req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-subj", "/CN=postern bench", "-addext", "keyUsage=critical,keyCertSign")
    openssl(
        "req", "-x509", *curve, "-CA", ca, "-CAkey", ca_key, "-keyout", key, "-out", leaf, "-subj", f"/CN={name}", "-addext",
        f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth")
    for path in (ca, leaf):
        path.chmod(0o644)
    return ca, leaf, key


def openssl(*arguments: Any) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)
