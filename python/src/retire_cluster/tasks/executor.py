"""TaskExecutor: a whole worker, in Python."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple, Type

from retire_cluster import errors
from retire_cluster.log import module_logger
from retire_cluster.transport.address import parse_address
from retire_cluster.transport.pump import Pump
from retire_cluster.version import PROGRAM, VERSION
from retire_cluster.wire.messages import CAPABILITY, TASK_TYPE
from retire_cluster.wire.refused import Refused
from retire_cluster.worker import identity, probe
from retire_cluster.worker.core import (
    Abandon,
    Broken,
    Cancel,
    Joined,
    Outcome,
    Report,
    Start,
    Tell,
    WorkerCore,
)
from retire_cluster.worker.slots import Handler, SlotThreads, takes_context

_log = module_logger("executor")
HANDLERS_MAX = 1024
_LOAD_SECONDS = 1.0  # how often the system's load is read


class TaskExecutor:
    """A worker whose handlers are Python functions.

    address: `HOST[:PORT]`; None is `$RETIRE_CLUSTER_ADDRESS`, else `127.0.0.1:8080`.
    role: `worker`, `compute`, `storage` or `mobile`. tags: what tasks may ask for.
    device_id: who this device is; None takes the one kept in data_dir, which is made on first use.
    slots: attempts at once, 1 to 4,096; None is the number of processors.
    data_dir: None is a temporary one, and a new device each time. capabilities: fields of the capability
    record that replace what was measured, as `{"has_gpu": True}`. drain_timeout: seconds that stop() waits
    for what runs.

    Each slot is a thread: handlers that compute in pure Python share one interpreter lock, so more slots make
    them no faster. A thread cannot be killed: when an attempt's time is over it is reported as timed out, its
    thread is left behind until the handler returns, and another takes its slot. Handlers that can take long
    should ask for a `context` and look at `context.cancelled`.

    Methods may be called from any thread. Errors: ValueError for what is not allowed.
    """

    def __init__(
        self,
        address: Optional[str] = None,
        role: str = "worker",
        tags: Iterable[str] = (),
        *,
        device_id: Optional[str] = None,
        slots: Optional[int] = None,
        data_dir: Optional[str] = None,
        capabilities: Optional[Mapping[str, Any]] = None,
        connect_timeout: float = 5.0,
        drain_timeout: float = 30.0,
    ) -> None:
        self._address = parse_address(address)
        self._connect_timeout = connect_timeout
        self._drain_timeout = drain_timeout
        self._temporary: Optional[tempfile.TemporaryDirectory[str]] = None
        if data_dir is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="retire-cluster-")
            data_dir = self._temporary.name
        self._data_dir = identity.ensure_dir(data_dir)
        self._data_lock = identity.DataDirLock(self._data_dir)
        self._handlers: Dict[str, Tuple[Handler, bool]] = {}
        self._capability = self._record(device_id, role, tags, slots, capabilities or {})
        self._lock = threading.Lock()  # of _handlers, _capability and the state below
        self._pump: Optional[Pump] = None
        self._core: Optional[WorkerCore] = None
        self._slots: Optional[SlotThreads] = None
        self._joined: Future[None] = Future()
        self._stopped = threading.Event()
        self._idle = threading.Condition()
        self._load_at = 0.0
        self.error: Optional[errors.RetireClusterError] = None

    def _record(
        self,
        device_id: Optional[str],
        role: str,
        tags: Iterable[str],
        slots: Optional[int],
        capabilities: Mapping[str, Any],
    ) -> Dict[str, Any]:
        measured = probe.probe(Path(self._data_dir))
        record = {
            "device_id": identity.kept_device_id(self._data_dir) if device_id is None else device_id,
            "role": role,
            **measured,
            "tags": [tags] if isinstance(tags, str) else list(tags),
            "handlers": [],
            "slots": measured["cpu_count"] if slots is None else slots,
            "version": VERSION,
        }
        for key, value in capabilities.items():
            if key not in CAPABILITY.fields or key in ("device_id", "handlers", "slots", "version"):
                raise ValueError(f"capabilities has the key {key!r}, which is not one that can be replaced")
            record[key] = value
        try:
            return CAPABILITY.read(record)
        except Refused as refused:
            raise ValueError(f"{refused.field} {refused.detail}") from None

    @property
    def device_id(self) -> str:
        device_id: str = self._capability["device_id"]
        return device_id

    @property
    def capabilities(self) -> Dict[str, Any]:
        """The capability record, as main is told."""
        with self._lock:
            return dict(self._capability)

    # -- handlers

    def register_handler(self, task_type: str, handler: Handler) -> None:
        """Offers a task type. `handler(payload)`, or `handler(payload, context)`, runs in a thread of a slot
        and returns the result. Replaces an earlier handler of the type; works before and after start().

        An exception fails the attempt, which main may repeat; PermanentError fails the task at once.
        Errors: ValueError for what is no task type; TypeError for what cannot be called.
        """
        try:
            TASK_TYPE.read(task_type)
        except Refused as refused:
            raise ValueError(f"task_type {refused.detail}") from None
        if not callable(handler):
            raise TypeError(f"the handler for {task_type} is {handler!r}, which cannot be called")
        with self._lock:
            if len(self._handlers) == HANDLERS_MAX and task_type not in self._handlers:
                raise ValueError(
                    f"the handler for {task_type} is one too many: at most {HANDLERS_MAX} are allowed"
                )
            self._handlers[task_type] = (handler, takes_context(handler))
        self._offer()

    def unregister_handler(self, task_type: str) -> bool:
        """Offers a type no more; what runs goes on. False if it was not offered."""
        with self._lock:
            known = self._handlers.pop(task_type, None) is not None
        self._offer()
        return known

    def get_supported_task_types(self) -> List[str]:
        with self._lock:
            return sorted(self._handlers)

    def _offer(self) -> None:
        with self._lock:
            if self._capability["handlers"] == sorted(self._handlers):
                return
            # A new record each time: the one that main was told is not changed under the core's hands.
            record = self._capability = {**self._capability, "handlers": sorted(self._handlers)}
            pump, core = self._pump, self._core
        if pump is not None and core is not None:
            pump.post(lambda now: core.set_capability(record))

    # -- life

    def start(self) -> None:
        """Joins main and begins to run tasks, in threads of its own. An executor is started once.

        Errors: MainUnreachableError (a ConnectionError) if main does not answer within connect_timeout;
        ProgramError if data_dir is in use; what main refuses the device with.
        """
        with self._lock:
            if self._pump is not None:
                raise errors.ClosedError("the executor was started before: make another one")
            self._data_lock.acquire()
            core = WorkerCore(self._capability, PROGRAM, os.urandom(16), random.Random())
            pump = Pump(self._address, core, self._after_turn, f"retire-cluster worker {self.device_id}")
            self._core, self._pump = core, pump
            self._slots = SlotThreads(self._on_done)
            core.left_by = self._slots.left_by
        pump.start()
        pump.post(core.start)
        try:
            self._joined.result(self._connect_timeout)
        except FutureTimeout:
            self._end()
            raise errors.MainUnreachableError(
                f"no answer from main at {self._address} within {self._connect_timeout:g} s: "
                "check the address, that retire-cluster-main runs there, and that the network lets it through"
            ) from None
        except errors.RetireClusterError:
            self._end()
            raise

    def stop(self, drain_timeout: Optional[float] = None) -> None:
        """Takes no new work, waits for what runs (drain_timeout seconds, None as given when made), cancels
        the rest, and leaves. May be called twice, and from any thread but that of a handler."""
        pump, core = self._pump, self._core
        if pump is None or core is None or self._stopped.is_set():
            self._end()
            return
        timeout = self._drain_timeout if drain_timeout is None else drain_timeout
        pump.post(lambda now: core.drain())
        with self._idle:
            self._idle.wait_for(lambda: self.error is not None or (core.draining and core.idle), timeout)
        pump.post(lambda now: core.goodbye())
        self._end()

    def run(self) -> None:
        """start(), and then work until stop() is called or, in the main thread, until SIGINT or SIGTERM (the
        second of which does not wait for what runs).

        Errors: as start(); ReplacedError if another process joined under this device ID.
        """
        previous = self._take_signals()
        try:
            self.start()
            try:
                while not self._stopped.wait(0.5):  # in slices: a signal's handler runs between them
                    pass
            finally:
                self.stop()
            if self.error is not None:
                raise self.error
        finally:
            self._give_back_signals(previous)

    def __enter__(self) -> TaskExecutor:
        self.start()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.stop()

    def _take_signals(self) -> Dict[int, Any]:
        if threading.current_thread() is not threading.main_thread():
            return {}

        signals = []

        def on_signal(number: int, frame: Any) -> None:
            signals.append(number)
            timeout = None if len(signals) == 1 else 0.0  # who asks twice does not want to wait
            # stop() waits; a signal's handler must not.
            threading.Thread(
                target=self.stop, args=(timeout,), name="retire-cluster stop", daemon=True
            ).start()

        return {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}

    @staticmethod
    def _give_back_signals(previous: Dict[int, Any]) -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def _end(self) -> None:
        if self._slots is not None and self._pump is not None:
            slots = self._slots
            self._pump.post(lambda now: slots.close())
            self._pump.stop()
        self._data_lock.release()
        self._stopped.set()
        if self._temporary is not None:
            self._temporary.cleanup()

    # -- in the pump's thread

    def _after_turn(self) -> None:
        core, slots = self._core, self._slots
        assert core is not None and slots is not None
        for event in core.events:
            if isinstance(event, Start):
                self._start_attempt(event, core, slots)
            elif isinstance(event, Cancel):
                slots.cancel(event.attempt)
            elif isinstance(event, Tell):
                told = slots.tell(event.attempt, event.again)
                if told is not None:
                    core.on_told(event.attempt.number, told)
            elif isinstance(event, Abandon):
                _log.warning(
                    "gave up on %s after %g s; its thread goes on",
                    event.attempt.task_type,
                    event.attempt.timeout,
                )
                slots.abandon(event.attempt)
            elif isinstance(event, Joined):
                _log.info("joined main at %s as %s", self._address, self.device_id)
                if not self._joined.done():
                    self._joined.set_result(None)
            elif isinstance(event, Broken):
                self._on_broken(event.error)
        core.events.clear()
        now = time.monotonic()
        if now >= self._load_at:
            core.load, self._load_at = probe.system_load(), now + _LOAD_SECONDS
        if self._pump is not None and self._pump.failure is not None and self.error is None:
            self._on_broken(errors.RetireClusterError(f"the worker's thread failed: {self._pump.failure!r}"))
        if core.draining or core.broken is not None:
            with self._idle:
                self._idle.notify_all()

    def _start_attempt(self, event: Start, core: WorkerCore, slots: SlotThreads) -> None:
        with self._lock:
            found = self._handlers.get(event.attempt.task_type)
        if found is None:  # unregistered since it was assigned
            report = Report(Outcome.HANDED_BACK, error=f"no handler for {event.attempt.task_type} any more")
            assert self._pump is not None
            self._pump.post(lambda now: core.on_done(event.attempt.number, report, now))
        else:
            slots.start(event.attempt, *found)

    def _on_broken(self, error: errors.RetireClusterError) -> None:
        self.error = error
        _log.error("main at %s does not serve %s: %s", self._address, self.device_id, error)
        if not self._joined.done():
            self._joined.set_exception(error)
        else:
            threading.Thread(target=self._end, name="retire-cluster stop", daemon=True).start()

    # -- in the threads of the slots

    def _on_done(self, number: int, report: Report) -> None:
        pump, core = self._pump, self._core
        assert pump is not None and core is not None
        pump.post(lambda now: core.on_done(number, report, now))
