"""A private network on this machine: a network namespace that can dial out and that nothing can dial into."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from types import TracebackType

#: A pair of addresses of a network that tests may use (RFC 2544 sets it aside for benchmarks), so that no real one is meant.
OUTSIDE, INSIDE, MASK = "198.18.77.1", "198.18.77.2", 30

#: Drops whatever comes in without having been asked for; what goes out is free.
WALL = """
table inet wall {
    chain input {
        type filter hook input priority 0; policy drop;
        iif "lo" accept
        ct state established,related accept
    }
}
"""


class NotPermitted(Exception):
    """This machine does not allow what a private network needs; the text says what."""


class WalledNetwork:
    """Ends with the namespace and all that is connected to it."""

    def __init__(self) -> None:
        self.name = f"postern-{os.getpid()}"
        self._made = False

    def __enter__(self) -> WalledNetwork:
        if os.geteuid() != 0:
            raise NotPermitted("a network namespace with a firewall takes root")
        for program in ("ip", "nft"):
            if not shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin"):
                raise NotPermitted(f"{program} is not installed")
        self._sweep()
        self._run("ip", "netns", "add", self.name)
        self._made = True
        try:
            outer, inner = f"po{os.getpid()}", f"pi{os.getpid()}"
            self._run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", self.name)
            self._run("ip", "address", "add", f"{OUTSIDE}/{MASK}", "dev", outer)
            self._run("ip", "link", "set", outer, "up")
            self._run(*self.inside("ip", "address", "add", f"{INSIDE}/{MASK}", "dev", inner))
            self._run(*self.inside("ip", "link", "set", inner, "up"))
            self._run(*self.inside("ip", "link", "set", "lo", "up"))
            self._run(*self.inside("nft", "-f", "-"), stdin=WALL)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._made:
            self._made = False
            subprocess.run(["ip", "netns", "del", self.name], check=False, timeout=30)

    @staticmethod
    def _sweep() -> None:
        """What runs that were killed have left: their address would take this one's packets."""
        listed = subprocess.run(["ip", "-brief", "link", "show", "type", "veth"], text=True, capture_output=True, check=False, timeout=30).stdout
        for line in listed.splitlines():
            outer = line.split("@")[0].split()[0]
            if outer.startswith("po") and outer[2:].isdigit() and not os.path.exists(f"/proc/{outer[2:]}"):
                subprocess.run(["ip", "link", "del", outer], check=False, timeout=30)
                subprocess.run(["ip", "netns", "del", f"postern-{outer[2:]}"], check=False, stderr=subprocess.DEVNULL, timeout=30)

    def inside(self, *command: str) -> list[str]:
        """The command as one that runs inside."""
        return ["ip", "netns", "exec", self.name, *command]

    def _run(self, *command: str, stdin: str | None = None) -> None:
        done = subprocess.run(command, input=stdin, text=True, capture_output=True, timeout=30)
        if done.returncode:
            raise NotPermitted(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


async def open_ports(address: str, ports: range, *, at_once: int = 2000, patience: float = 0.5) -> list[int]:
    """Those that take a connection. A port that answers nothing is given `patience` seconds."""
    found: list[int] = []
    waiting = iter(ports)

    async def look() -> None:
        for port in waiting:
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), patience)
            except (OSError, asyncio.TimeoutError):
                continue
            found.append(port)
            writer.close()

    await asyncio.gather(*(look() for _ in range(at_once)))
    return sorted(found)


def main() -> None:
    """As a program, for a look from inside: prints the open ports of an address."""
    import sys
    print(*asyncio.run(open_ports(sys.argv[1], range(int(sys.argv[2]), int(sys.argv[3])))))


if __name__ == "__main__":
    main()
