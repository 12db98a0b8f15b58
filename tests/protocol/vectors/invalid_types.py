"""Each key of each message missing, and with a value of the wrong type."""

from __future__ import annotations

from .file import File
from .material import CAPABILITY, HELLO_WORKER
from .types import MINIMAL, WRONG_TYPES


def build() -> File:
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
