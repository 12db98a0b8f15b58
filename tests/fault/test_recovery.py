"""What a restart finds: much to load, and killed again while it loads; and results that nobody has acknowledged."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Callable

from arena import Arena, sleep_until
from checker import history, witness
from counts import count, seed
from harness.waiting import eventually
from load.plan import Mix

WAITING = 20_000


def test_a_queue_is_loaded_however_often_that_is_cut_short(arenas: Callable[..., Arena]) -> None:
    """RETIRE_CLUSTER_RECOVERY_KILLS raises the number of kills."""
    kills = count("RECOVERY_KILLS", 10)
    rng = random.Random(f"recovery {seed()}")
    arena = arenas(seed=seed(), mix=Mix(once=10, work_ms=0))
    loader = arena.start_client("raw", "--batch-size", "500", "--window", str(WAITING), "--pause", "0")
    eventually(lambda: _acknowledged(loader.history) >= WAITING, f"{WAITING} tasks are acknowledged")
    parts = WAITING // 1024
    for number in range(kills):
        arena.forget(arena.main)
        arena.main.kill()
        if number % 2 == 0:
            passes = rng.randrange(1, parts + 1)
            arena.start_main(listen=False, RETIRE_CLUSTER_FAILPOINT=f"restoring=kill@{passes}")
            assert arena.main.ended() == -signal.SIGKILL, arena.main.stderr
        else:
            arena.start_main(listen=False)
            sleep_until(time.monotonic() + rng.random() * 0.4)
    arena.main.kill()
    arena.start_main()
    arena.main.line(r"queue loaded: waiting=\d+ running=0 ")
    arena.start_workers(4, slots=2)
    arena.stop_clients()
    verdict = arena.judge()
    print(f"kills={kills + 1} seed={seed()}")
    print(verdict.summary())
    verdict.check()
    assert verdict.acknowledged >= WAITING
    assert verdict.executions == verdict.ended, "nothing had begun"


def _acknowledged(path: Path) -> int:
    if not path.exists():
        return 0
    return sum(len(one.tasks) for one in history.read(path).submissions if one.outcome == "ok")


def test_finished_work_survives_the_end_of_main_and_of_its_worker(arenas: Callable[..., Arena]) -> None:
    """main is away when tasks end; a second later their results are on the worker's disk, and the worker is killed, too.
    Nothing runs again. RETIRE_CLUSTER_OUTBOX_ROUNDS raises the number of rounds."""
    rounds = count("OUTBOX_ROUNDS", 3)
    arena = arenas(seed=seed(), mix=Mix(once=30, work_ms=300))
    arena.start_workers(1, slots=4)
    client = arena.start_client("raw", "--batch-size", "2", "--window", "4")
    for _ in range(rounds):
        before = _ended(arena)
        eventually(lambda before=before: _ended(arena) > before, "work is done")
        arena.kill_main()
        # What it holds it goes on with, and no more comes.
        (worker,) = arena.workers
        eventually(lambda: _ended(arena) == len(_begun(arena)), "what had begun has ended")
        outbox = arena.home / f"worker-{worker.number}" / "data" / "outbox"
        eventually(lambda outbox=outbox: _is_settled(outbox), "results are on the worker's disk")
        arena.kill_worker(worker)
        arena.start_main()
        arena.start_worker(slots=4, number=worker.number).line("joined main at")
    assert client.alive
    arena.stop_clients()
    verdict = arena.judge()
    print(verdict.summary())
    verdict.check()
    assert verdict.repeated == []
    assert set(verdict.reasons) == {"success"}


def _begun(arena: Arena) -> "dict[str, list[witness.Execution]]":
    return witness.read(arena.witness)


def _ended(arena: Arena) -> int:
    return sum(run.ended for runs in _begun(arena).values() for run in runs)


_SETTLED_SECONDS = 2.5  # it is written once a second at most, so by then it has everything


def _is_settled(outbox: Path) -> bool:
    """Something is in it, and it has not grown for longer than the worker leaves between two writes."""
    try:
        found = outbox.stat()
    except FileNotFoundError:
        return False
    return found.st_size > 0 and time.time() - found.st_mtime > _SETTLED_SECONDS
