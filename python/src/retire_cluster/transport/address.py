"""Addresses of main: `HOST[:PORT]`, IPv6 in brackets."""

from __future__ import annotations

import os
import re
from typing import NamedTuple, Optional

DEFAULT_PORT = 8080
_FORM = re.compile(
    r"(?:tcp://)?(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s\[\]:/]+))(?::(?P<port>[0-9]{1,5}))?"
)


class Address(NamedTuple):
    host: str
    port: int

    @property
    def endpoint(self) -> str:
        """As ZeroMQ wants it."""
        return f"tcp://{self}"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: Optional[str] = None) -> Address:
    """The address `text`; None is `$RETIRE_CLUSTER_ADDRESS`, else `127.0.0.1:8080`.

    Errors: ValueError naming what was given.
    """
    if text is None:
        text = os.environ.get("RETIRE_CLUSTER_ADDRESS") or "127.0.0.1"
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    port = int(found["port"] or DEFAULT_PORT) if found else 0
    if not found or not 1 <= port <= 65535:
        raise ValueError(f"address is {text!r}: must be HOST[:PORT], as 192.168.1.100:8080 or [fe80::1]:8080")
    return Address(found["six"] or found["host"], port)
