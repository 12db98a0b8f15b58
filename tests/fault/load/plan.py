"""What a load client submits: drawn from a seed, so that a run can be repeated, and with what may become of it."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Tuple

from checker.history import Intended

TASK_TYPE = "witness"

# The message of an attempt that was told to fail, and what main says of a task whose device went.
TOLD_TO_FAIL = "failed:as it was told"
LOST_ONCE = "failed:device "
HOST_DIED = "failed:handler process"
POISONED = "failed:set aside: its devices were lost"


@dataclass(frozen=True)
class Planned:
    """A task and what is submitted for it."""

    intended: Intended
    payload: Dict[str, Any]
    priority: int
    requirements: Dict[str, Any]

    @property
    def id(self) -> str:
        return self.intended.id


@dataclass(frozen=True)
class Mix:
    """Percentages of the kinds of tasks; the rest succeed at the first try. `work_ms`: the longest run."""

    once: int = 0
    fail: int = 0
    fail_first: int = 0
    work_ms: int = 20
    # What else may become of a task that a fault has hit. `poison`: it may take its device down too often.
    poison: bool = False
    pad_kib: int = 0  # added to each payload

    @staticmethod
    def parse(text: str) -> Mix:
        """Of `once=10,work_ms=5`. Errors: TypeError, ValueError."""
        pairs = (pair.split("=") for pair in text.split(",") if pair)
        return Mix(**{name: int(value) for name, value in pairs})

    def text(self) -> str:
        return ",".join(f"{name}={int(value)}" for name, value in vars(self).items())


def plan(client: str, seed: int, witness: str, mix: Mix) -> Iterator[Planned]:
    """Tasks without end."""
    rng = random.Random(f"{client} {seed}")
    number = 0
    while True:
        number += 1
        kind = rng.randrange(100)
        how, requirements, expect = _kind(kind, mix)
        key = f"{client}-{number}"
        intended = Intended(
            str(uuid.UUID(int=rng.getrandbits(128), version=4)), key, expect, bool(requirements.get("at_most_once"))
        )
        payload = {"key": key, "file": witness, "work_ms": rng.randrange(mix.work_ms + 1), "how": how}
        if mix.pad_kib:
            payload["pad"] = "x" * (1024 * mix.pad_kib)
        yield Planned(intended, payload, rng.randrange(1, 5), requirements)


def _kind(kind: int, mix: Mix) -> Tuple[str, Dict[str, Any], Tuple[str, ...]]:
    lost: Tuple[str, ...] = (POISONED,) if mix.poison else ()
    if kind < mix.once:
        return "ok", {"at_most_once": True}, ("success", LOST_ONCE, HOST_DIED)
    kind -= mix.once
    if kind < mix.fail:
        return "fail", {"max_retries": 0}, (TOLD_TO_FAIL, *lost)
    kind -= mix.fail
    if kind < mix.fail_first:
        return "fail_first", {"max_retries": 3}, ("success", *lost)
    return "ok", {}, ("success", *lost)


def read_result(data: Any) -> Tuple[Optional[str], Optional[str]]:
    """Key and execution of what the witness returned."""
    if not isinstance(data, dict):
        return None, None
    return data.get("key"), data.get("execution")


def batch(tasks: Iterator[Planned], count: int) -> List[Planned]:
    return [next(tasks) for _ in range(count)]
