"""kill -9 of workers, of handler hosts, and of the supervisors between them, under load."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from typing import Callable, Dict, List

from arena import Arena, children, hosts, sleep_until, supervisors
from counts import count, seed
from harness.cluster import Worker
from harness.process import exists
from harness.waiting import eventually
from load.plan import Mix

WORKERS = 6
# A device that is killed comes back under its name, or is given up soon.
FLAGS = ("--heartbeat-interval", "0.3", "--offline-after", "3", "--lease", "6", "--disk-reserve", "0")


def of_all(arena: Arena, pids: Callable[[Worker], List[int]]) -> List[int]:
    return [pid for worker in arena.workers for pid in pids(worker)]


def kill(pid: int) -> bool:
    """False if it had gone by itself."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def attempts(arena: Arena) -> Dict[str, int]:
    """Of all devices, what main says became of their attempts."""
    devices = arena.client().get_devices()
    return {name: sum(device[f"attempts_{name}"] for device in devices) for name in ("succeeded", "failed", "lost")}


def test_a_killed_workers_tasks_are_lost_with_it_and_not_failed(arenas: Callable[..., Arena]) -> None:
    """RETIRE_CLUSTER_WORKER_KILLS raises the number of kills. Half of the workers come back at once, half after their
    lease has gone to others."""
    kills = count("WORKER_KILLS", 12)
    rng = random.Random(f"workers {seed()}")
    begin = time.monotonic()
    arena = arenas(*FLAGS, seed=seed(), mix=Mix(once=15, work_ms=60, poison=True))
    arena.start_workers(WORKERS)
    arena.start_clients()
    orphans: List[int] = []
    away: List[int] = []
    for number in range(kills):
        before = arena.acknowledgements()
        eventually(lambda before=before: arena.acknowledgements() > before + 5, "the load goes on")
        sleep_until(time.monotonic() + rng.random() * 0.3)
        worker = rng.choice(arena.workers)
        orphans += supervisors(worker) + hosts(worker)
        arena.kill_worker(worker)
        if number % 2 == 0:
            arena.start_worker(number=worker.number)
            continue
        away.append(worker.number)
        if len(away) > WORKERS // 2:
            arena.start_worker(number=away.pop(0))
    for number in away:
        arena.start_worker(number=number)
    arena.stop_clients()
    verdict = arena.judge()
    counted = attempts(arena)
    print(f"kills={kills} seed={seed()} seconds={time.monotonic() - begin:.0f} attempts={counted}")
    print(verdict.summary())
    verdict.check()
    assert counted["failed"] == 0, counted
    assert counted["lost"] > 0, f"no kill has hit an attempt: {counted}"
    for pid in orphans:
        eventually(lambda pid=pid: not exists(pid), f"the process {pid} of a killed worker ended with it")


def test_a_killed_host_or_supervisor_fails_an_attempt_and_nothing_more(arenas: Callable[..., Arena]) -> None:
    """RETIRE_CLUSTER_HOST_KILLS raises the number of kills."""
    kills = count("HOST_KILLS", 30)
    rng = random.Random(f"hosts {seed()}")
    begin = time.monotonic()
    # With many retries, so that no task is hit too often.
    arena = arenas(*FLAGS, seed=seed(), mix=Mix(work_ms=60))
    arena.start_workers(WORKERS)
    arena.start_clients()
    done: Counter[str] = Counter()
    while sum(done.values()) < kills:
        sleep_until(time.monotonic() + rng.random() * 0.3)
        kind = rng.choice(["host", "supervisor"])
        pids = of_all(arena, hosts if kind == "host" else supervisors)
        if pids and kill(rng.choice(pids)):
            done[kind] += 1
        before = arena.acknowledgements()
        eventually(lambda before=before: arena.acknowledgements() > before, "the load goes on")
    arena.stop_clients()
    verdict = arena.judge()
    counted = attempts(arena)
    print(f"kills={dict(done)} seed={seed()} seconds={time.monotonic() - begin:.0f} attempts={counted}")
    print(verdict.summary())
    verdict.check()
    assert counted["lost"] == 0, counted
    assert 0 < counted["failed"] <= kills, f"no kill has hit an attempt, or one has hit several: {counted}"
    for worker in arena.workers:
        assert worker.alive
        for supervisor in supervisors(worker):
            assert len(children(supervisor)) <= 1


def test_what_may_run_once_runs_once_whatever_is_killed(arenas: Callable[..., Arena]) -> None:
    """at_most_once under kills of main, of workers and of hosts together. RETIRE_CLUSTER_ONCE_KILLS raises them."""
    kills = count("ONCE_KILLS", 18)
    rng = random.Random(f"once {seed()}")
    begin = time.monotonic()
    arena = arenas(*FLAGS, seed=seed(), mix=Mix(once=100, work_ms=60))
    arena.start_workers(WORKERS)
    arena.start_clients()
    for number in range(kills):
        before = arena.acknowledgements()
        eventually(lambda before=before: arena.acknowledgements() > before + 3, "the load goes on")
        sleep_until(time.monotonic() + rng.random() * 0.3)
        if number % 3 == 0:
            arena.kill_main()
            arena.start_main()
        elif number % 3 == 1:
            worker = rng.choice(arena.workers)
            arena.kill_worker(worker)
            arena.start_worker(number=worker.number)
        else:
            pids = of_all(arena, hosts)
            if pids:
                kill(rng.choice(pids))
    arena.stop_clients()
    verdict = arena.judge()
    print(f"kills={kills} seed={seed()} seconds={time.monotonic() - begin:.0f} reasons={verdict.reasons}")
    print(verdict.summary())
    verdict.check()
    assert verdict.ran_twice == []
    assert verdict.executions <= verdict.submitted
    assert set(verdict.reasons) <= {"success", "device_lost", "failed"}
    assert verdict.reasons.get("device_lost", 0) > 0, "no kill of a worker has hit a task"
