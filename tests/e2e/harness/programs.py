"""Where the programs are, and what is done when they are not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def bin_dir() -> Path:
    given = os.environ.get("RETIRE_CLUSTER_BIN_DIR")
    return Path(given).resolve() if given else ROOT / "build" / "release" / "bin"


def program(name: str) -> Path:
    """The path of a program. Missing: the test is skipped, or fails if RETIRE_CLUSTER_REQUIRE_PROGRAMS=1."""
    path = bin_dir() / name
    if path.exists():
        return path
    message = f"{path} is missing: build it, or set RETIRE_CLUSTER_BIN_DIR"
    if os.environ.get("RETIRE_CLUSTER_REQUIRE_PROGRAMS") == "1":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of the caller's settings, and a home of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RETIRE_CLUSTER_")}
    return {**kept, "HOME": str(home), "LC_ALL": "C.UTF-8", **more}
