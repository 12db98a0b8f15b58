"""The one exception of the codec."""

from __future__ import annotations

from typing import Optional


class Refused(ValueError):
    """A message that cannot be read, or must not be sent.

    code: `malformed`, `too_large`, `unsupported_version`, `unknown_type` or `invalid`.
    field: where, as `tasks[3].payload`; empty if it is the message itself.
    correlation: that of the message, None if it could not be read.
    """

    def __init__(self, code: str, detail: str, field: str = "") -> None:
        super().__init__(code, detail, field)
        self.code = code
        self.detail = detail
        self.field = field
        self.correlation: Optional[int] = None

    def within(self, place: str) -> Refused:
        """The same error seen from one container further out."""
        joint = "" if not self.field or self.field.startswith("[") else "."
        self.field = place + joint + self.field
        return self

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"{where}{self.detail} ({self.code})"
