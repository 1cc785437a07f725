"""Corporate proxies that were not written here, with a user and a password: tinyproxy, and squid by plain HTTP and by TLS."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from certificates import Certificates
from processes import ChildProcess, free_port

USER, PASSWORD = "connector", "pass-word"


@dataclass
class CorporateProxy:
    url: str
    process: ChildProcess
    log: Path
    ca: Path | None = None

    def requests(self) -> str:
        """What the proxy has noted of those that asked it."""
        return self.log.read_text(errors="replace")


def program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")


def wait_for_port(port: int, process: ChildProcess) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.is_running, process.log.read_text()
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on {port}: {process.log.read_text()}")


def tinyproxy(folder: Path, allowed: int) -> CorporateProxy:
    """Connects to the port `allowed` alone."""
    folder.mkdir()
    port, log = free_port(), folder / "requests.log"
    configuration = folder / "tinyproxy.conf"
    configuration.write_text(
        f'Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 50\nAllow 127.0.0.1\nBasicAuth {USER} {PASSWORD}\nConnectPort {allowed}\n'
        f'LogFile "{log}"\nLogLevel Connect\nDisableViaHeader Yes\n')
    log.touch()
    process = ChildProcess("tinyproxy", [str(program("tinyproxy")), "-d", "-c", str(configuration)], log=folder / "output.log")
    wait_for_port(port, process)
    return CorporateProxy(f"http://127.0.0.1:{port}", process, log)


def squid(folder: Path, allowed: int, *, tls: bool = False) -> CorporateProxy:
    """The same, by `https://localhost` where `tls` is set."""
    folder.mkdir()
    port, log, passwords = free_port(), folder / "access.log", folder / "passwords"
    hashed = subprocess.run(["openssl", "passwd", "-apr1", PASSWORD], text=True, capture_output=True, check=True, timeout=30).stdout.strip()
    passwords.write_text(f"{USER}:{hashed}\n")
    log.touch()
    listen, ca = f"http_port 127.0.0.1:{port}", None
    if tls:
        made = Certificates.make(folder / "tls", "DNS:localhost")
        listen, ca = f"https_port 127.0.0.1:{port} tls-cert={made.leaf} tls-key={made.key}", made.ca
    helper = next(path for path in ("/usr/lib/squid/basic_ncsa_auth", "/usr/lib64/squid/basic_ncsa_auth") if Path(path).exists())
    configuration = folder / "squid.conf"
    configuration.write_text(
        f"{listen}\nauth_param basic program {helper} {passwords}\nauth_param basic children 1 startup=1\nacl users proxy_auth REQUIRED\n"
        f"acl edges port {allowed}\nacl CONNECT method CONNECT\nhttp_access deny !users\nhttp_access allow CONNECT edges\nhttp_access deny all\n"
        f"cache deny all\naccess_log stdio:{log}\ncache_log {folder}/cache.log\ncache_store_log none\npid_filename {folder}/squid.pid\n"
        f"coredump_dir {folder}\nicp_port 0\nhtcp_port 0\nsnmp_port 0\nworkers 1\nnetdb_filename none\npinger_enable off\n"
        "shutdown_lifetime 0 seconds\nvisible_hostname localhost\nhosts_file /etc/hosts\n")
    if os.geteuid() == 0:
        # A squid that root starts becomes this user, who walks to its files.
        for root, folders, files in os.walk(folder):
            for entry in [root, *(os.path.join(root, name) for name in folders + files)]:
                shutil.chown(entry, "proxy", "proxy")
    process = ChildProcess("squid", [str(program("squid")), "-N", "-f", str(configuration)], log=folder / "output.log")
    wait_for_port(port, process)
    return CorporateProxy(f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}", process, log, ca)
