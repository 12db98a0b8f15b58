"""Items of batches: too few elements, wrong types, wrong sizes."""

from __future__ import annotations

from typing import Any

from .file import File
from .material import (
    ASSIGN,
    FINISHED_ITEM,
    HELLO_CLIENT,
    ID_A,
    LOG_LINES,
    NONE,
    PLUGIN_A,
    PROGRESS_FULL,
    RESULT_ITEM,
    SPEC,
    TASK_QUEUED,
    WELCOME,
)
from .wire import Raw, f64, plain


def build() -> File:
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
