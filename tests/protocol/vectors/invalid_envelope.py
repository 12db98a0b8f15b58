"""Envelopes that are msgpack and still wrong."""

from __future__ import annotations

from .file import File
from .material import ID_A
from .wire import Pairs, Raw, frame, pack, str8


def build() -> File:
    f = File("invalid_envelope.json", "Envelopes that are msgpack and still wrong.")
    f.refused("no element", pack([]), "malformed")
    f.refused("three elements", pack([1, "stats", 1]), "malformed")
    f.refused("five elements", pack([1, "stats", 1, {}, {}]), "malformed")
    for version in (0, 2, 255, 2**32, 2**64 - 1):
        f.refused(f"version {version}", frame("stats", {}, version=version), "unsupported_version")
    f.refused("version 2 with an unknown type", frame("later", {}, version=2), "unsupported_version")
    f.refused("version 2 with a body of another shape", frame("stats", [], version=2), "unsupported_version")
    for value, name in [(-1, "-1"), ("1", "a string"), (1.0, "a float"), (None, "nil"), (True, "true")]:
        f.refused(f"version is {name}", frame("stats", {}, version=value), "malformed")
        f.refused(f"correlation is {name}", frame("stats", {}, correlation=value), "malformed")
    for kind in ("nosuch", "Hello", "hello ", "x" * 32):
        f.refused(f"type {kind!r}", frame(kind, {}), "unknown_type")
    f.refused("an unknown type comes before its body", frame("nosuch", None), "unknown_type")
    f.refused("a type of 33 bytes", frame("x" * 33, {}), "too_large")
    f.refused("a type of 2^32-1 bytes", b"\x94\x01\xdb\xff\xff\xff\xff", "too_large")
    for value, name in [(1, "a number"), (b"stats", "a bin"), (None, "nil"), (["stats"], "an array")]:
        f.refused(f"type is {name}", frame(value, {}), "malformed")
    f.refused("type is not UTF-8", frame(Raw(b"\xa1\xff"), {}), "malformed")
    for value, name in [
        (None, "nil"),
        ([], "an array"),
        ("", "a string"),
        (b"\x80", "a bin"),
        (0, "a number"),
    ]:
        f.refused(f"body is {name}", frame("stats", value), "malformed")
    for key, name in [(1, "a number"), (b"x", "a bin"), (None, "nil"), ([], "an array"), (True, "true")]:
        f.refused(f"key is {name}", frame("stats", Pairs((key, 1))), "malformed")
    f.refused("the same key twice", frame("wait", Pairs(("ids", ID_A), ("ids", ID_A))), "malformed")
    f.refused(
        "the same key twice in two widths",
        frame("wait", Pairs(("ids", ID_A), (str8("ids"), ID_A))),
        "malformed",
    )
    return f
