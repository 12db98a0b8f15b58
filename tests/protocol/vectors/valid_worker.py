"""Messages between workers and main."""

from __future__ import annotations

from typing import Any

from .file import File
from .material import (
    ASSIGN,
    ATTEMPT,
    CAPABILITY_FULL,
    CHECKPOINT,
    FINISHED,
    FINISHED_ITEM,
    HELLO_MAP,
    ID_A,
    ID_B,
    NONE,
    PLUGIN_A,
    PLUGIN_B,
    PROGRESS_FULL,
    PROGRESS_ITEM,
)
from .wire import array16, array32, bin32, f32, i8, str8, u8, u16, u32, u64


def build() -> File:
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
