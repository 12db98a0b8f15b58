"""One worker fails whatever it is given, at once, and so always has a free slot: it must not drain the queue."""

from __future__ import annotations

from typing import Any, Callable

from retire_cluster.tasks import TaskExecutor

from arena import Arena
from counts import count
from harness.waiting import eventually
from load.plan import TASK_TYPE, Mix

TASKS = count("BROKEN_NODE_TASKS", 1000)
PATIENT = ("--heartbeat-interval", "0.3", "--disk-reserve", "0")
# The promise is 1 % of 10,000 tasks. What is burnt does not grow with their number: five failures in a row, and what
# was on its way there by then.
BURNT_MAX = 100


def device(arena: Arena, name: str) -> dict[str, Any]:
    return next(each for each in arena.client().get_devices() if each["device_id"] == name)


def test_a_node_that_fails_everything_burns_few_attempts_and_ends_no_task(
    arenas: Callable[..., Arena],
) -> None:
    arena = arenas(*PATIENT, mix=Mix(work_ms=10))
    arena.start_workers(3, slots=2)

    def broken(payload: Any) -> None:
        raise RuntimeError("this device is broken")

    with TaskExecutor(arena.address, device_id="broken", slots=2) as executor:
        executor.register_handler(TASK_TYPE, broken)
        eventually(lambda: "broken" in arena.client().get_online_devices(), "the broken one has joined")
        arena.start_clients("--window", "400", "--pause", "0.02", kinds=("raw", "raw"))

        def ended() -> bool:
            return arena.client().get_cluster_statistics()["queue_stats"]["by_status"]["success"] >= TASKS

        eventually(ended, f"{TASKS} tasks are done", 60 + TASKS / 20)
        arena.stop_clients()
        counted = device(arena, "broken")
        print(f"attempts failed there: {counted['attempts_failed']}, state: {counted['state']}")
        verdict = arena.judge()
        print(verdict.summary())
        verdict.check()  # every task is expected to succeed
        assert counted["attempts_failed"] >= 5, "it has been tried"
        assert counted["attempts_failed"] <= BURNT_MAX
        assert counted["state"] == "quarantined"
