"""What is no message at all: cut short, too long, bad msgpack, bombs."""

from __future__ import annotations

from .file import File
from .material import ATTEMPT, HELLO_WORKER, ID_A, SUBMIT
from .wire import Raw, frame, pack


def build() -> File:
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
