"""The same load through retire-cluster-submit, that is through the C++ client library: one run for each batch."""

from __future__ import annotations

import json
import random
import subprocess
import time
from typing import Callable, Iterator, List

from checker.history import Writer
from load.plan import TASK_TYPE, Planned, batch, read_result

_PRIORITIES = ("low", "normal", "high", "urgent")


def run(
    address: str,
    history: Writer,
    tasks: Iterator[Planned],
    stop: Callable[[], bool],
    *,
    program: str,
    seed: int,
    batch_size: int,
    window: int,
    pause: float,
    drain_seconds: float,
) -> int:
    """As raw_client.run. A run of the program that printed every result has been acknowledged, and an other one is
    repeated with the same IDs."""
    del window
    rng = random.Random(seed)
    while not stop():
        made = batch(tasks, rng.randrange(1, batch_size * 2))
        if not _submit(address, history, made, program, drain_seconds):
            return len(made)
        time.sleep(pause * (0.5 + rng.random()))
    return 0


def _submit(address: str, history: Writer, made: List[Planned], program: str, seconds: float) -> bool:
    lines = "".join(json.dumps(_line(task)) + "\n" for task in made)
    number = history.invoke(task.intended for task in made)
    end = time.monotonic() + seconds
    command = [program, "--to", address, "--connect-timeout", f"{seconds:g}", "--file", "-", "--wait", "--json"]
    why = ""
    while time.monotonic() < end:
        since = time.monotonic()
        try:
            done = subprocess.run(
                command, input=lines, capture_output=True, text=True, timeout=max(1.0, end - time.monotonic())
            )
        except subprocess.TimeoutExpired:
            break
        results = [json.loads(line) for line in done.stdout.splitlines()]
        for result in results:
            key, execution = read_result(result["result_data"])
            history.seen(
                since, "cli", result["task_id"], result["status"],
                key=key, execution=execution, error=result["error_message"],
            )  # fmt: skip
        if len(results) == len(made):
            history.ok(number, [task.id for task in made])
            return True
        why = f"exit status {done.returncode}: {done.stderr.strip()[-300:]}"
        history.again(number)
    history.unknown(number, why or "it did not end")
    return False


def _line(task: Planned) -> "dict[str, object]":
    return {
        "task_type": TASK_TYPE,
        "payload": task.payload,
        "priority": _PRIORITIES[task.priority - 1],
        "requirements": task.requirements,
        "task_id": task.id,
    }
