"""A task: what is submitted, and what main tells about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Dict, List, Mapping, Optional

from retire_cluster.errors import InvalidTaskError, TaskTooLargeError
from retire_cluster.ids import parse_task_id, show_task_id
from retire_cluster.tasks.requirements import TaskRequirements
from retire_cluster.tasks.result import TaskResult
from retire_cluster.tasks.times import from_iso, from_micros, to_iso
from retire_cluster.tasks.words import TaskPriority, TaskStatus
from retire_cluster.values import unpack_value
from retire_cluster.wire.messages import GROUP, TASK_TYPE
from retire_cluster.wire.refused import Refused


@dataclass
class Task:
    """Work to be done.

    task_type: 1 to 64 of `a-z 0-9 _ . -`. payload: anything JSON can hold, and bytes; up to 16 MiB encoded.
    requirements: a TaskRequirements, or a dict of its fields. metadata: a dict that comes back unchanged, up
    to 64 KiB encoded. group: for fairness between users, up to 128 bytes. task_id: a UUID; None lets the
    scheduler choose one for each submission. The fields after it are main's: they are set in tasks that a
    scheduler returns. Times are aware, UTC.

    Errors: InvalidTaskError (a ValueError) naming field and value.
    """

    task_type: str
    payload: Any = None
    priority: TaskPriority = TaskPriority.NORMAL
    requirements: TaskRequirements = field(default_factory=TaskRequirements)
    metadata: Dict[str, Any] = field(default_factory=dict)
    group: str = ""
    task_id: Optional[str] = None
    status: TaskStatus = TaskStatus.PENDING
    reason: Optional[str] = None
    created_at: Optional[datetime] = None
    assigned_device_id: Optional[str] = None
    assigned_at: Optional[datetime] = None
    started_at: Optional[datetime] = None
    completed_at: Optional[datetime] = None
    retry_count: int = 0
    error_history: List[Dict[str, Any]] = field(default_factory=list)
    result: Optional[TaskResult] = None
    progress: Optional[Dict[str, Any]] = None  # of a running attempt that has told it: fraction, text, at

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Brings the fields that a user sets into their form. Errors: InvalidTaskError."""
        _check(TASK_TYPE, self.task_type, "task_type")
        try:
            self.priority = TaskPriority.of(self.priority)
            self.status = TaskStatus.of(self.status)
        except ValueError as error:
            raise InvalidTaskError(str(error), field=str(error).split(" ", 1)[0]) from None
        if self.requirements is None:
            self.requirements = TaskRequirements()
        elif not isinstance(self.requirements, TaskRequirements):
            self.requirements = TaskRequirements.from_dict(self.requirements)
        if self.metadata is None:
            self.metadata = {}
        if not isinstance(self.metadata, dict):
            raise InvalidTaskError(f"metadata is {self.metadata!r}: must be a dict", field="metadata")
        _check(GROUP, self.group, "group")
        if self.task_id is not None:
            self.task_id = show_task_id(parse_task_id(self.task_id))

    def to_dict(self) -> Dict[str, Any]:
        """The JSON form: every field (progress only if there is one), times as ISO 8601 in UTC, names in lower case."""
        document = {
            "task_id": self.task_id,
            "task_type": self.task_type,
            "payload": self.payload,
            "priority": self.priority.word,
            "requirements": self.requirements.to_dict(),
            "metadata": self.metadata,
            "group": self.group,
            "status": self.status.value,
            "reason": self.reason,
            "created_at": to_iso(self.created_at),
            "assigned_device_id": self.assigned_device_id,
            "assigned_at": to_iso(self.assigned_at),
            "started_at": to_iso(self.started_at),
            "completed_at": to_iso(self.completed_at),
            "retry_count": self.retry_count,
            "error_history": self.error_history,
            "result": None if self.result is None else self.result.to_dict(),
        }
        if self.progress is not None:
            document["progress"] = self.progress
        return document

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Task:
        """From the JSON form; `task_type` must be there, the rest may be left out.

        Errors: ValueError naming a key that is not known, or a value that is not allowed.
        """
        if not isinstance(data, Mapping):
            raise InvalidTaskError(f"a task is {data!r}: must be an object")
        values = dict(data)
        for key in values:
            if key not in cls.__dataclass_fields__:
                known = ", ".join(cls.__dataclass_fields__)
                raise InvalidTaskError(
                    f"a task has the unknown key {key!r}: known are {known}", field=str(key)
                )
        if "task_type" not in values:
            raise InvalidTaskError("a task needs task_type", field="task_type")
        for key in ("created_at", "assigned_at", "started_at", "completed_at"):
            if key in values:
                values[key] = from_iso(values[key], key)
        if isinstance(values.get("result"), Mapping):
            values["result"] = TaskResult.from_dict(values["result"])
        # null stands for the default where None is no value of the field.
        return cls(**{k: v for k, v in values.items() if v is not None or k == "payload"})

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Task:
        """From a task map of the protocol. Errors: ProtocolError."""
        task_id = show_task_id(wire["task_id"])
        payload, metadata = wire.get("payload"), wire.get("metadata")
        history = [
            {**entry, "at": to_iso(from_micros(entry.get("at")))} for entry in wire.get("error_history", [])
        ]
        task = cls(
            task_type=wire["task_type"],
            payload=None if payload is None else unpack_value(payload, "payload"),
            priority=wire["priority"],
            requirements=TaskRequirements(**wire["requirements"]),
            metadata=unpack_value(metadata, "metadata") if metadata else {},
            group=wire.get("group", ""),
            task_id=task_id,
            status=wire["status"],
            reason=wire.get("reason"),
            created_at=from_micros(wire.get("created_at")),
            assigned_device_id=wire.get("assigned_device_id"),
            assigned_at=from_micros(wire.get("assigned_at")),
            started_at=from_micros(wire.get("started_at")),
            completed_at=from_micros(wire.get("completed_at")),
            retry_count=wire.get("retry_count", 0),
            error_history=history,
        )
        task.result = TaskResult.from_task_map(wire)
        progress = wire.get("progress")
        if progress is not None:
            at = to_iso(from_micros(progress.get("at")))
            task.progress = {"fraction": progress.get("fraction"), "text": progress.get("text"), "at": at}
        return task


def _check(kind: Any, value: Any, name: str) -> None:
    try:
        kind.read(value)
    except Refused as error:
        wrong = TaskTooLargeError if error.code == "too_large" else InvalidTaskError
        raise wrong(f"{name} {error.detail}", field=name) from None
