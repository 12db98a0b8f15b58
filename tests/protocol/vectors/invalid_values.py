"""Readable values that are not allowed, and words that are too long."""

from __future__ import annotations

from typing import Any

from .file import File
from .material import CAPABILITY, HELLO_CLIENT, HELLO_WORKER, TASK_QUEUED
from .wire import Pairs, Raw, frame


def build() -> File:
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
    f.refused_body("queue: type in capitals", "queue", {"action": "pause", "task_type": "ECHO"}, "invalid")
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
