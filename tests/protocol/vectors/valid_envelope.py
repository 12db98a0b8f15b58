"""Envelopes: integers, strings and containers in every msgpack width."""

from __future__ import annotations

from typing import Any, Callable

from .file import File
from .material import ID_A
from .wire import (
    Pairs,
    Raw,
    bin32,
    i8,
    i16,
    i32,
    i64,
    map16,
    map32,
    pack,
    str8,
    str16,
    str32,
    u8,
    u16,
    u32,
    u64,
)


def build() -> File:
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
