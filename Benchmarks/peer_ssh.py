"""`ssh -tt -R` over a server of OpenSSH's on loopback, with keys of its own. With a terminal both ends set TCP_NODELAY; without one most calls
wait for a delayed acknowledgement, which would be no fair peer."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Callable
from pathlib import Path

from processes import ChildProcess, free_port
from scene import descendants
from web_server import program, wait_for_port


class SSHPeer:
    def __init__(self, folder: Path, own: Callable[[ChildProcess], ChildProcess]) -> None:
        server, keygen = program("sshd"), program("ssh-keygen")
        if server is None or keygen is None:
            raise RuntimeError("OpenSSH's server is not installed")
        self.folder, self.own = folder, own
        folder.chmod(0o700)
        for name in ("host", "id"):
            subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True, timeout=30, stdin=subprocess.DEVNULL)
        self.port = free_port()
        configuration = folder / "sshd_config"
        configuration.write_text(f"""
ListenAddress 127.0.0.1:{self.port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/id.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
PrintMotd no
PrintLastLog no
""", encoding="utf-8")
        # Of OpenSSH's own, where it runs as root and no service has made it.
        if Path("/run").is_dir() and not Path("/run/sshd").exists():
            try:
                Path("/run/sshd").mkdir(mode=0o755)
            except PermissionError:
                pass
        self.server = own(ChildProcess("sshd", [server, "-D", "-e", "-f", str(configuration)], log=folder / "sshd.log"))
        wait_for_port(self.port)
        self.clients: list[ChildProcess] = []

    def forward(self, target: int, through: Callable[[int], int]) -> int:
        """A port of the server's side that leads to `target` at the client's side."""
        port = free_port()
        client = self.own(ChildProcess("ssh", [
            "ssh", "-tt", "-F", "none", "-p", str(through(self.port)), "-i", str(self.folder / "id"), "-o", "IdentitiesOnly=yes", "-o",
            "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes", "-o", "LogLevel=ERROR",
            "-R", f"127.0.0.1:{port}:127.0.0.1:{target}", f"{getpass.getuser()}@127.0.0.1", "echo stands; sleep 3600"],
            log=self.folder / f"ssh-{port}.log"))
        client.wait_for("stands")
        self.clients.append(client)
        return port

    @property
    def pids(self) -> list[int]:
        """The client, and the server's processes for it."""
        return [client.pid for client in self.clients] + descendants(self.server.pid)
