"""All processes of a handler limited together, where the worker is given control groups; see docs/sandbox.md.

Skipped, with the worker's own reason, where it is not; tests/vm/run.sh runs these where it is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from harness.cluster import Cluster, Worker
from harness.programs import bin_dir, program
from harness.waiting import eventually

LIMIT_MIB = 300
LIMIT_PROCESSES = 64


@pytest.fixture(scope="module")
def plugins() -> Path:
    program("retire-cluster-worker")
    built = bin_dir().parent / "tests" / "sandbox_plugins"
    if not built.exists():
        pytest.skip(f"skipped: {built} is missing; it is built with -DRC_BUILD_TESTS=ON")
    return built


def start(cluster: Cluster, device: str, level: str, plugins: Path, **more: Any) -> Worker:
    limits = ("--handler-memory-gb", str(LIMIT_MIB / 1024), "--handler-processes", str(LIMIT_PROCESSES))
    try:
        worker = cluster.worker(
            device, "--sandbox", level, *limits, "--plugin-dir", str(plugins), "--allow", "command", **more
        )
    except AssertionError as error:
        lacks = re.search(r"--sandbox strict cannot be had here: .*", str(error))
        if lacks:
            pytest.skip(f"skipped: {lacks[0]}")
        raise
    missing = re.search(r"control groups are not used: .*", worker.stderr)
    if missing:
        cluster.remove(worker)
        pytest.skip(f"skipped: {missing[0]}")
    return worker


def needs(worker: Worker, controller: str) -> None:
    found = re.search(r"control groups \(([^)]*)\)", worker.stderr)
    assert found, worker.stderr
    if controller not in found[1].split(", "):
        pytest.skip(f"skipped: no controller of {controller} is given to the worker")


def groups_of(pid: int) -> list[Path]:
    """The groups of hosts of the worker with this process number."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    tops = [Path(words[4]) for words in mounts if "cgroup2" in words]
    return [
        group
        for top in tops
        for own in top.rglob(f"retire-cluster-{pid}")
        for group in [own, *own.glob("*/")]
    ]


@pytest.fixture(scope="module", params=["basic", "strict"])
def limited(
    request: Any, clusters: Callable[..., Cluster], plugins: Path
) -> Iterator[tuple[Cluster, Worker, str]]:
    cluster = clusters(f"groups-{request.param}")
    worker = start(cluster, "limited", request.param, plugins, slots=2)
    yield cluster, worker, request.param
    pid = worker.pid
    cluster.remove(worker)
    assert not groups_of(pid), "no group is left"


@pytest.mark.parametrize("how", ["memory_together", "memory_shared"])
def test_memory_is_limited_for_all_processes_together(limited: tuple[Cluster, Worker, str], how: str) -> None:
    cluster, worker, _ = limited
    needs(worker, "memory")
    for _ in range(3):
        result = cluster.run("bomb", how, max_retries=0, timeout_seconds=300)
        assert result.status.value == "failed"
        wanted = (
            f"killed by the kernel: the memory limit of {LIMIT_MIB} MiB of all its processes together was hit"
        )
        assert wanted in result.error_message
        assert re.search(r"peak memory \d+ MiB", result.error_message)
        assert cluster.run("bomb", "ok").status.value == "success", "the next task runs"
    assert worker.alive
    eventually(lambda: len(groups_of(worker.pid)) <= 1 + 2 + 4, "only the groups of warm hosts are left")


def test_a_fork_bomb_is_told(limited: tuple[Cluster, Worker, str]) -> None:
    cluster, worker, _ = limited
    needs(worker, "pids")
    result = cluster.run("bomb", "forks", max_retries=0, timeout_seconds=1)
    assert result.status.value == "timeout"
    assert re.search(
        f"its host was refused [1-9][0-9]* processes beyond the limit of {LIMIT_PROCESSES}",
        result.error_message,
    )
    assert cluster.run("bomb", "ok").status.value == "success", "the next task runs"


def test_a_handler_sees_its_own_group(limited: tuple[Cluster, Worker, str]) -> None:
    cluster, worker, level = limited
    result = cluster.run("command", {"command": "cat /proc/self/cgroup; cat /sys/fs/cgroup/pids.max"})
    group, *limit = [
        line
        for line in result.result_data["stdout"].splitlines()
        if line.startswith("0::") or ":" not in line
    ]
    if level == "strict":
        assert group == "0::/", "nothing above"
        if limit:  # a kernel may not allow that it is mounted
            assert limit == [str(LIMIT_PROCESSES)]
    else:
        assert f"/retire-cluster-{worker.pid}/" in group


def test_what_a_killed_worker_left_is_removed_by_the_next(
    own_cluster: Callable[..., Cluster], plugins: Path
) -> None:
    cluster = own_cluster()
    worker = start(cluster, "killed", "basic", plugins)
    task = cluster.submit("bomb", "forks", at_most_once=True, max_retries=0, timeout_seconds=600)
    cluster.until(task, "running")
    pid = worker.pid
    assert groups_of(pid)
    worker.kill()
    cluster.workers.remove(worker)
    start(cluster, "following", "basic", plugins)
    assert not groups_of(pid)
    assert cluster.run("bomb", "ok").status.value == "success"
