"""What a worker holds and owes main; no sockets, clocks or threads.

An attempt:   assign ─▶ WAITING ─▶ RUNNING ─▶ FINISHED ─▶ acknowledged and forgotten
                          │ recall: given back
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from retire_cluster import errors
from retire_cluster.transport.session import Close, Effect, Send, Session, earliest
from retire_cluster.wire import Message, encode
from retire_cluster.wire.messages import ITEMS_MAX
from retire_cluster.worker.context import Told

STARTED_AFTER_SECONDS = 0.1  # an attempt that runs for longer is reported as started
TELL_SECONDS = 0.25  # how often an attempt that runs for longer tells main of itself
ACK_SECONDS = 10.0  # then results are sent again
FINISHED_BYTES_MAX = 16 * 1024 * 1024  # of results in one message; a larger one goes alone
FATAL_CODES = ("unsupported_version", "not_let_in", "not_permitted", "invalid", "malformed", "too_large")


class Outcome:
    """How an attempt ended, as on the wire."""

    SUCCESS = 1
    FAILED = 2
    FAILED_PERMANENTLY = 3
    TIMEOUT = 4
    CANCELLED = 5
    HANDED_BACK = 7


@dataclass(frozen=True)
class Report:
    """What came of running a handler. `logs` are lines of level, microseconds, text."""

    outcome: int
    data: Optional[bytes] = None
    error: Optional[str] = None
    traceback: Optional[str] = None
    logs: List[List[Any]] = field(default_factory=list)
    checkpoint: Optional[bytes] = None  # of one that did not succeed


class State(Enum):
    WAITING = auto()
    RUNNING = auto()
    FINISHED = auto()


@dataclass(eq=False)
class Attempt:
    """One attempt that this worker holds. Times are seconds of the owner's clock."""

    number: int
    task_id: bytes
    task_type: str
    priority: int
    timeout: float
    payload: bytes
    retry: int  # 1 for the first attempt of the task
    checkpoint: Optional[bytes] = None  # what an earlier one has left
    state: State = State.WAITING
    started_at: float = 0.0
    start_reported: bool = False
    tell_at: float = 0.0  # when it is asked next what there is to tell; once it is reported as started
    tell_again: bool = False  # main may not have what it was told
    stopped: bool = False  # nobody wants its result
    forgotten: bool = False  # main does not know it any more; it only fills a slot
    item: List[Any] = field(default_factory=list)


# What the core tells its owner.
@dataclass(frozen=True)
class Start:
    attempt: Attempt


@dataclass(frozen=True)
class Cancel:
    """Its handler should end soon."""

    attempt: Attempt


@dataclass(frozen=True)
class Abandon:
    """Its time is over: the handler is told, and not waited for; the slot is free."""

    attempt: Attempt


@dataclass(frozen=True)
class Tell:
    """It is asked what is new; on_told() answers if anything is. `again`: progress and checkpoint also if they
    are not new."""

    attempt: Attempt
    again: bool


@dataclass(frozen=True)
class Joined:
    welcome: Dict[str, Any]


@dataclass(frozen=True)
class Broken:
    """Main will not serve this worker; nothing more is tried."""

    error: errors.RetireClusterError


