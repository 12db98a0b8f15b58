"""Times: microseconds since 1970 on the wire, aware datetimes in Python, ISO 8601 with `Z` in JSON."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, Optional

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def from_micros(micros: Optional[int]) -> Optional[datetime]:
    if micros is None:
        return None
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None  # beyond what a datetime holds: as good as unknown


def to_iso(time: Optional[datetime]) -> Optional[str]:
    """As `2026-01-31T12:00:00.000001Z`: always UTC, always microseconds."""
    if time is None:
        return None
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_iso(text: Any, field: str) -> Optional[datetime]:
    """Errors: ValueError that names the field."""
    if text is None or isinstance(text, datetime):
        return text
    if isinstance(text, str):
        for form in ("%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z"):
            try:
                return datetime.strptime(text, form).astimezone(timezone.utc)
            except ValueError:
                continue
    raise ValueError(f"{field} is {text!r}: must be a time as 2026-01-31T12:00:00.000000Z")
