"""Bytes to a tree of Python values, with nothing lost that a check of the schema needs.

Two readers make the same tree. `fast` is msgpack's own decoder, which says only *that* something is wrong.
`careful` reads value by value and puts `Bad` where reading ended, so that a walk over its tree, which goes
from front to back too, meets whichever failure comes first: of the bytes or of the schema. A tree is int,
float, bool, str, bytes, None, list and `Pairs`.

Memory: containers are allocated for at most `FAST_ITEMS_MAX` elements ahead of what is there; the rest is
bounded by the bytes.
"""

from __future__ import annotations

import math
import struct
from typing import Any, List, Optional, Tuple

import msgpack

NESTING_MAX = 16  # of containers, the body being the first
FAST_ITEMS_MAX = 65_536


class Pairs(List[Tuple[Any, Any]]):
    """A map in the order of the wire: a key that stands twice is seen."""


class CarefulArray(List[Any]):
    """An array of the careful reader. `length` is what its head says; it holds fewer if reading ended in
    it.
    """

    length = 0


class CarefulPairs(Pairs):
    """A map of the careful reader. `length` is what its head says."""

    length = 0


class Bad:
    """Where reading ended. `kind` and `count`: of a string ("str") or bin ("bin") whose head could be
    read.
    """

    def __init__(self, code: str, detail: str, kind: str = "", count: int = 0) -> None:
        self.code = code
        self.detail = detail
        self.kind = kind
        self.count = count


def fast(data: bytes) -> Any:
    """The tree of `data`. Raises some exception, or accepts what is too deep or not finite: look at `careful`
    then.
    """
    return msgpack.unpackb(
        data,
        raw=False,
        object_pairs_hook=Pairs,
        strict_map_key=False,
        ext_hook=_refuse_ext,
        max_array_len=FAST_ITEMS_MAX,
        max_map_len=FAST_ITEMS_MAX,
    )


def _refuse_ext(code: int, data: bytes) -> Any:
    raise ValueError("ext")


def careful(data: bytes) -> Tuple[Any, Optional[Bad]]:
    """The tree of `data`, and what is wrong behind it. Never raises."""
    reader = _Careful(data)
    tree = reader.value(0)  # the envelope is level 0, so the body is level 1
    return tree, reader.rest()


class _Careful:
    """Reads value by value and stops at the first that cannot be read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._ended = False

    def rest(self) -> Optional[Bad]:
        if self._ended or not self._left():
            return None
        return Bad("malformed", f"{self._left()} bytes after the message")

    def value(self, level: int) -> Any:
        if not self._left():
            return self._bad("malformed", "the message ends early")
        code = self._data[self._at]
        self._at += 1
        if code < 0x80:
            return code
        if code < 0x90:
            return self._map(code & 0x0F, level)
        if code < 0xA0:
            return self._array(code & 0x0F, level)
        if code < 0xC0:
            return self._text(code & 0x1F)
        if code >= 0xE0:
            return code - 0x100
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if code in _NUMBERS:
            return self._number(_NUMBERS[code])
        if code not in _COUNTED:
            return self._bad(
                "malformed", "a byte that msgpack does not use" if code == 0xC1 else "a msgpack ext"
            )
        kind, form = _COUNTED[code]
        count = self._number(form)
        if isinstance(count, Bad):
            return count
        if kind == "str":
            return self._text(count)
        if kind == "bin":
            return self._bin(count)
        return self._array(count, level) if kind == "array" else self._map(count, level)

    def _bad(self, code: str, detail: str, kind: str = "", count: int = 0) -> Bad:
        self._ended = True
        return Bad(code, detail, kind, count)

    def _left(self) -> int:
        return len(self._data) - self._at

    def _number(self, form: str) -> Any:
        size = struct.calcsize(form)
        if self._left() < size:
            return self._bad("malformed", "the message ends within a number")
        (value,) = struct.unpack_from(">" + form, self._data, self._at)
        self._at += size
        if isinstance(value, float) and not math.isfinite(value):
            return self._bad("malformed", f"the number {value}, which is not finite")
        return value

    def _bin(self, count: int, kind: str = "bin") -> Any:
        if count > self._left():
            return self._bad(
                "malformed", f"{count} bytes are announced and {self._left()} are left", kind, count
            )
        value = self._data[self._at : self._at + count]
        self._at += count
        return value

    def _text(self, count: int) -> Any:
        value = self._bin(count, "str")
        if isinstance(value, Bad):
            return value
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return self._bad("malformed", "a string that is not UTF-8", "str", count)

    def _array(self, count: int, level: int) -> Any:
        items = CarefulArray()
        items.length = count
        problem = self._container(count, level)
        if problem is not None:
            items.append(problem)
            return items
        for _ in range(count):
            items.append(self.value(level + 1))
            if self._ended:
                break
        return items

    def _map(self, count: int, level: int) -> Any:
        pairs = CarefulPairs()
        pairs.length = count
        problem = self._container(2 * count, level)
        if problem is not None:
            pairs.append((problem, None))
            return pairs
        for _ in range(count):
            key = self.value(level + 1)
            pairs.append((key, None if self._ended else self.value(level + 1)))
            if self._ended:
                break
        return pairs

    def _container(self, values: int, level: int) -> Optional[Bad]:
        if level > NESTING_MAX:
            return self._bad("too_large", f"nested deeper than {NESTING_MAX}")
        if values > self._left():
            return self._bad("malformed", f"{values} values are announced and {self._left()} bytes are left")
        return None


_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {
    0xCA: "f",
    0xCB: "d",
    0xCC: "B",
    0xCD: "H",
    0xCE: "I",
    0xCF: "Q",
    0xD0: "b",
    0xD1: "h",
    0xD2: "i",
    0xD3: "q",
}
_COUNTED = {
    0xC4: ("bin", "B"),
    0xC5: ("bin", "H"),
    0xC6: ("bin", "I"),
    0xD9: ("str", "B"),
    0xDA: ("str", "H"),
    0xDB: ("str", "I"),
    0xDC: ("array", "H"),
    0xDD: ("array", "I"),
    0xDE: ("map", "H"),
    0xDF: ("map", "I"),
}
