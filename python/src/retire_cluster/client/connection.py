"""A client's connection to main that many threads may use at once."""

from __future__ import annotations

import itertools
import os
import queue
import random
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

from retire_cluster import errors
from retire_cluster.client.core import Answered, Arrived, Broken, ClientCore, Failed, Joined, Request, Unknown
from retire_cluster.client.results import Entry, ResultCache
from retire_cluster.ids import show_task_id
from retire_cluster.log import module_logger
from retire_cluster.transport.address import Address
from retire_cluster.transport.pump import Pump
from retire_cluster.version import PROGRAM
from retire_cluster.wire import Refused, encode

_log = module_logger("client")
_GRACE_SECONDS = 5.0  # beyond a request's own deadline, before its caller stops believing in the thread


class Outcome(NamedTuple):
    """How the wait for one task ended: with an entry, or with an error."""

    task_id: bytes
    entry: Optional[Entry]
    error: Optional[errors.RetireClusterError]


class Watch:
    """The results of some tasks, as they come. Made by Connection.watch(); take each with get()."""

    def __init__(self, ids: Set[bytes]) -> None:
        self.ids = ids  # those that are still to come; only the connection's thread changes it
        self.outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self.added = threading.Event()  # what is known already is in outcomes

    def get(self, timeout: Optional[float]) -> Outcome:
        """The next one. Errors: queue.Empty after `timeout` seconds."""
        return self.outcomes.get(timeout=timeout)


