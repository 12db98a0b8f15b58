"""Fixtures of the fault tests: real processes, killed and frozen, and a checker that is apart from them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, List

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "e2e"))
sys.path.insert(0, str(HERE.parents[1] / "python" / "src"))

from arena import Arena  # noqa: E402
from harness.endings import nothing_is_left, pytest_runtest_makereport  # noqa: E402, F401


@pytest.fixture
def arenas(tmp_path: Path) -> Iterator[Callable[..., Arena]]:
    """Makes arenas for one test: arenas(*flags of main, seed=…, mix=…)."""
    made: List[Arena] = []

    def make(*main_flags: str, **more: Any) -> Arena:
        made.append(Arena(tmp_path / f"arena-{len(made)}", *main_flags, **more))
        return made[-1]

    yield make
    for arena in made:
        arena.close()