class WorkerCore:
    """Not thread-safe. Each method adds to `effects` what the socket has to do, and to `events` what the
    owner has to do; the owner takes both and clears them. After every on_message and on_done the owner calls
    on_time, which starts and reports.
    """

    def __init__(self, capability: Dict[str, Any], program: str, instance: bytes, rng: random.Random) -> None:
        self._capability = capability
        self._program = program
        self._instance = instance
        self.session = Session(rng)
        self.effects: List[Effect] = []
        self.events: List[Any] = []
        self.broken: Optional[errors.RetireClusterError] = None
        # What an attempt that is given up has logged, and its latest checkpoint; the owner's.
        self.left_by: Callable[[Attempt], Tuple[List[List[Any]], Optional[bytes]]] = lambda attempt: ([], None)
        self.load = 0.0  # of the system, for heartbeats; the owner keeps it up to date
        self.draining = False
        self._seen = 0
        self._held: Dict[int, Attempt] = {}
        self._waiting: List[Tuple[int, int, int]] = []  # heap of -priority, order of arrival, attempt
        self._arrivals = 0
        self._running: Dict[int, Attempt] = {}
        self._unsent: List[Attempt] = []  # finished
        self._unacknowledged: Dict[
            int, Tuple[List[Attempt], float]
        ] = {}  # by correlation; when to send again
        self._correlation = 1  # that of hello

    # -- from the owner

    @property
    def idle(self) -> bool:
        """Nothing runs, and main has every result."""
        return not self._running and not any(a.state is State.FINISHED for a in self._held.values())

    @property
    def running(self) -> List[Attempt]:
        return list(self._running.values())

    def start(self, now: float) -> None:
        self._greet_if(self.session.start(now, self.effects))

    def set_capability(self, capability: Dict[str, Any]) -> None:
        """The device ID cannot change."""
        self._capability = capability
        if self.session.ready:
            self._send("device_update", 0, {"device": capability})

    def drain(self) -> None:
        """Nothing more is started; main takes back what waits."""
        self.draining = True
        if self.session.ready:
            self._send("drain", 0, {})

    def goodbye(self) -> None:
        if self.session.ready:
            self._send("goodbye", 0, {})

    def on_done(self, number: int, report: Report, now: float) -> None:
        """The handler of an attempt has ended. Late ones, whose time was over, change nothing."""
        attempt = self._running.pop(number, None)
        if attempt is None:
            return
        if attempt.stopped:
            report = Report(Outcome.CANCELLED, error="cancelled", logs=report.logs)
        self._finish(attempt, report, now)

    def on_told(self, number: int, told: Told) -> None:
        """Answers Tell. A message is not repeated when it is lost."""
        attempt = self._running.get(number)
        if attempt is None or attempt.stopped or not self.session.ready:
            return
        item = [number, told.fraction, told.text, told.first_line, told.lines, told.checkpoint]
        self._send("progress", 0, {"attempts": [item]})

    # -- from the socket

    def on_message(self, message: Message, now: float) -> None:
        if self.broken is not None:
            return
        self.session.heard(now)
        kind, correlation, body = message
        if kind == "assign":
            self._on_assign(correlation, body, now)
        elif kind == "ack":
            self._on_ack(correlation)
        elif kind == "recall":
            self._on_recall(correlation, body["attempts"])
        elif kind == "stop":
            self._on_stop(body["attempts"], now)
        elif kind == "welcome":
            self._on_welcome(body, now)
        elif kind == "error":
            self._on_error(correlation, body, now)

    def on_time(self, now: float) -> None:
        if self.broken is not None:
            return
        self._greet_if(self.session.on_time(now, self.effects))
        self._end_overdue(now)
        self._start_waiting(now)
        if not self.session.ready:
            return
        self._report_started(now)
        self._ask_running(now)
        self._report_finished(now)
        if self.session.heartbeat_due(now):
            body = {
                "seen": self._seen,
                "held": self._known(),
                "load": self.load,
                "running": len(self._running),
            }
            self._send("heartbeat", 0, body)

    def next_deadline(self) -> Optional[float]:
        if self.broken is not None:
            return None
        times = [self.session.next_deadline()]
        for attempt in self._running.values():
            times.append(attempt.started_at + attempt.timeout)
            if not attempt.start_reported and self.session.ready:
                times.append(attempt.started_at + STARTED_AFTER_SECONDS)
            elif self.session.ready and not attempt.stopped:
                times.append(attempt.tell_at)
        if self.session.ready:
            times.extend(at for _, at in self._unacknowledged.values())
        return earliest(*times)

    # -- inside: the connection

    def _send(self, kind: str, correlation: int, body: Dict[str, Any]) -> None:
        self.effects.append(Send(encode(kind, correlation, body)))

    def _known(self) -> List[int]:
        return [a.number for a in self._held.values() if not a.forgotten]

    def _greet_if(self, due: bool) -> None:
        if due:
            self._unacknowledged.clear()
            body = {
                "peer": "worker",
                "versions": [1, 1],
                "program": self._program,
                "instance": self._instance,
                "device": self._capability,
                "held": self._known(),
                "draining": self.draining,
            }
            self._send("hello", 1, body)

    def _on_welcome(self, body: Dict[str, Any], now: float) -> None:
        if self.session.ready:
            return  # the answer to a hello that was given up
        self.session.welcomed(body, now)
        self._seen = 0
        for number in body.get("abandon", ()):
            self._forget(number)
        # This run of main may not know what an earlier one was told.
        self._unsent = [a for a in self._held.values() if a.state is State.FINISHED]
        for attempt in self._running.values():
            attempt.start_reported = False
            attempt.tell_again = True
        self.events.append(Joined(body))

    def _forget(self, number: int) -> None:
        attempt = self._held.get(number)
        if attempt is None:
            return
        if attempt.state is State.RUNNING:
            attempt.forgotten = True
            self._cancel(attempt)
        else:
            del self._held[number]

    def _on_error(self, correlation: int, body: Dict[str, Any], now: float) -> None:
        code = body["code"]
        if code == "hello_required":
            self._greet_if(self.session.hello_required(now))
        elif code == "replaced" or (not self.session.ready and correlation <= 1 and code in FATAL_CODES):
            self._break(errors.from_body(body))
        elif correlation in self._unacknowledged and code != "busy":
            self._on_results_refused(correlation, body, now)

    def _on_results_refused(self, correlation: int, body: Dict[str, Any], now: float) -> None:
        """Main will not have these results in this form: the same again would be refused again."""
        for attempt in self._unacknowledged.pop(correlation)[0]:
            error = f"main refused the result: {body['message']}"
            refused_before = attempt.item[2] == Outcome.FAILED_PERMANENTLY and attempt.item[5:6] == [error]
            if refused_before:
                self._held.pop(attempt.number, None)
            else:
                self._finish(attempt, Report(Outcome.FAILED_PERMANENTLY, error=error), now)

    def _break(self, error: errors.RetireClusterError) -> None:
        self.broken = error
        self.effects.append(Close())
        for attempt in self._running.values():
            self._cancel(attempt)
        self.events.append(Broken(error))

    # -- inside: attempts

    def _on_assign(self, correlation: int, body: Dict[str, Any], now: float) -> None:
        self._seen = max(self._seen, correlation)
        offered = self._capability["handlers"]
        for task_id, number, spec, payload, retry, *optional in body["tasks"]:
            if number in self._held:
                continue
            task_type, timeout_ms, priority, _ = body["specs"][spec]
            attempt = Attempt(number, task_id, task_type, priority, timeout_ms / 1000, payload, retry)
            attempt.checkpoint = (optional[0] or None) if optional else None
            self._held[number] = attempt
            if task_type not in offered:
                error = f"this device has no handler for {task_type} (any more)"
                self._finish(attempt, Report(Outcome.HANDED_BACK, error=error), now)
                continue
            self._arrivals += 1
            heapq.heappush(self._waiting, (-priority, self._arrivals, number))

    def _on_ack(self, correlation: int) -> None:
        attempts, _ = self._unacknowledged.pop(correlation, ([], 0.0))
        for attempt in attempts:
            self._held.pop(attempt.number, None)

    def _on_recall(self, correlation: int, numbers: Iterable[int]) -> None:
        returned = []
        for number in numbers:
            attempt = self._held.get(number)
            if attempt is not None and attempt.state is State.WAITING:
                del self._held[number]
                returned.append(number)
        self._send("returned", correlation, {"attempts": returned})

    def _on_stop(self, numbers: Iterable[int], now: float) -> None:
        for number in numbers:
            attempt = self._held.get(number)
            if attempt is None or attempt.state is State.FINISHED:
                continue
            if attempt.state is State.WAITING:
                self._finish(attempt, Report(Outcome.CANCELLED, error="cancelled before it was started"), now)
            elif not attempt.stopped:
                self._cancel(attempt)

    def _cancel(self, attempt: Attempt) -> None:
        attempt.stopped = True
        self.events.append(Cancel(attempt))

    def _start_waiting(self, now: float) -> None:
        slots = self._capability["slots"]
        while self._waiting and not self.draining and len(self._running) < slots:
            attempt = self._held.get(heapq.heappop(self._waiting)[2])
            if attempt is None or attempt.state is not State.WAITING:
                continue  # taken back or stopped meanwhile
            attempt.state = State.RUNNING
            attempt.started_at = now
            self._running[attempt.number] = attempt
            self.events.append(Start(attempt))

    def _end_overdue(self, now: float) -> None:
        for attempt in self.running:
            if now < attempt.started_at + attempt.timeout:
                continue
            del self._running[attempt.number]
            self.events.append(Abandon(attempt))
            if attempt.stopped:
                report = Report(Outcome.CANCELLED, error="cancelled; its handler did not end")
            else:
                logs, checkpoint = self.left_by(attempt)
                error = f"not done after {attempt.timeout:g} s"
                report = Report(Outcome.TIMEOUT, error=error, logs=logs, checkpoint=checkpoint)
            self._finish(attempt, report, now)

    def _finish(self, attempt: Attempt, report: Report, now: float) -> None:
        if attempt.forgotten:
            self._held.pop(attempt.number, None)
            return
        run_us = round((now - attempt.started_at) * 1e6) if attempt.state is State.RUNNING else 0
        attempt.state = State.FINISHED
        tail = [report.error, report.traceback, report.logs]
        if report.checkpoint and report.outcome not in (Outcome.SUCCESS, Outcome.CANCELLED):
            tail.append(report.checkpoint)
        attempt.item = [attempt.task_id, attempt.number, report.outcome, report.data, run_us, *tail]
        attempt.payload, attempt.checkpoint = b"", None
        self._unsent.append(attempt)

    def _report_started(self, now: float) -> None:
        started = [
            a
            for a in self._running.values()
            if not a.start_reported and not a.forgotten and now >= a.started_at + STARTED_AFTER_SECONDS
        ]
        for attempt in started:
            attempt.start_reported = True
        for at in range(0, len(started), ITEMS_MAX):
            self._send("started", 0, {"attempts": [a.number for a in started[at : at + ITEMS_MAX]]})

    def _ask_running(self, now: float) -> None:
        for attempt in self._running.values():
            if attempt.start_reported and not attempt.stopped and now >= attempt.tell_at:
                attempt.tell_at = now + TELL_SECONDS
                self.events.append(Tell(attempt, attempt.tell_again))
                attempt.tell_again = False

    def _report_finished(self, now: float) -> None:
        for correlation, (attempts, again_at) in list(self._unacknowledged.items()):
            if now >= again_at:
                del self._unacknowledged[correlation]
                self._unsent.extend(attempts)
        batch: List[Attempt] = []
        size = 0
        for attempt in self._unsent:
            more = 100 + sum(len(part) for part in (attempt.item[3], *attempt.item[5:7]) if part)
            more += sum(100 + len(text) for _, _, text in attempt.item[7])
            more += sum(len(part) for part in attempt.item[8:])
            if batch and (len(batch) == ITEMS_MAX or size + more > FINISHED_BYTES_MAX):
                self._send_finished(batch, now)
                batch, size = [], 0
            batch.append(attempt)
            size += more
        if batch:
            self._send_finished(batch, now)
        self._unsent.clear()

    def _send_finished(self, batch: List[Attempt], now: float) -> None:
        self._correlation += 1
        self._unacknowledged[self._correlation] = (batch, now + ACK_SECONDS)
        self._send("finished", self._correlation, {"results": [a.item for a in batch]})
