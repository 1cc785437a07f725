"""Debian's proxies on loopback: tinyproxy, and squid with and without inspection of TLS. Nothing is cached or logged."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from processes import ChildProcess, free_port
from web_server import certificates, program, wait_for_port


@dataclass
class PeerProxy:
    name: str
    port: int = 0
    process: ChildProcess | None = None
    #: What a client must trust, where it is not the server's own CA.
    ca: Path | None = None
    #: Why it is not there.
    missing: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def tinyproxy(folder: Path) -> PeerProxy:
    path = program("tinyproxy")
    if path is None:
        return PeerProxy("tinyproxy", missing="not installed")
    port = free_port()
    configuration = folder / "tinyproxy.conf"
    configuration.write_text(f"Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 100\nLogLevel Critical\n", encoding="utf-8")
    process = ChildProcess("tinyproxy", [path, "-d", "-c", str(configuration)], log=folder / "tinyproxy.log")
    wait_for_port(port)
    return PeerProxy("tinyproxy", port, process)


def squid(folder: Path, upstream_ca: Path, *, inspects: bool) -> PeerProxy:
    name = "squid, inspecting" if inspects else "squid"
    path, maker = program("squid"), Path("/usr/lib/squid/security_file_certgen")
    if path is None:
        return PeerProxy(name, missing="not installed")
    if inspects and not maker.exists():
        return PeerProxy(name, missing="Debian's squid-openssl is not installed")
    home = folder / name.replace(", ", "-")
    home.mkdir()
    ca: Path | None = None
    port = free_port()
    listen = f"http_port 127.0.0.1:{port}"
    if inspects:
        ca, _, _ = certificates(home)
        subprocess.run([str(maker), "-c", "-s", str(home / "certs"), "-M", "4MB"], check=True, capture_output=True, timeout=30)
        listen += f" ssl-bump tls-cert={ca} tls-key={home / 'ca.key'} generate-host-certificates=on dynamic_cert_mem_cache_size=4MB"
        listen += (f"\nsslcrtd_program {maker} -s {home / 'certs'} -M 4MB\nsslcrtd_children 2 startup=2 idle=1\nssl_bump bump all\n"
                   f"tls_outgoing_options cafile={upstream_ca}")
    configuration = home / "squid.conf"
    configuration.write_text(
        f"{listen}\nhttp_access allow all\ncache deny all\naccess_log none\ncache_log {home}/cache.log\ncache_store_log none\n"
        f"pid_filename {home}/squid.pid\ncoredump_dir {home}\nicp_port 0\nhtcp_port 0\nsnmp_port 0\nworkers 1\nnetdb_filename none\npinger_enable off\n"
        f"memory_pools on\nshutdown_lifetime 0 seconds\nvisible_hostname localhost\nserver_persistent_connections on\nclient_persistent_connections on\n",
        encoding="utf-8")
    # A squid that root starts becomes this user.
    if os.geteuid() == 0:
        for root, folders, files in os.walk(home):
            for entry in [root, *(os.path.join(root, f) for f in folders + files)]:
                shutil.chown(entry, "proxy", "proxy")
    process = ChildProcess("squid", [path, "-N", "-f", str(configuration)], log=home / "squid.log")
    wait_for_port(port)
    return PeerProxy(name, port, process, ca)
