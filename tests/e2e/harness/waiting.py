"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import time
from typing import Any, Callable

DEADLINE_SECONDS = 60.0  # generous: it is only ever used up by what is broken
INTERVAL_SECONDS = 0.02


def eventually(condition: Callable[[], Any], what: str, deadline: float = DEADLINE_SECONDS) -> Any:
    """The first true value of `condition`. Fails, naming `what`, when the deadline is over."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"not within {deadline:g} s: {what} (last: {value!r})")
        time.sleep(INTERVAL_SECONDS)
