"""kill -9 and SIGSTOP of workers and of their handler hosts: the task finishes all the same."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Callable

import pytest

from harness.cluster import QUICK_LOSS, Cluster, Worker
from harness.process import exists
from harness.waiting import eventually


@pytest.fixture
def cluster(own_cluster: Callable[..., Cluster]) -> Cluster:
    return own_cluster(*QUICK_LOSS)


def once(marker: Path) -> dict[str, str]:
    """Runs for ever in the first attempt, and says so in a file; the second ends at once."""
    return {"command": f"if test -e {marker}; then echo second; else touch {marker}; sleep 600; fi"}


def runs_on(cluster: Cluster, task_id: str, marker: Path) -> str:
    """The device, once the first attempt is at work."""
    eventually(marker.exists, "the first attempt runs")
    return cluster.client.get_task(task_id).assigned_device_id


def test_a_killed_workers_task_finishes_on_another(cluster: Cluster, tmp_path: Path) -> None:
    first = cluster.worker("first", "--allow", "command", "--sandbox", "off")
    marker = tmp_path / "marker"
    task_id = cluster.submit("command", once(marker), max_retries=0)
    assert runs_on(cluster, task_id, marker) == "first"
    second = cluster.worker("second", "--allow", "command", "--sandbox", "off")
    hosts = first.children()
    assert hosts
    first.kill()

    result = cluster.wait(task_id)
    assert (result.status.value, result.worker_device_id) == ("success", "second")
    assert result.result_data["stdout"] == "second\n"
    task = cluster.client.get_task(task_id)
    assert task.retry_count == 0, "a lost device is no failed attempt"
    assert cluster.client.get_online_devices() == ["second"]
    assert second.alive
    for pid in hosts:
        eventually(lambda pid=pid: not exists(pid), f"the handler host {pid} ended with its worker")


def test_a_killed_workers_device_comes_back_under_its_name(cluster: Cluster, tmp_path: Path) -> None:
    home = tmp_path / "kept"
    first = cluster.worker("same", home=home)
    first.kill()
    cluster.workers.remove(first)
    again = cluster.worker("same", home=home)
    assert cluster.run("echo", 1).worker_device_id == "same"
    assert again.alive
    assert len(cluster.client.get_devices()) == 1


def test_at_most_once_fails_when_its_device_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    first = cluster.worker("first", "--allow", "command", "--sandbox", "off")
    marker = tmp_path / "marker"
    task_id = cluster.submit("command", once(marker), at_most_once=True)
    runs_on(cluster, task_id, marker)
    cluster.worker("second", "--allow", "command", "--sandbox", "off")
    first.kill()
    assert cluster.wait(task_id).status.value == "failed"
    assert cluster.client.get_task(task_id).reason == "device_lost"


def test_a_killed_handler_host_is_a_failed_attempt_and_no_more(cluster: Cluster, tmp_path: Path) -> None:
    worker = cluster.worker("only", "--allow", "command", "--sandbox", "off", slots=2)
    marker = tmp_path / "marker"
    other = cluster.submit("sleep", {"duration": 600})
    cluster.until(other, "running")
    hosts_before = set(hosts_of(worker))
    task_id = cluster.submit("command", once(marker))
    runs_on(cluster, task_id, marker)
    (host,) = [pid for pid in hosts_of(worker) if runs_the_command(pid, marker)]
    assert host not in hosts_before or len(hosts_before) > 1
    os.kill(host, signal.SIGKILL)

    result = cluster.wait(task_id)
    assert (result.status.value, result.result_data["stdout"]) == ("success", "second\n")
    task = cluster.client.get_task(task_id)
    assert [entry["outcome"] for entry in task.error_history] == ["crashed"]
    assert task.retry_count == 1
    assert "9" in task.error_history[0]["error_message"] or "KILL" in task.error_history[0]["error_message"]
    assert worker.alive
    assert cluster.status(other) == "running", "the other slot's attempt is not touched"
    assert cluster.client.cancel_task(other)


def children_of(pid: int) -> list[int]:
    return [int(word) for task in Path(f"/proc/{pid}/task").glob("*/children") for word in task.read_text().split()]


def hosts_of(worker: Worker) -> list[int]:
    """Each host has a supervisor between itself and the worker."""
    return [host for supervisor in worker.children() for host in children_of(supervisor)]


def runs_the_command(host: int, marker: Path) -> bool:
    """Whether the command that names this marker is a child of this host."""
    for child in children_of(host):
        try:
            if str(marker).encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False


def test_a_host_that_dies_every_time_uses_up_the_retries(cluster: Cluster) -> None:
    worker = cluster.worker("only", "--allow", "command", "--sandbox", "off")
    killer = {"command": "kill -9 $PPID; sleep 600"}
    result = cluster.run("command", killer, max_retries=1)
    assert result.status.value == "failed"
    task = cluster.client.get_task(result.task_id)
    assert [entry["outcome"] for entry in task.error_history] == ["crashed", "crashed"]
    assert cluster.run("echo", "after it").success
    assert worker.alive


def test_a_worker_that_stood_still_does_not_end_the_task_twice(cluster: Cluster, tmp_path: Path) -> None:
    """Frozen beyond its lease, then awake again: its late result is dropped, and it works on."""
    marker, count = tmp_path / "marker", tmp_path / "count"
    frozen = cluster.worker("frozen", "--allow", "command", "--sandbox", "off")
    line = f"echo run >> {count}; if test -e {marker}; then exit 0; fi; touch {marker}; sleep 1; echo first"
    task_id = cluster.submit("command", {"command": line}, max_retries=0)
    runs_on(cluster, task_id, marker)
    frozen.signal(signal.SIGSTOP)
    cluster.worker("awake", "--allow", "command", "--sandbox", "off", "--deny", "echo")
    result = cluster.wait(task_id)
    assert (result.status.value, result.worker_device_id, result.result_data["stdout"]) == (
        "success",
        "awake",
        "",
    )

    frozen.signal(signal.SIGCONT)
    assert cluster.run("echo", "again").worker_device_id == "frozen"
    after = cluster.client.get_task_result(task_id)
    assert after == result
    assert count.read_text() == "run\nrun\n"
    eventually(lambda: cluster.load("frozen") == 0, "its slot is free")


def test_a_worker_that_is_silent_is_shown_as_offline(cluster: Cluster) -> None:
    worker = cluster.worker("silent")
    worker.signal(signal.SIGSTOP)
    eventually(lambda: cluster.client.get_online_devices() == [], "the silent device is not online")
    task_id = cluster.submit("echo", 1)
    why = cluster.client.explain(task_id)
    assert (why["reason"], why["devices"][0]["verdict"]) == ("devices_offline", "offline")
    worker.signal(signal.SIGCONT)
    assert cluster.wait(task_id).success


def by_status(cluster: Cluster) -> dict[str, int]:
    return cluster.client.get_cluster_statistics()["queue_stats"]["by_status"]


def test_many_tasks_survive_the_loss_of_one_of_three_workers(cluster: Cluster) -> None:
    workers = [cluster.start_worker(f"w{n}", slots=2) for n in range(3)]
    cluster.joined(*workers)
    ids = [cluster.submit("sleep", {"duration": 0.05}) for _ in range(120)]
    eventually(
        lambda: cluster.client.get_cluster_statistics()["queue_stats"]["by_status"]["success"] > 5, "some ran"
    )
    workers[0].kill()
    results = cluster.client.wait_many(ids, 60)
    assert {result.status.value for result in results} == {"success"}
    statistics = cluster.client.get_cluster_statistics()
    assert by_status(cluster)["success"] == 120
    assert statistics["scheduler_stats"]["tasks_completed"] == 120
