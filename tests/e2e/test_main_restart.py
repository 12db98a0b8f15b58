"""main goes and comes back under workers and clients that go on by themselves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import pytest

from harness.cluster import QUICK_LOSS, Cluster, Main
from harness.waiting import eventually


@pytest.fixture
def cluster(own_cluster: Callable[..., Cluster]) -> Cluster:
    return own_cluster(*QUICK_LOSS)


def restart(cluster: Cluster, how: str) -> None:
    """On the same port and data directory."""
    if how == "stop":
        assert cluster.main.stop() == 0
    else:
        cluster.main.kill()
    cluster.main = Main(cluster.main.home, *QUICK_LOSS, port=cluster.main.port)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_worker_goes_on_when_main_was_restarted(cluster: Cluster, tmp_path: Path, how: str) -> None:
    worker = cluster.worker("faithful", "--allow", "command", "--sandbox", "off")
    gate = tmp_path / "gate"
    runs = cluster.submit("command", {"command": f"until test -e {gate}; do sleep 0.02; done"})
    cluster.until(runs, "running")
    queued = cluster.submit("no_such_type", 1)
    assert "(run 1)" in cluster.main.stderr

    restart(cluster, how)
    assert "(run 2)" in cluster.main.stderr
    cluster.main.line(r"warn .*tasks are kept in memory only: what is queued is gone when main stops")
    cluster.joined(worker)
    assert cluster.status(queued) is None
    assert cluster.status(runs) is None, "kept in memory only"
    # What the former main had given out is stopped, so the one slot serves the new one.
    assert cluster.run("echo", "for the new main").worker_device_id == "faithful"
    assert worker.alive
    assert "joined main" in worker.stderr
    gate.touch()


def test_a_client_goes_on_and_is_told_what_is_gone(cluster: Cluster) -> None:
    """It asked to wait before the restart; the new main does not know the task."""
    task_id = cluster.submit("no_such_type", 1)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(cluster.client.wait, task_id, 60)
        restart(cluster, "kill")
        error = waiting.exception(60)
    assert isinstance(error, LookupError), error
    cluster.worker("late")
    assert cluster.run("echo", 1).success


def test_a_worker_waits_for_a_main_that_comes_later(
    own_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    cluster = own_cluster(*QUICK_LOSS)
    cluster.main.kill()
    worker = cluster.start_worker("early")
    worker.line(r"joining main at")
    assert worker.alive
    cluster.main = Main(cluster.main.home, *QUICK_LOSS, port=cluster.main.port)
    assert cluster.run("echo", 1).worker_device_id == "early"


def test_the_attempt_numbers_of_two_runs_never_meet(cluster: Cluster) -> None:
    """A result of the former main's time is dropped by the new one, even for the same task ID."""
    worker = cluster.worker("faithful", "--only", "sleep")
    task_id = cluster.submit("sleep", {"duration": 1.5})
    cluster.until(task_id, "running")
    restart(cluster, "kill")
    again = cluster.submit("sleep", {"duration": 0.01}, task_id=task_id)
    assert again == task_id
    assert cluster.wait(task_id).result_data == {"slept_for": 0.01}
    eventually(lambda: cluster.load("faithful") == 0, "its slot is free")
    assert worker.alive


def test_main_ends_at_once_and_cleanly_on_a_signal(cluster: Cluster) -> None:
    worker = cluster.worker("busy")
    running = cluster.submit("sleep", {"duration": 600})
    cluster.until(running, "running")
    assert cluster.main.stop() == 0
    assert "stopped: " in cluster.main.stderr
    assert worker.alive
    cluster.main = Main(cluster.main.home, *QUICK_LOSS, port=cluster.main.port)
