"""TaskScheduler: a client of main."""

from __future__ import annotations

import json
import queue
import time
from collections import deque
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Deque, Dict, Iterable, Iterator, List, Optional, Tuple, Type

from retire_cluster import errors
from retire_cluster.client.connection import Connection, Outcome
from retire_cluster.ids import parse_task_id, show_task_id
from retire_cluster.tasks.batches import Batch, batches, pack_tasks
from retire_cluster.tasks.queue import TaskQueue
from retire_cluster.tasks.result import TaskResult, log_lines
from retire_cluster.tasks.task import Task
from retire_cluster.tasks.times import from_micros, to_iso
from retire_cluster.tasks.words import TaskStatus
from retire_cluster.transport.address import parse_address
from retire_cluster.wire.messages import CAPABILITY, PAYLOAD_BYTES_MAX

BATCHES_UNDER_WAY_MAX = 4  # of one submit_tasks: enough to keep main busy, few enough to keep memory small
_PAGE = 1000


_FOLLOW_SECONDS = 0.25  # workers tell of running tasks about so often


class TaskScheduler:
    """A client of main. Thread-safe: any number of threads may use one scheduler, each call waits for its own
    answer. Not fork-safe: a child process has to make its own.

    address: `HOST[:PORT]`; None is `$RETIRE_CLUSTER_ADDRESS`, else `127.0.0.1:8080`. connect_timeout:
    seconds. request_timeout: seconds that a call waits for main's answer, through reconnects and restarts of
    main; waiting for a task's end is not bounded by it.

    Errors: ValueError for the address; MainUnreachableError (a ConnectionError) if main does not answer, here
    and in every call; ClosedError after close(). A submission that ended with MainUnreachableError may have
    reached main or not; submitted again with the same task_id it is never run twice.
    """

    def __init__(
        self, address: Optional[str] = None, *, connect_timeout: float = 5.0, request_timeout: float = 30.0
    ) -> None:
        self._connection = Connection(parse_address(address), request_timeout)
        self._connection.open(connect_timeout)
        self.task_queue = TaskQueue(self)

    @property
    def address(self) -> str:
        """Of main, as HOST:PORT."""
        return str(self._connection.address)

    def close(self) -> None:
        """Leaves main. Tasks go on; results are kept by main. May be called twice."""
        self._connection.close()

    def __enter__(self) -> TaskScheduler:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    # -- submitting

    def submit_task(self, task: Task) -> str:
        """Hands one task to main and returns its ID, once main has accepted it.

        Errors: InvalidTaskError (a ValueError) naming field and value; TaskConflictError if the ID is in use
        for other content.
        """
        return self.submit_tasks([task])[0]

    def submit_tasks(self, tasks: Iterable[Task]) -> List[str]:
        """Hands tasks to main, up to 10,000 in one message, and returns their IDs in order.

        Every task is checked before the first is sent. Main takes each message whole or not at all: after an
        error from main, tasks of earlier messages stay submitted (the error's `index` is that of the refused
        task). Errors: as submit_task, with `index`.
        """
        payload_max = self._connection.welcome.get("payload_bytes_max", PAYLOAD_BYTES_MAX)
        packed = pack_tasks(tasks if isinstance(tasks, list) else list(tasks), payload_max)
        under_way: Deque[Tuple[Batch, Future[Dict[str, Any]]]] = deque()
        try:
            for batch in batches(packed):
                if len(under_way) == BATCHES_UNDER_WAY_MAX:
                    self._finish_batch(*under_way.popleft())
                under_way.append(
                    (batch, self._connection.begin("submit", batch.body, "submitted", batch.ids))
                )
            while under_way:
                self._finish_batch(*under_way.popleft())
        finally:
            for _, future in under_way:  # an earlier one failed: nobody looks at these
                future.cancel()
        return [show_task_id(p.task_id) for p in packed]

    def _finish_batch(self, batch: Batch, future: Future[Dict[str, Any]]) -> None:
        try:
            self._connection.finish(future)
        except errors.RetireClusterError as error:
            if error.index is not None:
                error.index += batch.first
            raise

    # -- asking

    def get_task_status(self, task_id: str) -> Optional[TaskStatus]:
        """None if main does not know the task."""
        wire = self._get(task_id, payload=False, result=False)
        return None if wire is None else TaskStatus.of(wire["status"])

    def get_task_result(self, task_id: str) -> Optional[TaskResult]:
        """None while the task is not final, or if main does not know it."""
        wire = self._get(task_id, payload=False, result=True)
        return None if wire is None else TaskResult.from_task_map(wire)

    def get_task(self, task_id: str) -> Optional[Task]:
        """The task as main has it, with payload and result; None if main does not know it."""
        wire = self._get(task_id, payload=True, result=True)
        return None if wire is None else Task.from_wire(wire)

    def list_tasks(self, status: Any = None, task_type: Optional[str] = None, limit: int = 100) -> List[Task]:
        """The newest tasks first, without payloads and results.

        status: a TaskStatus or its word. limit: how many at most, 1 or more.
        Errors: ValueError for a status that is none, or a limit below 1.
        """
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise errors.InvalidTaskError(f"limit is {limit!r}: must be a number from 1", field="limit")
        body: Dict[str, Any] = {}
        if status is not None:
            try:
                body["status"] = TaskStatus.of(status).value
            except ValueError as error:
                raise errors.InvalidTaskError(str(error), field="status") from None
        if task_type is not None:
            body["task_type"] = task_type
        found: List[Task] = []
        while len(found) < limit:
            page = self._connection.call("list", {**body, "limit": min(_PAGE, limit - len(found))}, "tasks")
            found.extend(Task.from_wire(wire) for wire in page["tasks"] if wire is not None)
            if page.get("next_cursor") is None:
                break
            body["cursor"] = page["next_cursor"]
        return found[:limit]

    def explain(self, task: Any) -> Dict[str, Any]:
        """Why a task waits: a dict of task_id, status, reason, position, devices (each with its verdict and
        unmet requirements) and nearest. A Task instead of an ID asks how it would fare, and submits nothing.

        Errors: NotFoundError if main does not know the task.
        """
        if isinstance(task, Task):
            (packed,) = pack_tasks([task], PAYLOAD_BYTES_MAX)
            body: Dict[str, Any] = {"spec": packed.spec}
        else:
            body = {"id": parse_task_id(task)}
        explanation: Dict[str, Any] = self._connection.call("why", body, "explained")["explanation"]
        if isinstance(explanation.get("task_id"), bytes) and len(explanation["task_id"]) == 16:
            explanation["task_id"] = show_task_id(explanation["task_id"])
        for device in explanation.get("devices") or ():
            for unmet in device.get("unmet") or ():
                for key in ("wanted", "has"):
                    unmet[key] = _value(unmet.get(key))
        return explanation

    def get_task_logs(self, task_id: str) -> List[Dict[str, Any]]:
        """The log of a task as far as it has come, of an attempt that still runs too: dicts of level, time
        (seconds since the attempt's start) and message.

        Errors: NotFoundError if main does not know the task.
        """
        page = self._connection.call("logs", {"id": parse_task_id(task_id)}, "log_lines")
        if TaskStatus.of(page["status"]).is_final:
            result = self.get_task_result(task_id)
            return [] if result is None else result.logs
        return log_lines(page["lines"])

    def follow_task_logs(self, task_id: str, timeout: Optional[float] = None) -> Iterator[Dict[str, Any]]:
        """The lines of a task's log as they come, until it has ended, over retries too: dicts as those of
        get_task_logs() with `attempt` besides. Lines that a handler logs too fast are left out.

        Errors: NotFoundError; WaitTimeoutError (a TimeoutError) after `timeout` seconds.
        """
        end = None if timeout is None else time.monotonic() + timeout
        wire_id = parse_task_id(task_id)
        attempt = seen = cursor = 0
        while True:
            page = self._connection.call("logs", {"id": wire_id, "cursor": cursor}, "log_lines")
            if page["attempt"] != attempt:
                attempt, seen = page["attempt"], 0
            lines = log_lines(page["lines"])
            final = TaskStatus.of(page["status"]).is_final
            if final:
                result = self.get_task_result(task_id)
                lines = [] if result is None else result.logs[seen:]
            for line in lines:
                yield {"attempt": attempt, **line}
            if final:
                return
            seen += len(lines) + page.get("missed", 0)
            cursor = page["next"]
            if end is not None and time.monotonic() >= end:
                raise errors.WaitTimeoutError(f"task {task_id} is {page['status']} after {timeout:g} s")
            time.sleep(_FOLLOW_SECONDS if end is None else max(0.0, min(_FOLLOW_SECONDS, end - time.monotonic())))

    def cancel_task(self, task_id: str) -> bool:
        """True if it was not final yet; False if it was, or if main does not know it. What a handler has done
        already is not undone."""
        answer = self._connection.call("cancel", {"ids": parse_task_id(task_id)}, "cancelled")["cancelled"]
        return bool(answer and answer[0])

    def retry_task(self, task_id: str) -> Optional[bool]:
        """Brings a failed or timed-out task back under its ID, with all its retries; its earlier end moves to
        its error_history. False if it is in another state, None if main does not know it.

        wait() is for the new end from then on. A request whose answer was lost is repeated: then False may
        mean that the first one was carried out.
        """
        answer = self._connection.call("retry", {"ids": parse_task_id(task_id)}, "retried")["retried"]
        return answer[0] if answer else None

    def _get(self, task_id: str, payload: bool, result: bool) -> Optional[Dict[str, Any]]:
        body = {"ids": parse_task_id(task_id), "payload": payload, "result": result}
        tasks: List[Optional[Dict[str, Any]]] = self._connection.call("get", body, "tasks")["tasks"]
        return tasks[0] if tasks else None

    # -- waiting

    def wait(self, task_id: str, timeout: Optional[float] = None) -> TaskResult:
        """The result of a task, once it is final; main pushes it, nothing polls. timeout: seconds, None for
        ever.

        Errors: WaitTimeoutError (a TimeoutError), after which the task goes on; NotFoundError if main does
        not know the task.
        """
        return self.wait_many([task_id], timeout)[0]

    def wait_many(self, task_ids: Iterable[str], timeout: Optional[float] = None) -> List[TaskResult]:
        """The results of all these tasks, in the order of the IDs. Errors: as wait()."""
        ids = [parse_task_id(task_id) for task_id in task_ids]
        found = {outcome.task_id: _result(outcome) for outcome in self._outcomes(ids, timeout)}
        return [found[task_id] for task_id in ids]

    def as_completed(self, task_ids: Iterable[str], timeout: Optional[float] = None) -> Iterator[TaskResult]:
        """The results of these tasks as they end, each ID once. timeout: seconds for all of them. Errors: as
        wait().
        """
        ids = [parse_task_id(task_id) for task_id in task_ids]
        return (_result(outcome) for outcome in self._outcomes(ids, timeout))

    def _outcomes(self, ids: List[bytes], timeout: Optional[float]) -> Iterator[Outcome]:
        end = None if timeout is None else time.monotonic() + timeout
        wanted = set(ids)
        watch = self._connection.watch(wanted)
        try:
            for left in range(len(wanted), 0, -1):
                yield self._next(watch, end, timeout, left)
        finally:
            self._connection.unwatch(watch)

    def _next(self, watch: Any, end: Optional[float], timeout: Optional[float], left: int) -> Outcome:
        while True:
            # In slices, because a wait without end in C cannot be interrupted on every platform.
            wait = 1.0 if end is None else max(0.0, min(1.0, end - time.monotonic()))
            try:
                outcome: Outcome = watch.get(wait)
                return outcome
            except queue.Empty:
                if end is not None and time.monotonic() >= end:
                    tasks = "1 task is" if left == 1 else f"{left} tasks are"
                    reach = "" if self._connection.reachable else "; main is not reachable at the moment"
                    raise errors.WaitTimeoutError(f"{tasks} not final after {timeout:g} s{reach}") from None

    # -- the cluster

    def get_cluster_statistics(self) -> Dict[str, Any]:
        """A dict of cluster_stats, queue_stats, scheduler_stats and device_stats."""
        statistics: Dict[str, Any] = self._connection.call("stats", {}, "statistics")["statistics"]
        return statistics

    def get_devices(self) -> List[Dict[str, Any]]:
        """Every device that main knows: its capability record, and state, load, last_seen (ISO 8601) and
        more.
        """
        devices: List[Dict[str, Any]] = self._connection.call("devices", {}, "device_list")["devices"]
        for device in devices:
            if "last_seen" in device:
                device["last_seen"] = to_iso(from_micros(device["last_seen"]))
        return devices

    def get_online_devices(self) -> List[str]:
        """The IDs of the devices that may be given tasks, in order."""
        return sorted(device["device_id"] for device in self.get_devices() if device.get("state") == "online")

    def get_device_capabilities(self, device_id: str) -> Optional[Dict[str, Any]]:
        """The capability record of a device; None if main does not know it."""
        try:
            answer = self._connection.call("devices", {"device_id": device_id}, "device_list")
        except errors.NotFoundError:
            return None
        for device in answer["devices"]:
            if device["device_id"] == device_id:
                return {key: value for key, value in device.items() if key in CAPABILITY.fields}
        return None

    # -- administration

    def pause_queue(self, task_type: Optional[str] = None) -> None:
        """No task is begun any more, or none of one type, until resume_queue() with the same argument; what is
        with devices and has not begun is taken back, what runs goes on. Submissions are accepted.

        Errors: InvalidTaskError for a type that cannot be one.
        """
        self._queue("pause", task_type)

    def resume_queue(self, task_type: Optional[str] = None) -> None:
        """Ends pause_queue(). Nothing happens if it is not paused."""
        self._queue("resume", task_type)

    def drain_device(self, device_id: str) -> None:
        """The device gets no new work, also after it joined anew, until resume_device(); what it runs goes on.

        Errors: NotFoundError if main does not know the device, here and in the next two.
        """
        self._device("drain", device_id)

    def resume_device(self, device_id: str) -> None:
        """Ends drain_device(), and a quarantine."""
        self._device("resume", device_id)

    def remove_device(self, device_id: str) -> None:
        """Forgets a device that is away. Errors: TaskConflictError (code `conflict`) if it is connected."""
        self._device("remove", device_id)

    def _queue(self, action: str, task_type: Optional[str]) -> None:
        body = {"action": action} if task_type is None else {"action": action, "task_type": task_type}
        self._connection.call("queue", body, "done")

    def _device(self, action: str, device_id: str) -> None:
        self._connection.call("device", {"action": action, "device_id": device_id}, "done")


def _value(text: Any) -> Any:
    """Main says both sides of a requirement as JSON text; what is none stays text."""
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text


def _result(outcome: Outcome) -> TaskResult:
    if outcome.error is not None:
        raise outcome.error
    assert outcome.entry is not None
    item, devices = outcome.entry
    return TaskResult.from_item(show_task_id(outcome.task_id), item, devices)
