"""`scripts/demo --tunnel`: an MCP server in a private network that nothing can dial into, called from outside through a tunnel; then a look for
what was said in the traffic and the memory of everything between the two ends."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "Tests" / "Support" / "python"), str(ROOT / "Tests" / "Perimeter")]

from certificates import Certificates  # noqa: E402
from haystack import Search, forms  # noqa: E402
from postern_fixture import Postern, clean_environment  # noqa: E402
from processes import ChildProcess  # noqa: E402
from walled_network import INSIDE, OUTSIDE, NotPermitted, WalledNetwork, open_ports  # noqa: E402

DOMAIN = "tunnel.example.com"
#: What an exit status says when this machine does not permit the demo.
SKIPPED = 77


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


def fact(text: str) -> None:
    print(f"    {text}", flush=True)


class Failed(Exception):
    """What was promised did not hold."""


def expect(holds: bool, text: str) -> None:
    if not holds:
        raise Failed(text)


@contextmanager
def captured(file: Path, interface: str, network: WalledNetwork | None, log: Path) -> Iterator[None]:
    """Writes every packet of an interface to a file."""
    command = ["tcpdump", "-i", interface, "-w", str(file), "-U", "-s", "0", "--immediate-mode"]
    tcpdump = ChildProcess("tcpdump", network.inside(*command) if network else command, log=log)
    try:
        tcpdump.wait_for("listening on")
        yield
        # What has just passed is still on its way to the file.
        time.sleep(0.5)
    finally:
        tcpdump.stop()


class Demo:
    def __init__(self, stack: ExitStack, network: WalledNetwork, calls: int) -> None:
        self.network = network
        self.calls = calls
        self.canary = f"canary-{os.urandom(16).hex()}"
        self.postern = stack.enter_context(Postern("postern-demo-tunnel"))
        self.folder = self.postern.folder

    def run(self) -> None:
        self.start()
        self.look_from_outside()
        self.call()

    def command(self, *arguments: str, quiet: bool = False) -> str:
        if not quiet:
            fact("$ postern " + " ".join(re.sub(rf"^{re.escape(str(self.folder))}/", "", argument) for argument in arguments))
        done = subprocess.run(
            [str(self.postern.binary), *arguments], cwd=self.folder, text=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
            env=clean_environment(POSTERN_API_KEY=self.postern.admin_key, POSTERN_BASE_URL=self.postern.url))
        expect(done.returncode == 0, f"postern {' '.join(arguments)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    # MARK: The two sides

    def start(self) -> None:
        say("outside: control plane and edge")
        self.postern.serve("--tunnel-domain", DOMAIN)
        tls = Certificates.make(self.folder / "edge-tls", f"DNS:{DOMAIN}")
        self.command("keys", "create", "--role", "edge", "--name", "edge", "--output", "edge.key", "--quiet")
        self.edge = self.postern.start("edge", [
            "edge", "--listen", f"{OUTSIDE}:0", "--domain", DOMAIN, "--tls-cert", str(tls.leaf), "--tls-key", str(tls.key),
            "--control-plane", self.postern.url, "--edge-key-file", str(self.folder / "edge.key")])
        self.port = int(self.edge.wait_for(r"listening on https://[^ ]*:(\d+)").group(1))
        fact(f"the edge listens on {OUTSIDE}:{self.port} and holds no key that opens a call")

        say(f"inside: a network of its own ({INSIDE}) whose firewall drops every connection that comes in")
        server = self.postern.own(ChildProcess(
            "mcp-server",
            self.network.inside(sys.executable, str(ROOT / "Tests" / "MCP" / "sdk_server.py"), "http", "--address", INSIDE, "--hosts", INSIDE),
            log=self.folder / "mcp-server.log", environment=clean_environment()))
        self.server_port = int(server.wait_for(r"listening on port (\d+)").group(1))
        fact(f"a private MCP server (PyPI's `mcp`) on {INSIDE}:{self.server_port}")
        self.command(
            "connector", "setup", "--folder", "connector", "--edge", f"{OUTSIDE}:{self.port}", "--edge-name", DOMAIN, "--edge-ca-file", str(tls.ca),
            "--route", f"docs=http://{INSIDE}:{self.server_port}")
        made = json.loads((self.folder / "connector" / "tunnel.json").read_text())
        self.tunnel, self.host = made["id"], f"docs.{made['domain']}"
        document = self.folder / "connector" / "connector.yaml"
        document.write_text(document.read_text().replace(
            "    # callers: {clients: [name]}", f"    callers: {{clients: [demo]}}\n    addresses: [{INSIDE}/32]"))
        self.connector = self.postern.own(ChildProcess(
            "connector", self.network.inside(str(self.postern.binary), "connector", "run", "--config", str(document), "--log-format", "text",
                                             "--log-level", "debug"),
            log=self.folder / "connector.log", environment=clean_environment(), folder=self.folder))
        self.connector.wait_for("a leg stands", count=4)
        fact("the connector has dialled out: four legs stand")

    def look_from_outside(self) -> None:
        say("from outside: all 65,535 ports of the private network")
        started = time.monotonic()
        outside = asyncio.run(open_ports(INSIDE, range(1, 65536)))
        expect(not outside, f"open from outside: {outside}")
        looked = self.network.inside(
            sys.executable, str(Path(__file__).with_name("walled_network.py")), INSIDE, str(self.server_port), str(self.server_port + 1))
        inside = subprocess.run(looked, text=True, capture_output=True, timeout=60, check=True).stdout.split()
        expect(inside == [str(self.server_port)], f"the same look from inside does not find the server: {inside}")
        fact(f"none is open ({time.monotonic() - started:.0f} s); from inside the same look finds the server's")

    # MARK: Calls

    def call(self) -> None:
        say(f"{self.calls} calls from outside, each with a value that is nowhere else")
        self.command("tunnels", "settings", self.tunnel, "--splice", quiet=False)
        self.command("tunnels", "client-certificate", "issue", self.tunnel, "--client", "demo", "--route", "docs", "--output", "demo")
        edge_file, plain_file = self.folder / "edge.pcap", self.folder / "plain.pcap"
        logs = self.folder / "tcpdump.log"
        with captured(edge_file, "any", None, logs), captured(plain_file, "lo", self.network, logs):
            for number in range(self.calls):
                shown = self.mcp("call", f"https://{self.host}/mcp", "echo", json.dumps({"text": self.canary}), quiet=number > 0)
                expect(shown.strip() == self.canary, f"the answer was {shown!r}")
        fact("the answers are right")

        say(f"what was said, in {len(forms(self.canary))} spellings and unpacked from gzip, looked for on the way")
        self.look("the edge's traffic, both its sides", lambda search: search.data("capture", edge_file.read_bytes()), finds=False)
        self.look("the edge's memory", lambda search: search.process(self.edge.pid), finds=False)
        self.look("the control plane's memory", lambda search: search.process(self.postern.server.pid if self.postern.server else 0), finds=False)
        self.look("(the same search) traffic of the MCP server inside", lambda search: search.data("capture", plain_file.read_bytes()), finds=True)
        self.look("(the same search) memory of the connector, where TLS ends", lambda search: search.process(self.connector.pid), finds=True)

    def mcp(self, verb: str, *arguments: str, quiet: bool) -> str:
        return self.command(
            "mcp", verb, *arguments, "--connect-to", f"{OUTSIDE}:{self.port}", "--ca-file", str(self.folder / "demo" / "authorities.pem"),
            "--client-cert", str(self.folder / "demo" / "certificate.pem"), "--client-key", str(self.folder / "demo" / "key.pem"), quiet=quiet)

    def look(self, where: str, search: Callable[[Search], None], *, finds: bool) -> None:
        looked = Search(self.canary)
        search(looked)
        expect(looked.bytes > 4096, f"{where}: there is nothing to look at")
        expect(bool(looked.found) == finds, f"{where}: {'found nothing' if finds else f'found {looked.found[:5]}'}")
        fact(f"{where}: {'found' if finds else 'nothing'} ({looked.bytes / (1 << 20):.1f} MiB)")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo --tunnel", description=__doc__)
    parser.add_argument("--calls", type=int, default=20, help="how many calls go through (20)")
    arguments = parser.parse_args()
    try:
        if not shutil.which("tcpdump", path="/usr/sbin:/usr/bin:/sbin:/bin"):
            raise NotPermitted("tcpdump is not installed")
        with WalledNetwork() as network, ExitStack() as stack:
            Demo(stack, network, arguments.calls).run()
    except NotPermitted as reason:
        say(f"NOT RUN: this machine does not permit a private network of its own: {reason}")
        return SKIPPED
    except Failed as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 1
    say("no port was open, no byte of a call could be read in between, and both ends knew each other")
    return 0


if __name__ == "__main__":
    sys.exit(main())
