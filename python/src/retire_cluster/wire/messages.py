"""Every message of docs/protocol.md as a table, and the checks between two fields of one message."""

from __future__ import annotations

from typing import Any, Callable, Dict

from retire_cluster.wire.kinds import (
    Array,
    Bin,
    Bool,
    Fixed,
    Int,
    Item,
    Nullable,
    Number,
    NumberMap,
    OpenMap,
    Record,
    Str,
    Uint,
    Word,
)
from retire_cluster.wire.refused import Refused

MESSAGE_BYTES_MAX = 33_554_432
PAYLOAD_BYTES_MAX = 16_777_216
METADATA_BYTES_MAX = 65_536
ITEMS_MAX = 10_000
HELD_MAX = 65_536
ERROR_MESSAGE_BYTES_MAX = 8_192
TRACEBACK_BYTES_MAX = 65_536
LOG_BYTES_MAX = 1_048_576
LOG_LINES_MAX = 10_000
LOG_LINE_BYTES_MAX = 8_192
PROGRESS_TEXT_BYTES_MAX = 256
CHECKPOINT_BYTES_MAX = 1_048_576
ID_BYTES = 16

STATUSES = ("pending", "queued", "assigned", "running", "success", "failed", "cancelled", "timeout")
QUEUE_ACTIONS = ("pause", "resume")
DEVICE_ACTIONS = ("drain", "resume", "remove")
PRIORITIES = {"low": 1, "normal": 2, "high": 3, "urgent": 4}
ISOLATIONS = ("off", "basic", "strict")

# What a requirement means if it is not given.
REQUIREMENT_DEFAULTS: Dict[str, Any] = {
    "min_cpu_cores": 0,
    "min_memory_gb": 0,
    "min_storage_gb": 0,
    "gpu_required": False,
    "internet_required": False,
    "required_platform": "",
    "required_role": "",
    "required_tags": [],
    "timeout_seconds": 300,
    "max_retries": 3,
    "resources": {},
    "at_most_once": False,
    "min_isolation": "",
}

_uint, _int, _bool, _number = Uint(), Int(), Bool(), Number()
_id = Bin(size=ID_BYTES)
_ids = Bin(high=ID_BYTES * ITEMS_MAX, step=ID_BYTES)
_instance = Bin(size=16)
_word64 = Str(64)
_tags = Array(Str(64, low=1), 1024)
_gb = Number(0, 10**9)
_priority = Uint(1, 4)
_attempts = Array(_uint, ITEMS_MAX)
_held = Array(_uint, HELD_MAX)
_index = _uint

TASK_TYPE = Str(64, low=1, letters="a-z0-9_.-")
DEVICE_ID = Str(128, low=1, letters="A-Za-z0-9_.:-")
GROUP = Str(128)
_payload = Bin(high=PAYLOAD_BYTES_MAX)
_metadata = Bin(high=METADATA_BYTES_MAX)
_error_message = Str(ERROR_MESSAGE_BYTES_MAX)
_traceback = Str(TRACEBACK_BYTES_MAX)


class Requirements:
    """A closed map; read as what differs from the default."""

    def __init__(self) -> None:
        self.fields: Dict[str, Any] = {
            "min_cpu_cores": Uint(0, 1_000_000, signed=True),
            "min_memory_gb": _gb,
            "min_storage_gb": _gb,
            "gpu_required": _bool,
            "internet_required": _bool,
            "required_platform": Str(64, lower=True),
            "required_role": _word64,
            "required_tags": _tags,
            "timeout_seconds": Number(0.001, 31_536_000),
            "max_retries": Uint(0, 1_000, signed=True),
            "resources": NumberMap(64, _gb),
            "at_most_once": _bool,
            "min_isolation": Word(("", *ISOLATIONS)),
        }
        self._record = Record(self.fields, closed=True)

    def read(self, value: Any) -> Dict[str, Any]:
        return {k: v for k, v in self._record.read(value).items() if v != REQUIREMENT_DEFAULTS[k]}


