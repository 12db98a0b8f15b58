"""The same load through the Python package: what it promises over restarts of main is tested, too."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Callable, Iterator, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "python" / "src"))

from retire_cluster import errors  # noqa: E402
from retire_cluster.tasks import Task, TaskPriority, TaskRequirements, TaskResult, TaskScheduler  # noqa: E402

from checker.history import MISSING, Writer  # noqa: E402
from load.plan import TASK_TYPE, Planned, batch, read_result  # noqa: E402

_REQUEST_SECONDS = 60.0


def run(
    address: str,
    history: Writer,
    tasks: Iterator[Planned],
    stop: Callable[[], bool],
    *,
    seed: int,
    batch_size: int,
    window: int,
    pause: float,
    drain_seconds: float,
) -> int:
    """As raw_client.run, a batch at a time."""
    del window
    rng = random.Random(seed)
    left = 0
    client = _connect(address)
    while not stop() and not left:
        made = batch(tasks, rng.randrange(1, batch_size * 2))
        _submit(client, history, made)
        left = _wait(client, history, made, drain_seconds)
        time.sleep(pause * (0.5 + rng.random()))
    client.close()
    return left


def _connect(address: str) -> TaskScheduler:
    return TaskScheduler(address, connect_timeout=_REQUEST_SECONDS, request_timeout=_REQUEST_SECONDS)


def _submit(client: TaskScheduler, history: Writer, made: List[Planned]) -> None:
    """Until it is acknowledged: repeating it with the same IDs is harmless."""
    wire = [_task(task) for task in made]
    number = history.invoke(task.intended for task in made)
    while True:
        try:
            client.submit_tasks(wire)
        except errors.MainUnreachableError:
            history.again(number)
            continue
        except errors.RetireClusterError as error:
            history.failed(number, str(error))
            raise
        # The package does not say what main knew already, so nothing may be concluded from it.
        history.ok(number, [task.id for task in made])
        return


def _task(task: Planned) -> Task:
    return Task(
        TASK_TYPE,
        task.payload,
        priority=TaskPriority(task.priority),
        requirements=TaskRequirements(**task.requirements),
        task_id=task.id,
    )


def _wait(client: TaskScheduler, history: Writer, made: List[Planned], seconds: float) -> int:
    """The number of results that did not come."""
    wanted = {task.id for task in made}
    since = time.monotonic()
    try:
        for result in client.as_completed(sorted(wanted), timeout=seconds):
            wanted.discard(result.task_id)
            note(history, since, "package", result.task_id, result)
    except errors.WaitTimeoutError:
        return len(wanted)
    except errors.NotFoundError:
        for task_id in sorted(wanted):
            result = client.get_task_result(task_id)
            if client.get_task_status(task_id) is None:
                history.seen(since, "package", task_id, MISSING)
            else:
                note(history, since, "package", task_id, result)
    return 0


def note(history: Writer, since: float, how: str, task_id: str, result: Optional[TaskResult]) -> None:
    if result is None:
        return
    key, execution = read_result(result.result_data)
    history.seen(
        since, how, task_id, result.status.value, key=key, execution=execution, error=result.error_message
    )
