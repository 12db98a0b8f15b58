"""Without any fault: the load, the arena and the checker themselves."""

from __future__ import annotations

from typing import Callable

from arena import Arena
from harness.waiting import eventually
from load.plan import Mix


def test_without_a_fault_nothing_is_lost_and_nothing_runs_twice(arenas: Callable[..., Arena]) -> None:
    arena = arenas(mix=Mix(once=10, fail=5, fail_first=5))
    arena.start_workers(2, slots=2)
    arena.start_clients()
    eventually(lambda: arena.acknowledgements() >= 30, "30 submissions are acknowledged")
    arena.stop_clients()
    verdict = arena.judge()
    verdict.check()
    assert verdict.unknown == 0
    assert verdict.ended == verdict.acknowledged == verdict.submitted
    # Those that fail at first are the only ones that run again.
    assert verdict.executions == verdict.ended + len(verdict.repeated), verdict.summary()
