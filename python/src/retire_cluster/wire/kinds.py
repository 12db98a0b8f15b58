"""Kinds of values: what a field may hold. Each `read(value)` returns the canonical value or raises `Refused`.

They read what `tree.parse` made, and equally plain Python values (dict, list) that are about to be sent.
"""

from __future__ import annotations

import math
import re
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Optional, Sequence, Tuple

from retire_cluster.wire.refused import Refused
from retire_cluster.wire.tree import Bad, CarefulArray, CarefulPairs, Pairs

Read = Callable[[Any], Any]


def _fail(value: Any, wanted: str) -> Refused:
    """`value` is not of the kind wanted; if reading ended here, the reason is that."""
    if isinstance(value, Bad):
        return Refused(value.code, value.detail)
    return Refused("malformed", f"is {_name(value)}, not {wanted}")


def _name(value: Any) -> str:
    if value is None:
        return "nil"
    if isinstance(value, (dict, Pairs)):
        return "a map"
    if isinstance(value, (list, tuple)):
        return "an array"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "a bin"
    if isinstance(value, str):
        return f"the string {value[:40]!r}"
    return repr(value)[:40]


def count_of(value: Any) -> int:
    """The number of elements or entries that the head of a container says."""
    return value.length if isinstance(value, (CarefulArray, CarefulPairs)) else len(value)


class Uint:
    """An unsigned integer, `low` to `high`. Below zero it is of the wrong type, unless `signed` says that it
    is only a value not allowed."""

    def __init__(self, low: int = 0, high: int = 2**64 - 1, signed: bool = False) -> None:
        self.low, self.high, self.signed = low, high, signed

    def read(self, value: Any) -> int:
        if type(value) is not int:
            raise _fail(value, "an unsigned integer")
        if self.low <= value <= self.high:
            return value
        if value < 0 and not self.signed:
            raise _fail(value, "an unsigned integer")
        raise Refused("invalid", f"is {value}, must be {self.low} to {self.high}")


class Int:
    """A signed integer of 64 bits."""

    def read(self, value: Any) -> int:
        if type(value) is not int or not -(2**63) <= value < 2**63:
            raise _fail(value, "an integer of 64 bits")
        return value


class Number:
    """An integer or finite float, `low` to `high`."""

    def __init__(self, low: float = -math.inf, high: float = math.inf) -> None:
        self.low, self.high = low, high

    def read(self, value: Any) -> Any:
        if type(value) is not int and type(value) is not float:
            raise _fail(value, "a number")
        if type(value) is float and not math.isfinite(value):
            raise Refused("malformed", f"is {value}, not a finite number")
        if not self.low <= value <= self.high:
            raise Refused("invalid", f"is {value}, must be {self.low:g} to {self.high:.12g}")
        return value


class Bool:
    def read(self, value: Any) -> bool:
        if type(value) is not bool:
            raise _fail(value, "true or false")
        return value


class Str:
    """A string of `low` to `high` bytes of UTF-8, all of it of `letters` (a character class); kept in lower
    case if `lower`.
    """

    def __init__(self, high: int, low: int = 0, letters: str = "", lower: bool = False) -> None:
        self.low, self.high, self.letters, self.lower = low, high, letters, lower
        self._pattern = re.compile(f"[{letters}]*") if letters else None

    def read(self, value: Any) -> str:
        if type(value) is str:
            size = len(value) if value.isascii() else _utf8_size(value)
        elif isinstance(value, Bad) and value.kind == "str":
            size = value.count
        else:
            raise _fail(value, "a string")
        if size > self.high:
            raise Refused("too_large", f"is {size} bytes long, at most {self.high} are allowed")
        if isinstance(value, Bad):
            raise _fail(value, "a string")
        if size < self.low:
            raise Refused("invalid", "is empty")
        if self._pattern is not None and not self._pattern.fullmatch(value):
            raise Refused("invalid", f"is {value!r}: only the characters {self.letters} are allowed")
        text: str = value
        return text.lower() if self.lower else text


def _utf8_size(value: str) -> int:
    try:
        return len(value.encode("utf-8"))
    except UnicodeEncodeError:
        raise Refused("malformed", "is a string that UTF-8 cannot hold") from None