REQUIREMENTS = Requirements()


class Logs:
    """The log of one attempt: lines of level, microseconds since its start, text."""

    def __init__(self) -> None:
        line = Item(3, ("level", Uint(1, 4)), ("us_since_start", _uint), ("text", Str(LOG_LINE_BYTES_MAX)))
        self._lines = Array(line, LOG_LINES_MAX)

    def read(self, value: Any) -> Any:
        lines = self._lines.read(value)
        if len(lines) * LOG_LINE_BYTES_MAX > LOG_BYTES_MAX:  # else it cannot be too much
            size = sum(len(text.encode("utf-8")) for _, _, text in lines)
            if size > LOG_BYTES_MAX:
                raise Refused("too_large", f"has {size} bytes of text, at most {LOG_BYTES_MAX} are allowed")
        return lines


SPEC = Item(4, ("type", TASK_TYPE), ("priority", _priority), ("requirements", REQUIREMENTS), ("group", GROUP))
_submit_item = Item(
    3, ("task_id", Nullable(_id)), ("spec", _index), ("payload", _payload), ("metadata", _metadata)
)
_assign_spec = Item(
    4, ("type", TASK_TYPE), ("timeout_ms", _uint), ("priority", _priority), ("at_most_once", _bool)
)
_checkpoint = ("checkpoint", Nullable(Bin(high=CHECKPOINT_BYTES_MAX)))
_assign_item = Item(
    5,
    ("task_id", _id),
    ("attempt", _uint),
    ("spec", _index),
    ("payload", _payload),
    ("number", _uint),
    _checkpoint,
)
_result_tail = (
    ("error_message", Nullable(_error_message)),
    ("traceback", Nullable(_traceback)),
    ("logs", Logs()),
)
_plugin = Str(256)  # what ran an attempt; items give its place in a table
_plugin_place = ("plugin", Nullable(_index))
_result_item = Item(
    7,
    ("task_id", _id),
    ("status", Uint(0, 7)),
    ("data", Nullable(_payload)),
    ("device", Nullable(_index)),
    ("started_at", Nullable(_int)),
    ("completed_at", _int),
    ("run_us", _uint),
    *_result_tail,
    _plugin_place,
)
_finished_item = Item(
    5,
    ("task_id", _id),
    ("attempt", _uint),
    ("outcome", Uint(1, 7)),
    ("data", Nullable(_payload)),
    ("run_us", _uint),
    *_result_tail,
    _checkpoint,
    _plugin_place,
)
_fraction = Nullable(Number(0, 1))
_progress_text = Nullable(Str(PROGRESS_TEXT_BYTES_MAX))
_progress_item = Item(
    4,
    ("attempt", _uint),
    ("fraction", _fraction),
    ("text", _progress_text),
    ("first_line", Uint(0, 2**32 - 1)),
    ("logs", Nullable(Logs())),
    _checkpoint,
)

_capability_fields: Dict[str, Any] = {
    "device_id": DEVICE_ID,
    "role": _word64,
    "platform": _word64,
    "arch": _word64,
    "cpu_count": _uint,
    "memory_total_gb": Number(low=0),
    "storage_total_gb": Number(low=0),
    "has_gpu": _bool,
    "has_internet": _bool,
    "tags": _tags,
    "handlers": _tags,
    "slots": Uint(1, 4096),
    "version": _word64,
}
_capability_optional: Dict[str, Any] = {
    "resources": NumberMap(64, Number()),
    "isolation": Word(ISOLATIONS),
    "refused_plugins": Array(Str(8192), 64),
    "plugins": Array(Str(8192), 256),
}
CAPABILITY = Record({**_capability_fields, **_capability_optional}, needed=_capability_fields)
_device = Record(
    {
        **_capability_fields,
        **_capability_optional,
        "state": _word64,
        "state_reason": Nullable(Str(8192)),
        "load": _uint,
        "system_load": Nullable(_number),
        "held": _uint,
        "last_seen": Nullable(_int),
        "connected": _bool,
        "attempts_succeeded": _uint,
        "attempts_failed": _uint,
        "attempts_lost": _uint,
    },
    needed=_capability_fields,
)

