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
from harness import process  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    """A test that failed shows the logs of what runs, or ran for it."""
    report = (yield).get_result()
    if report.failed:
        for started in process.running:
            report.sections.append((f"log of {started.name} {started.pid}", started.log()))


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left() -> Iterator[None]:
    """What was started here ends here, also when a fixture was interrupted."""
    yield
    for started in list(process.running):
        if started.alive:
            started.kill()


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
