"""Threads that run handlers."""

from __future__ import annotations

import inspect
import queue
import threading
import traceback
from typing import Any, Callable, Dict, List, Optional, Tuple

from retire_cluster.errors import InvalidTaskError, ProtocolError
from retire_cluster.values import pack_value, unpack_value
from retire_cluster.wire.messages import ERROR_MESSAGE_BYTES_MAX, PAYLOAD_BYTES_MAX, TRACEBACK_BYTES_MAX
from retire_cluster.worker.context import PermanentError, TaskContext, Told, cut_text
from retire_cluster.worker.core import Attempt, Outcome, Report

Handler = Callable[..., Any]
Done = Callable[[int, Report], None]


def takes_context(handler: Handler) -> bool:
    """True if `handler` has a parameter named `context`, or a second one that it cannot do without."""
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):  # some functions written in C do not tell
        return False
    if any(p.name == "context" for p in parameters[1:]):
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) >= 2 and positional[1].default is inspect.Parameter.empty


def call_handler(handler: Handler, with_context: bool, payload: bytes, context: TaskContext) -> Report:
    """Runs a handler to its end. Never raises: whatever comes of it is in the report."""
    try:
        value = unpack_value(payload, "the payload")
    except ProtocolError as error:
        return Report(Outcome.FAILED_PERMANENTLY, error=str(error))
    try:
        result = _call(handler, with_context, value, context)
    except PermanentError as error:
        return _failed(Outcome.FAILED_PERMANENTLY, error, context)
    except BaseException as error:  # sys.exit() in a handler ends the handler, not the worker
        return _failed(Outcome.FAILED, error, context)
    try:
        data = pack_value(result, "the result", PAYLOAD_BYTES_MAX)
    except InvalidTaskError as error:
        return Report(
            Outcome.FAILED_PERMANENTLY,
            error=cut_text(str(error), ERROR_MESSAGE_BYTES_MAX),
            logs=context.lines(),
            checkpoint=context.saved_checkpoint(),
        )
    return Report(Outcome.SUCCESS, data=data, logs=context.lines())


def _call(handler: Handler, with_context: bool, value: Any, context: TaskContext) -> Any:
    if not with_context:
        return handler(value)
    parameters = inspect.signature(handler).parameters
    named = parameters.get("context")
    if named is not None and named.kind is named.KEYWORD_ONLY:
        return handler(value, context=context)
    if named is not None and list(parameters).index("context") != 1:
        return handler(value, context=context)
    return handler(value, context)


def _failed(outcome: int, error: BaseException, context: TaskContext) -> Report:
    said = str(error)
    message = f"{type(error).__name__}: {said}" if said else type(error).__name__
    lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return Report(
        outcome,
        error=cut_text(message, ERROR_MESSAGE_BYTES_MAX),
        traceback=cut_text(lines, TRACEBACK_BYTES_MAX, keep_end=True),
        logs=context.lines(),
        checkpoint=context.saved_checkpoint(),
    )


class SlotThreads:
    """Runs attempts, each in a thread; threads are reused. It starts as many as run at once: the core sees to
    the number of slots.

    A thread cannot be killed. One whose attempt is abandoned goes on by itself until its handler returns, and
    then ends; another takes its place. `done` is called from the threads, the other methods from one thread.
    """

    def __init__(self, done: Done) -> None:
        self._done = done
        self._jobs: queue.SimpleQueue[Optional[Tuple[Attempt, Handler, bool, TaskContext]]] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()  # of what follows
        self._running: Dict[int, TaskContext] = {}  # neither ended nor abandoned
        self._threads = 0  # those that will take another job

    def start(self, attempt: Attempt, handler: Handler, with_context: bool) -> None:
        context = TaskContext(attempt.task_id, attempt.retry, attempt.timeout, attempt.checkpoint)
        with self._lock:
            self._running[attempt.number] = context
            more = len(self._running) > self._threads
            self._threads += more
        self._jobs.put((attempt, handler, with_context, context))
        if more:
            threading.Thread(target=self._work, name="retire-cluster slot", daemon=True).start()

    def cancel(self, attempt: Attempt) -> None:
        """The handler sees it if it looks."""
        with self._lock:
            context = self._running.get(attempt.number)
        if context is not None:
            context.cancel()

    def tell(self, attempt: Attempt, again: bool) -> Optional[Told]:
        """What it has told since the last time; None if nothing, or if it has ended."""
        with self._lock:
            context = self._running.get(attempt.number)
        return None if context is None else context.tell(again)

    def left_by(self, attempt: Attempt) -> Tuple[List[List[Any]], Optional[bytes]]:
        """The log of what still runs, and its latest checkpoint."""
        with self._lock:
            context = self._running.get(attempt.number)
        return ([], None) if context is None else (context.lines(), context.saved_checkpoint())

    def abandon(self, attempt: Attempt) -> None:
        """The handler sees it if it looks, and its thread is counted no more."""
        with self._lock:
            context = self._running.pop(attempt.number, None)
            if context is not None:
                self._threads -= 1
        if context is not None:
            context.cancel()

    def close(self) -> None:
        """Threads end after what they run."""
        with self._lock:
            contexts, threads = list(self._running.values()), self._threads
        for context in contexts:
            context.cancel()
        for _ in range(threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            attempt, handler, with_context, context = job
            report = call_handler(handler, with_context, attempt.payload, context)
            context.end()
            with self._lock:
                abandoned = self._running.pop(attempt.number, None) is None
            if abandoned:
                return
            self._done(attempt.number, report)
