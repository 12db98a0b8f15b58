"""Processes that stand still for longer than they may, and go on as if nothing had been."""

from __future__ import annotations

import signal
import time
import uuid
from typing import Any, Callable, Iterator

import pytest
from retire_cluster.tasks import TaskScheduler

from arena import Arena, sleep_until
from checker import witness
from checker.history import Intended, Writer
from counts import count
from harness.cluster import Worker
from harness.waiting import eventually
from load.plan import Mix, Planned
from load.raw_client import RawClient
from proxy import TO_MAIN, Proxy

WORKER_FREEZES = count("WORKER_FREEZES", 3)
MAIN_FREEZES = count("MAIN_FREEZES", 2)

QUICK = ("--heartbeat-interval", "0.3", "--offline-after", "2", "--lease", "3", "--disk-reserve", "0")
LEASE_SECONDS = 3.0


@pytest.fixture
def arena(arenas: Callable[..., Arena]) -> Arena:
    return arenas(*QUICK, mix=Mix(once=10, work_ms=300))


@pytest.fixture
def client(arena: Arena) -> TaskScheduler:
    return arena.client()


def counters(client: TaskScheduler) -> dict[str, Any]:
    return client.get_cluster_statistics()["scheduler_stats"]


class Submitter:
    """A load client of one task at a time, in this process."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._writer = Writer(arena.histories / "submitter.jsonl")
        self._client = RawClient(arena.address, self._writer, 1)
        self._made = 0

    def submit(self, work_ms: int, **requirements: Any) -> str:
        self._made += 1
        key = f"frozen-{self._made}"
        intended = Intended(str(uuid.uuid4()), key, ("success",))
        payload = {"key": key, "file": str(self._arena.witness), "work_ms": work_ms, "how": "ok"}
        self._client.submit([Planned(intended, payload, 2, requirements)])
        self.until(lambda: self._client.idle, "the submission is acknowledged")
        return intended.id

    def result(self, task_id: str) -> None:
        """Waits for it; it is in the history then."""
        self.until(lambda: task_id in self._client.finished, f"the result of {task_id}")

    def until(self, condition: Callable[[], Any], what: str) -> None:
        def look() -> Any:
            self._client.turn(0.01)
            return condition()

        eventually(look, what)

    def close(self) -> None:
        self._client.close()
        self._writer.end(0)


@pytest.fixture
def submitter(arena: Arena) -> Iterator[Submitter]:
    made = Submitter(arena)
    yield made
    made.close()


def holder(arena: Arena, client: TaskScheduler, task_id: str) -> Worker:
    """The worker that runs it, once main was told so."""
    eventually(lambda: client.get_task_status(task_id).value == "running", f"{task_id} runs")
    device = client.get_task(task_id).assigned_device_id
    return next(worker for worker in arena.workers if worker.device_id == device)


def test_the_late_result_of_a_frozen_worker_is_refused_and_counted(
    arena: Arena, client: TaskScheduler, submitter: Submitter
) -> None:
    """Its agent alone is frozen: the handler goes on, and ends before the agent wakes."""
    arena.start_workers(2)
    for n in range(WORKER_FREEZES):
        before = counters(client)
        task_id = submitter.submit(work_ms=1000)
        frozen = holder(arena, client, task_id)
        frozen.signal(signal.SIGSTOP)
        submitter.result(task_id)
        result = client.get_task_result(task_id)
        assert result.status.value == "success"
        assert result.worker_device_id != frozen.device_id
        runs = witness.read(arena.witness)[task_id]
        assert [run.attempt for run in runs] == [1, 2]
        assert result.result_data["execution"] == runs[1].name
        eventually(
            lambda: witness.read(arena.witness)[task_id][0].ended, "the handler under the frozen agent ended"  # noqa: B023
        )

        frozen.signal(signal.SIGCONT)
        eventually(
            lambda: counters(client)["results_stale"] == before["results_stale"] + 1,  # noqa: B023
            "the late result is refused and counted",
        )
        assert counters(client)["leases_expired"] == before["leases_expired"] + 1
        assert client.get_task_result(task_id) == result, "what was told does not change"
        eventually(lambda: len(client.get_online_devices()) == 2, f"both serve again after round {n + 1}")
    for worker in arena.workers:
        assert worker.alive
    verdict = arena.judge()
    print(verdict.summary())
    verdict.check()
    assert verdict.ended == WORKER_FREEZES and len(verdict.repeated) == WORKER_FREEZES
    assert arena.main.stop() == 0
    arena.main.line(rf"stopped: .* results_stale={WORKER_FREEZES}$")


def test_a_main_that_was_frozen_takes_nobody_for_lost(arena: Arena, client: TaskScheduler) -> None:
    """Frozen for longer than the lease, under load: on waking no lease is over, and nothing runs twice."""
    arena.start_workers(4, slots=2)
    arena.start_clients()
    for n in range(MAIN_FREEZES):
        done = arena.acknowledgements()
        eventually(lambda: arena.acknowledgements() > done + 10, "the load goes on")  # noqa: B023
        arena.main.signal(signal.SIGSTOP)
        # The first freeze is shorter than what main always takes for one.
        sleep_until(time.monotonic() + LEASE_SECONDS * (1.3 if n % 2 == 0 else 2))
        arena.main.signal(signal.SIGCONT)
    done = arena.acknowledgements()
    eventually(lambda: arena.acknowledgements() > done + 10, "the load goes on")
    arena.stop_clients()
    counted = counters(client)
    verdict = arena.judge()
    print(verdict.summary(), counted)
    verdict.check()
    assert counted["leases_expired"] == 0, "main stood still, not the devices"
    assert verdict.repeated == []
    assert len(client.get_online_devices()) == 4


def test_what_main_misses_while_it_is_frozen_is_nobodys_silence(
    arena: Arena, client: TaskScheduler, submitter: Submitter
) -> None:
    """Nothing of its worker waits for main when it wakes, as nothing passes in that time either."""
    with Proxy(arena.address) as proxy:
        worker = arena.start_worker(address=proxy.address)
        worker.line("joined main at")
        task_id = submitter.submit(work_ms=9000)
        assert holder(arena, client, task_id) is worker
        before = counters(client)["uptime_seconds"]
        proxy.stall(TO_MAIN)
        arena.main.signal(signal.SIGSTOP)
        # Shorter than the five seconds that main takes for a freeze with its defaults, longer than the lease here.
        sleep_until(time.monotonic() + 1.3 * LEASE_SECONDS)
        arena.main.signal(signal.SIGCONT)
        eventually(lambda: counters(client)["uptime_seconds"] > before + LEASE_SECONDS, "main is awake")
        proxy.mend()
        submitter.result(task_id)
        worker.stop()  # while it has its way to main, or it would wait for it
    verdict = arena.judge()
    verdict.check()
    assert verdict.repeated == []
    assert counters(client)["leases_expired"] == 0
