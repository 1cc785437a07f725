"""A tunnel whose links can be cut: relays between callers, edge and connector, or a real network between edge and connector."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from fault_calls import CountingServer, Load, Tally, Way, judged
from postern_fixture import clean_environment
from processes import ChildProcess
from relay import Relay
from tunnel import DOMAIN, Tunnel
from walled_network import OUTSIDE, WalledNetwork

#: Where rules that drop packets are put; nothing else is in it.
FAULTS = """
table inet faults {
    chain in { type filter hook input priority -10; policy accept; }
    chain out { type filter hook output priority -10; policy accept; }
}
"""


class FaultWorld:
    """Control plane, edge and connector as processes, with a server of the tests' own behind the connector. Ends with what it started."""

    def __init__(self, network: WalledNetwork | None = None) -> None:
        self._cleanup = contextlib.ExitStack()
        self.network = network
        #: Variables of edges and of connectors that are started from now on.
        self.environments: dict[str, dict[str, str]] = {"edge": {}, "connector": {}}
        try:
            self._start()
        except BaseException:
            self._cleanup.close()
            raise

    def _start(self) -> None:
        self.tunnel = self._cleanup.enter_context(Tunnel())
        self.tunnel.connector.stop()
        self.tunnel.control.call("POST", f"/postern/v1/tunnels/{self.tunnel.id}/settings", {"splice": True})
        self.server = CountingServer(self.network.name if self.network else None)
        self._cleanup.callback(self.server.shutdown)
        self.address = "127.0.0.1"
        if self.network:
            self.tunnel.edge.stop()
            self.address = OUTSIDE
            self.edge = self.start_edge(0)
            subprocess.run(self.network.inside("nft", "-f", "-"), input=FAULTS, text=True, check=True, timeout=30)
            self._set_document(f"{OUTSIDE}:{self.port}")
        else:
            self.edge = self.tunnel.edge
            self.port = self.tunnel.port
            self.legs = self._cleanup.enter_context(Relay(self.port))
            self.ways_in = self._cleanup.enter_context(Relay(self.port))
            self._set_document(f"127.0.0.1:{self.legs.port}")
        self.connector = self.start_connector()
        self.stands(self.connector)
        folder = self.tunnel.certificate("faults", "laptop")
        self.inner = Way.trust(folder)

    def __enter__(self) -> FaultWorld:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._cleanup.close()

    def _set_document(self, edge: str) -> None:
        document = self.tunnel.connector_folder / "connector.yaml"
        text = document.read_text()
        assert f"127.0.0.1:{self.tunnel.port}" in text and f"http://127.0.0.1:{self.tunnel.upstream.port}" in text
        # Registrations are asked for while faults last, too.
        assert "registrations:\n" in text
        text = text.replace("registrations:\n", "registrations:\n  interval_seconds: 1\n")
        document.write_text(text.replace(f"127.0.0.1:{self.tunnel.port}", edge).replace(
            f"http://127.0.0.1:{self.tunnel.upstream.port}", f"http://127.0.0.1:{self.server.port}"))

    # --- processes ---

    def start_edge(self, port: int) -> ChildProcess:
        certificates = self.tunnel.edge_certificates
        edge = self.tunnel.postern.start("edge", [
            "edge", "--listen", f"{self.address}:{port}", "--domain", DOMAIN, "--tls-cert", str(certificates.leaf), "--tls-key", str(certificates.key),
            "--control-plane", self.tunnel.postern.url, "--edge-key-file", str(self.tunnel.folder / "edge.key"), "--log-level", "debug"],
            **self.environments["edge"])
        self.port = int(edge.wait_for(r"listening on https://[^ ]*:(\d+)").group(1))
        return edge

    def start_connector(self) -> ChildProcess:
        command = [
            str(self.tunnel.postern.binary), "connector", "run", "--config", str(self.tunnel.connector_folder / "connector.yaml"), "--log-level", "debug",
            "--log-format", "text"]
        connector = ChildProcess(
            "connector", self.network.inside(*command) if self.network else command, log=self.tunnel.folder / "fault-connector.log",
            environment=clean_environment(**self.environments["connector"]), folder=self.tunnel.folder)
        return self.tunnel.postern.own(connector)

    @staticmethod
    def stands(connector: ChildProcess) -> None:
        connector.wait_for("a leg stands", count=4)

    def restart(self) -> None:
        """Edge and connector end and begin anew, with the variables of now."""
        self.connector.stop()
        self.edge.stop()
        self.edge = self.start_edge(self.port)
        self.connector = self.start_connector()
        self.stands(self.connector)

    # --- the network inside ---

    @contextlib.contextmanager
    def dropping(self, *rules: tuple[str, str]) -> Iterator[None]:
        """While it lasts, packets that a rule fits are dropped: (`in` or `out`, what nftables calls them)."""
        assert self.network
        for chain, what in rules:
            self._nft("add", "rule", "inet", "faults", chain, *what.split(), "drop")
        try:
            yield
        finally:
            for chain in ("in", "out"):
                self._nft("flush", "chain", "inet", "faults", chain)

    def _nft(self, *words: str) -> None:
        assert self.network
        subprocess.run(self.network.inside("nft", *words), check=True, capture_output=True, timeout=30)

    # --- calls ---

    def way(self, *, connects: bool = False, relayed: bool = False) -> Way:
        way = Way(self.address, self.ways_in.port if relayed else self.port, self.tunnel.host, self.inner)
        if not connects:
            return way
        outer = ssl.create_default_context(cafile=str(self.tunnel.edge_certificates.ca))
        return replace(way, outer=outer, edge_name=DOMAIN, api_key=self.tunnel.postern.admin_key)

    def run(
        self, name: str, calls: int, faults: int, fault: Callable[[Load, Tally], None], *, relayed: bool = False, patience: float = 15,
    ) -> Tally:
        """So many calls at least, with so many faults spread over them; after each the time to the first success. What must not be is in the tally."""
        tally = Tally()
        began = time.monotonic()
        with judged(self.server, tally), Load(
                [self.way(relayed=relayed), self.way(connects=True, relayed=relayed)], tally, patience=patience) as load:
            for _ in range(faults):
                load.wait(calls // (faults + 1))
                fault(load, tally)
            load.wait(max(1, calls - tally.calls))
        report(name, tally, time.monotonic() - began)
        return tally


#: What was counted, for the end of the run.
reports: list[str] = []
totals: list[Tally] = []


def report(name: str, tally: Tally, seconds: float) -> None:
    failed = ", ".join(f"{count} {why}" for why, count in sorted(tally.failed.items()))
    slowest = f"{max(tally.recoveries):.2f} s" if tally.recoveries else "-"
    totals.append(tally)
    reports.append(
        f"faults of tunnels: {name}: {tally.calls} calls, {tally.answered} answered, {tally.failed.total()} failed ({failed or 'none'}), "
        f"{tally.unknown} ran unanswered, {sum(tally.faults.values())} faults, slowest recovery {slowest}, {len(tally.violations)} violations, {seconds:.0f} s")


def total() -> str:
    """All of it in one line."""
    slowest = max((seconds for tally in totals for seconds in tally.recoveries), default=0)
    return (
        f"faults of tunnels: all: {sum(t.calls for t in totals)} calls, {sum(t.answered for t in totals)} answered, "
        f"{sum(t.failed.total() for t in totals)} failed, {sum(t.unknown for t in totals)} ran unanswered, "
        f"{sum(t.faults.total() for t in totals)} faults, slowest recovery {slowest:.2f} s, {sum(len(t.violations) for t in totals)} violations")


def folder_of(world: FaultWorld, name: str, *arguments: str) -> Path:
    """A client certificate with options."""
    folder = world.tunnel.folder / name
    world.tunnel.command("tunnels", "client-certificate", "issue", world.tunnel.id, "--client", "laptop", *arguments, "--output", str(folder))
    return folder
