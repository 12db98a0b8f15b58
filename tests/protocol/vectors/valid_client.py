"""Messages between clients and main."""

from __future__ import annotations

from typing import Any

from .file import File
from .material import (
    DEVICE,
    HELLO_MAP,
    ID_A,
    ID_B,
    NONE,
    PLUGIN_A,
    PLUGIN_B,
    REQUIREMENTS_DEFAULT,
    REQUIREMENTS_FULL,
    RESULT_ITEM,
    RESULTS,
    SPEC,
    SUBMIT,
    T0,
    TASK_FINAL,
    TASK_QUEUED,
)
from .wire import array16, array32, bin16, bin32, f32, i64, u16, u32, u64


def build() -> File:
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
