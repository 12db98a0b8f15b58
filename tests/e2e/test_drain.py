"""SIGTERM: what runs finishes, what does not run goes elsewhere."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Callable

import pytest

from harness.cluster import Cluster
from harness.waiting import eventually


@pytest.fixture
def cluster(own_cluster: Callable[..., Cluster]) -> Cluster:
    return own_cluster()


def test_a_draining_worker_finishes_what_runs_and_ends_with_0(cluster: Cluster, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    leaving = cluster.worker("leaving", "--allow", "command", "--sandbox", "off")
    running = cluster.submit("command", {"command": f"until test -e {gate}; do sleep 0.02; done; echo done"})
    cluster.until(running, "running")
    waiting = [cluster.submit("echo", n) for n in range(20)]

    leaving.signal(signal.SIGTERM)
    eventually(
        lambda: {d["state"] for d in cluster.client.get_devices()} == {"draining"},
        "the device is shown as draining",
    )
    why = cluster.client.explain(cluster.submit("echo", "later"))
    assert why["reason"] == "devices_draining"
    staying = cluster.worker("staying")
    results = cluster.client.wait_many(waiting, 60)
    assert {result.worker_device_id for result in results} == {"staying"}
    assert cluster.status(running) == "running"
    assert leaving.alive

    gate.touch()
    result = cluster.wait(running)
    assert (result.status.value, result.worker_device_id) == ("success", "leaving")
    assert result.result_data["stdout"] == "done\n"
    assert leaving.ended() == 0
    assert staying.alive
    assert cluster.client.get_task(running).retry_count == 0


def test_an_idle_worker_ends_at_once(cluster: Cluster) -> None:
    worker = cluster.worker("idle")
    worker.signal(signal.SIGTERM)
    assert worker.ended(10) == 0
    eventually(lambda: cluster.client.get_online_devices() == [], "main knows that it left")


def test_what_does_not_end_within_the_drain_timeout_goes_elsewhere(cluster: Cluster, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    line = f"if test -e {marker}; then echo second; else touch {marker}; sleep 600; fi"
    leaving = cluster.worker("leaving", "--allow", "command", "--sandbox", "off", "--drain-timeout", "0.5")
    task_id = cluster.submit("command", {"command": line}, max_retries=0)
    eventually(marker.exists, "the first attempt runs")
    cluster.worker("staying", "--allow", "command", "--sandbox", "off")
    leaving.signal(signal.SIGTERM)
    result = cluster.wait(task_id)
    assert (result.status.value, result.worker_device_id) == ("success", "staying")
    assert leaving.ended() == 0
    assert cluster.client.get_task(task_id).retry_count == 0


def test_a_second_signal_ends_it_at_once(cluster: Cluster) -> None:
    worker = cluster.worker("hurried")
    task_id = cluster.submit("sleep", {"duration": 600}, max_retries=0)
    cluster.until(task_id, "running")
    hosts = worker.children()
    worker.signal(signal.SIGTERM)
    worker.line("draining: ")
    worker.signal(signal.SIGTERM)
    assert worker.ended(10) != 0
    cluster.workers.remove(worker)
    assert hosts


def test_drain_without_a_main(cluster: Cluster) -> None:
    worker = cluster.worker("alone")
    cluster.main.kill()
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0
    cluster.workers.remove(worker)
