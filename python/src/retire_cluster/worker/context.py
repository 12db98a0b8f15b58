"""What a handler may know about its run, and say."""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any, List, NamedTuple, Optional

from retire_cluster.wire.messages import (
    CHECKPOINT_BYTES_MAX,
    LOG_BYTES_MAX,
    LOG_LINE_BYTES_MAX,
    LOG_LINES_MAX,
    PROGRESS_TEXT_BYTES_MAX,
)

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


class _Cancelled:
    """True or False, and a function that says so: `context.cancelled` and `context.cancelled()`."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __bool__(self) -> bool:
        return self._event.is_set()

    def __call__(self) -> bool:
        return self._event.is_set()

    def __eq__(self, other: object) -> bool:
        return bool(self) == other

    def __hash__(self) -> int:
        return hash(bool(self))

    def __repr__(self) -> str:
        return repr(bool(self))


class Told(NamedTuple):
    """What a running attempt has told since the last time. `checkpoint` is None if there is no new one."""

    fraction: Optional[float]
    text: Optional[str]
    first_line: int
    lines: List[List[Any]]
    checkpoint: Optional[bytes]


class TaskContext:
    """The second parameter of a handler that asks for one. Thread-safe.

    task_id: as text; idempotency_key is the same, and the same in every attempt: hand it to whatever must not
    do a thing twice. attempt: 1 for the first run of the task, 2 for the first repetition, and so on.
    timeout_seconds: how long this run may take, from its start; deadline: when that is over, in UTC.
    checkpoint: the bytes that the latest attempt before this one has saved, None if there are none.
    """

    def __init__(
        self, task_id: bytes, attempt: int, timeout_seconds: float, checkpoint: Optional[bytes] = None
    ) -> None:
        self.task_id = str(uuid.UUID(bytes=task_id))
        self.attempt = attempt
        self.timeout_seconds = timeout_seconds
        self.checkpoint = checkpoint
        self._started = time.monotonic()
        self.deadline = datetime.now(timezone.utc) + timedelta(seconds=min(timeout_seconds, 10**9))
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._lines: List[List[Any]] = []
        self._bytes = 0
        self._progress: Optional[List[Any]] = None  # fraction, text
        self._saved: Optional[bytes] = None
        self._scratch: Optional[str] = None
        self._ended = False
        self._told_lines = 0
        self._told_progress: Optional[List[Any]] = None
        self._told_saved: Optional[bytes] = None

    @property
    def idempotency_key(self) -> str:
        return self.task_id

    @property
    def cancelled(self) -> _Cancelled:
        """Nobody wants the result any more: the task was cancelled, its time is over, or the worker stops.
        Return soon. `context.cancelled` is true or false, and so is `context.cancelled()`.
        """
        return _Cancelled(self._cancelled)

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

    def debug(self, message: str) -> None:
        self.log(message, "debug")

    def info(self, message: str) -> None:
        self.log(message, "info")

    def warning(self, message: str) -> None:
        self.log(message, "warning")

    def error(self, message: str) -> None:
        self.log(message, "error")

    def progress(self, fraction: float, text: str = "") -> None:
        """How far this attempt is: 0 to 1 (what is beyond is cut), and a text of up to 256 bytes. Shown with
        the task while it runs. Cheap: main is told a few times a second at most.
        """
        value = float(fraction)
        value = min(1.0, max(0.0, value)) if math.isfinite(value) else 0.0
        said = cut_text(str(text), PROGRESS_TEXT_BYTES_MAX)
        with self._lock:
            self._progress = [value, said or None]

    def save_checkpoint(self, data: bytes) -> None:
        """Keeps up to 1 MiB for the case that this attempt does not succeed: the next one, maybe on another
        device, finds the latest in `checkpoint`. It reaches main within about half a second, or with the end
        of the attempt.

        Errors: TypeError for what is not bytes, ValueError for more than 1 MiB; the one before stays.
        """
        saved = bytes(memoryview(data))
        if len(saved) > CHECKPOINT_BYTES_MAX:
            raise ValueError(
                f"the checkpoint has {len(saved)} bytes, over the limit of {CHECKPOINT_BYTES_MAX}"
            )
        with self._lock:
            self._saved = saved

    @property
    def scratch_dir(self) -> str:
        """A private directory of this attempt, made when it is first asked for, removed after the attempt.
        Errors: OSError if it cannot be made; RuntimeError after the attempt.
        """
        with self._lock:
            if self._ended:
                raise RuntimeError("the attempt is over, and its scratch directory is gone")
            if self._scratch is None:
                self._scratch = tempfile.mkdtemp(prefix="retire-cluster-attempt-")
            return self._scratch

    # -- for the worker

    def end(self) -> None:
        """The handler has returned."""
        with self._lock:
            self._ended = True
            scratch, self._scratch = self._scratch, None
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)

    def saved_checkpoint(self) -> Optional[bytes]:
        with self._lock:
            return self._saved

    def tell(self, again: bool = False) -> Optional[Told]:
        """What is new since the last time; with `again` progress and checkpoint also if they are not. None if
        nothing is.
        """
        with self._lock:
            if again:
                self._told_progress = self._told_saved = None
            first = self._told_lines
            lines = [list(line) for line in self._lines[first:]]
            progress = self._progress if self._progress is not self._told_progress else None
            saved = self._saved if self._saved is not self._told_saved else None
            self._told_lines = len(self._lines)
            self._told_progress, self._told_saved = self._progress, self._saved
        if not lines and progress is None and saved is None:
            return None
        fraction, text = progress if progress is not None else (None, None)
        return Told(fraction, text, first, lines, saved)

    def cancel(self) -> None:
        self._cancelled.set()

    def lines(self) -> List[List[Any]]:
        with self._lock:
            return list(self._lines)