class Word:
    """One of some words."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words: FrozenSet[str] = frozenset(words)
        self._text = Str(64)

    def read(self, value: Any) -> str:
        text = self._text.read(value)
        if text not in self.words:
            raise Refused("invalid", f"is {text!r}, must be one of {', '.join(sorted(self.words))}")
        return text


class Bin:
    """Bytes: `high` at most; exactly `size` if given; a multiple of `step`."""

    def __init__(self, high: int = 2**32, size: Optional[int] = None, step: int = 1) -> None:
        self.high, self.size, self.step = high, size, step

    def read(self, value: Any) -> bytes:
        if type(value) is bytes:
            count = len(value)
        elif isinstance(value, Bad) and value.kind == "bin":
            count = value.count
        else:
            raise _fail(value, "a bin")
        if count > self.high:
            raise Refused("too_large", f"is {count} bytes long, at most {self.high} are allowed")
        if isinstance(value, Bad):
            raise _fail(value, "a bin")
        if (self.size is not None and count != self.size) or count % self.step:
            wanted = f"{self.size}" if self.size is not None else f"a multiple of {self.step}"
            raise Refused("malformed", f"is {count} bytes long, must be {wanted}")
        data: bytes = value
        return data


class Nullable:
    """nil, or a value of another kind."""

    def __init__(self, kind: Any) -> None:
        self._read: Read = kind.read

    def read(self, value: Any) -> Any:
        return None if value is None else self._read(value)


class Array:
    """Up to `high` values of one kind."""

    def __init__(self, kind: Any, high: int) -> None:
        self._read: Read = kind.read
        self.high = high

    def read(self, value: Any) -> List[Any]:
        if not isinstance(value, list) or isinstance(value, Pairs):
            raise _fail(value, "an array")
        count = count_of(value)
        if count > self.high:
            raise Refused("too_large", f"has {count} elements, at most {self.high} are allowed")
        read = self._read
        out: List[Any] = []
        try:
            for item in value:
                out.append(read(item))
        except Refused as error:
            raise error.within(f"[{len(out)}]") from None
        return out


class Fixed:
    """An array of a fixed number of values, without a tail."""

    def __init__(self, *kinds: Any) -> None:
        self._reads: List[Read] = [kind.read for kind in kinds]

    def read(self, value: Any) -> List[Any]:
        if not isinstance(value, list) or isinstance(value, Pairs):
            raise _fail(value, "an array")
        if count_of(value) != len(self._reads):
            raise Refused("malformed", f"has {count_of(value)} elements, must have {len(self._reads)}")
        return [read(item) for read, item in zip(self._reads, value)]


class Item:
    """An array with a fixed order: (name, kind) pairs, `needed` of which must be there. What a newer peer
    adds at the end is skipped, and so is what is nil or empty at the end of the optional ones."""

    def __init__(self, needed: int, *elements: Tuple[str, Any]) -> None:
        self.needed = needed
        self.names = [name for name, _ in elements]
        self._reads: List[Read] = [kind.read for _, kind in elements]

    def read(self, value: Any) -> List[Any]:
        if not isinstance(value, list) or isinstance(value, Pairs):
            raise _fail(value, "an array")
        if count_of(value) < self.needed:
            raise Refused("malformed", f"has {count_of(value)} elements, needs {self.needed}")
        out: List[Any] = []
        try:
            for read, element in zip(self._reads, value):
                out.append(read(element))
        except Refused as error:
            raise error.within(self.names[len(out)]) from None
        for extra in value[len(self._reads) :]:
            check_skipped(extra)
        while len(out) > self.needed and (out[-1] is None or out[-1] == []):
            out.pop()
        return out


def pairs_of(value: Any, what: str = "a map") -> Sequence[Tuple[Any, Any]]:
    """The entries of a map, whose keys are strings."""
    if isinstance(value, Pairs):
        return value
    if type(value) is dict:
        return list(value.items())
    raise _fail(value, what)


def _key(key: Any, seen: Any) -> str:
    if type(key) is not str:
        raise _fail(key, "a string, as keys are")
    if key in seen:
        raise Refused("malformed", "stands twice", key)
    return key


class NumberMap:
    """Names to numbers: up to `high` names of 1 to 64 bytes."""

    def __init__(self, high: int, number: Number) -> None:
        self.high, self._number, self._name = high, number, Str(64, low=1)

    def read(self, value: Any) -> Dict[str, Any]:
        pairs = pairs_of(value)
        if count_of(pairs) > self.high:
            raise Refused("too_large", f"has {count_of(pairs)} entries, at most {self.high} are allowed")
        out: Dict[str, Any] = {}
        for key, number in pairs:
            name = self._name.read(key)
            _key(name, out)
            try:
                out[name] = self._number.read(number)
            except Refused as error:
                raise error.within(name) from None
        return out


class Record:
    """A map with known keys: name -> kind. Those in `needed` must be there. Others are skipped, or refused if
    `closed`.
    """

    def __init__(self, fields: Dict[str, Any], needed: Iterable[str] = (), closed: bool = False) -> None:
        self.fields = fields
        self._reads: Dict[str, Read] = {name: kind.read for name, kind in fields.items()}
        self.needed = tuple(needed)
        self.closed = closed

    def read(self, value: Any) -> Dict[str, Any]:
        out: Dict[str, Any] = {}
        reads = self._reads
        for key, entry in pairs_of(value):
            name = _key(key, out)
            read = reads.get(name)
            try:
                if read is not None:
                    out[name] = read(entry)
                elif self.closed:
                    raise Refused("invalid", "is not a key that is known here")
                else:
                    check_skipped(entry)
            except Refused as error:
                raise error.within(name) from None
        for name in self.needed:
            if name not in out:
                raise Refused("malformed", "is missing", name)
        return out


class OpenMap:
    """A map of anything that JSON can hold (and bins), for people to look at."""

    def read(self, value: Any) -> Dict[str, Any]:
        pairs_of(value)
        check_skipped(value)
        plain: Dict[str, Any] = _plain(value)
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Pairs):
        out: Dict[str, Any] = {}
        for key, entry in value:
            out[_key(key, out)] = _plain(entry)
        return out
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return value


FAST_NESTING_MAX = 9  # no value that is skipped stands deeper than level 7 of the 16


def check_skipped(value: Any, level: int = 1) -> None:
    """A value that nobody reads must still be msgpack as it is allowed here. `level` is its nesting within
    what is skipped.
    """
    kind = type(value)
    if kind in (int, bool, str, bytes, type(None)):
        return
    if kind is float:
        if not math.isfinite(value):
            raise Refused("malformed", f"is {value}, not a finite number")
    elif isinstance(value, (list, dict)):
        # The fast reader does not say how deep a value stands; the careful one has checked it.
        if level > FAST_NESTING_MAX and not isinstance(value, (CarefulArray, CarefulPairs)):
            raise Refused("too_large", "may be nested too deep: for the careful reader to say")
        for item in value.items() if isinstance(value, dict) else value:
            for part in item if isinstance(item, tuple) else (item,):
                check_skipped(part, level + 1)
    else:
        raise _fail(value, "a value of msgpack")
