"""Tunnels while their links and processes fail: no call is answered twice or by another one's answer, none runs twice, every failure says what it is,
and calls succeed again within three seconds of the end of each fault. Counts are printed; those of the report with POSTERN_FULL=1."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator

import pytest
from fault_calls import OVER, Load, Tally, Way
from fault_world import FaultWorld, folder_of
from skewed_clock import SkewedClock
from walled_network import NotPermitted, WalledNetwork

FULL = "POSTERN_FULL" in os.environ
#: Of each scenario: calls at least, and faults.
CALLS, FAULTS = (800, 12) if FULL else (80, 3)
#: Seconds from the end of a fault to the first call that succeeds.
RECOVERY = 3.0


@pytest.fixture(scope="module")
def world() -> Iterator[FaultWorld]:
    with FaultWorld() as started:
        yield started


@pytest.fixture(scope="module")
def network() -> Iterator[FaultWorld]:
    try:
        with WalledNetwork() as network, FaultWorld(network) as started:
            yield started
    except NotPermitted as reason:
        pytest.skip(str(reason))


def recovers(load: Load, tally: Tally) -> None:
    tally.recoveries.append(load.recovery())


def check(tally: Tally, *, may_time_out: bool = False) -> None:
    assert not tally.violations, tally.violations[:10]
    assert tally.answered > 0
    assert may_time_out or not any(why.startswith(OVER) for why in tally.failed), tally.failed
    assert all(seconds < RECOVERY for seconds in tally.recoveries), tally.recoveries


def test_without_a_fault_no_call_fails(world: FaultWorld) -> None:
    tally = world.run("none", CALLS, 0, lambda load, tally: None)
    check(tally)
    assert not tally.failed


# MARK: Links


def test_legs_are_cut(world: FaultWorld) -> None:
    def cut(load: Load, tally: Tally) -> None:
        world.legs.reset()
        tally.faults["cut"] += 1
        recovers(load, tally)

    check(world.run("legs cut", CALLS, FAULTS, cut))


def test_legs_are_cut_in_the_middle_of_something(world: FaultWorld) -> None:
    def cut(load: Load, tally: Tally) -> None:
        world.legs.reset_after(997 * (1 + tally.faults.total()))
        load.wait(4)
        # What is not cut by now is cut here, so that a fault has an end.
        world.legs.reset()
        tally.faults["cut"] += 1
        recovers(load, tally)

    check(world.run("legs cut in a message", CALLS, FAULTS, cut))


def test_callers_are_cut_off(world: FaultWorld) -> None:
    def cut(load: Load, tally: Tally) -> None:
        if tally.faults.total() % 2:
            world.ways_in.reset()
        else:
            world.ways_in.reset_after(1500 * (1 + tally.faults.total()))
            load.wait(4)
        tally.faults["cut"] += 1
        recovers(load, tally)

    check(world.run("callers cut off", CALLS, FAULTS, cut, relayed=True))


@pytest.mark.parametrize("which", ["legs", "callers"])
def test_a_link_stalls(world: FaultWorld, which: str) -> None:
    relay = world.legs if which == "legs" else world.ways_in

    def stall(load: Load, tally: Tally) -> None:
        relay.hold()
        time.sleep(0.7)
        relay.release()
        tally.faults["stall"] += 1
        recovers(load, tally)

    tally = world.run(f"{which} stall", CALLS, FAULTS, stall, relayed=which == "callers")
    check(tally)
    # Nothing of what was held is lost.
    assert not tally.failed


def test_legs_are_slow(world: FaultWorld) -> None:
    def delay(load: Load, tally: Tally) -> None:
        world.legs.delay(0.02, 0.2 if FULL else 0.1)
        load.wait(CALLS // (FAULTS + 1))
        world.legs.delay(0, 0)
        tally.faults["delay"] += 1
        recovers(load, tally)

    tally = world.run("legs delayed by chance", CALLS, FAULTS, delay)
    check(tally)
    # Late is not lost.
    assert not tally.failed


# MARK: Processes


def test_the_connector_is_killed(world: FaultWorld) -> None:
    def kill(load: Load, tally: Tally) -> None:
        world.connector.kill()
        tally.faults["kill"] += 1
        world.connector = world.start_connector()
        recovers(load, tally)

    check(world.run("connector killed", CALLS, FAULTS, kill))


@pytest.mark.parametrize("seconds", [0, 6])
def test_the_edge_is_killed(world: FaultWorld, seconds: float) -> None:
    def kill(load: Load, tally: Tally) -> None:
        world.edge.kill()
        tally.faults["kill"] += 1
        time.sleep(seconds)
        world.edge = world.start_edge(world.port)
        recovers(load, tally)

    check(world.run(f"edge killed and away for {seconds} s", CALLS, FAULTS if not seconds else max(1, FAULTS // 3), kill))


def test_the_control_plane_is_killed(world: FaultWorld) -> None:
    tally = Tally()
    server = world.tunnel.postern

    def kill(load: Load, tally: Tally) -> None:
        assert server.server
        server.server.kill()
        tally.faults["kill"] += 1
        # Spliced calls go on, and CONNECT is refused.
        load.wait(8)
        server.restart_server()
        recovers(load, tally)

    tally = world.run("control plane killed", CALLS, FAULTS, kill)
    check(tally)
    assert set(tally.failed) <= {"CONNECT: 503"}, tally.failed


# MARK: Configuration


def test_the_connector_takes_up_other_documents(world: FaultWorld) -> None:
    document = world.tunnel.connector_folder / "connector.yaml"
    first = document.read_text()

    def reload(load: Load, tally: Tally) -> None:
        taken = world.connector.log.read_text().count("is in force")
        callers = "[laptop, other]" if document.read_text() == first else "[laptop]"
        new = document.with_suffix(".new")
        new.write_text(first.replace("clients: [laptop]", f"clients: {callers}"))
        new.rename(document)
        os.kill(world.connector.pid, signal.SIGHUP)
        deadline = time.monotonic() + 20
        while world.connector.log.read_text().count("is in force") == taken:
            assert time.monotonic() < deadline, "the document is not taken up"
            time.sleep(0.02)
        tally.faults["reload"] += 1
        recovers(load, tally)

    tally = world.run("reloads", CALLS, FAULTS, reload)
    document.write_text(first)
    check(tally)
    assert not tally.failed


# MARK: Clocks


@pytest.mark.parametrize("who", ["connector", "edge"])
def test_a_clock_jumps(world: FaultWorld, who: str) -> None:
    clock = SkewedClock(world.tunnel.folder, who)
    world.environments[who] = clock.environment
    jumps = itertools.cycle([2, -2, 400])

    def jump(load: Load, tally: Tally) -> None:
        clock.set(next(jumps) * 86_400)
        load.wait(8)
        clock.set(0)
        tally.faults["jump"] += 1
        recovers(load, tally)

    try:
        world.restart()
        tally = world.run(f"clock of the {who} jumps by days", CALLS, FAULTS, jump)
    finally:
        world.environments[who] = {}
        world.restart()
    check(tally)
    if who == "connector":
        # By a clock that is off nobody's certificate counts: that is said, and what runs is cut as it is when a certificate ends.
        cut = "TLS cut without close_notify"
        assert tally.failed and all(why.startswith("connector: ") or why == cut for why in tally.failed), tally.failed
    else:
        # The edge judges no caller by its clock but those who show it a certificate.
        assert not tally.failed, tally.failed


# MARK: The network


@pytest.mark.parametrize("seconds", [1, 4] if not FULL else [1, 4, 14])
def test_the_network_is_parted(network: FaultWorld, seconds: float) -> None:
    def part(load: Load, tally: Tally) -> None:
        with network.dropping(("in", "iif != lo"), ("out", "oif != lo")):
            time.sleep(seconds)
        tally.faults["partition"] += 1
        recovers(load, tally)

    faults = max(1, FAULTS // (2 if seconds < 10 else 6))
    check(network.run(f"partitions of {seconds} s", CALLS, faults, part), may_time_out=seconds > 10)


@pytest.mark.parametrize("direction", ["in", "out"])
def test_one_direction_is_lost(network: FaultWorld, direction: str) -> None:
    def part(load: Load, tally: Tally) -> None:
        with network.dropping((direction, f"{'iif' if direction == 'in' else 'oif'} != lo")):
            time.sleep(1)
        tally.faults["partition"] += 1
        recovers(load, tally)

    check(network.run(f"partitions of one direction ({direction})", CALLS, FAULTS, part))


def test_connections_are_half_open_after_the_connector_died_unheard(network: FaultWorld) -> None:
    def die(load: Load, tally: Tally) -> None:
        # Nothing tells the edge: no FIN and no RST comes through.
        with network.dropping(("in", "iif != lo"), ("out", "oif != lo")):
            network.connector.kill()
            time.sleep(0.5)
        tally.faults["half-open"] += 1
        network.connector = network.start_connector()
        recovers(load, tally)

    check(network.run("half-open at the edge", CALLS, FAULTS, die))


def test_connections_are_half_open_after_the_edge_died_unheard(network: FaultWorld) -> None:
    def die(load: Load, tally: Tally) -> None:
        # Nothing tells the connector.
        with network.dropping(("in", "iif != lo"), ("out", "oif != lo")):
            network.edge.kill()
            network.edge = network.start_edge(network.port)
        tally.faults["half-open"] += 1
        recovers(load, tally)

    check(network.run("half-open at the connector", CALLS, FAULTS, die))


def test_packets_are_lost_by_chance(network: FaultWorld) -> None:
    def lose(load: Load, tally: Tally) -> None:
        with network.dropping(("in", "iif != lo numgen random mod 100 < 5"), ("out", "oif != lo numgen random mod 100 < 5")):
            load.wait(CALLS // (FAULTS + 1))
        tally.faults["loss"] += 1
        recovers(load, tally)

    tally = network.run("5 % of packets lost each way", CALLS, FAULTS, lose)
    check(tally)
    assert not tally.failed


# MARK: Certificates


@pytest.mark.skipif(not FULL, reason="certificates live a minute at least: with POSTERN_FULL=1")
def test_a_certificate_ends_while_its_holder_calls(world: FaultWorld) -> None:
    folder = folder_of(world, "ending", "--ttl", "60s")
    tally = Tally()
    ending = Way.trust(folder)
    load = Load([], tally)
    way = Way(world.address, world.port, world.tunnel.host, ending)
    connection = None
    while connection is None:
        connection = load.one(way)
    deadline = time.monotonic() + 75
    while not tally.failed:
        assert time.monotonic() < deadline, "the certificate has ended and is still let in"
        connection = load.one(way, connection)
    # On the connection that stood no call goes on: it is refused, or the connection ends under it. On a new one there is no handshake.
    at_the_end = {"connector: certificate_refused", "TLS cut without close_notify"}
    assert set(tally.failed) <= at_the_end and tally.failed.total() == 1, tally.failed
    tally.failed.clear()
    for _ in range(3):
        load.one(way)
    assert set(tally.failed) == {"connector: certificate refused"}, tally.failed
    assert not tally.violations
