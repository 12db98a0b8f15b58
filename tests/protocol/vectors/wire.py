"""A msgpack encoder that can also be told to encode in a certain width, or wrongly."""

from __future__ import annotations

import struct
from typing import Any


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
