"""The smallest message of each type, and the same with keys that a newer peer may add."""

from __future__ import annotations

from .file import File
from .types import MINIMAL


def build() -> File:
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
