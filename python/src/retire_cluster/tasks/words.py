"""The two enumerations of a task."""

from __future__ import annotations

from enum import Enum
from typing import Any

from retire_cluster.wire.messages import PRIORITIES, STATUSES


class TaskPriority(Enum):
    """Higher ones go first. The value is the number on the wire; in JSON it is the name in lower case."""

    LOW = 1
    NORMAL = 2
    HIGH = 3
    URGENT = 4

    @property
    def word(self) -> str:
        """`low`, `normal`, `high` or `urgent`."""
        return self.name.lower()

    @classmethod
    def of(cls, value: Any) -> TaskPriority:
        """From a member, a word in any case, or a number. Errors: ValueError."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str) and value.lower() in PRIORITIES:
            return cls(PRIORITIES[value.lower()])
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 4:
            return cls(value)
        raise ValueError(f"priority is {value!r}: must be one of {', '.join(PRIORITIES)}")


class TaskStatus(Enum):
    """The value is the word of JSON. SUCCESS, FAILED, CANCELLED and TIMEOUT are final and never change."""

    PENDING = "pending"
    QUEUED = "queued"
    ASSIGNED = "assigned"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"

    @property
    def is_final(self) -> bool:
        return self in (TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.TIMEOUT)

    @classmethod
    def of(cls, value: Any) -> TaskStatus:
        """From a member or a word in any case. Errors: ValueError."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str) and value.lower() in STATUSES:
            return cls(value.lower())
        raise ValueError(f"status is {value!r}: must be one of {', '.join(STATUSES)}")

    @classmethod
    def of_number(cls, number: int) -> TaskStatus:
        """From the number on the wire, 0 to 7."""
        return cls(STATUSES[number])
