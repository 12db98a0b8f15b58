"""Logging under the name `retire_cluster`; the package itself is silent below WARNING until asked."""

from __future__ import annotations

import logging
import sys
import time
from typing import Union

_ROOT = "retire_cluster"
_NAMES = {"trace": "DEBUG", "warn": "WARNING"}  # as the programs call them


class _UtcFormatter(logging.Formatter):
    converter = time.gmtime  # type: ignore[assignment]
    default_msec_format = "%s.%03dZ"


def get_logger(name: str = "", level: Union[str, int] = "INFO") -> logging.Logger:
    """The logger `retire_cluster.<name>`, set to `level` and writing to stderr.

    level: "DEBUG", "INFO", "WARNING", "ERROR", also in lower case and as the programs say it ("trace",
    "warn"), or a number of `logging`. A second call changes the level and adds no second line.
    Errors: ValueError for an unknown level.
    """
    if isinstance(level, str):
        wanted = _NAMES.get(level.lower(), level.upper())
        number = logging.getLevelName(wanted)
        if not isinstance(number, int):
            raise ValueError(f"level is {level!r}: must be one of trace, debug, info, warn, error")
    else:
        number = level
    root = logging.getLogger(_ROOT)
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_UtcFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
        root.addHandler(handler)
        root.propagate = False  # else a configured root logger says everything twice
    logger = root.getChild(name) if name else root
    logger.setLevel(number)
    return logger


def module_logger(name: str) -> logging.Logger:
    """For use within the package: adds no handler, changes no level."""
    return logging.getLogger(f"{_ROOT}.{name}")
