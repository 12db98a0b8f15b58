#!/usr/bin/env python3
"""The task execution framework from end to end: setting up, submitting tasks of many kinds, watching them,
using results.

    task_execution_example.py [ADDRESS]

With an address it uses the cluster there; without one it starts main and two workers on this machine and ends
them again. A Python worker with a handler of its own joins for the time of the run. Exits with 1 if a task
ends otherwise than expected.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import Any, Dict, Iterator, List, Tuple

from retire_cluster import LocalCluster
from retire_cluster.errors import RetireClusterError
from retire_cluster.tasks import (
    PermanentError,
    Task,
    TaskContext,
    TaskExecutor,
    TaskPriority,
    TaskRequirements,
    TaskScheduler,
    TaskStatus,
)

WAIT_SECONDS = 60


# -- setting up


@contextlib.contextmanager
def scheduler_of(address: str) -> Iterator[TaskScheduler]:
    """A client of the cluster at `address`, or of one of our own if that is empty."""
    if address:
        with TaskScheduler(address) as scheduler:
            yield scheduler
    else:
        print("Starting a cluster on this machine: main and two workers")
        with LocalCluster(workers=2, allow=["python_eval", "command"]) as cluster:
            yield cluster.scheduler


def count_words(payload: Dict[str, Any], context: TaskContext) -> Dict[str, Any]:
    """A custom handler: the words of a text. It says what it does, and stops when nobody wants its result any
    more.
    """
    if not isinstance(payload, dict) or "text" not in payload:
        raise PermanentError("text is missing")  # trying again would not help
    counts: Dict[str, int] = {}
    for word in payload["text"].lower().split():
        if context.cancelled:
            break
        counts[word] = counts.get(word, 0) + 1
    context.log(f"{len(counts)} different words")
    return {"words": counts}


# -- submitting


def submit_various(scheduler: TaskScheduler) -> List[Tuple[str, str, TaskStatus]]:
    """One task of each kind: (what it is, its ID, how it has to end)."""
    here = TaskRequirements(required_tags=["example"])
    tasks = [
        ("echo", Task("echo", {"message": "Hello World!"}), TaskStatus.SUCCESS),
        ("sleep, urgent", Task("sleep", {"duration": 0.5}, priority=TaskPriority.URGENT), TaskStatus.SUCCESS),
        ("system information", Task("system_info", {}), TaskStatus.SUCCESS),
        (
            "our own handler",
            Task("count_words", {"text": "to be or not to be"}, requirements=here),
            TaskStatus.SUCCESS,
        ),
        ("our own handler, wrong payload", Task("count_words", {}, requirements=here), TaskStatus.FAILED),
    ]
    optional = [
        ("python_eval", Task("python_eval", {"expression": "sum(range(1000))"})),
        ("command", Task("command", {"command": "echo $((6 * 7))", "timeout": 10})),
    ]
    offered = offered_types(scheduler)
    for name, task in optional:
        if task.task_type in offered:
            tasks.append((name, task, TaskStatus.SUCCESS))
        else:
            print(f"  (no device offers {task.task_type}: start a worker with --allow {task.task_type})")
    # All of them in one message.
    ids = scheduler.submit_tasks([task for _, task, _ in tasks])
    return [(name, task_id, expected) for (name, _, expected), task_id in zip(tasks, ids)]


def offered_types(scheduler: TaskScheduler) -> List[str]:
    types = set()
    for device_id in scheduler.get_online_devices():
        types.update((scheduler.get_device_capabilities(device_id) or {}).get("handlers", ()))
    return sorted(types)


# -- watching, and handling results


def show_cluster(scheduler: TaskScheduler) -> None:
    for device_id in scheduler.get_online_devices():
        device = scheduler.get_device_capabilities(device_id) or {}
        what = f"{device.get('role')}, {device.get('platform')}, {device.get('slots')} slots"
        print(f"  {device_id}: {what}; offers {', '.join(device.get('handlers', ()))}")


def show_results(scheduler: TaskScheduler, submitted: List[Tuple[str, str, TaskStatus]]) -> int:
    """Prints results as they come. Returns how many ended otherwise than expected."""
    names = {task_id: (name, expected) for name, task_id, expected in submitted}
    wrong = 0
    for result in scheduler.as_completed(names, timeout=WAIT_SECONDS):
        name, expected = names[result.task_id]
        if result.status == TaskStatus.SUCCESS:
            outcome = str(result.result_data)
        else:
            outcome = str(result.error_message)
        where = f"on {result.worker_device_id} after {result.execution_time_seconds:.3f} s"
        print(f"  {name}: {result.status.value} {where}: {outcome[:120]}")
        for line in result.logs:
            print(f"    {line['level']}: {line['message']}")
        wrong += result.status != expected
    return wrong


def show_waiting(scheduler: TaskScheduler) -> int:
    """A task that no device can run waits, and says why, and can be cancelled. Returns 1 if not."""
    demanding = Task("echo", requirements=TaskRequirements(min_memory_gb=1_000_000))
    task_id = scheduler.submit_task(demanding)
    status = scheduler.get_task_status(task_id)
    print(f"  status: {status.value if status else 'unknown'}")
    for device in scheduler.explain(task_id).get("devices", ()):
        for unmet in device.get("unmet", ()):
            print(
                f"  {device['device_id']} needs {unmet['requirement']} {unmet['wanted']}, has {unmet['has']}"
            )
    cancelled = scheduler.cancel_task(task_id)
    final = scheduler.wait(task_id, timeout=WAIT_SECONDS).status
    print(f"  cancelled: {cancelled}; status: {final.value}")
    return int(not cancelled or final is not TaskStatus.CANCELLED)


def show_statistics(scheduler: TaskScheduler) -> None:
    stats = scheduler.get_cluster_statistics()
    print(f"  online devices: {stats['cluster_stats']['online_devices']}")
    print(f"  tasks: {stats['queue_stats']['total_tasks']}, by status: {stats['queue_stats']['by_status']}")


def run_example(scheduler: TaskScheduler) -> int:
    """Returns how many tasks ended otherwise than expected."""
    executor = TaskExecutor(scheduler.address, role="compute", tags=["example"], slots=2)
    executor.register_handler("count_words", count_words)
    with executor:
        print("\nThe cluster:")
        show_cluster(scheduler)
        print("\nSubmitting tasks of many kinds; results as they come:")
        wrong = show_results(scheduler, submit_various(scheduler))
        print("\nA task that no device can run:")
        wrong += show_waiting(scheduler)
        print("\nStatistics:")
        show_statistics(scheduler)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description="The task execution framework from end to end.")
    parser.add_argument(
        "address", nargs="?", default="", help="of main, HOST[:PORT]; none: a cluster of our own"
    )
    try:
        with scheduler_of(parser.parse_args().address) as scheduler:
            wrong = run_example(scheduler)
    except (RetireClusterError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\nAll as expected." if not wrong else f"\n{wrong} not as expected.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
