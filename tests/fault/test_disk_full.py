"""A real file system that is full. It needs the right to mount one; without it tests/fault/store has the same faults on a
simulated disk."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from arena import PATIENT, Arena
from counts import seed
from harness.peer import RawPeer, submit_body
from harness.waiting import eventually
from load.plan import Mix

_SMALL_MIB = 384
# What is gathered in memory (64 MiB) has to find room as a data file while its log is still there.
_RESERVE_MIB = 192
_LARGE_MIB = 1024
_LOAD = ("--batch-size", "8", "--window", "1000000", "--pause", "0")
_MIX = Mix(pad_kib=64, work_ms=0)


class SmallDisk:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def mount(self, *arguments: str) -> str:
        """Empty, or why it does not work."""
        command = ["mount", "-t", "tmpfs", *arguments, "tmpfs", str(self.directory)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return "" if done.returncode == 0 else done.stdout.strip() or f"exit status {done.returncode}"

    def grow(self) -> None:
        wrong = self.mount("-o", f"remount,size={_LARGE_MIB}m")
        assert not wrong, wrong


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Where the first arena's main has its data."""
    disk = SmallDisk(tmp_path / "arena-0" / "main" / "data")
    disk.directory.mkdir(parents=True)
    wrong = disk.mount("-o", f"size={_SMALL_MIB}m")
    if wrong:
        pytest.skip(f"no file system can be mounted here: {wrong}")
    yield disk
    subprocess.run(["umount", "-l", str(disk.directory)], check=True)


def flags(reserve_mib: int) -> "list[str]":
    return [*PATIENT[:-2], "--disk-reserve", str(reserve_mib)]


def refusal(peer: RawPeer) -> "dict[str, Any] | None":
    """Of one small submission, if it was refused because of the disk; one that was taken is cancelled."""
    task_id = uuid.uuid4().bytes
    kind, body = peer.ask("submit", submit_body("no_such_type", task_id=task_id))
    if kind == "submitted":
        peer.ask("cancel", {"ids": task_id})
    return body if kind == "error" and "disk is nearly full" in body["message"] else None


def finish(arena: Arena) -> None:
    """What was acknowledged is executed and has its result."""
    arena.start_workers(2, slots=2)
    arena.stop_clients()
    verdict = arena.judge()
    print(verdict.summary())
    verdict.check()
    assert verdict.acknowledged > 1000
    assert verdict.executions == verdict.ended


def test_submissions_are_told_to_wait_before_the_disk_is_full(
    small_disk: SmallDisk, arenas: Callable[..., Arena]
) -> None:
    arena = arenas(*flags(_RESERVE_MIB), seed=seed(), mix=_MIX)
    arena.start_client("raw", *_LOAD)
    client = arena.client()
    with RawPeer(arena.address) as peer:
        peer.hello_client()
        refused = eventually(lambda: refusal(peer), "submissions are refused")
    assert refused["code"] == "busy" and refused["retry_after_ms"] > 0, refused
    assert refused["message"].startswith("main's disk is nearly full: "), refused
    assert arena.main.alive
    assert client.get_cluster_statistics()["queue_stats"]["total_tasks"] > 1000, "it goes on answering"
    before = arena.acknowledgements()
    small_disk.grow()
    eventually(lambda: arena.acknowledgements() > before + 5, "submissions are taken again")
    assert arena.starts == 1
    finish(arena)


def test_a_full_disk_ends_main_and_loses_nothing(small_disk: SmallDisk, arenas: Callable[..., Arena]) -> None:
    arena = arenas(*flags(0), seed=seed(), mix=_MIX)
    arena.start_client("raw", *_LOAD)
    assert arena.main.ended() == 1, arena.main.stderr
    last = arena.main.stderr.splitlines()[-1]
    assert last.startswith("retire-cluster-main: the store in "), last
    assert "No space left on device" in last, last
    arena.forget(arena.main)

    small_disk.grow()
    before = arena.acknowledgements()
    arena.start_main()
    eventually(lambda: arena.acknowledgements() > before + 5, "submissions are taken again")
    finish(arena)
