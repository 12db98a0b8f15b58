"""Two workers that want to be the same device, and two mains that want the same directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Callable

import pytest

from harness.cluster import Cluster
from harness.process import Process, Ran
from harness.waiting import eventually

Program = Callable[..., Ran]


@pytest.fixture
def cluster(own_cluster: Callable[..., Cluster]) -> Cluster:
    return own_cluster()


def test_a_second_worker_in_one_data_directory_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    data = str(tmp_path / "shared")
    first = cluster.worker("first", "--data-dir", data)
    ran = cluster.cli("retire-cluster-worker", "--device-id", "second", "--data-dir", data)
    assert ran.status == 3
    assert data in ran.error_line() and "--data-dir" in ran.error_line()
    assert first.alive and cluster.run("echo", 1).success


def test_the_directory_is_free_when_its_worker_was_killed(cluster: Cluster, tmp_path: Path) -> None:
    data = str(tmp_path / "shared")
    cluster.worker("same", "--data-dir", data).kill()
    cluster.workers.clear()
    cluster.worker("same", "--data-dir", data)
    assert cluster.run("echo", 1).worker_device_id == "same"


def test_the_device_id_is_kept_in_the_data_directory(cluster: Cluster, tmp_path: Path) -> None:
    def device_id() -> str:
        ran = cluster.cli("retire-cluster-worker", "--test", cluster.address, "--json", "--data-dir", data)
        assert ran.status == 0, ran.stderr
        return json.loads(ran.stdout)["device_id"]

    data = str(tmp_path / "data")
    arguments = ["--join", cluster.address, "--data-dir", data, "--no-internet"]
    unnamed = Process("retire-cluster-worker", arguments, tmp_path / "home")
    try:
        unnamed.line("joined main")
        (online,) = cluster.client.get_online_devices()
    finally:
        unnamed.stop()
    assert device_id() == online


def test_a_device_id_in_use_goes_to_the_newer_worker(cluster: Cluster) -> None:
    former = cluster.worker("contested")
    blocker = cluster.submit("sleep", {"duration": 600}, max_retries=0)
    cluster.until(blocker, "running")
    newer = cluster.start_worker("contested", "--tag", "newer")

    assert former.ended() not in (0, None)
    said = former.stderr.strip().splitlines()[-1]
    assert "another process has joined" in said and "contested" in said and "--device-id" in said
    cluster.workers.remove(former)
    newer.line("joined main")
    # What the former one held is queued again at once, and goes to the newer one.
    eventually(
        lambda: cluster.client.get_task(blocker).assigned_device_id == "contested", "it is assigned again"
    )
    assert cluster.client.cancel_task(blocker)
    assert cluster.run("echo", 1, required_tags=["newer"]).success
    assert newer.alive
    assert len(cluster.client.get_devices()) == 1


def test_a_second_main_in_one_data_directory_is_refused(
    cluster: Cluster, program: Callable[..., Ran]
) -> None:
    data = str(cluster.main.home / "data")
    ran = program("retire-cluster-main", "--host", "127.0.0.1", "--port", "0", "--data-dir", data)
    assert ran.status == 3
    assert data in ran.error_line() and "in use" in ran.error_line()
    assert ran.stdout == ""


def test_a_port_in_use_is_named(cluster: Cluster, program: Program, tmp_path: Path) -> None:
    place = ["--host", "127.0.0.1", "--port", str(cluster.main.port)]
    ran = program("retire-cluster-main", *place, "--data-dir", str(tmp_path / "data"))
    assert ran.status in (1, 3)
    assert str(cluster.main.port) in ran.error_line() and "in use" in ran.error_line()
    assert cluster.main.alive
