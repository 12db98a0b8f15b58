"""Task IDs: 16 bytes on the wire, a UUID as text for users."""

from __future__ import annotations

import uuid
from typing import Any

from retire_cluster.errors import InvalidTaskError


def parse_task_id(value: Any) -> bytes:
    """The 16 bytes of a task ID given as a string or a uuid.UUID. Errors: InvalidTaskError."""
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, str):
        try:
            return uuid.UUID(value).bytes
        except ValueError:
            pass
    raise InvalidTaskError(f"task_id is {value!r}: must be a UUID", field="task_id")


def show_task_id(data: bytes) -> str:
    """A task ID as text, in lower case with hyphens."""
    return str(uuid.UUID(bytes=data))
