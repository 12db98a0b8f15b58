"""A network that stalls, resets, half-closes, delays and loses, between workers and main and clients and main."""

from __future__ import annotations

from typing import Callable, Iterator, List

import pytest

import proxy as proxies
from arena import CLIENT_KINDS, Arena
from counts import count, seed
from load.plan import Mix
from proxy import FAULTS, Proxy, Storm

COUNT = count("PROXY_FAULTS", len(FAULTS))  # in each test
SEED = seed()

# Heartbeats and silence are short, so that a connection on which nothing happens is soon given up.
COMMON = ("--heartbeat-interval", "0.3", "--offline-after", "2", "--disk-reserve", "0")
WORKERS_OF_EACH = 3
SECONDS_MAX = 4.0  # of a fault


class Net:
    """An arena whose workers reach main by two proxies and whose clients by two others."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.proxies = [Proxy(arena.address, seed=SEED + n) for n in range(4)]

    def start(self) -> None:
        for each in self.proxies[:2]:
            for _ in range(WORKERS_OF_EACH):
                self.arena.start_worker(slots=2, address=each.address)
        for worker in self.arena.workers:
            worker.line("joined main at")
        for n, kind in enumerate(CLIENT_KINDS):
            self.arena.start_client(kind, address=self.proxies[2 + n % 2].address)

    def faults(self) -> List[str]:
        return [fault for each in self.proxies for fault in each.counts.faults.elements()]

    def close(self) -> None:
        for each in self.proxies:
            each.close()


@pytest.fixture
def nets(arenas: Callable[..., Arena]) -> Iterator[Callable[..., Net]]:
    """Makes nets for one test: nets(*flags of main, mix=…)."""
    made: List[Net] = []

    def make(*flags: str, mix: Mix) -> Net:
        made.append(Net(arenas(*COMMON, *flags, seed=SEED, mix=mix)))
        return made[-1]

    yield make
    for net in made:
        net.close()


def counters(arena: Arena) -> dict[str, int]:
    return arena.client().get_cluster_statistics()["scheduler_stats"]


def blow(net: Net, seconds_max: float) -> None:
    """The storm with the load in it, from beginning to end, and what it did."""
    net.start()
    storm = Storm(net.proxies, proxies.plan(SEED, len(net.proxies), COUNT, seconds_max, 0.5))
    storm.join(60 + COUNT * (seconds_max + 1))
    assert storm.done == COUNT
    assert len(net.faults()) == COUNT
    net.arena.stop_clients()
    total = {
        name: sum(getattr(each.counts, name) for each in net.proxies)
        for name in ("connections", "resets", "half_closed", "cut", "refused", "bytes_passed", "bytes_lost")
    }
    assert total["resets"] > 0 and total["half_closed"] > 0 and total["bytes_lost"] > 0, total
    print(f"seed={SEED} faults={COUNT}", *(f"{name}={value}" for name, value in total.items()))


def test_drops_that_are_shorter_than_the_lease_repeat_nothing(nets: Callable[..., Net]) -> None:
    net = nets("--lease", "60", mix=Mix(once=10, work_ms=200))
    blow(net, SECONDS_MAX)
    verdict = net.arena.judge()
    counted = counters(net.arena)
    print(verdict.summary(), counted)
    verdict.check()
    assert verdict.acknowledged > 100, verdict.summary()
    assert verdict.repeated == [], "what a device held when its link dropped was not run again"
    assert counted["leases_expired"] == 0


def test_drops_that_are_longer_than_the_lease_lose_nothing(nets: Callable[..., Net]) -> None:
    """Some attempts are repeated, as they may be; at_most_once tasks are not."""
    net = nets("--lease", "2.5", mix=Mix(once=10, fail_first=5, work_ms=200, poison=True))
    blow(net, 1.25 * SECONDS_MAX)
    verdict = net.arena.judge()
    counted = counters(net.arena)
    print(verdict.summary(), counted)
    verdict.check()
    assert verdict.acknowledged > 100, verdict.summary()
    assert counted["leases_expired"] > 0, "some drops were longer than the lease"
