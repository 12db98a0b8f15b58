"""Tasks to `submit` messages: equal specs are sent once, and no message is too long."""

from __future__ import annotations

import uuid
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Tuple

from retire_cluster.errors import InvalidTaskError, RetireClusterError
from retire_cluster.ids import parse_task_id
from retire_cluster.tasks.task import Task
from retire_cluster.values import pack_value
from retire_cluster.wire.messages import ITEMS_MAX, METADATA_BYTES_MAX

BATCH_BYTES_MAX = 16 * 1024 * 1024
_ITEM_BYTES = 40  # an item's head, ID, index and the heads of its bins
_SPEC_BYTES = 300  # a spec of ordinary length; tags and resources are counted

Item = List[Any]


class Packed(NamedTuple):
    """A task that was checked: its spec as interned, and its item but for the spec's index."""

    task_id: bytes
    spec_key: Tuple[Any, ...]
    spec: List[Any]
    payload: bytes
    metadata: bytes

    @property
    def size(self) -> int:
        return _ITEM_BYTES + len(self.payload) + len(self.metadata)


class Batch(NamedTuple):
    """One `submit` message: its body, the IDs of its tasks, and the index of its first task in the whole."""

    body: Dict[str, Any]
    ids: Tuple[bytes, ...]
    first: int


def pack_tasks(tasks: Iterable[Task], payload_bytes_max: int) -> List[Packed]:
    """Checks and encodes every task, before any is sent. Errors: InvalidTaskError naming the task's index."""
    packed = []
    for index, task in enumerate(tasks):
        try:
            packed.append(_pack(task, payload_bytes_max))
        except RetireClusterError as error:
            if index or not isinstance(tasks, list) or len(tasks) > 1:
                raise type(error)(f"task {index}: {error}", field=error.field, index=index) from None
            raise
    return packed


def _pack(task: Any, payload_bytes_max: int) -> Packed:
    if not isinstance(task, Task):
        raise InvalidTaskError(f"{task!r} is not a Task")
    task.validate()  # its fields may have been changed since it was made
    requirements = task.requirements.to_wire()
    spec = [task.task_type, task.priority.value, requirements, task.group]
    key = (*spec[:2], task.group, pack_value(requirements, "requirements", BATCH_BYTES_MAX))
    return Packed(
        parse_task_id(task.task_id) if task.task_id is not None else uuid.uuid4().bytes,
        key,
        spec,
        pack_value(task.payload, "payload", payload_bytes_max),
        pack_value(task.metadata, "metadata", METADATA_BYTES_MAX) if task.metadata else b"",
    )


def batches(packed: Iterable[Packed], bytes_max: int = BATCH_BYTES_MAX) -> Iterator[Batch]:
    """Messages of up to 10,000 tasks and about `bytes_max` bytes; a task that is larger goes alone."""
    specs: List[Any] = []
    places: Dict[Tuple[Any, ...], int] = {}
    items: List[Item] = []
    size = 0
    first = 0

    def batch() -> Batch:
        body = {"specs": specs, "tasks": items, "notify": True}
        return Batch(body, tuple(item[0] for item in items), first)

    for index, task in enumerate(packed):
        more = task.size + (0 if task.spec_key in places else _SPEC_BYTES + len(task.spec_key[3]))
        if items and (len(items) == ITEMS_MAX or size + more > bytes_max):
            yield batch()
            specs, places, items, size, first = [], {}, [], 0, index
        place = places.get(task.spec_key)
        if place is None:
            place = places[task.spec_key] = len(specs)
            specs.append(task.spec)
        items.append([task.task_id, place, task.payload, *([task.metadata] if task.metadata else [])])
        size += more
    if items:
        yield batch()
