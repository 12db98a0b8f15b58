"""What a handler may know about its run, and say."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any, List, Optional

from retire_cluster.wire.messages import LOG_BYTES_MAX, LOG_LINE_BYTES_MAX, LOG_LINES_MAX

_LEVELS = {"debug": 1, "info": 2, "warning": 3, "error": 4}


class PermanentError(Exception):
    """Raised by a handler: the task fails at once, no further attempt can do better."""


def cut_text(text: str, bytes_max: int, keep_end: bool = False) -> str:
    """`text` in at most `bytes_max` bytes of UTF-8, whole letters only."""
    data = text.encode("utf-8", "replace")
    if len(data) <= bytes_max:
        return data.decode("utf-8")
    part = data[-bytes_max:] if keep_end else data[:bytes_max]
    return part.decode("utf-8", "ignore")


class TaskContext:
    """The second parameter of a handler that asks for one. Thread-safe.

    task_id: as text. attempt: 1 for the first run of the task, 2 for the first repetition, and so on.
    timeout_seconds: how long this run may take, from its start.
    """

    def __init__(self, task_id: bytes, attempt: int, timeout_seconds: float) -> None:
        self.task_id = str(uuid.UUID(bytes=task_id))
        self.attempt = attempt
        self.timeout_seconds = timeout_seconds
        self._started = time.monotonic()
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._lines: List[List[Any]] = []
        self._bytes = 0

    @property
    def cancelled(self) -> bool:
        """Nobody wants the result any more: the task was cancelled, its time is over, or the worker stops.
        Return soon.
        """
        return self._cancelled.is_set()

    def wait_cancelled(self, timeout: Optional[float] = None) -> bool:
        """Sleeps up to `timeout` seconds, but wakes when the task is cancelled. True if it is."""
        return self._cancelled.wait(timeout)

    @property
    def remaining_seconds(self) -> float:
        """Of the timeout; 0 when it is over."""
        return max(0.0, self._started + self.timeout_seconds - time.monotonic())

    def log(self, message: str, level: str = "info") -> None:
        """Adds a line to the log of this attempt, which comes back with its result. level: debug, info,
        warning or error.

        A line is cut after 8,192 bytes; lines beyond 10,000 or 1 MiB are dropped. Errors: ValueError for
        another level.
        """
        if level not in _LEVELS:
            raise ValueError(f"level is {level!r}: must be one of {', '.join(_LEVELS)}")
        text = cut_text(str(message), LOG_LINE_BYTES_MAX)
        size = len(text.encode("utf-8"))
        with self._lock:
            if len(self._lines) < LOG_LINES_MAX and self._bytes + size <= LOG_BYTES_MAX:
                self._bytes += size
                self._lines.append([_LEVELS[level], int((time.monotonic() - self._started) * 1e6), text])

    # -- for the worker

    def cancel(self) -> None:
        self._cancelled.set()

    def lines(self) -> List[List[Any]]:
        with self._lock:
            return list(self._lines)
