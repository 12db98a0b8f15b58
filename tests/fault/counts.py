"""How often a fault is repeated: little in each run, more when a variable says so."""

from __future__ import annotations

import os


def count(variable: str, default: int) -> int:
    """Of RETIRE_CLUSTER_<variable>. Errors: ValueError if that is no number from 1."""
    text = os.environ.get(f"RETIRE_CLUSTER_{variable}", "")
    if not text:
        return default
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"RETIRE_CLUSTER_{variable} is {text!r}: must be a number from 1")
    return int(text)


def seed() -> int:
    """Decides what is submitted and which fault comes when; RETIRE_CLUSTER_FAULT_SEED names another."""
    return count("FAULT_SEED", 1)
