"""The last line of the test run counts what ran, and nothing that did not."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import Dict, Tuple

import pytest

SUMMARY = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "test_summary.py"

CTEST = """<?xml version="1.0"?>
<testsuite>
  <testcase name="A.Good" classname="A.Good" status="run"/>
  <testcase name="A.Bad" classname="A.Bad" status="fail"><failure message="Failed"/></testcase>
  <testcase name="A.Skips" classname="A.Skips" status="notrun"><skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
    <system-out>a_test.cpp:3: Skipped
no GPU here

[  SKIPPED ] A.Skips</system-out></testcase>
  <testcase name="A.Missing" classname="A.Missing" status="notrun"><skipped message="Unable to find executable"/></testcase>
</testsuite>"""

PYTEST = """<testsuites><testsuite>
  <testcase classname="test_a" name="test_good"/>
  <testcase classname="test_a" name="test_skipped"><skipped message="not on this platform"/></testcase>
  <testcase classname="test_a" name="test_error"><error message="fixture"/></testcase>
</testsuite></testsuites>"""

ONE = '<testsuite><testcase classname="a" name="b"/></testsuite>'

CASES: Dict[str, Tuple[Dict[str, str], str, int]] = {
    "ctest": ({"unit.status": "8", "unit.xml": CTEST}, "1 passed, 2 failed, 1 skipped", 1),
    "pytest": ({"py.status": "1", "py.xml": PYTEST}, "1 passed, 1 failed, 1 skipped", 1),
    "all of it": (
        {"unit.status": "8", "unit.xml": CTEST, "py.status": "1", "py.xml": PYTEST, "layers.status": "0"},
        "3 passed, 3 failed, 2 skipped",
        1,
    ),
    "a check counts as one": (
        {"layers.status": "0", "format.status": "1"},
        "1 passed, 1 failed, 0 skipped",
        1,
    ),
    "a stage that could not run": (
        {"e2e.skipped": "the build failed", "build.status": "2"},
        "0 passed, 1 failed, 1 skipped",
        1,
    ),
    "good tests and a bad exit": ({"py.status": "3", "py.xml": ONE}, "1 passed, 1 failed, 0 skipped", 1),
    "no test at all": ({"py.status": "0", "py.xml": "<testsuite/>"}, "0 passed, 1 failed, 0 skipped", 1),
    "half a file": ({"py.status": "0", "py.xml": ONE[:-8]}, "0 passed, 1 failed, 0 skipped", 1),
    "nothing": ({}, "0 passed, 0 failed, 0 skipped", 1),
    "only preparations": ({"packages.status": "0", "venv.status": "0"}, "0 passed, 0 failed, 0 skipped", 1),
    "a preparation that failed": (
        {"venv.status": "1", "py.status": "0", "py.xml": ONE},
        "1 passed, 1 failed, 0 skipped",
        1,
    ),
    "good": ({"py.status": "0", "py.xml": ONE, "layers.status": "0"}, "2 passed, 0 failed, 0 skipped", 0),
}


@pytest.mark.parametrize("name", CASES)
def test_the_last_line(tmp_path: pathlib.Path, name: str) -> None:
    files, line, status = CASES[name]
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    result = subprocess.run(
        [sys.executable, str(SUMMARY), str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.stdout.splitlines()[-1], result.returncode) == (line, status), result.stdout + result.stderr


def test_what_was_skipped_is_listed_with_its_reason(tmp_path: pathlib.Path) -> None:
    (tmp_path / "unit.status").write_text("8")
    (tmp_path / "unit.xml").write_text(CTEST)
    result = subprocess.run(
        [sys.executable, str(SUMMARY), str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert "skipped: unit: A.Skips (no GPU here)" in result.stdout
    assert "failed: unit: A.Missing (Unable to find executable)" in result.stdout
