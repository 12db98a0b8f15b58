"""Processes of a benchmark: starting, ending, and what they cost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("RETIRE_CLUSTER_BUILD_DIR", ROOT / "build" / "release"))
SECONDS_MIN = 3.0
START_DEADLINE_S = 30
TICKS = os.sysconf("SC_CLK_TCK")


class Processes:
    """Child processes of one benchmark; ends only what it started."""

    def __init__(self) -> None:
        self.children: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in reversed(self.children):
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def start(self, command: list[str], log: Path | None = None) -> subprocess.Popen[str]:
        stderr = open(log, "w") if log else subprocess.DEVNULL  # noqa: SIM115 (the child keeps it)
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
        self.children.append(child)
        return child

    def cpu_seconds(self) -> float:
        """User and system time of the children, their descendants and what those have waited for."""
        parents: dict[int, list[int]] = {}
        times: dict[int, float] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
            times[int(entry.name)] = sum(map(int, fields[11:15])) / TICKS
        todo = [child.pid for child in self.children]
        total = 0.0
        while todo:
            pid = todo.pop()
            total += times.get(pid, 0.0)
            todo += parents.get(pid, [])
        return total


def program(name: str) -> str:
    for folder in ("bin", "bench"):
        path = BUILD / folder / name
        if path.exists():
            return str(path)
    sys.exit(f"bench: {name} is not built in {BUILD}; run: cmake --preset release && cmake --build --preset release")


def wait_until(what: str, condition: Callable[[], bool], deadline_s: float = START_DEADLINE_S) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"bench: {what} did not happen within {deadline_s:g} s")
        time.sleep(0.02)


def run_client(command: list[str]) -> tuple[dict, float]:
    """What the client printed, and its CPU seconds."""
    before = os.times()
    out = subprocess.run(command, capture_output=True, text=True)
    after = os.times()
    if out.returncode != 0:
        sys.exit(f"bench: {command[0]} failed: {out.stderr.strip()}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return json.loads(out.stdout), cpu


def long_enough(count: int, measure: Callable[[int], tuple[dict, float]], seconds: float) -> tuple[int, dict, float]:
    """Measures `count` of something, more if it takes less than `seconds`; the count, what was printed, CPU seconds.

    A count is estimated from an earlier run, and these machines change speed in between.
    """
    while True:
        out, cpu = measure(count)
        if out["seconds"] >= seconds:
            return count, out, cpu
        count = int(count * max(1.2, 1.2 * seconds / max(out["seconds"], 0.01)))
