"""What every conftest of tests with real processes has: imported there, it is pytest's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness import process


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