_history_entry = Record(
    {
        "attempt": _uint,
        "device_id": Nullable(Str(128)),
        "outcome": _word64,
        "error_message": Nullable(_error_message),
        "at": Nullable(_int),
    }
)
_task_result = Record(
    {
        "data": Nullable(_payload),
        "error_message": Nullable(_error_message),
        "error_traceback": Nullable(_traceback),
        "run_us": _uint,
        "plugin": Nullable(_plugin),
        "logs": Logs(),
    }
)
_progress = Record({"fraction": _fraction, "text": _progress_text, "at": Nullable(_int)})
_task = Record(
    {
        "task_id": _id,
        "task_type": TASK_TYPE,
        "payload": Nullable(_payload),
        "priority": Word(PRIORITIES),
        "requirements": REQUIREMENTS,
        "metadata": Nullable(_metadata),
        "group": GROUP,
        "status": Word(STATUSES),
        "reason": Nullable(Str(8192)),
        "created_at": Nullable(_int),
        "assigned_at": Nullable(_int),
        "started_at": Nullable(_int),
        "completed_at": Nullable(_int),
        "assigned_device_id": Nullable(Str(128)),
        "retry_count": _uint,
        "error_history": Array(_history_entry, ITEMS_MAX),
        "result": Nullable(_task_result),
        "progress": Nullable(_progress),
    },
    needed=("task_id", "task_type", "priority", "requirements", "status"),
)


def _message(fields: Dict[str, Any], *optional: str) -> Record:
    return Record(fields, needed=[name for name in fields if name not in optional])


_empty = Record({})

MESSAGES: Dict[str, Record] = {
    # of every peer
    "hello": _message(
        {
            "peer": Word(("client", "worker")),
            "versions": Fixed(_uint, _uint),
            "program": Str(128),
            "instance": _instance,
            "device": CAPABILITY,
            "held": _held,
            "draining": _bool,
            "paused": Str(256),
        },
        "device",
        "held",
        "draining",
        "paused",
    ),
    "welcome": _message(
        {
            "version": _uint,
            "program": Str(128),
            "instance": _instance,
            "epoch": _uint,
            "durable": _bool,
            "heartbeat_ms": _uint,
            "offline_after_ms": _uint,
            "lease_ms": _uint,
            "message_bytes_max": _uint,
            "payload_bytes_max": _uint,
            "result_bytes_max": _uint,
            "abandon": _held,
        },
        "abandon",
    ),
    "heartbeat": Record({"seen": _uint, "held": _held, "load": _number, "running": _uint, "paused": Str(256)}),
    "error": _message(
        {
            "code": _word64,
            "message": _error_message,
            "index": _uint,
            "field": Str(8192),
            "retry_after_ms": _uint,
        },
        "index",
        "field",
        "retry_after_ms",
    ),
    "goodbye": _empty,
    # of clients
    "submit": _message(
        {"specs": Array(SPEC, ITEMS_MAX), "tasks": Array(_submit_item, ITEMS_MAX), "notify": _bool}, "notify"
    ),
    "submitted": _message({"count": _uint, "ids": _ids, "known": Array(_uint, ITEMS_MAX)}, "ids", "known"),
    "wait": _message({"ids": _ids}),
    "waiting": _message({"unknown": _ids}),
    "forget": _message({"ids": _ids}),
    "results": _message(
        {
            "devices": Array(DEVICE_ID, ITEMS_MAX),
            "plugins": Array(_plugin, ITEMS_MAX),
            "results": Array(_result_item, ITEMS_MAX),
        },
        "plugins",
    ),
    "get": _message({"ids": _ids, "payload": _bool, "result": _bool}, "payload", "result"),
    "list": Record(
        {"status": Word(STATUSES), "task_type": TASK_TYPE, "limit": Uint(1, 1000), "cursor": _uint}
    ),
    "tasks": _message(
        {"tasks": Array(Nullable(_task), ITEMS_MAX), "next_cursor": Nullable(_uint)}, "next_cursor"
    ),
    "cancel": _message({"ids": _ids}),
    "cancelled": _message({"cancelled": Array(Nullable(_bool), ITEMS_MAX)}),
    "retry": _message({"ids": _ids}),
    "retried": _message({"retried": Array(Nullable(_bool), ITEMS_MAX)}),
    "queue": _message({"action": Word(QUEUE_ACTIONS), "task_type": TASK_TYPE}, "task_type"),
    "device": _message({"action": Word(DEVICE_ACTIONS), "device_id": DEVICE_ID}),
    "done": _empty,
    "why": Record({"id": _id, "spec": SPEC}),
    "explained": _message({"explanation": OpenMap()}),
    "stats": _empty,
    "statistics": _message({"statistics": OpenMap()}),
    "logs": _message({"id": _id, "cursor": _uint}, "cursor"),
    "log_lines": _message(
        {"status": Word(STATUSES), "attempt": _uint, "lines": Nullable(Logs()), "next": _uint, "missed": _uint},
        "missed",
    ),
    "devices": Record({"device_id": DEVICE_ID}),
    "device_list": _message({"devices": Array(_device, HELD_MAX)}),
    # of workers
    "assign": _message({"specs": Array(_assign_spec, ITEMS_MAX), "tasks": Array(_assign_item, ITEMS_MAX)}),
    "started": _message({"attempts": _attempts}),
    "progress": _message({"attempts": Array(_progress_item, ITEMS_MAX)}),
    "finished": _message(
        {"plugins": Array(_plugin, ITEMS_MAX), "results": Array(_finished_item, ITEMS_MAX)}, "plugins"
    ),
    "ack": _empty,
    "recall": _message({"attempts": _attempts}),
    "returned": _message({"attempts": _attempts}),
    "stop": _message({"attempts": _attempts}),
    "device_update": _message({"device": CAPABILITY}),
    "drain": _empty,
}


