"""Handlers that write over what their host shares with the worker, or take from the machine what other hosts
need: each costs its own attempt, and neither the worker nor another slot notices."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from harness.cluster import QUICK_LOSS, Cluster, Worker
from harness.programs import bin_dir, program
from harness.waiting import eventually

WRONG = "wrote over its own memory"
# What becomes of the attempt, and what its error says.
LIES = {
    "not_begun": ("failed", WRONG),
    "not_begun_for_ever": ("failed", WRONG),
    "ring_for_ever": ("failed", WRONG),
    "answer_for_another": ("failed", WRONG),
    "answer_twice": ("success", ""),
    "stop_talking": ("failed", "signal 9"),
    "stop_listening": ("timeout", "killed"),
    "slow_close": ("timeout", "killed"),
}


@pytest.fixture(scope="module")
def plugins() -> Path:
    program("retire-cluster-worker")
    built = bin_dir().parent / "tests" / "sandbox_plugins"
    if not built.exists():
        pytest.skip(f"skipped: {built} is missing; it is built with -DRC_BUILD_TESTS=ON")
    return built


@pytest.fixture(scope="module")
def lied_to(clusters: Callable[..., Cluster], plugins: Path) -> Iterator[tuple[Cluster, Worker]]:
    cluster = clusters("lies", *QUICK_LOSS)
    worker = cluster.worker("lied-to", "--plugin-dir", str(plugins), slots=2)
    yield cluster, worker
    cluster.remove(worker)


def lie(cluster: Cluster, how: str, **more: Any) -> str:
    return cluster.submit("lie", how, max_retries=0, **{"timeout_seconds": 5, **more})


def is_well(cluster: Cluster, worker: Worker) -> None:
    assert cluster.run("echo", 1).status.value == "success", "another type runs"
    assert cluster.run("lie", "not").status.value == "success", "the next of this type runs"
    assert worker.alive
    # A worker that was silent for too long would have joined anew.
    assert len(re.findall(r"joined main", worker.stderr)) == 1


@pytest.mark.parametrize("how", LIES)
def test_a_lie_costs_its_attempt_and_no_more(lied_to: tuple[Cluster, Worker], how: str) -> None:
    cluster, worker = lied_to
    status, message = LIES[how]
    task = lie(cluster, how)
    assert cluster.run("echo", how).status.value == "success", "meanwhile"
    result = cluster.wait(task)
    assert (result.status.value, message in (result.error_message or "")) == (status, True), (
        result.error_message
    )
    is_well(cluster, worker)


def test_what_no_msgpack_is_harms_its_reader_no_more_than_its_time(lied_to: tuple[Cluster, Worker]) -> None:
    cluster, worker = lied_to
    result = cluster.wait(lie(cluster, "answer_nonsense"))
    assert result.result_data is None
    assert result.execution_time_seconds < 3600, "it cannot have run for longer than it was there"
    is_well(cluster, worker)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_written_over_the_shared_memory(lied_to: tuple[Cluster, Worker], seed: int) -> None:
    cluster, worker = lied_to
    tasks = [lie(cluster, f"scribble:{seed * 10 + n}", timeout_seconds=0.5) for n in range(4)]
    for task in tasks:
        cluster.wait(task)  # it ends, with whatever it made of itself
    is_well(cluster, worker)


def test_users_of_other_hosts_cannot_be_taken(own_cluster: Callable[..., Cluster], plugins: Path) -> None:
    cluster = own_cluster()
    cluster.worker("w", "--plugin-dir", str(plugins), slots=2)
    task = lie(cluster, "hold_users", timeout_seconds=300)
    cluster.until(task, "running")
    held = [cluster.submit("sleep", {"duration": 1}, max_retries=0) for _ in range(2)]
    assert {cluster.wait(one).status.value for one in held} == {"success"}, (
        "a host with a user of its own starts"
    )
    assert cluster.client.cancel_task(task)


def segments(user_at_least: int = 65_024) -> set[str]:
    """System V shared memory of users that hosts run as."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {line.split()[1] for line in lines if int(line.split()[7]) >= user_at_least}


def test_shared_memory_goes_with_the_host(own_cluster: Callable[..., Cluster], plugins: Path) -> None:
    if not Path("/proc/sysvipc/shm").exists():
        pytest.skip("skipped: this kernel has no System V shared memory")
    cluster = own_cluster()
    worker = cluster.worker("w", "--plugin-dir", str(plugins))
    before = segments()
    assert cluster.run("lie", "shared_memory").status.value == "success"
    made = segments() - before
    if not made:
        pytest.skip("skipped: the worker is not root, so handlers have no user of their own")
    cluster.remove(worker)
    eventually(lambda: not made & segments(), "the segment is gone")
