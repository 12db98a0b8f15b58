"""What came of a task."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Dict, List, Mapping, Optional, Sequence

from retire_cluster.errors import InvalidTaskError, ProtocolError
from retire_cluster.ids import show_task_id
from retire_cluster.tasks.times import from_iso, from_micros, to_iso
from retire_cluster.tasks.words import TaskStatus
from retire_cluster.values import unpack_value

LOG_LEVELS = {1: "debug", 2: "info", 3: "warning", 4: "error"}


def log_lines(lines: Optional[Sequence[Any]]) -> List[Dict[str, Any]]:
    """Log lines of the protocol as dicts."""
    return [{"level": LOG_LEVELS[n], "time": us / 1e6, "message": text} for n, us, text in lines or ()]


@dataclass
class TaskResult:
    """The end of a task, which never changes.

    status: SUCCESS, FAILED, CANCELLED or TIMEOUT. result_data: what the handler returned, None unless
    SUCCESS. error_message, error_traceback: None on success. execution_time_seconds: how long the last
    attempt ran on its device. started_at, completed_at: aware, UTC, by main's clock. logs: of the last
    attempt, each `{"time": seconds since its start, "level": "info", "message": ...}`. plugin: the code that ran
    it, `NAME VERSION sha256:HEX`; None where that is not known (a worker in Python, nothing ran).
    """

    task_id: str
    status: TaskStatus
    result_data: Any = None
    error_message: Optional[str] = None
    error_traceback: Optional[str] = None
    execution_time_seconds: float = 0.0
    worker_device_id: Optional[str] = None
    started_at: Optional[datetime] = None
    completed_at: Optional[datetime] = None
    logs: List[Dict[str, Any]] = field(default_factory=list)
    plugin: Optional[str] = None

    def __post_init__(self) -> None:
        try:
            self.status = TaskStatus.of(self.status)
        except ValueError as error:
            raise InvalidTaskError(str(error), field="status") from None

    @property
    def success(self) -> bool:
        return self.status is TaskStatus.SUCCESS

    def to_dict(self) -> Dict[str, Any]:
        """The JSON form: every field, times as ISO 8601 in UTC, the status in lower case."""
        return {
            "task_id": self.task_id,
            "status": self.status.value,
            "result_data": self.result_data,
            "error_message": self.error_message,
            "error_traceback": self.error_traceback,
            "execution_time_seconds": self.execution_time_seconds,
            "worker_device_id": self.worker_device_id,
            "started_at": to_iso(self.started_at),
            "completed_at": to_iso(self.completed_at),
            "logs": self.logs,
            "plugin": self.plugin,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskResult:
        """From the JSON form; `task_id` and `status` must be there.

        Errors: ValueError naming a key that is not known or missing, or a value that is not allowed.
        """
        values = dict(data)
        for key in values:
            if key not in cls.__dataclass_fields__:
                known = ", ".join(cls.__dataclass_fields__)
                raise InvalidTaskError(
                    f"a result has the unknown key {key!r}: known are {known}", field=str(key)
                )
        for key in ("task_id", "status"):
            if key not in values:
                raise InvalidTaskError(f"a result needs {key}", field=key)
        for key in ("started_at", "completed_at"):
            values[key] = from_iso(values.get(key), key)
        return cls(**values)

    @classmethod
    def from_item(cls, task_id: str, item: Sequence[Any], devices: Sequence[str]) -> TaskResult:
        """From an item of a `results` message, in which its plugin is named."""
        status, data, device, started_at, completed_at, run_us = item[1:7]
        error, traceback, logs, plugin = (list(item[7:11]) + [None] * 4)[:4]
        return cls._made(
            task_id,
            TaskStatus.of_number(status),
            data,
            error,
            traceback,
            run_us,
            None if device is None else devices[device],
            started_at,
            completed_at,
            logs,
            plugin,
        )

    @classmethod
    def from_task_map(cls, wire: Mapping[str, Any]) -> Optional[TaskResult]:
        """From a task map of the protocol; None if the task is not final, or was asked for without its
        result.
        """
        result = wire.get("result")
        if result is None:
            return None
        return cls._made(
            show_task_id(wire["task_id"]),
            TaskStatus.of(wire["status"]),
            result.get("data"),
            result.get("error_message"),
            result.get("error_traceback"),
            result.get("run_us", 0),
            wire.get("assigned_device_id"),
            wire.get("started_at"),
            wire.get("completed_at"),
            result.get("logs"),
            result.get("plugin"),
        )

    @classmethod
    def _made(
        cls,
        task_id: str,
        status: TaskStatus,
        data: Optional[bytes],
        error: Optional[str],
        traceback: Optional[str],
        run_us: int,
        device_id: Optional[str],
        started_at: Optional[int],
        completed_at: Optional[int],
        logs: Optional[Sequence[Any]],
        plugin: Optional[str],
    ) -> TaskResult:
        value = None
        if data is not None:
            try:
                value = unpack_value(data, "the result")
            except ProtocolError as problem:
                # A worker in another language sent what this one cannot read; the task has ended all the
                # same.
                error = error or str(problem)
        return cls(
            task_id=task_id,
            status=status,
            result_data=value,
            error_message=error or None,
            error_traceback=traceback or None,
            execution_time_seconds=run_us / 1e6,
            worker_device_id=device_id,
            started_at=from_micros(started_at),
            completed_at=from_micros(completed_at),
            logs=log_lines(logs),
            plugin=plugin or None,
        )