def _indexes(items: str, element: int, into: str) -> Callable[[Dict[str, Any]], None]:
    def check(body: Dict[str, Any]) -> None:
        count = len(body[into])
        for number, item in enumerate(body[items]):
            if item[element] is not None and item[element] >= count:
                place = f"{items}[{number}].{into[:-1]}"
                raise Refused("invalid", f"is {item[element]}, and there are {count} {into}", place)

    return check


def _plugin_places(element: int) -> Callable[[Dict[str, Any]], None]:
    def check(body: Dict[str, Any]) -> None:
        count = len(body.get("plugins", ()))
        for number, item in enumerate(body["results"]):
            if len(item) > element and item[element] is not None and item[element] >= count:
                raise Refused(
                    "invalid", f"is {item[element]}, and there are {count} plugins", f"results[{number}].plugin"
                )

    return check


def _results(body: Dict[str, Any]) -> None:
    _indexes("results", 3, "devices")(body)
    _plugin_places(10)(body)


def _hello(body: Dict[str, Any]) -> None:
    if body["peer"] == "worker":
        for name in ("device", "held"):
            if name not in body:
                raise Refused("malformed", "is missing: a worker says it", name)


def _why(body: Dict[str, Any]) -> None:
    if "id" not in body and "spec" not in body:
        raise Refused("malformed", "is missing, and so is spec: one of them is asked about", "id")
    if "id" in body and "spec" in body:
        raise Refused("invalid", "stands beside id: one of them is asked about", "spec")


# Checks that need two fields of the body; run when all of it is read.
BETWEEN: Dict[str, Callable[[Dict[str, Any]], None]] = {
    "hello": _hello,
    "why": _why,
    "submit": _indexes("tasks", 1, "specs"),
    "assign": _indexes("tasks", 2, "specs"),
    "results": _results,
    "finished": _plugin_places(9),
}
