"""Mixed faults: some seconds of soak.py in each run, an hour in the nightly one."""

from __future__ import annotations

import os
from pathlib import Path

import soak
from counts import seed
from soak import Sample, Trend

MINUTES = float(os.environ.get("RETIRE_CLUSTER_SOAK_MINUTES", 0.3))


def samples(*kib: float) -> list[Sample]:
    return [Sample(10.0 * n, 1, round(each * 1024), 10) for n, each in enumerate(kib)]


def test_what_grows_is_found_out_and_what_goes_up_and_down_is_not() -> None:
    assert Trend("flat", samples(*[50_000] * 40)).problems() == []
    assert Trend("a saw", samples(*[50_000 + 10_000 * (n % 4) for n in range(40)])).problems() == []
    assert Trend("shrinks", samples(*[90_000 - 1_000 * n for n in range(40)])).problems() == []
    grown = Trend("grows", samples(*[50_000 + 1_000 * n for n in range(40)]))
    assert round(grown.growth_bytes() / 1024) == 39_000
    assert len(grown.problems()) == 2
    late = Trend("late", samples(*[50_000] * 20, *[80_000] * 20))
    assert late.problems()


def test_descriptors_that_stay_open_are_found_out() -> None:
    resting = [Sample(n, pid, 0, count) for n, (pid, count) in enumerate([(1, 20), (2, 30), (2, 31), (2, 33)])]
    assert soak.check_descriptors("it", resting, 2, 2) != []
    assert soak.check_descriptors("it", resting, 2, 3) == []
    assert soak.check_descriptors("it", resting, 1, 0) == []


def test_mixed_faults_lose_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    try:
        problems = soak.run(MINUTES, seed(), tmp_path, lines.append)
    finally:
        print("\n".join(lines))
    assert problems == []