class Connection:
    """Owns the thread that talks to main. All methods may be called from any thread of the process that made
    it; after a fork the child has to make its own."""

    def __init__(self, address: Address, request_timeout: float) -> None:
        self.address = address
        self.request_timeout = request_timeout
        self.welcome: Dict[str, Any] = {}
        self._joined: Future[None] = Future()
        self._correlations = itertools.count(1)
        self._core = ClientCore(str(address), PROGRAM, os.urandom(16), random.Random())
        self._pump = Pump(address, self._core, self._after_turn, f"retire-cluster {address}")
        # What follows is used in the pump's thread only.
        self._futures: Dict[int, Future[Dict[str, Any]]] = {}
        self._watches: Dict[bytes, List[Watch]] = {}
        self._cache = ResultCache()
        self._closing = threading.Lock()
        self._closed = False

    def open(self, timeout: float) -> None:
        """Connects. Errors: MainUnreachableError after `timeout` seconds; what main refuses the hello
        with.
        """
        self._pump.start()
        self._pump.post(self._core.start)
        try:
            self._joined.result(timeout)
        except FutureTimeout:
            self.close()
            raise errors.MainUnreachableError(
                f"no answer from main at {self.address} within {timeout:g} s: check the address, that "
                "retire-cluster-main runs there, and that the network lets it through"
            ) from None
        except errors.RetireClusterError:
            self.close()
            raise

    def close(self) -> None:
        """Says goodbye and ends the thread. What other threads still wait for ends with ClosedError."""
        with self._closing:
            if self._closed or self._forked():
                return
            self._closed = True
        self._pump.post(lambda now: self._core.goodbye())
        self._pump.stop()

    @property
    def reachable(self) -> bool:
        """Main has been heard lately."""
        return self._pump.running and self._core.session.ready

    def begin(
        self, kind: str, body: Dict[str, Any], answer: str, notify_ids: Tuple[bytes, ...] = ()
    ) -> Future[Dict[str, Any]]:
        """Sends a request; the future holds the body of its answer, or the error. Errors: InvalidTaskError,
        ClosedError.
        """
        self._check_open()
        correlation = next(self._correlations)
        try:
            frame = encode(kind, correlation, body)
        except Refused as refused:
            wrong = errors.TaskTooLargeError if refused.code == "too_large" else errors.InvalidTaskError
            raise wrong(f"{refused.field} {refused.detail}", field=refused.field) from None
        future: Future[Dict[str, Any]] = Future()

        def work(now: float) -> None:
            self._futures[correlation] = future
            self._core.request(Request(correlation, frame, answer, now + self.request_timeout, notify_ids))

        self._pump.post(work)
        return future

    def finish(self, future: Future[Dict[str, Any]]) -> Dict[str, Any]:
        """Waits for what begin() gave. Errors: those of main, MainUnreachableError, ClosedError."""
        end = time.monotonic() + self.request_timeout + _GRACE_SECONDS
        while True:
            try:
                return future.result(min(0.5, max(0.0, end - time.monotonic())))
            except FutureTimeout:
                if future.done():
                    continue
                if not self._pump.running or time.monotonic() >= end:
                    raise self._gone() from None

    def call(self, kind: str, body: Dict[str, Any], answer: str) -> Dict[str, Any]:
        """begin() and finish()."""
        return self.finish(self.begin(kind, body, answer))

    def watch(self, ids: Set[bytes]) -> Watch:
        """Waits for the results of these tasks; end it with unwatch(). Errors: ClosedError."""
        self._check_open()
        watch = Watch(set(ids))
        self._pump.post(lambda now: self._add_watch(watch))
        watch.added.wait(1.0)  # so that a timeout of 0 finds what is there
        return watch

    def unwatch(self, watch: Watch) -> None:
        self._pump.post(lambda now: self._drop_watch(watch))

    # -- in the pump's thread

    def _add_watch(self, watch: Watch) -> None:
        missing = []
        for task_id in list(watch.ids):
            entry = self._cache.get(task_id)
            if entry is not None:
                watch.ids.discard(task_id)
                watch.outcomes.put(Outcome(task_id, entry, None))
            elif self._core.broken is not None:
                watch.outcomes.put(Outcome(task_id, None, self._core.broken))
            else:
                self._watches.setdefault(task_id, []).append(watch)
                missing.append(task_id)
        self._core.watch(missing)
        watch.added.set()

    def _drop_watch(self, watch: Watch) -> None:
        unwanted = []
        for task_id in watch.ids:
            others = [w for w in self._watches.get(task_id, ()) if w is not watch]
            if others:
                self._watches[task_id] = others
            else:
                self._watches.pop(task_id, None)
                unwanted.append(task_id)
        self._core.unwatch(unwanted)

    def _tell(
        self, task_id: bytes, entry: Optional[Entry], error: Optional[errors.RetireClusterError]
    ) -> None:
        for watch in self._watches.pop(task_id, ()):
            watch.ids.discard(task_id)
            watch.outcomes.put(Outcome(task_id, entry, error))

    def _after_turn(self) -> None:
        for event in self._core.events:
            if isinstance(event, Arrived):
                for item in event.items:
                    self._cache.add(item, event.devices)
                    self._tell(item[0], (item, event.devices), None)
            elif isinstance(event, Answered):
                self._futures.pop(event.request.correlation).set_result(event.body)
            elif isinstance(event, Failed):
                self._futures.pop(event.request.correlation).set_exception(event.error)
            elif isinstance(event, Unknown):
                for task_id in event.ids:
                    self._tell(task_id, None, _unknown(task_id))
            elif isinstance(event, Joined):
                self._on_joined(event)
            elif isinstance(event, Broken):
                self._on_broken(event.error)
        self._core.events.clear()
        if not self._pump.running:
            self._end_all(self._gone())

    def _on_joined(self, event: Joined) -> None:
        again = bool(self.welcome)
        self.welcome = event.welcome
        if not self._joined.done():
            self._joined.set_result(None)
        if again:
            _log.info("connected to main at %s again", self.address)

    def _on_broken(self, error: errors.RetireClusterError) -> None:
        if not self._joined.done():
            self._joined.set_exception(error)
        _log.error("main at %s does not serve this client: %s", self.address, error)
        self._end_all(error)

    def _end_all(self, error: errors.RetireClusterError) -> None:
        for future in self._futures.values():
            future.set_exception(error)
        self._futures.clear()
        for task_id in list(self._watches):
            self._tell(task_id, None, error)

    # -- inside

    def _forked(self) -> bool:
        return os.getpid() != self._pump.pid

    def _check_open(self) -> None:
        if self._forked():
            raise errors.ClosedError(
                "this scheduler was made before a fork: the child process has to make its own"
            )
        if self._closed or not self._pump.running:
            raise self._gone()

    def _gone(self) -> errors.RetireClusterError:
        if self._pump.failure is not None:
            return errors.RetireClusterError(f"the connection's thread failed: {self._pump.failure!r}")
        return errors.ClosedError("the scheduler is closed")


def _unknown(task_id: bytes) -> errors.NotFoundError:
    return errors.NotFoundError(
        f"main does not know the task {show_task_id(task_id)}: "
        "its ID is wrong, or main was restarted and kept nothing"
    )
