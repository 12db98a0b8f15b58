"""Frames to messages and back."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional, Tuple

import msgpack

from retire_cluster.wire import tree
from retire_cluster.wire.kinds import Str, Uint, count_of
from retire_cluster.wire.messages import BETWEEN, MESSAGE_BYTES_MAX, MESSAGES
from retire_cluster.wire.refused import Refused

VERSION = 1
_version, _type, _correlation = Uint(), Str(32), Uint()


class Message(NamedTuple):
    """One message. `correlation`: 0 if no answer is waited for. `body`: known keys only; items are lists in
    the order of the protocol, without what is absent at their end."""

    type: str
    correlation: int
    body: Dict[str, Any]


def encode(kind: str, correlation: int, body: Dict[str, Any]) -> bytes:
    """One frame. Checks `body` as a reader would, so nothing leaves that main would refuse for its form.

    Errors: Refused, with the code the reader would give.
    """
    checked = _read_body(kind, body)
    data: bytes = msgpack.packb([VERSION, kind, correlation, checked])
    if len(data) > MESSAGE_BYTES_MAX:
        raise Refused(
            "too_large", f"the message is {len(data)} bytes long, at most {MESSAGE_BYTES_MAX} are allowed"
        )
    return data


def decode(data: bytes) -> Message:
    """The message in a frame.

    Errors: Refused; its `correlation` is set if that much could be read.
    """
    if len(data) > MESSAGE_BYTES_MAX:
        raise Refused(
            "too_large", f"the message is {len(data)} bytes long, at most {MESSAGE_BYTES_MAX} are allowed"
        )
    try:
        return _read(tree.fast(data))
    except Exception:  # only says that something may be wrong; what it is, the careful reader finds
        pass
    envelope, behind = tree.careful(data)
    message = _read(envelope)
    if behind is not None:
        refused = Refused(behind.code, behind.detail)
        refused.correlation = message.correlation
        raise refused
    return message


def _read(envelope: Any) -> Message:
    if not isinstance(envelope, list) or isinstance(envelope, tree.Pairs):
        raise _wrong_envelope(envelope)
    if count_of(envelope) != 4:
        raise Refused("malformed", f"the envelope has {count_of(envelope)} elements, must have 4")
    try:
        version, kind = _head(envelope)
        correlation = _at(envelope, 2, _correlation, "correlation")
        if len(envelope) < 4:
            raise Refused("malformed", "the message ends early")
        return Message(kind, correlation, _read_body(kind, envelope[3]))
    except Refused as error:
        error.correlation = _peek_correlation(envelope)
        raise


def _wrong_envelope(envelope: Any) -> Refused:
    if isinstance(envelope, tree.Bad):
        return Refused(envelope.code, envelope.detail)
    return Refused("malformed", "the message is not an array")


def _head(envelope: Any) -> Tuple[int, str]:
    version = _at(envelope, 0, _version, "version")
    if version != VERSION:
        raise Refused("unsupported_version", f"is {version}, this program speaks {VERSION}", "version")
    kind = _at(envelope, 1, _type, "type")
    if kind not in MESSAGES:
        raise Refused("unknown_type", f"is {kind!r}, which is no message of version {VERSION}", "type")
    return version, kind


def _at(envelope: Any, index: int, kind: Any, name: str) -> Any:
    if len(envelope) <= index:
        raise Refused("malformed", "the message ends early")
    try:
        return kind.read(envelope[index])
    except Refused as error:
        raise error.within(name) from None


def _peek_correlation(envelope: Any) -> Optional[int]:
    try:
        return int(_at(envelope, 2, _correlation, "correlation"))
    except Refused:
        return None


def _read_body(kind: str, body: Any) -> Dict[str, Any]:
    read = MESSAGES[kind].read(body)
    between = BETWEEN.get(kind)
    if between is not None:
        between(read)
    return read
