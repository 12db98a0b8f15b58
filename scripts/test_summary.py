#!/usr/bin/env python3
"""Sums what scripts/test.sh left in a directory: lists what failed and what was skipped, and why, and ends with
the one line `N passed, N failed, N skipped`. Exits 1 if anything failed, or nothing passed.

NAME.status holds a stage's exit status, NAME.xml its tests (JUnit, of ctest or pytest), NAME.skipped why it did
not run. A stage without tests of its own counts as one. One whose status and tests disagree has failed.
"""

import pathlib
import re
import sys
import xml.etree.ElementTree as ET

NOT_COUNTED = {"packages", "venv"}  # they only fail


def read_case(case):
    """(outcome, reason) of one test."""
    name = case.get("name", "?")
    if case.get("classname") not in (None, "", name):
        name = f"{case.get('classname')}::{name}"
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed", name, ""
    skipped = case.find("skipped")
    if skipped is not None:
        reason = skipped.get("message", "")
        # ctest says "not run" of a program that is missing, too.
        if case.get("status") == "notrun" and not reason.startswith("SKIP_"):
            return "failed", name, reason or "did not run"
        output = re.search(r"Skipped\n(.*)", case.findtext("system-out") or "")
        return "skipped", name, output.group(1).strip() if output else reason or "no reason given"
    if case.get("status", "run") not in ("run", "passed"):
        return "failed", name, case.get("status")
    return "passed", name, ""


def read_stage(stem, directory):
    """The results of one stage: a list of (outcome, name, reason)."""
    skipped = directory / f"{stem}.skipped"
    if skipped.exists():
        return [("skipped", stem, skipped.read_text().strip())]
    status = int((directory / f"{stem}.status").read_text())
    xml = directory / f"{stem}.xml"
    if not xml.exists():
        if stem in NOT_COUNTED and status == 0:
            return []
        return [("passed", stem, "") if status == 0 else ("failed", stem, f"exit status {status}")]
    try:
        cases = [read_case(case) for case in ET.parse(xml).iter("testcase")]
    except ET.ParseError as error:
        return [("failed", stem, f"{xml.name}: {error}")]
    cases = [(outcome, f"{stem}: {name}", reason) for outcome, name, reason in cases]
    if not cases:
        return [("failed", stem, "it ran no test")]
    if status != 0 and not any(outcome == "failed" for outcome, _, _ in cases):
        cases.append(("failed", stem, f"exit status {status}"))
    return cases


def main():
    directory = pathlib.Path(sys.argv[1])
    stems = sorted({file.stem for file in directory.iterdir() if file.suffix in (".status", ".skipped")})
    results = [result for stem in stems for result in read_stage(stem, directory)]
    for wanted in ("skipped", "failed"):
        for outcome, name, reason in results:
            if outcome == wanted:
                print(f"{wanted}: {name}" + (f" ({reason})" if reason else ""))
    count = {outcome: sum(result[0] == outcome for result in results) for outcome in ("passed", "failed", "skipped")}
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
