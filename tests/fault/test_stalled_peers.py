"""A hundred workers and more that do not read, clients that do not, and a flood: main stays small and serves the others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from arena import Arena
from counts import count
from harness.cluster import Worker
from harness.peer import RawPeer
from harness.waiting import DEADLINE_SECONDS, eventually
from retire_cluster.tasks import Task, TaskPriority
from soak import look_at
from test_reconnect import Crowd

WORKERS = 100
CLIENTS = 12  # what each may have unread, 64 MiB, makes more than all of them together may have
SECONDS = count("STALLED_MINUTES", 0) * 60 if "RETIRE_CLUSTER_STALLED_MINUTES" in os.environ else 8
NAP_SECONDS = 0.1
# Of the flags below and docs/architecture.md, "What bounds main's memory": 288 MiB that the store has in memory, 160 that
# peers have not read, 96 that the disk has not, 64 that is read from it, 64 of --memory-budget; and what malloc keeps.
RSS_MAX_BYTES = 1024 << 20
DESCRIPTORS_MORE = 8  # data files of the store
_FLAGS = (
    *("--heartbeat-interval", "1", "--offline-after", "4", "--lease", "10", "--disk-reserve", "0"),
    *(
        "--memory-budget",
        "64",
        "--max-queued",
        "20000",
        "--history-count",
        "2000000",
        "--history-mib",
        "4096",
    ),
)
_NAPS_AT_ONCE = 1000


class Stalled(Crowd):
    """stalled_peers.py as a process."""

    def __init__(self, arena: Arena, result: str, acknowledged: Path, errors: Path) -> None:
        self._errors = errors
        with open(errors, "wb") as stderr:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, str(Path(__file__).with_name("stalled_peers.py")), arena.address),
                    *(str(WORKERS), str(CLIENTS), str(acknowledged)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                bufsize=1,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(result + "\n")

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("end\n")
        self._process.wait(DEADLINE_SECONDS)


@pytest.fixture
def stalled(tmp_path: Path) -> Iterator[Callable[..., Stalled]]:
    made: list[Stalled] = []

    def make(arena: Arena, result: str, acknowledged: Path) -> Stalled:
        made.append(Stalled(arena, result, acknowledged, tmp_path / "stalled.err"))
        return made[-1]

    yield make
    for one in made:
        one.close()


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def unknown(arena: Arena, ids: list[bytes]) -> list[str]:
    """Those of them that main does not know."""
    missing = []
    with RawPeer(arena.address) as peer:
        peer.hello_client()
        for first in range(0, len(ids), 1000):
            part = ids[first : first + 1000]
            kind, body = peer.ask("get", {"ids": b"".join(part)})
            assert kind == "tasks" and len(body["tasks"]) == len(part), (kind, body)
            missing += [task_id.hex() for task_id, task in zip(part, body["tasks"]) if task is None]
    return missing


def test_main_stays_small_and_serves_those_who_read(
    arenas: Callable[..., Arena], stalled: Callable[..., Stalled], tmp_path: Path
) -> None:
    arena = arenas(*_FLAGS)
    worker = Worker(
        tmp_path / "honest", arena.address, "honest", "--only", "sleep", "--only", "echo", slots=1
    )
    worker.line("joined main at")
    client = arena.client()
    large = client.submit_task(Task("echo", "x" * 1_000_000))
    assert client.wait(large, DEADLINE_SECONDS).success

    # Submitted before the queue is full: from then on everybody is told to wait.
    naps = [
        client.submit_task(Task("sleep", {"duration": NAP_SECONDS}, priority=TaskPriority.HIGH))
        for _ in range(int(SECONDS / NAP_SECONDS))
    ]
    acknowledged = tmp_path / "acknowledged"
    peers = stalled(arena, large, acknowledged)
    largest, asked, descriptors = 0, [], 0
    before = look_at(arena.main.pid, 0)
    assert before is not None

    def sample() -> None:
        nonlocal largest, descriptors
        seen = look_at(arena.main.pid, 0)
        assert seen is not None, f"main has ended: {arena.main.stderr}"
        largest, descriptors = max(largest, seen.rss_bytes), max(descriptors, seen.descriptors)
        assert seen.rss_bytes < RSS_MAX_BYTES, f"main has {seen.rss_bytes >> 20} MiB"

    def napped(part: list[str]) -> bool:
        sample()
        begin = time.monotonic()
        done = client.get_task_status(part[-1]).value == "success"
        asked.append(time.monotonic() - begin)
        return done

    for first in range(0, len(naps), _NAPS_AT_ONCE):
        part = naps[first : first + _NAPS_AT_ONCE]
        eventually(lambda part=part: napped(part), "honest tasks are done", len(part) * NAP_SECONDS + 120)
    assert {result.status.value for result in client.wait_many(naps, DEADLINE_SECONDS)} == {"success"}
    report: dict[str, Any] = {}

    def all_was_met() -> bool:
        sample()
        report.update(peers.ask("report"))
        return report["busy"] > 0 and report["assigned"] > 0 and "a peer was cut" in arena.main.log()

    eventually(all_was_met, "the flood was told to wait, and peers that do not read were cut")
    assert report["other"] == 0, report
    peers.end()
    ids = [bytes.fromhex(line) for line in acknowledged.read_text().split()]
    assert len(ids) >= report["accepted"] > 0
    assert unknown(arena, ids) == [], "acknowledged, and not known any more"

    def all_are_gone() -> bool:
        seen = look_at(arena.main.pid, 0)
        return seen is not None and seen.descriptors <= before.descriptors + DESCRIPTORS_MORE

    eventually(all_are_gone, "main has closed the connections of those that went")
    print(
        f"seconds={SECONDS} acknowledged={len(ids)} refused_busy={report['busy']} honest={len(naps)} "
        f"main_mib={before.rss_bytes >> 20}..{largest >> 20} descriptors={before.descriptors}..{descriptors} "
        f"asked={len(asked)} p50_ms={percentile(asked, 0.5) * 1e3:.1f} p99_ms={percentile(asked, 0.99) * 1e3:.1f} "
        f"longest_ms={max(asked) * 1e3:.1f}"
    )
