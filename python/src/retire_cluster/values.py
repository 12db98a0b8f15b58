"""Payloads, results and metadata: msgpack inside a bin, which main never looks into."""

from __future__ import annotations

from typing import Any

import msgpack

from retire_cluster.errors import InvalidTaskError, ProtocolError, TaskTooLargeError


def pack_value(value: Any, what: str, bytes_max: int) -> bytes:
    """`value` as msgpack: None, bool, int of 64 bits, float, str, bytes, and lists, tuples and dicts of
    these.

    Errors: InvalidTaskError names `what` and the type that cannot be sent; TaskTooLargeError over
    `bytes_max`.
    """
    try:
        data: bytes = msgpack.packb(value, use_bin_type=True, strict_types=False)
    except TypeError as error:
        raise InvalidTaskError(f"{what} cannot be sent: {error}", field=what) from None
    except (ValueError, OverflowError, RecursionError) as error:
        # A number beyond 64 bits, a string that UTF-8 cannot hold, a list that contains itself.
        raise InvalidTaskError(f"{what} cannot be sent: {error}", field=what) from None
    if len(data) > bytes_max:
        raise TaskTooLargeError(
            f"{what} is {len(data)} bytes long, at most {bytes_max} are allowed", field=what
        )
    return data


def unpack_value(data: bytes, what: str) -> Any:
    """The value in `data`. Errors: ProtocolError if it is not one."""
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=False, ext_hook=_refuse_ext)
    except Exception as error:
        raise ProtocolError(f"{what} is not msgpack that this package reads: {error}") from None


def _refuse_ext(code: int, data: bytes) -> Any:
    raise ValueError(f"ext type {code}")
