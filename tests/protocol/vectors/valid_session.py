"""hello, welcome, heartbeat, error, and what every worker and client says first and last."""

from __future__ import annotations

from typing import Any

from .file import File
from .material import ATTEMPT, CAPABILITY, CAPABILITY_FULL, HELLO_CLIENT, HELLO_WORKER, WELCOME
from .wire import f32, u16, u64


def build() -> File:
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
