#!/usr/bin/env python3
"""Makes the protocol's test vectors: `make_vectors.py` writes the JSON files beside it, `make_vectors.py
--check` compares them with what it would write and exits 1 if they differ.

It shares nothing with the codecs under test: bytes come from the small encoder below, and what a decoder has
to read is said by hand wherever it is not simply what was encoded. Only Python's standard library is needed.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any, Callable

HERE = Path(__file__).resolve().parent


# ------------------------------------------------------------------------------------------------
# A msgpack encoder that can also be told to encode in a certain width, or wrongly.


class Raw:
    """Bytes that go into the message as they are; `reading` is what a decoder sees in them."""

    def __init__(self, data: bytes, reading: Any = None) -> None:
        self.data = data
        self.reading = reading


class Pairs:
    """A map as a list of pairs: keys of any type, in this order, twice if need be."""

    def __init__(self, *pairs: tuple[Any, Any]) -> None:
        self.pairs = pairs


def sized(value: int, code: int, form: str) -> Raw:
    return Raw(bytes([code]) + struct.pack(">" + form, value), value)


def u8(v: int) -> Raw:
    return sized(v, 0xCC, "B")


def u16(v: int) -> Raw:
    return sized(v, 0xCD, "H")


def u32(v: int) -> Raw:
    return sized(v, 0xCE, "I")


def u64(v: int) -> Raw:
    return sized(v, 0xCF, "Q")


def i8(v: int) -> Raw:
    return sized(v, 0xD0, "b")


def i16(v: int) -> Raw:
    return sized(v, 0xD1, "h")


def i32(v: int) -> Raw:
    return sized(v, 0xD2, "i")


def i64(v: int) -> Raw:
    return sized(v, 0xD3, "q")


def f32(v: float) -> Raw:
    return Raw(b"\xca" + struct.pack(">f", v), v)


def f64(v: float) -> Raw:
    return Raw(b"\xcb" + struct.pack(">d", v), v)


def str8(v: str) -> Raw:
    return Raw(b"\xd9" + struct.pack(">B", len(v.encode())) + v.encode(), v)


def str16(v: str) -> Raw:
    return Raw(b"\xda" + struct.pack(">H", len(v.encode())) + v.encode(), v)


def str32(v: str) -> Raw:
    return Raw(b"\xdb" + struct.pack(">I", len(v.encode())) + v.encode(), v)


def bin16(v: bytes) -> Raw:
    return Raw(b"\xc5" + struct.pack(">H", len(v)) + v, v)


def bin32(v: bytes) -> Raw:
    return Raw(b"\xc6" + struct.pack(">I", len(v)) + v, v)


def array16(items: list[Any]) -> Raw:
    return Raw(b"\xdc" + struct.pack(">H", len(items)) + b"".join(map(pack, items)), items)


def array32(items: list[Any]) -> Raw:
    return Raw(b"\xdd" + struct.pack(">I", len(items)) + b"".join(map(pack, items)), items)


def map16(items: dict[Any, Any]) -> Raw:
    body = b"".join(pack(k) + pack(v) for k, v in items.items())
    return Raw(b"\xde" + struct.pack(">H", len(items)) + body, items)


def map32(items: dict[Any, Any]) -> Raw:
    body = b"".join(pack(k) + pack(v) for k, v in items.items())
    return Raw(b"\xdf" + struct.pack(">I", len(items)) + body, items)


def head(count: int, fix: int | None, fix_max: int, codes: list[tuple[int, str, int]]) -> bytes:
    if fix is not None and count <= fix_max:
        return bytes([fix | count])
    for code, form, most in codes:
        if count <= most:
            return bytes([code]) + struct.pack(">" + form, count)
    raise ValueError(count)


STR_HEADS = [(0xD9, "B", 0xFF), (0xDA, "H", 0xFFFF), (0xDB, "I", 0xFFFFFFFF)]
BIN_HEADS = [(0xC4, "B", 0xFF), (0xC5, "H", 0xFFFF), (0xC6, "I", 0xFFFFFFFF)]
ARRAY_HEADS = [(0xDC, "H", 0xFFFF), (0xDD, "I", 0xFFFFFFFF)]
MAP_HEADS = [(0xDE, "H", 0xFFFF), (0xDF, "I", 0xFFFFFFFF)]


def pack_int(v: int) -> bytes:
    if 0 <= v < 0x80 or -0x20 <= v < 0:
        return struct.pack(">b", v) if v < 0 else bytes([v])
    wide = [u8, u16, u32, u64] if v >= 0 else [i8, i16, i32, i64]
    for make in wide:
        try:
            return make(v).data
        except struct.error:
            continue
    raise ValueError(v)


def pack(value: Any) -> bytes:
    """The shortest msgpack form, except where a Raw says otherwise."""
    if isinstance(value, Raw):
        return value.data
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return pack_int(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return head(len(data), 0xA0, 31, STR_HEADS) + data
    if isinstance(value, bytes):
        return head(len(value), None, 0, BIN_HEADS) + value
    if isinstance(value, list):
        return head(len(value), 0x90, 15, ARRAY_HEADS) + b"".join(map(pack, value))
    pairs = value.pairs if isinstance(value, Pairs) else list(value.items())
    return head(len(pairs), 0x80, 15, MAP_HEADS) + b"".join(pack(k) + pack(v) for k, v in pairs)


def plain(value: Any) -> Any:
    """The JSON form of a value that was encoded."""
    if isinstance(value, Raw):
        return plain(value.reading)
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    return value


def frame(kind: Any, body: Any, correlation: Any = 1, version: Any = 1) -> bytes:
    return pack([version, kind, correlation, body])


# ------------------------------------------------------------------------------------------------
# Material


ID_A = bytes.fromhex("0f8fad5bd9cb469fa16570867728950e")
ID_B = bytes.fromhex("7c9e6679742540de944be07fc1f90ae7")
INSTANCE = bytes(range(16))
HELLO_MAP = b"\x81\xa7message\xa2hi"  # {"message": "hi"}, as a payload
ECHO_MAP = b"\x81\xa4echo\x01"
NONE = b"\xc0"
ATTEMPT = 7 * 2**40 + 3
T0 = 1_700_000_000_000_000

CAPABILITY = {
    "device_id": "laptop-1",
    "role": "worker",
    "platform": "linux",
    "arch": "x86_64",
    "cpu_count": 8,
    "memory_total_gb": 15.5,
    "storage_total_gb": 256,
    "has_gpu": False,
    "has_internet": True,
    "tags": [],
    "handlers": ["echo", "sleep"],
    "slots": 8,
    "version": "0.1.0",
}
CAPABILITY_FULL = {
    **CAPABILITY,
    "role": "mobile",
    "platform": "android",
    "tags": ["gpu-capable", "küche"],
    "resources": {"licence": 2, "bandwidth": 12.5},
    "isolation": "basic",
    "refused_plugins": ["old.so: made for ABI version 0, this is 1"],
    "plugins": [f"echo 0.1.0 sha256:{'0f' * 32} /usr/lib/echo.so"],
}
PLUGIN_A = f"echo 0.1.0 sha256:{'0f' * 32}"
PLUGIN_B = f"echo 0.2.0 sha256:{'f0' * 32}"
REQUIREMENTS_FULL = {
    "min_cpu_cores": 4,
    "min_memory_gb": 8,
    "min_storage_gb": 100.5,
    "gpu_required": True,
    "internet_required": True,
    "required_platform": "linux",
    "required_role": "compute",
    "required_tags": ["gpu-capable"],
    "timeout_seconds": 60,
    "max_retries": 0,
    "resources": {"licence": 1},
    "at_most_once": True,
    "min_isolation": "strict",
}
REQUIREMENTS_DEFAULT = {
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
TASK_QUEUED = {
    "task_id": ID_A,
    "task_type": "echo",
    "payload": HELLO_MAP,
    "priority": "normal",
    "requirements": {},
    "metadata": b"\x80",
    "group": "",
    "status": "queued",
    "reason": "no_handler",
    "created_at": T0,
    "assigned_at": None,
    "started_at": None,
    "completed_at": None,
    "assigned_device_id": None,
    "retry_count": 0,
    "error_history": [],
}
TASK_FINAL = {
    **TASK_QUEUED,
    "task_id": ID_B,
    "priority": "urgent",
    "requirements": {"timeout_seconds": 2.5},
    "group": "anna",
    "status": "failed",
    "reason": None,
    "assigned_at": T0 + 10,
    "started_at": T0 + 20,
    "completed_at": T0 + 30,
    "assigned_device_id": "laptop-1",
    "retry_count": 1,
    "error_history": [
        {
            "attempt": ATTEMPT,
            "device_id": "laptop-1",
            "outcome": "crashed",
            "error_message": "signal 9",
            "at": T0 + 15,
        }
    ],
    "result": {
        "data": None,
        "error_message": "no",
        "error_traceback": "line 1",
        "run_us": 10,
        "logs": [[2, 5, "starting"]],
    },
}
DEVICE = {
    **CAPABILITY,
    "state": "online",
    "state_reason": "",
    "load": 2,
    "system_load": 0.75,
    "held": 3,
    "last_seen": T0,
    "connected": True,
    "attempts_succeeded": 10,
    "attempts_failed": 1,
    "attempts_lost": 0,
}
EXPLANATION = {
    "task_id": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "status": "queued",
    "reason": "no_device",
    "position": 3,
    "devices": [
        {
            "device_id": "laptop-1",
            "verdict": "unmet",
            "unmet": [{"requirement": "min_memory_gb", "wanted": 64, "has": 15.5}],
        }
    ],
    "nearest": "laptop-1",
}
STATISTICS = {
    "cluster_stats": {
        "online_devices": 1,
        "total_devices": 2,
        "total_capacity": 8,
        "total_load": 2,
        "cluster_utilization": 25.0,
    },
    "queue_stats": {
        "total_tasks": 4,
        "by_status": {"queued": 2, "running": 2},
        "by_priority": {"normal": 4},
        "by_device": {"laptop-1": 2},
        "by_type": {"echo": 4},
    },
    "scheduler_stats": {
        "tasks_scheduled": 2,
        "tasks_completed": 0,
        "tasks_failed": 0,
        "tasks_retried": 0,
        "attempts_lost": 2,
        "leases_expired": 1,
        "results_stale": 1,
        "uptime_seconds": 12.5,
    },
    "device_stats": {
        "laptop-1": {"capacity": 8, "load": 2, "utilization": 25.0, "capabilities": {"role": "worker"}}
    },
}
WELCOME = {
    "version": 1,
    "program": "retire-cluster-main 0.1.0",
    "instance": INSTANCE,
    "epoch": 7,
    "durable": False,
    "heartbeat_ms": 5000,
    "offline_after_ms": 15000,
    "lease_ms": 30000,
    "message_bytes_max": 33554432,
    "payload_bytes_max": 16777216,
    "result_bytes_max": 16777216,
}
HELLO_CLIENT = {"peer": "client", "versions": [1, 1], "program": "test 1.0", "instance": INSTANCE}
HELLO_WORKER = {**HELLO_CLIENT, "peer": "worker", "device": CAPABILITY, "held": []}
SPEC = ["echo", 2, {}, ""]
SUBMIT = {"specs": [SPEC], "tasks": [[None, 0, HELLO_MAP]]}
ASSIGN = {"specs": [["echo", 300000, 2, False]], "tasks": [[ID_A, ATTEMPT, 0, HELLO_MAP, 1]]}
RESULT_ITEM = [ID_A, 4, ECHO_MAP, 0, T0 + 20, T0 + 30, 10]
RESULTS = {"devices": ["laptop-1"], "results": [RESULT_ITEM]}
FINISHED_ITEM = [ID_A, ATTEMPT, 1, ECHO_MAP, 10]
FINISHED = {"results": [FINISHED_ITEM]}
CHECKPOINT = b"\x93\x01\x02\x03"
PROGRESS_ITEM = [ATTEMPT, 0.5, "half", 2]
PROGRESS_FULL = [*PROGRESS_ITEM, [[2, 9, "line 2"], [3, 10, "line 3"]], CHECKPOINT]
LOG_LINES = {
    "status": "running",
    "attempt": 2,
    "lines": [[2, 5, "starting"]],
    "next": 2 * 2**32 + 1,
    "missed": 3,
}

# One valid body of each type, and the keys that must be there.
MINIMAL: dict[str, tuple[dict[str, Any], list[str]]] = {
    "hello": (HELLO_CLIENT, ["peer", "versions", "program", "instance"]),
    "welcome": (WELCOME, list(WELCOME)),
    "heartbeat": ({}, []),
    "error": ({"code": "busy", "message": "try later"}, ["code", "message"]),
    "goodbye": ({}, []),
    "submit": (SUBMIT, ["specs", "tasks"]),
    "submitted": ({"count": 1}, ["count"]),
    "wait": ({"ids": ID_A}, ["ids"]),
    "waiting": ({"unknown": b""}, ["unknown"]),
    "forget": ({"ids": ID_A}, ["ids"]),
    "results": (RESULTS, ["devices", "results"]),
    "get": ({"ids": ID_A}, ["ids"]),
    "list": ({}, []),
    "tasks": ({"tasks": []}, ["tasks"]),
    "cancel": ({"ids": ID_A}, ["ids"]),
    "cancelled": ({"cancelled": [True]}, ["cancelled"]),
    "retry": ({"ids": ID_A}, ["ids"]),
    "retried": ({"retried": [True]}, ["retried"]),
    "queue": ({"action": "pause"}, ["action"]),
    "device": ({"action": "drain", "device_id": "laptop-1"}, ["action", "device_id"]),
    "done": ({}, []),
    "why": ({"id": ID_A}, ["id"]),
    "explained": ({"explanation": EXPLANATION}, ["explanation"]),
    "stats": ({}, []),
    "statistics": ({"statistics": STATISTICS}, ["statistics"]),
    "devices": ({}, []),
    "device_list": ({"devices": []}, ["devices"]),
    "assign": (ASSIGN, ["specs", "tasks"]),
    "started": ({"attempts": [ATTEMPT]}, ["attempts"]),
    "finished": (FINISHED, ["results"]),
    "ack": ({}, []),
    "recall": ({"attempts": [ATTEMPT]}, ["attempts"]),
    "returned": ({"attempts": [ATTEMPT]}, ["attempts"]),
    "stop": ({"attempts": [ATTEMPT]}, ["attempts"]),
    "device_update": ({"device": CAPABILITY}, ["device"]),
    "drain": ({}, []),
    "progress": ({"attempts": [PROGRESS_ITEM]}, ["attempts"]),
    "logs": ({"id": ID_A}, ["id"]),
    "log_lines": (LOG_LINES, ["status", "attempt", "lines", "next"]),
}

# For each type a value of the wrong msgpack type for each of its keys.
WRONG_TYPES: dict[str, dict[str, Any]] = {
    "hello": {
        "peer": 1,
        "versions": 1,
        "program": b"x",
        "instance": "0123456789abcdef",
        "device": [],
        "held": {},
        "draining": 1,
        "paused": True,
    },
    "welcome": {
        "version": "1",
        "program": None,
        "instance": None,
        "epoch": 1.5,
        "durable": 0,
        "heartbeat_ms": -1,
        "offline_after_ms": "15000",
        "lease_ms": None,
        "message_bytes_max": 1.0,
        "payload_bytes_max": True,
        "result_bytes_max": [],
        "abandon": 3,
    },
    "heartbeat": {"seen": -1, "held": ["a"], "load": "0.5", "running": 1.0, "paused": 1},
    "error": {"code": 10, "message": 1, "index": -1, "field": 1, "retry_after_ms": "100"},
    "submit": {"specs": {}, "tasks": {}, "notify": 1},
    "submitted": {"count": -1, "ids": [ID_A], "known": [1.0]},
    "wait": {"ids": [ID_A]},
    "waiting": {"unknown": None},
    "forget": {"ids": "0123456789abcdef"},
    "results": {"devices": "laptop-1", "results": {}},
    "get": {"ids": None, "payload": 1, "result": "yes"},
    "list": {"status": 1, "task_type": 1, "limit": "10", "cursor": -1},
    "tasks": {"tasks": {}, "next_cursor": -1},
    "cancel": {"ids": 1},
    "cancelled": {"cancelled": [1]},
    "retry": {"ids": [ID_A]},
    "retried": {"retried": [0]},
    "queue": {"action": 1, "task_type": 1},
    "device": {"action": b"drain", "device_id": 7},
    "why": {"id": "x", "spec": {}},
    "explained": {"explanation": []},
    "statistics": {"statistics": None},
    "devices": {"device_id": 7},
    "device_list": {"devices": {}},
    "assign": {"specs": None, "tasks": None},
    "started": {"attempts": ["1"]},
    "finished": {"results": 1},
    "recall": {"attempts": [-1]},
    "returned": {"attempts": {}},
    "stop": {"attempts": [1.0]},
    "device_update": {"device": "laptop-1"},
    "progress": {"attempts": {}},
    "logs": {"id": "x", "cursor": -1},
    "log_lines": {"status": 1, "attempt": -1, "lines": {}, "next": "0", "missed": 0.5},
}


# ------------------------------------------------------------------------------------------------
# Files


class File:
    """One JSON file in the making."""

    def __init__(self, name: str, description: str) -> None:
        self.name = name
        self.description = description
        self.vectors: list[dict[str, Any]] = []

    def valid(
        self, name: str, kind: Any, body: Any, reading: Any = None, correlation: Any = 1, version: Any = 1
    ) -> None:
        """A message that is read. `reading` is the body that a decoder sees, if it is not `body` as it
        stands.
        """
        self.vectors.append(
            {
                "name": name,
                "hex": frame(kind, body, correlation, version).hex(),
                "reading": {
                    "type": plain(kind),
                    "correlation": plain(correlation),
                    "body": plain(body if reading is None else reading),
                },
            }
        )

    def refused(self, name: str, data: bytes, error: str) -> None:
        self.vectors.append({"name": name, "hex": data.hex(), "error": error})

    def refused_body(self, name: str, kind: str, body: Any, error: str) -> None:
        self.refused(name, frame(kind, body), error)

    def text(self) -> str:
        lines = ",\n".join("  " + json.dumps(v, ensure_ascii=True) for v in self.vectors)
        return f'{{"description": {json.dumps(self.description)},\n "vectors": [\n{lines}\n ]}}\n'


def valid_every_type() -> File:
    f = File(
        "valid_every_type.json",
        "The smallest message of each type, and the same with keys that a newer peer may add.",
    )
    for kind, (body, _) in MINIMAL.items():
        f.valid(f"{kind}: minimal", kind, body)
        newer = {"zz_new": [1, {"a": b"\x00"}, None, -1.5], **body, "zz_later": "x"}
        f.valid(f"{kind}: unknown keys are skipped", kind, newer, reading=body)
        f.valid(f"{kind}: keys in another order", kind, dict(reversed(list(body.items()))), reading=body)
    return f


def valid_envelope() -> File:
    f = File("valid_envelope.json", "Envelopes: integers, strings and containers in every msgpack width.")
    widths: list[tuple[str, Callable[[int], Raw]]] = [
        ("uint 8", u8),
        ("uint 16", u16),
        ("uint 32", u32),
        ("uint 64", u64),
        ("int 8", i8),
        ("int 16", i16),
        ("int 32", i32),
        ("int 64", i64),
    ]
    for name, make in widths:
        f.valid(f"version and correlation as {name}", "goodbye", {}, correlation=make(5), version=make(1))
    f.valid("correlation 0", "goodbye", {}, correlation=0)
    f.valid("correlation 2^63", "stats", {}, correlation=2**63)
    f.valid("correlation 2^64-1", "stats", {}, correlation=2**64 - 1)
    f.valid("type as str 8", str8("stats"), {})
    f.valid("type as str 16", str16("stats"), {})
    f.valid("type as str 32", str32("stats"), {})
    f.valid("body as map 16", "stats", map16({}))
    f.valid("body as map 32", "wait", map32({"ids": ID_A}), reading={"ids": ID_A})
    f.valid("keys as str 32", "wait", Pairs((str32("ids"), bin32(ID_A))), reading={"ids": ID_A})
    whole = b"\xdd\x00\x00\x00\x04" + pack(1) + pack("ack") + pack(9) + pack({})
    f.vectors.append(
        {
            "name": "envelope as array 32",
            "hex": whole.hex(),
            "reading": {"type": "ack", "correlation": 9, "body": {}},
        }
    )
    whole = b"\xdc\x00\x04" + pack(1) + pack("ack") + pack(9) + pack({})
    f.vectors.append(
        {
            "name": "envelope as array 16",
            "hex": whole.hex(),
            "reading": {"type": "ack", "correlation": 9, "body": {}},
        }
    )
    deep: Any = []
    for _ in range(14):
        deep = [deep]
    f.valid("16 levels of nesting in a skipped value", "stats", {"zz_new": deep}, reading={})
    deep = {}
    for _ in range(14):
        deep = {"a": deep}
    f.valid("16 levels of maps in a skipped value", "stats", {"zz_new": deep}, reading={})
    f.valid("a skipped value with integer keys", "stats", {"zz_new": {1: 2, -3: None}}, reading={})
    f.valid("a skipped value longer than any limit of a field", "stats", {"zz_new": "y" * 9000}, reading={})
    f.valid("an unknown key that is empty", "stats", {"": 1}, reading={})
    f.valid("an unknown key that is long", "stats", {"k" * 300: True}, reading={})
    f.valid("20 unknown keys: the body is a map 16", "stats", {f"k{i}": i for i in range(20)}, reading={})
    return f


def valid_session() -> File:
    f = File(
        "valid_session.json",
        "hello, welcome, heartbeat, error, and what every worker and client says first and last.",
    )
    f.valid("hello: worker", "hello", HELLO_WORKER)
    full = {**HELLO_WORKER, "device": CAPABILITY_FULL, "held": [1, ATTEMPT, 2**64 - 1], "draining": True}
    f.valid("hello: worker, full", "hello", full)
    f.valid("hello: not draining", "hello", {**HELLO_WORKER, "draining": False})
    f.valid("hello: paused", "hello", {**HELLO_WORKER, "paused": "outside its work hours"})
    f.valid("hello: a range of versions", "hello", {**HELLO_CLIENT, "versions": [1, 9]})
    f.valid("hello: program of 128 bytes", "hello", {**HELLO_CLIENT, "program": "p" * 128})
    f.valid("hello: program of no bytes", "hello", {**HELLO_CLIENT, "program": ""})
    f.valid("hello: program in other letters", "hello", {**HELLO_CLIENT, "program": "прога 1.0 ✓"})

    def device(name: str, **changes: Any) -> None:
        f.valid(f"device: {name}", "device_update", {"device": {**CAPABILITY, **changes}})

    device("one slot", slots=1)
    device("4096 slots", slots=4096)
    device("ID of one byte", device_id="a")
    device("ID of 128 bytes", device_id="d" * 128)
    device("ID of every kind of letter", device_id="Az09_.:-")
    device("empty words", role="", platform="", arch="", version="")
    device("words of 64 bytes", role="r" * 64, platform="p" * 64, arch="a" * 64, version="v" * 64)
    device("no handlers", handlers=[])
    device("a tag of 64 bytes", tags=["t" * 64])
    device("1024 tags", tags=[f"t{i}" for i in range(1024)])
    device("handler of 64 bytes", handlers=["h" * 64])
    device("memory as integer, storage as float 32", memory_total_gb=u16(512), storage_total_gb=f32(0.5))
    device("nothing measured", cpu_count=0, memory_total_gb=0, storage_total_gb=0.0)
    device("64 resources", resources={f"r{i}": i for i in range(64)})
    device("no resources", resources={})
    for word in ("off", "basic", "strict"):
        device(f"isolation {word}", isolation=word)
    device("256 plugins", plugins=[f"p{i} 1 sha256:{i:064x} /p{i}.so" for i in range(256)])
    device("64 refused plugins", refused_plugins=[f"p{i}.so: no" for i in range(64)])
    f.valid(
        "device: unknown keys are skipped",
        "device_update",
        {"device": {"zz": {"deep": [1]}, **CAPABILITY, "shoe_size": 43}},
        reading={"device": CAPABILITY},
    )
    f.valid("welcome: nothing to abandon", "welcome", {**WELCOME, "abandon": []})
    f.valid(
        "welcome: two to abandon, durable", "welcome", {**WELCOME, "durable": True, "abandon": [5, ATTEMPT]}
    )
    f.valid("welcome: widest numbers", "welcome", {**WELCOME, "epoch": 2**64 - 1, "lease_ms": u64(1)})
    f.valid(
        "heartbeat: worker",
        "heartbeat",
        {"seen": 12, "held": [ATTEMPT], "load": 0.25, "running": 1},
        correlation=4,
    )
    f.valid("heartbeat: load as integer", "heartbeat", {"seen": 0, "held": [], "load": 2, "running": 0})
    beat = {"seen": 3, "held": [ATTEMPT], "load": 0.5, "running": 1}
    f.valid("heartbeat: paused", "heartbeat", {**beat, "paused": "on battery at 41 %, below 50 %"})
    f.valid("heartbeat: a reason of 256 bytes", "heartbeat", {**beat, "paused": "ü" * 128})
    f.valid(
        "heartbeat: 300 held", "heartbeat", {"seen": 1, "held": list(range(300)), "load": 0.5, "running": 300}
    )
    f.valid(
        "error: full",
        "error",
        {"code": "busy", "message": "m", "index": 3, "field": "tasks", "retry_after_ms": 250},
    )
    f.valid(
        "error: of nothing that could be read", "error", {"code": "malformed", "message": "?"}, correlation=0
    )
    f.valid("error: a code of a newer main", "error", {"code": "out_of_tea", "message": ""})
    f.valid("error: message of 8192 bytes", "error", {"code": "invalid", "message": "m" * 8192})
    return f


def valid_client() -> File:
    f = File("valid_client.json", "Messages between clients and main.")

    def spec(
        name: str, requirements: Any, reading: Any, kind: str = "echo", priority: Any = 2, group: str = ""
    ) -> None:
        f.valid(
            f"spec: {name}",
            "submit",
            {"specs": [[kind, priority, requirements, group]], "tasks": []},
            reading={"specs": [[kind, priority, reading, group]], "tasks": []},
        )

    spec("every requirement", REQUIREMENTS_FULL, REQUIREMENTS_FULL)
    spec("every requirement at its default is none", REQUIREMENTS_DEFAULT, {})
    spec(
        "defaults as floats are none",
        {"min_memory_gb": 0.0, "timeout_seconds": 300.0, "min_cpu_cores": u64(0)},
        {},
    )
    spec("platform in capitals", {"required_platform": "LINUX"}, {"required_platform": "linux"})
    spec("platform in both", {"required_platform": "Darwin"}, {"required_platform": "darwin"})
    spec(
        "numbers in all widths",
        {"min_memory_gb": f32(1.5), "min_storage_gb": i64(7), "max_retries": u16(9)},
        {"min_memory_gb": 1.5, "min_storage_gb": 7, "max_retries": 9},
    )
    least = {"timeout_seconds": 0.001, "max_retries": 0}
    spec("least values", least, least)
    most = {
        "min_cpu_cores": 1000000,
        "min_memory_gb": 1e9,
        "min_storage_gb": 1000000000,
        "timeout_seconds": 31536000,
        "max_retries": 1000,
        "resources": {"r" * 64: 1000000000},
        "required_platform": "p" * 64,
        "required_role": "r" * 64,
        "required_tags": ["t" * 64],
    }
    spec("greatest values", most, most)
    many = {"required_tags": [f"t{i}" for i in range(20)], "resources": {f"r{i}": i for i in range(64)}}
    spec("20 tags and 64 resources", many, many)
    spec("same tag twice", {"required_tags": ["a", "a"]}, {"required_tags": ["a", "a"]})
    for word in ("off", "basic", "strict"):
        spec(f"isolation {word}", {"min_isolation": word}, {"min_isolation": word})
    spec(
        "at most once with retries asked for",
        {"at_most_once": True, "max_retries": 5},
        {"at_most_once": True, "max_retries": 5},
    )
    for number in (1, 2, 3, 4):
        spec(f"priority {number}", {}, {}, priority=number)
    spec("priority as uint 64", {}, {}, priority=u64(4))
    spec("type of one byte", {}, {}, kind="x")
    spec("type of 64 bytes", {}, {}, kind="x" * 64)
    spec("type of every kind of letter", {}, {}, kind="a-z_0.9")
    spec("group of 128 bytes", {}, {}, group="g" * 128)
    spec("group in other letters", {}, {}, group="Küche 🍳")
    f.valid(
        "spec: further elements are skipped",
        "submit",
        {"specs": [[*SPEC, "later", {"x": 1}]], "tasks": []},
        reading={"specs": [SPEC], "tasks": []},
    )

    f.valid("submit: nothing", "submit", {"specs": [], "tasks": []})
    f.valid("submit: with ID", "submit", {"specs": [SPEC], "tasks": [[ID_A, 0, HELLO_MAP]]})
    f.valid("submit: with metadata", "submit", {"specs": [SPEC], "tasks": [[ID_A, 0, HELLO_MAP, b"\x80"]]})
    f.valid(
        "submit: further elements are skipped",
        "submit",
        {"specs": [SPEC], "tasks": [[ID_A, 0, HELLO_MAP, b"\x80", 5, [1, [2]], {"a": {"b": 1}}]]},
        reading={"specs": [SPEC], "tasks": [[ID_A, 0, HELLO_MAP, b"\x80"]]},
    )
    f.valid(
        "submit: items as array 32, bins as bin 32",
        "submit",
        {
            "specs": array32([array16(list(SPEC))]),
            "tasks": array32([array32([bin16(ID_A), u32(0), bin32(HELLO_MAP)])]),
        },
        reading={"specs": [SPEC], "tasks": [[ID_A, 0, HELLO_MAP]]},
    )
    f.valid(
        "submit: two specs, notified",
        "submit",
        {
            "specs": [SPEC, ["sleep", 4, {"min_cpu_cores": 2}, "anna"]],
            "tasks": [[ID_A, 1, HELLO_MAP], [ID_B, 0, NONE], [None, 1, b"\xc4\x00"]],
            "notify": True,
        },
    )
    f.valid("submit: not notified", "submit", {**SUBMIT, "notify": False})
    f.valid(
        "submit: an empty payload is bytes like others",
        "submit",
        {"specs": [SPEC], "tasks": [[ID_A, 0, b""]]},
    )
    f.valid(
        "submit: tasks before specs",
        "submit",
        {"tasks": [[ID_A, 1, NONE]], "specs": [SPEC, SPEC]},
        reading={"specs": [SPEC, SPEC], "tasks": [[ID_A, 1, NONE]]},
    )
    f.valid(
        "submit: payload of 300 bytes",
        "submit",
        {"specs": [SPEC], "tasks": [[ID_A, 0, b"\xc5\x01\x29" + b"p" * 297]]},
    )
    f.valid(
        "submit: the same ID twice is not the reader's matter",
        "submit",
        {"specs": [SPEC], "tasks": [[ID_A, 0, NONE], [ID_A, 0, NONE]]},
    )
    f.valid("submitted: with IDs and known ones", "submitted", {"count": 2, "ids": ID_A + ID_B, "known": [1]})
    f.valid("wait: two", "wait", {"ids": ID_A + ID_B})
    f.valid("wait: none", "wait", {"ids": b""})
    f.valid("wait: 20, as bin 16", "wait", {"ids": bin16(ID_A * 20)})
    f.valid("waiting: one unknown", "waiting", {"unknown": ID_B})
    f.valid("get: without payload and result", "get", {"ids": ID_A, "payload": False, "result": False})
    f.valid("get: with both", "get", {"ids": ID_A + ID_B, "payload": True, "result": True})
    for word in ("pending", "queued", "assigned", "running", "success", "failed", "cancelled", "timeout"):
        f.valid(f"list: {word}", "list", {"status": word})
    f.valid("list: full", "list", {"status": "queued", "task_type": "echo", "limit": 1, "cursor": 2**40})
    f.valid("list: the longest page", "list", {"limit": 1000})
    f.valid("cancelled: true, false, unknown", "cancelled", {"cancelled": [True, False, None]})
    f.valid("retry: two", "retry", {"ids": ID_A + ID_B})
    f.valid("retried: true, false, unknown", "retried", {"retried": [True, False, None]})
    for action in ("pause", "resume"):
        f.valid(f"queue: {action} of all", "queue", {"action": action})
        f.valid(f"queue: {action} of a type", "queue", {"action": action, "task_type": "echo"})
    for action in ("drain", "resume", "remove"):
        f.valid(f"device: {action}", "device", {"action": action, "device_id": "laptop-1"})
    f.valid("why: a dry run", "why", {"spec": ["echo", 2, {"min_memory_gb": 64}, ""]})
    f.valid("explained: empty", "explained", {"explanation": {}})
    f.valid("devices: one", "devices", {"device_id": "laptop-1"})
    f.valid("device_list: one", "device_list", {"devices": [DEVICE]})
    f.valid(
        "tasks: a queued one, an unknown one, a final one",
        "tasks",
        {"tasks": [TASK_QUEUED, None, TASK_FINAL]},
    )
    f.valid(
        "tasks: a page",
        "tasks",
        {"tasks": [{k: v for k, v in TASK_QUEUED.items() if k != "payload"}], "next_cursor": 9},
    )
    running = {**TASK_QUEUED, "status": "running", "reason": None}
    for told in ({"fraction": 0.25, "text": "page 3", "at": T0}, {"fraction": None, "text": None, "at": T0}):
        name = f"tasks: a progress of {told['fraction']}"
        f.valid(name, "tasks", {"tasks": [{**running, "progress": told}]})
    f.valid("tasks: the last page", "tasks", {"tasks": [], "next_cursor": None})
    f.valid(
        "tasks: requirements in full are read as those that differ",
        "tasks",
        {"tasks": [{**TASK_QUEUED, "requirements": {**REQUIREMENTS_DEFAULT, "min_cpu_cores": 2}}]},
        reading={"tasks": [{**TASK_QUEUED, "requirements": {"min_cpu_cores": 2}}]},
    )
    for number in range(8):
        item = [ID_A, number, None, None, None, T0, 0]
        f.valid(f"results: status {number}", "results", {"devices": [], "results": [item]}, correlation=0)
    failed = [ID_A, 5, None, 0, T0, T0 + 10, 10, "no such file", "Traceback …", [[4, 3, "no such file"]]]
    f.valid("results: full", "results", {"devices": ["laptop-1"], "results": [failed]}, correlation=0)
    f.valid(
        "results: optional elements that are nil or empty are as absent",
        "results",
        {"devices": ["laptop-1"], "results": [[*RESULT_ITEM, None, None, []]]},
        reading=RESULTS,
        correlation=0,
    )
    f.valid(
        "results: an error and no traceback",
        "results",
        {"devices": [], "results": [[*failed[:3], None, *failed[4:8], None]]},
        reading={"devices": [], "results": [[*failed[:3], None, *failed[4:8]]]},
        correlation=0,
    )
    f.valid(
        "results: further elements are skipped",
        "results",
        {"devices": ["laptop-1"], "results": [[*failed, None, "later", [[[]]]]]},
        reading={"devices": ["laptop-1"], "results": [failed]},
        correlation=0,
    )
    f.valid(
        "results: a log line with a further element",
        "results",
        {"devices": [], "results": [[ID_A, 4, None, None, None, T0, 0, None, None, [[1, 0, "x", 7]]]]},
        reading={"devices": [], "results": [[ID_A, 4, None, None, None, T0, 0, None, None, [[1, 0, "x"]]]]},
        correlation=0,
    )
    f.valid(
        "results: one plugin",
        "results",
        {"devices": ["laptop-1"], "plugins": [PLUGIN_A], "results": [RESULT_ITEM, failed]},
        correlation=0,
    )
    f.valid(
        "results: several plugins",
        "results",
        {
            "devices": ["laptop-1"],
            "plugins": [PLUGIN_A, PLUGIN_B],
            "results": [RESULT_ITEM, [*failed, 1], [*RESULT_ITEM, None, None, [], 1]],
        },
        correlation=0,
    )
    f.valid(
        "results: times before 1970",
        "results",
        {"devices": [], "results": [[ID_A, 4, NONE, None, -5, i64(-1), 0]]},
        correlation=0,
    )
    return f


def valid_worker() -> File:
    f = File("valid_worker.json", "Messages between workers and main.")
    f.valid("assign: nothing", "assign", {"specs": [], "tasks": []})
    f.valid(
        "assign: two of two specs",
        "assign",
        {
            "specs": [["echo", 1, 1, False], ["sleep", 31536000000, 4, True]],
            "tasks": [[ID_A, ATTEMPT, 1, HELLO_MAP, 1], [ID_B, ATTEMPT + 1, 0, NONE, 1001]],
        },
        correlation=2,
    )
    f.valid(
        "assign: further elements are skipped",
        "assign",
        {
            "specs": [["echo", 300000, 2, False, "later"]],
            "tasks": [[ID_A, ATTEMPT, 0, HELLO_MAP, 1, None, "later", {}]],
        },
        reading=ASSIGN,
    )
    f.valid(
        "assign: in other widths",
        "assign",
        {
            "specs": array16([["echo", u64(300000), u8(2), False]]),
            "tasks": array32([[ID_A, u64(ATTEMPT), i8(0), bin32(HELLO_MAP), u32(1)]]),
        },
        reading=ASSIGN,
    )
    f.valid(
        "assign: the greatest attempt", "assign", {**ASSIGN, "tasks": [[ID_A, 2**64 - 1, 0, NONE, 2**32 - 1]]}
    )
    f.valid("started: none", "started", {"attempts": []}, correlation=0)
    f.valid("started: three", "started", {"attempts": [ATTEMPT, 1, 2**64 - 1]}, correlation=0)
    f.valid(
        "started: 70000 would be too many, 100 are not",
        "started",
        {"attempts": list(range(100))},
        correlation=0,
    )
    for outcome in range(1, 8):
        f.valid(f"finished: outcome {outcome}", "finished", {"results": [[ID_A, ATTEMPT, outcome, None, 0]]})
    failed = [
        ID_A,
        ATTEMPT,
        2,
        None,
        1234,
        "ValueError: no",
        "Traceback …",
        [[1, 0, "a"], [2, 1, ""], [3, 2, "ü"], [4, 3, "d"]],
    ]
    f.valid("finished: full", "finished", {"results": [failed, FINISHED_ITEM]})
    f.valid(
        "finished: further elements are skipped",
        "finished",
        {"results": [[*failed, None, None, 1, [2]]]},
        reading={"results": [failed]},
    )
    f.valid(
        "finished: nil and empty elements are as absent",
        "finished",
        {"results": [[*FINISHED_ITEM, None, None, []]]},
        reading=FINISHED,
    )
    f.valid(
        "finished: logs without an error",
        "finished",
        {"results": [[*FINISHED_ITEM, None, None, [[2, 9, "done"]]]]},
    )
    f.valid(
        "finished: error of 8192 bytes", "finished", {"results": [[ID_A, ATTEMPT, 2, None, 0, "e" * 8192]]}
    )
    f.valid(
        "finished: a log line of 8192 bytes",
        "finished",
        {"results": [[ID_A, ATTEMPT, 1, NONE, 0, None, None, [[2, 0, "l" * 8192]]]]},
    )
    f.valid("finished: nothing", "finished", {"results": []})
    f.valid("assign: with a checkpoint", "assign", {**ASSIGN, "tasks": [[*ASSIGN["tasks"][0], CHECKPOINT]]})
    f.valid("finished: with a checkpoint", "finished", {"results": [[*failed, CHECKPOINT], FINISHED_ITEM]})
    f.valid(
        "finished: with nothing but a checkpoint",
        "finished",
        {"results": [[ID_A, ATTEMPT, 2, None, 7, None, None, [], CHECKPOINT]]},
    )

    bare = [ID_B, ATTEMPT + 1, 7, None, 0]
    f.valid("finished: one plugin", "finished", {"plugins": [PLUGIN_A], "results": [FINISHED_ITEM, failed]})
    f.valid(
        "finished: an older plugin beside it",
        "finished",
        {
            "plugins": [PLUGIN_A, PLUGIN_B],
            "results": [FINISHED_ITEM, [*FINISHED_ITEM, None, None, [], None, 1], [*failed, CHECKPOINT, 1]],
        },
    )
    f.valid(
        "finished: run by what is not known",
        "finished",
        {"plugins": ["", PLUGIN_A], "results": [bare, [*FINISHED_ITEM, None, None, [], None, 1]]},
    )
    f.valid(
        "finished: a plugin that is nil is the first",
        "finished",
        {"plugins": [PLUGIN_A], "results": [[*FINISHED_ITEM, None, None, [], None, None]]},
        reading={"plugins": [PLUGIN_A], "results": [FINISHED_ITEM]},
    )

    def progress(name: str, item: Any, reading: Any = None) -> None:
        as_read = None if reading is None else {"attempts": [reading]}
        f.valid(f"progress: {name}", "progress", {"attempts": [item]}, reading=as_read, correlation=0)

    progress("full", PROGRESS_FULL)
    progress("further elements are skipped", [*PROGRESS_FULL, "later", {}], PROGRESS_FULL)
    progress("nil and empty elements are as absent", [*PROGRESS_ITEM, [], None], PROGRESS_ITEM)
    progress("nothing but lines", [ATTEMPT, None, None, 0, [[1, 0, "a"]]])
    progress("nothing but a checkpoint", [ATTEMPT, None, None, 0, [], CHECKPOINT])
    progress("done", [ATTEMPT, 1, None, 0])
    progress("not begun", [ATTEMPT, 0.0, "ü" * 128, 2**32 - 1])
    progress("as float 32", [u64(ATTEMPT), f32(0.25), str8("x"), u16(7)])
    f.valid("progress: two attempts", "progress", {"attempts": [PROGRESS_ITEM, PROGRESS_FULL]}, correlation=0)
    f.valid("progress: none", "progress", {"attempts": []}, correlation=0)
    f.valid("recall: none", "recall", {"attempts": []})
    f.valid("returned: none", "returned", {"attempts": []})
    f.valid("stop: two, as array 32 of uint 64", "stop", {"attempts": array32([u64(1), u64(2)])})
    f.valid("device_update: full", "device_update", {"device": CAPABILITY_FULL}, correlation=0)
    return f


def invalid_bytes() -> File:
    f = File("invalid_bytes.json", "What is no message at all: cut short, too long, bad msgpack, bombs.")
    good = frame("submit", SUBMIT)
    for cut in range(0, len(good)):
        if cut < 12 or cut % 5 == 0 or cut == len(good) - 1:
            f.refused(f"submit cut after {cut} of {len(good)} bytes", good[:cut], "malformed")
    hello = frame("hello", HELLO_WORKER)
    for cut in range(20, len(hello), 41):
        f.refused(f"hello cut after {cut} of {len(hello)} bytes", hello[:cut], "malformed")
    f.refused("a byte after the message", good + b"\x00", "malformed")
    f.refused("a nil after the message", good + b"\xc0", "malformed")
    f.refused("two messages in a frame", good + good, "malformed")
    for value, name in [
        ({}, "a map"),
        (1, "a number"),
        (None, "nil"),
        ("hello", "a string"),
        (b"\x94", "a bin"),
    ]:
        f.refused(f"{name} for the envelope", pack(value), "malformed")
    f.refused("the byte that msgpack never uses", b"\xc1", "malformed")
    f.refused(
        "the byte that msgpack never uses, in the body", frame("stats", {"x": Raw(b"\xc1")}), "malformed"
    )
    f.refused("text that is not msgpack", b"GET / HTTP/1.1\r\n\r\n", "malformed")
    f.refused("JSON", b'[1,"stats",1,{}]', "malformed")
    f.refused("zeros", bytes(64), "malformed")
    f.refused("ff bytes", b"\xff" * 64, "malformed")
    f.refused("an envelope of 2^32-1", b"\xdd\xff\xff\xff\xff", "malformed")
    head3 = b"\x94\x01" + pack("submit") + b"\x01"
    f.refused("a body of 2^32-1 keys", head3 + b"\xdf\xff\xff\xff\xff", "malformed")
    f.refused("a body of 65535 keys", head3 + b"\xde\xff\xff", "malformed")
    f.refused(
        "a body with one key less than it says",
        head3 + b"\x83" + pack("specs") + b"\x90" + pack("tasks") + b"\x90",
        "malformed",
    )

    def body(name: str, kind: str, key: str, data: bytes, error: str) -> None:
        f.refused(name, b"\x94\x01" + pack(kind) + b"\x01\x81" + pack(key) + data, error)

    body("2^32-1 tasks", "submit", "tasks", b"\xdd\xff\xff\xff\xff", "too_large")
    body("2^32-1 specs", "submit", "specs", b"\xdd\xff\xff\xff\xff", "too_large")
    body("65535 tasks", "submit", "tasks", b"\xdc\xff\xff", "too_large")
    body("10001 tasks", "submit", "tasks", b"\xdc\x27\x11", "too_large")
    body("10001 specs", "submit", "specs", b"\xdc\x27\x11", "too_large")
    body("10000 tasks in no bytes", "submit", "tasks", b"\xdc\x27\x10", "malformed")
    body("10000 specs in no bytes", "submit", "specs", b"\xdc\x27\x10", "malformed")
    body("10001 results", "finished", "results", b"\xdc\x27\x11", "too_large")
    body("2^32-1 pushed results", "results", "results", b"\xdd\xff\xff\xff\xff", "too_large")
    body("10001 started", "started", "attempts", b"\xdc\x27\x11", "too_large")
    body("10001 to stop", "stop", "attempts", b"\xdc\x27\x11", "too_large")
    body("10001 to recall", "recall", "attempts", b"\xdc\x27\x11", "too_large")
    body("65537 held", "heartbeat", "held", b"\xdd\x00\x01\x00\x01", "too_large")
    body("65536 held in no bytes", "heartbeat", "held", b"\xdd\x00\x01\x00\x00", "malformed")
    body("a reason of 257 bytes", "heartbeat", "paused", b"\xda\x01\x01" + b"p" * 257, "too_large")
    body("a reason that is not UTF-8", "hello", "paused", b"\xa2\xc3\x28", "malformed")
    body("10001 IDs", "wait", "ids", b"\xc6\x00\x02\x71\x10", "too_large")
    body("2^32-1 bytes of IDs", "wait", "ids", b"\xc6\xff\xff\xff\xf0", "too_large")
    body("IDs of more bytes than there are", "wait", "ids", b"\xc4\x20" + ID_A, "malformed")
    body("a program of 2^32-1 bytes", "hello", "program", b"\xdb\xff\xff\xff\xff", "too_large")
    body("a program of more bytes than there are", "hello", "program", b"\xd9\x40abc", "malformed")
    body("an unknown array of 2^32-1", "stats", "x", b"\xdd\xff\xff\xff\xff", "malformed")
    body("an unknown map of 2^32-1", "stats", "x", b"\xdf\xff\xff\xff\xff", "malformed")
    body("an unknown string of 2^32-1", "stats", "x", b"\xdb\xff\xff\xff\xff", "malformed")
    body("an unknown bin of 2^32-1", "stats", "x", b"\xc6\xff\xff\xff\xff", "malformed")
    body("an unknown map with half its entries", "stats", "x", b"\x84\x01\x02\x03\x04", "malformed")
    item = b"\x91\x93" + pack(ID_A) + b"\x00"
    body("a payload over 16 MiB", "submit", "tasks", item + b"\xc6\x01\x00\x00\x01", "too_large")
    body("a payload of 2^32-1 bytes", "submit", "tasks", item + b"\xc6\xff\xff\xff\xff", "too_large")
    body("a payload of 16 MiB in no bytes", "submit", "tasks", item + b"\xc6\x01\x00\x00\x00", "malformed")
    item = b"\x91\x94" + pack(ID_A) + b"\x00\xc4\x00"
    body("metadata over 64 KiB", "submit", "tasks", item + b"\xc6\x00\x01\x00\x01", "too_large")
    body("metadata of 64 KiB in no bytes", "submit", "tasks", item + b"\xc6\x00\x01\x00\x00", "malformed")
    item = b"\x91\x95" + pack(ID_A) + pack(ATTEMPT) + b"\x01"
    body("a result over 16 MiB", "finished", "results", item + b"\xc6\x01\x00\x00\x01", "too_large")
    body("an item of 2^32-1 elements", "submit", "tasks", b"\x91\xdd\xff\xff\xff\xff", "malformed")
    for depth, error in [(17, "too_large"), (100, "too_large"), (5000, "too_large")]:
        nested = b"\x91" * (depth - 2) + b"\x90"
        body(f"{depth} levels of arrays", "stats", "x", nested, error)
    body("17 levels of maps", "stats", "x", b"\x81\xa1a" * 15 + b"\x80", "too_large")
    body("100 levels that never end", "stats", "x", b"\x91" * 100, "too_large")
    body("17 levels in an explanation", "explained", "explanation", b"\x81\xa1a" * 15 + b"\x80", "too_large")
    for code, name, size in [
        (0xD4, "fixext 1", 1),
        (0xD5, "fixext 2", 2),
        (0xD6, "fixext 4", 4),
        (0xD7, "fixext 8", 8),
        (0xD8, "fixext 16", 16),
    ]:
        body(f"{name} in an unknown key", "stats", "x", bytes([code, 5]) + bytes(size), "malformed")
    body("ext 8", "stats", "x", b"\xc7\x01\x05\x00", "malformed")
    body("ext 16", "stats", "x", b"\xc8\x00\x01\x05\x00", "malformed")
    body("ext 32", "stats", "x", b"\xc9\x00\x00\x00\x01\x05\x00", "malformed")
    body("a msgpack timestamp", "stats", "x", b"\xd6\xff" + bytes(4), "malformed")
    body("an ext for the IDs", "wait", "ids", b"\xd8\x05" + ID_A, "malformed")
    for number, name in [
        (b"\x7f\xf8\0\0\0\0\0\0", "NaN"),
        (b"\x7f\xf0\0\0\0\0\0\0", "infinity"),
        (b"\xff\xf0\0\0\0\0\0\0", "-infinity"),
    ]:
        body(f"load is {name}", "heartbeat", "load", b"\xcb" + number, "malformed")
        body(f"{name} in an unknown key", "stats", "x", b"\xcb" + number, "malformed")
    body("NaN as float 32", "heartbeat", "load", b"\xca\x7f\xc0\x00\x00", "malformed")
    body("infinity as float 32", "heartbeat", "load", b"\xca\x7f\x80\x00\x00", "malformed")
    for data, name in [
        (b"\xff", "a byte that is never UTF-8"),
        (b"\xc3", "half a letter"),
        (b"\xc0\xaf", "an overlong form"),
        (b"\xed\xa0\x80", "a surrogate"),
        (b"\xf4\x90\x80\x80", "beyond the last letter"),
    ]:
        body(f"program with {name}", "hello", "program", bytes([0xA0 | len(data)]) + data, "malformed")
        body(f"unknown key's value with {name}", "stats", "x", bytes([0xA0 | len(data)]) + data, "malformed")
    f.refused("a key that is not UTF-8", b"\x94\x01" + pack("stats") + b"\x01\x81\xa1\xff\x01", "malformed")
    return f


def invalid_envelope() -> File:
    f = File("invalid_envelope.json", "Envelopes that are msgpack and still wrong.")
    f.refused("no element", pack([]), "malformed")
    f.refused("three elements", pack([1, "stats", 1]), "malformed")
    f.refused("five elements", pack([1, "stats", 1, {}, {}]), "malformed")
    for version in (0, 2, 255, 2**32, 2**64 - 1):
        f.refused(f"version {version}", frame("stats", {}, version=version), "unsupported_version")
    f.refused("version 2 with an unknown type", frame("later", {}, version=2), "unsupported_version")
    f.refused("version 2 with a body of another shape", frame("stats", [], version=2), "unsupported_version")
    for value, name in [(-1, "-1"), ("1", "a string"), (1.0, "a float"), (None, "nil"), (True, "true")]:
        f.refused(f"version is {name}", frame("stats", {}, version=value), "malformed")
        f.refused(f"correlation is {name}", frame("stats", {}, correlation=value), "malformed")
    for kind in ("nosuch", "Hello", "hello ", "x" * 32):
        f.refused(f"type {kind!r}", frame(kind, {}), "unknown_type")
    f.refused("an unknown type comes before its body", frame("nosuch", None), "unknown_type")
    f.refused("a type of 33 bytes", frame("x" * 33, {}), "too_large")
    f.refused("a type of 2^32-1 bytes", b"\x94\x01\xdb\xff\xff\xff\xff", "too_large")
    for value, name in [(1, "a number"), (b"stats", "a bin"), (None, "nil"), (["stats"], "an array")]:
        f.refused(f"type is {name}", frame(value, {}), "malformed")
    f.refused("type is not UTF-8", frame(Raw(b"\xa1\xff"), {}), "malformed")
    for value, name in [
        (None, "nil"),
        ([], "an array"),
        ("", "a string"),
        (b"\x80", "a bin"),
        (0, "a number"),
    ]:
        f.refused(f"body is {name}", frame("stats", value), "malformed")
    for key, name in [(1, "a number"), (b"x", "a bin"), (None, "nil"), ([], "an array"), (True, "true")]:
        f.refused(f"key is {name}", frame("stats", Pairs((key, 1))), "malformed")
    f.refused("the same key twice", frame("wait", Pairs(("ids", ID_A), ("ids", ID_A))), "malformed")
    f.refused(
        "the same key twice in two widths",
        frame("wait", Pairs(("ids", ID_A), (str8("ids"), ID_A))),
        "malformed",
    )
    return f


def invalid_types() -> File:
    f = File("invalid_types.json", "Each key of each message missing, and with a value of the wrong type.")
    for kind, (body, required) in MINIMAL.items():
        for key in required:
            f.refused_body(
                f"{kind}: without {key}", kind, {k: v for k, v in body.items() if k != key}, "malformed"
            )
    for key in ("device", "held"):
        f.refused_body(
            f"hello: worker without {key}",
            "hello",
            {k: v for k, v in HELLO_WORKER.items() if k != key},
            "malformed",
        )
    for kind, values in WRONG_TYPES.items():
        for key, value in values.items():
            wrong = {**MINIMAL[kind][0], key: value}
            if kind == "why" and key == "spec":
                del wrong["id"]
            f.refused_body(f"{kind}: {key} of the wrong type", kind, wrong, "malformed")
    for key in CAPABILITY:
        f.refused_body(
            f"capability record: without {key}",
            "device_update",
            {"device": {k: v for k, v in CAPABILITY.items() if k != key}},
            "malformed",
        )
    wrong_device = {
        "device_id": 1,
        "role": None,
        "platform": b"linux",
        "arch": 64,
        "cpu_count": 8.0,
        "memory_total_gb": "15.5",
        "storage_total_gb": True,
        "has_gpu": 0,
        "has_internet": "yes",
        "tags": "a",
        "handlers": [1],
        "slots": -1,
        "version": 1,
        "resources": ["licence"],
        "isolation": 1,
        "refused_plugins": [b"x"],
        "plugins": [{}],
    }
    for key, value in wrong_device.items():
        f.refused_body(
            f"capability record: {key} of the wrong type",
            "device_update",
            {"device": {**CAPABILITY, key: value}},
            "malformed",
        )
    wrong_requirement = {
        "min_cpu_cores": 1.5,
        "min_memory_gb": "8",
        "min_storage_gb": None,
        "gpu_required": 1,
        "internet_required": "true",
        "required_platform": 1,
        "required_role": None,
        "required_tags": "gpu",
        "timeout_seconds": "60",
        "max_retries": 3.0,
        "resources": [],
        "at_most_once": 0,
        "min_isolation": True,
    }
    for key, value in wrong_requirement.items():
        f.refused_body(
            f"requirement {key} of the wrong type",
            "submit",
            {"specs": [["echo", 2, {key: value}, ""]], "tasks": []},
            "malformed",
        )
    f.refused_body(
        "requirement tag is a number",
        "submit",
        {"specs": [["echo", 2, {"required_tags": [1]}, ""]], "tasks": []},
        "malformed",
    )
    f.refused_body(
        "requirement resource is a string",
        "submit",
        {"specs": [["echo", 2, {"resources": {"a": "1"}}, ""]], "tasks": []},
        "malformed",
    )
    f.refused_body(
        "requirement key is a number",
        "submit",
        {"specs": [["echo", 2, {1: 1}, ""]], "tasks": []},
        "malformed",
    )
    return f


def invalid_items() -> File:
    f = File("invalid_items.json", "Items of batches: too few elements, wrong types, wrong sizes.")

    def spec(name: str, value: Any, error: str) -> None:
        f.refused_body(f"spec: {name}", "submit", {"specs": [value], "tasks": []}, error)

    def task(name: str, value: Any, error: str) -> None:
        f.refused_body(f"task: {name}", "submit", {"specs": [SPEC], "tasks": [value]}, error)

    def result(name: str, value: Any, error: str) -> None:
        f.refused_body(f"result: {name}", "results", {"devices": ["laptop-1"], "results": [value]}, error)

    def finished(name: str, value: Any, error: str) -> None:
        f.refused_body(f"finished: {name}", "finished", {"results": [value]}, error)

    def assigned(name: str, value: Any, error: str) -> None:
        f.refused_body(f"assigned: {name}", "assign", {"specs": ASSIGN["specs"], "tasks": [value]}, error)

    def changed(item: list[Any], index: int, value: Any) -> list[Any]:
        return [*item[:index], value, *item[index + 1 :]]

    for count in range(4):
        spec(f"{count} elements", SPEC[:count], "malformed")
    spec("a map", {"type": "echo"}, "malformed")
    spec("nil", None, "malformed")
    for index, value in [
        (0, 1),
        (0, None),
        (1, "normal"),
        (1, -1),
        (1, 2.0),
        (2, []),
        (2, None),
        (3, 1),
        (3, None),
    ]:
        spec(f"element {index} is {value!r}", changed(SPEC, index, value), "malformed")
    for count in range(3):
        task(f"{count} elements", [ID_A, 0, NONE][:count], "malformed")
    task("a map", {}, "malformed")
    base = [ID_A, 0, NONE, b"\x80"]
    for index, value in [
        (0, "x" * 16),
        (0, 5),
        (1, -1),
        (1, None),
        (1, 0.0),
        (2, "x"),
        (2, None),
        (2, {}),
        (3, {}),
        (3, "x"),
    ]:
        task(f"element {index} is {value!r}", changed(base, index, value), "malformed")
    for size in (0, 15, 17, 32):
        task(f"an ID of {size} bytes", changed(base, 0, bytes(size)), "malformed")
    for index in (1, 7, 2**63):
        task(f"spec {index} of one", changed(base, 1, index), "invalid")
    f.refused_body("task: no spec at all", "submit", {"specs": [], "tasks": [base]}, "invalid")
    for size in (1, 15, 17, 33):
        f.refused_body(f"IDs of {size} bytes", "wait", {"ids": bytes(size)}, "malformed")
    f.refused_body("why: an ID of 17 bytes", "why", {"id": bytes(17)}, "malformed")
    f.refused_body("waiting: IDs of 8 bytes", "waiting", {"unknown": bytes(8)}, "malformed")
    f.refused_body("submitted: IDs of 24 bytes", "submitted", {"count": 1, "ids": bytes(24)}, "malformed")
    for size in (0, 15, 17):
        f.refused_body(
            f"hello: an instance of {size} bytes",
            "hello",
            {**HELLO_CLIENT, "instance": bytes(size)},
            "malformed",
        )
    f.refused_body(
        "welcome: an instance of 8 bytes", "welcome", {**WELCOME, "instance": bytes(8)}, "malformed"
    )
    for versions in ([], [1], [1, 1, 1], [1, "1"], [-1, 1], {}):
        f.refused_body(
            f"hello: versions {versions!r}", "hello", {**HELLO_CLIENT, "versions": versions}, "malformed"
        )

    for count in range(7):
        result(f"{count} elements", RESULT_ITEM[:count], "malformed")
    full = [*RESULT_ITEM, "error", "traceback", [[1, 2, "line"]]]
    wrong_result = [
        (0, None),
        (0, bytes(8)),
        (1, "success"),
        (2, "data"),
        (3, "laptop-1"),
        (4, 1.5),
        (5, None),
        (6, -1),
    ]
    for index, value in [*wrong_result, (7, 1), (8, b"x"), (9, {})]:
        result(f"element {index} is {value!r}", changed(full, index, value), "malformed")
    result("status 8", changed(RESULT_ITEM, 1, 8), "invalid")
    result("device 1 of one", changed(RESULT_ITEM, 3, 1), "invalid")
    places = [
        ("no table", None, 0),
        ("place 1 of one", [PLUGIN_A], 1),
        ("place -1", [PLUGIN_A], -1),
        ("a name", [PLUGIN_A], "echo"),
    ]
    for name, table, place in places:
        code = "invalid" if isinstance(place, int) and place >= 0 else "malformed"
        beside = {} if table is None else {"plugins": table}
        item = [*FINISHED_ITEM, None, None, [], None, place]
        f.refused_body(f"finished: plugin: {name}", "finished", {**beside, "results": [item]}, code)
        pushed = {"devices": ["laptop-1"], **beside, "results": [[*RESULT_ITEM, None, None, [], place]]}
        f.refused_body(f"result: plugin: {name}", "results", pushed, code)
    long_name = {"plugins": ["p" * 257], "results": [FINISHED_ITEM]}
    f.refused_body("finished: a plugin's name of 257 bytes", "finished", long_name, "too_large")
    f.refused_body(
        "finished: a plugin's name is nil", "finished", {"plugins": [None], "results": []}, "malformed"
    )
    for count in range(5):
        finished(f"{count} elements", FINISHED_ITEM[:count], "malformed")
    full = [*FINISHED_ITEM, "error", "traceback", [[1, 2, "line"]]]
    for index, value in [
        (0, None),
        (1, -1),
        (1, "1"),
        (2, "success"),
        (2, -1),
        (3, {}),
        (4, 1.5),
        (5, 1),
        (6, 1),
        (7, "log"),
    ]:
        finished(f"element {index} is {value!r}", changed(full, index, value), "malformed")
    for value in ("x", 1, [1]):
        finished(f"checkpoint {value!r}", [*full, value], "malformed")
        assigned(f"checkpoint {value!r}", [*ASSIGN["tasks"][0], value], "malformed")
    too_long = Raw(b"\xc6\x00\x10\x00\x01")
    finished("checkpoint of 1048577 bytes", [*full, too_long], "too_large")
    assigned("checkpoint of 1048577 bytes", [*ASSIGN["tasks"][0], too_long], "too_large")

    def told(name: str, value: Any, error: str) -> None:
        f.refused_body(f"progress: {name}", "progress", {"attempts": [value]}, error)

    for count in range(4):
        told(f"{count} elements", PROGRESS_FULL[:count], "malformed")
    for index, value in [
        (0, -1),
        (0, "1"),
        (1, "half"),
        (1, True),
        (1, f64(float("nan"))),
        (2, b"half"),
        (3, -1),
        (3, None),
        (4, "log"),
        (4, [[1, 2]]),
        (5, "x"),
        (5, {}),
    ]:
        told(f"element {index} is {plain(value)!r}", changed(PROGRESS_FULL, index, value), "malformed")
    for fraction in (-0.25, 1.5, 2):
        told(f"fraction {fraction}", changed(PROGRESS_FULL, 1, fraction), "invalid")
    told("log level 0", changed(PROGRESS_FULL, 4, [[0, 0, "x"]]), "invalid")
    told("first line 2^32", changed(PROGRESS_FULL, 3, 2**32), "invalid")
    told("text of 257 bytes", changed(PROGRESS_FULL, 2, "t" * 257), "too_large")
    told("checkpoint of 1048577 bytes", changed(PROGRESS_FULL, 5, too_long), "too_large")
    told("log of 10001 lines", changed(PROGRESS_FULL, 4, Raw(b"\xdc\x27\x11")), "too_large")
    f.refused_body("progress: 10001 attempts", "progress", {"attempts": Raw(b"\xdc\x27\x11")}, "too_large")
    f.refused_body("logs: an ID of 15 bytes", "logs", {"id": bytes(15)}, "malformed")
    f.refused_body("log_lines: status unknown", "log_lines", {**LOG_LINES, "status": "lost"}, "invalid")
    for outcome in (0, 8, 255):
        finished(f"outcome {outcome}", changed(FINISHED_ITEM, 2, outcome), "invalid")
    for line in ([], [1], [1, 2], ["info", 2, "x"], [1, -1, "x"], [1, 2, b"x"], "line", {}):
        finished(f"log line {line!r}", changed(full, 7, [line]), "malformed")
    for level in (0, 5):
        finished(f"log level {level}", changed(full, 7, [[level, 0, "x"]]), "invalid")
    finished("log line of 8193 bytes", changed(full, 7, [[1, 0, "l" * 8193]]), "too_large")
    finished("log of 2^32-1 lines", changed(full, 7, Raw(b"\xdd\xff\xff\xff\xff")), "too_large")
    finished("log of 10001 lines", changed(full, 7, Raw(b"\xdc\x27\x11")), "too_large")
    finished("error of 8193 bytes", changed(full, 5, "e" * 8193), "too_large")
    finished("traceback of 65537 bytes", changed(full, 6, Raw(b"\xdb\x00\x01\x00\x01")), "too_large")
    for count in range(5):
        assigned(f"{count} elements", ASSIGN["tasks"][0][:count], "malformed")
    for index, value in [(0, None), (0, bytes(15)), (1, -1), (2, "0"), (3, "x"), (3, None), (4, -1)]:
        assigned(f"element {index} is {value!r}", changed(ASSIGN["tasks"][0], index, value), "malformed")
    assigned("spec 1 of one", changed(ASSIGN["tasks"][0], 2, 1), "invalid")
    base = ASSIGN["specs"][0]
    for count in range(4):
        f.refused_body(
            f"assigned spec: {count} elements", "assign", {"specs": [base[:count]], "tasks": []}, "malformed"
        )
    for index, value in [(0, 1), (1, -1), (1, 1.5), (2, "high"), (3, 0)]:
        f.refused_body(
            f"assigned spec: element {index} is {value!r}",
            "assign",
            {"specs": [changed(base, index, value)], "tasks": []},
            "malformed",
        )
    f.refused_body(
        "assigned spec: priority 5", "assign", {"specs": [changed(base, 2, 5)], "tasks": []}, "invalid"
    )
    f.refused_body("tasks: a number among them", "tasks", {"tasks": [None, 1]}, "malformed")
    f.refused_body(
        "tasks: one without an ID",
        "tasks",
        {"tasks": [{k: v for k, v in TASK_QUEUED.items() if k != "task_id"}]},
        "malformed",
    )
    f.refused_body(
        "tasks: an ID of 15 bytes", "tasks", {"tasks": [{**TASK_QUEUED, "task_id": bytes(15)}]}, "malformed"
    )
    f.refused_body("device_list: nil among them", "device_list", {"devices": [None]}, "malformed")
    return f


def invalid_values() -> File:
    f = File("invalid_values.json", "Readable values that are not allowed, and words that are too long.")

    def spec(name: str, value: list[Any], error: str) -> None:
        f.refused_body(f"spec: {name}", "submit", {"specs": [value], "tasks": []}, error)

    def requirement(key: str, value: Any, error: str) -> None:
        label = value if not isinstance(value, (list, dict, str)) or len(value) < 8 else f"of {len(value)}"
        spec(f"{key} {label!r}", ["echo", 2, {key: value}, ""], error)

    for priority in (0, 5, 255, 2**64 - 1):
        spec(f"priority {priority}", ["echo", priority, {}, ""], "invalid")
    for kind in ("", "Echo", "echo echo", "écho", "a/b", "a\n", "a\0"):
        spec(f"type {kind!r}", [kind, 2, {}, ""], "invalid")
    spec("type of 65 bytes", ["x" * 65, 2, {}, ""], "too_large")
    spec("group of 129 bytes", ["echo", 2, {}, "g" * 129], "too_large")
    spec("group of 65 letters of two bytes", ["echo", 2, {}, "ü" * 65], "too_large")
    for key in ("min_memory", "gpu", "", "MIN_CPU_CORES", "resource", "min_cpu_cores "):
        spec(f"unknown requirement {key!r}", ["echo", 2, {key: 1}, ""], "invalid")
    spec(
        "an unknown requirement after a known one",
        ["echo", 2, {"gpu_required": True, "zz": None}, ""],
        "invalid",
    )
    spec(
        "the same requirement twice",
        ["echo", 2, Pairs(("max_retries", 1), ("max_retries", 1)), ""],
        "malformed",
    )
    for value in (-1, 1000001, 2**64 - 1, -(2**63)):
        requirement("min_cpu_cores", value, "invalid")
    for key in ("min_memory_gb", "min_storage_gb"):
        for value in (-1, -0.001, 1000000001, 1e300, 2**64 - 1):
            requirement(key, value, "invalid")
    for value in (0, 0.0009, -1, 31536001, 31536000.5, 1e308):
        requirement("timeout_seconds", value, "invalid")
    for value in (-1, 1001, 2**32):
        requirement("max_retries", value, "invalid")
    for value in ("none", "Strict", "high"):
        requirement("min_isolation", value, "invalid")
    requirement("required_platform", "p" * 65, "too_large")
    requirement("required_role", "r" * 65, "too_large")
    requirement("required_tags", [""], "invalid")
    requirement("required_tags", ["t" * 65], "too_large")
    requirement("required_tags", ["t"] * 1025, "too_large")
    spec(
        "required_tags of 2^32-1",
        ["echo", 2, {"required_tags": Raw(b"\xdd\xff\xff\xff\xff")}, ""],
        "too_large",
    )
    requirement("resources", {"a": -1}, "invalid")
    requirement("resources", {"a": 1e10}, "invalid")
    requirement("resources", {"": 1}, "invalid")
    requirement("resources", {"r" * 65: 1}, "too_large")
    requirement("resources", {f"r{i}": 1 for i in range(65)}, "too_large")
    spec("resources of 2^32-1", ["echo", 2, {"resources": Raw(b"\xdf\xff\xff\xff\xff")}, ""], "too_large")
    spec("the same resource twice", ["echo", 2, {"resources": Pairs(("a", 1), ("a", 1))}, ""], "malformed")
    spec("timeout_seconds NaN", ["echo", 2, {"timeout_seconds": float("nan")}, ""], "malformed")
    spec("min_memory_gb infinity", ["echo", 2, {"min_memory_gb": float("inf")}, ""], "malformed")

    def device(name: str, error: str, **changes: Any) -> None:
        f.refused_body(f"device: {name}", "device_update", {"device": {**CAPABILITY, **changes}}, error)

    device("empty ID", "invalid", device_id="")
    for bad in ("my laptop", "laptop/1", "läptop", "a\n", "a\0", "a,b"):
        device(f"ID {bad!r}", "invalid", device_id=bad)
    device("ID of 129 bytes", "too_large", device_id="d" * 129)
    device("no slots", "invalid", slots=0)
    device("4097 slots", "invalid", slots=4097)
    for key in ("role", "platform", "arch", "version"):
        device(f"{key} of 65 bytes", "too_large", **{key: "x" * 65})
    device("empty tag", "invalid", tags=[""])
    device("tag of 65 bytes", "too_large", tags=["t" * 65])
    device("1025 tags", "too_large", tags=["t"] * 1025)
    device("2^32-1 tags", "too_large", tags=Raw(b"\xdd\xff\xff\xff\xff"))
    device("handler of 65 bytes", "too_large", handlers=["h" * 65])
    device("empty handler", "invalid", handlers=[""])
    device("2^32-1 handlers", "too_large", handlers=Raw(b"\xdd\xff\xff\xff\xff"))
    device("65 resources", "too_large", resources={f"r{i}": 1 for i in range(65)})
    device("isolation unknown", "invalid", isolation="total")
    device("65 refused plugins", "too_large", refused_plugins=["p"] * 65)
    f.refused_body(
        "device: the same key twice",
        "device_update",
        {"device": Pairs(*CAPABILITY.items(), ("role", "x"))},
        "malformed",
    )
    f.refused_body(
        "hello: a device ID that is not one",
        "hello",
        {**HELLO_WORKER, "device": {**CAPABILITY, "device_id": "?"}},
        "invalid",
    )
    for peer in ("", "main", "Client", "admin"):
        f.refused_body(f"hello: peer {peer!r}", "hello", {**HELLO_CLIENT, "peer": peer}, "invalid")
    f.refused_body(
        "hello: program of 129 bytes", "hello", {**HELLO_CLIENT, "program": "p" * 129}, "too_large"
    )
    f.refused_body(
        "hello: 65537 held", "hello", {**HELLO_WORKER, "held": Raw(b"\xdd\x00\x01\x00\x01")}, "too_large"
    )
    for limit in (0, 1001, 2**64 - 1):
        f.refused_body(f"list: limit {limit}", "list", {"limit": limit}, "invalid")
    for status in ("", "Queued", "done", "retry_backoff"):
        f.refused_body(f"list: status {status!r}", "list", {"status": status}, "invalid")
    f.refused_body("list: type in capitals", "list", {"task_type": "ECHO"}, "invalid")
    for action in ("", "Pause", "drain"):
        f.refused_body(f"queue: action {action!r}", "queue", {"action": action}, "invalid")
    f.refused_body(
        "queue: type in capitals", "queue", {"action": "pause", "task_type": "ECHO"}, "invalid"
    )
    for action in ("", "Drain", "pause"):
        body = {"action": action, "device_id": "laptop-1"}
        f.refused_body(f"device control: action {action!r}", "device", body, "invalid")
    f.refused_body(
        "device control: an ID that is not one", "device", {"action": "drain", "device_id": "a b"}, "invalid"
    )
    f.refused_body("retry: IDs of 15 bytes", "retry", {"ids": bytes(15)}, "malformed")
    f.refused_body("list: type of 65 bytes", "list", {"task_type": "x" * 65}, "too_large")
    f.refused_body("devices: an ID that is not one", "devices", {"device_id": "a b"}, "invalid")
    f.refused_body("devices: an ID of 129 bytes", "devices", {"device_id": "d" * 129}, "too_large")
    f.refused_body("why: a spec of priority 0", "why", {"spec": ["echo", 0, {}, ""]}, "invalid")
    f.refused_body(
        "why: a spec with an unknown requirement", "why", {"spec": ["echo", 2, {"x": 1}, ""]}, "invalid"
    )
    f.refused_body(
        "tasks: status unknown", "tasks", {"tasks": [{**TASK_QUEUED, "status": "lost"}]}, "invalid"
    )
    f.refused_body(
        "tasks: priority unknown", "tasks", {"tasks": [{**TASK_QUEUED, "priority": "Normal"}]}, "invalid"
    )
    f.refused_body(
        "results: a device ID that is not one", "results", {"devices": ["a b"], "results": []}, "invalid"
    )
    f.refused_body(
        "error: message of 8193 bytes", "error", {"code": "busy", "message": "m" * 8193}, "too_large"
    )
    # The first failure decides, from front to back.
    broken = frame("submit", Pairs(("specs", [["echo", 0, {}, ""]]), ("tasks", "not an array")))
    f.refused("a value not allowed before a wrong type", broken, "invalid")
    broken = frame("submit", Pairs(("tasks", "not an array"), ("specs", [["echo", 0, {}, ""]])))
    f.refused("a wrong type before a value not allowed", broken, "malformed")
    f.refused(
        "a value not allowed before the end is missing",
        broken[:0] + frame("submit", {"specs": [["echo", 0, {}, ""]], "tasks": []})[:-3],
        "invalid",
    )
    return f


FILES = [
    valid_every_type,
    valid_envelope,
    valid_session,
    valid_client,
    valid_worker,
    invalid_bytes,
    invalid_envelope,
    invalid_types,
    invalid_items,
    invalid_values,
]


def make() -> dict[str, str]:
    """Every file: its name and what stands in it."""
    return {f.name: f.text() for f in (build() for build in FILES)}


def main() -> int:
    files = make()
    if sys.argv[1:] == ["--check"]:
        wrong = [
            n for n, text in files.items() if not (HERE / n).exists() or (HERE / n).read_text("utf-8") != text
        ]
        wrong += [p.name for p in HERE.glob("*.json") if p.name not in files]
        for name in wrong:
            print(f"{name} is not what make_vectors.py makes: run it and commit the result", file=sys.stderr)
        return 1 if wrong else 0
    for name, text in files.items():
        (HERE / name).write_text(text, "utf-8")
        vectors = json.loads(text)["vectors"]
        names = [v["name"] for v in vectors]
        assert len(names) == len(set(names)), [n for n in names if names.count(n) > 1]
        print(f"{name}: {len(vectors)} vectors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
