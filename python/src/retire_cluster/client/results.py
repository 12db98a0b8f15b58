"""Results that main has pushed, kept for those who ask a little later."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, List, Optional, Tuple

from retire_cluster.wire.messages import STATUSES

Entry = Tuple[List[Any], List[str]]  # an item of a `results` message, and the devices that it points into

_PLUGIN = 10  # its place in an item


def name_plugins(items: List[List[Any]], plugins: Optional[List[str]]) -> None:
    """Puts the name of what ran it into each item, for its place in the message's table; None: not known."""
    if not plugins:
        return
    for item in items:
        place = item[_PLUGIN] if len(item) > _PLUGIN else None
        item.extend([None] * (_PLUGIN + 1 - len(item)))
        item[_PLUGIN] = plugins[place or 0] or None

ENTRIES_MAX = 100_000
BYTES_MAX = 64 * 1024 * 1024
# A failed or timed-out task may be brought back under its ID, by anybody: its end is asked for anew.
_FOR_EVER = (STATUSES.index("success"), STATUSES.index("cancelled"))
_ENTRY_BYTES = 400  # what an entry costs beside its data and texts, roughly


class ResultCache:
    """The newest results of tasks that stay as they ended, up to ENTRIES_MAX or about BYTES_MAX; older ones are dropped and asked for anew
    when they are wanted. Not thread-safe."""

    def __init__(self, entries_max: int = ENTRIES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._bytes = 0

    def add(self, item: List[Any], devices: List[str]) -> None:
        task_id = item[0]
        if item[1] not in _FOR_EVER or task_id in self._entries:
            return
        self._entries[task_id] = (item, devices)
        self._bytes += _size(item)
        while self._entries and (len(self._entries) > self._entries_max or self._bytes > self._bytes_max):
            _, (oldest, _) = self._entries.popitem(last=False)
            self._bytes -= _size(oldest)

    def get(self, task_id: bytes) -> Optional[Entry]:
        return self._entries.get(task_id)

    def __len__(self) -> int:
        return len(self._entries)


def _size(item: List[Any]) -> int:
    data, texts = item[2], item[7:9]
    logs = (item[9] if len(item) > 9 else None) or ()
    return (
        _ENTRY_BYTES
        + len(data or b"")
        + sum(len(t or "") for t in texts)
        + sum(100 + len(t) for _, _, t in logs)
    )
