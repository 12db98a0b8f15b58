"""The administrator's verbs with real processes: retry, drain, resume, remove, pause, and a dry run."""

from __future__ import annotations

import json
import signal
import uuid
from pathlib import Path
from typing import Any, Callable

import pytest

from harness.cluster import Cluster
from harness.process import Ran
from harness.waiting import eventually


@pytest.fixture
def cluster(own_cluster: Callable[..., Cluster]) -> Cluster:
    return own_cluster()


def tool(cluster: Cluster, *arguments: str) -> Ran:
    return cluster.cli("retire-cluster", *arguments)


def done(ran: Ran) -> str:
    assert ran.status == 0, ran.stderr
    return ran.stdout


def state_of(cluster: Cluster, device_id: str) -> str:
    return next(d["state"] for d in cluster.client.get_devices() if d["device_id"] == device_id)


def test_retry_brings_a_failed_task_back_under_its_id(cluster: Cluster, tmp_path: Path) -> None:
    cluster.worker("only", "--allow", "command", "--sandbox", "off")
    proof = tmp_path / "proof"
    task_id = cluster.submit("command", {"command": f"test -e {proof}", "check": True}, max_retries=0)
    assert cluster.wait(task_id).status.value == "failed"

    proof.touch()
    done(tool(cluster, "task", "retry", task_id))
    assert cluster.until(task_id, "success") == "success"
    errors = cluster.client.get_task(task_id).error_history
    assert len(errors) == 1 and errors[0]["device_id"] == "only"


def test_retry_of_what_cannot_be_retried_says_so(cluster: Cluster) -> None:
    cluster.worker("only")
    task_id = cluster.submit("echo", 1)
    assert cluster.wait(task_id).success
    assert "nothing to retry" in done(tool(cluster, "task", "retry", task_id))  # as cancelling what is over
    assert cluster.status(task_id) == "success"
    assert tool(cluster, "task", "retry", str(uuid.uuid4())).status == 6


def test_a_drained_device_gets_nothing_until_it_is_resumed(cluster: Cluster) -> None:
    cluster.worker("tired")
    eventually(lambda: cluster.client.get_online_devices() == ["tired"], "the device")
    done(tool(cluster, "device", "drain", "tired"))
    assert state_of(cluster, "tired") == "draining"
    task_id = cluster.submit("echo", 1)
    assert cluster.client.explain(task_id)["reason"] == "devices_draining"
    done(tool(cluster, "device", "resume", "tired"))
    assert cluster.wait(task_id).success


def test_only_a_device_that_is_away_can_be_removed(cluster: Cluster) -> None:
    worker = cluster.worker("guest")
    eventually(lambda: cluster.client.get_online_devices() == ["guest"], "the device")
    refused = tool(cluster, "device", "remove", "guest")
    assert refused.status == 1 and "guest" in refused.stderr
    worker.signal(signal.SIGTERM)
    eventually(lambda: not worker.alive, "the worker's end")
    eventually(lambda: state_of(cluster, "guest") == "offline", "the device to be away")
    done(tool(cluster, "device", "remove", "guest"))
    assert cluster.client.get_devices() == []


@pytest.mark.parametrize("verb", ["drain", "resume", "remove"])
def test_6_for_a_device_that_is_not_there(cluster: Cluster, verb: str) -> None:
    ran = tool(cluster, "device", verb, "nobody")
    assert ran.status == 6 and "nobody" in ran.stderr


def test_a_paused_type_waits_and_others_run(cluster: Cluster) -> None:
    cluster.worker("only")
    done(tool(cluster, "queue", "pause", "--type", "echo"))
    waits, runs = cluster.submit("echo", 1), cluster.submit("sleep", {"duration": 0})
    assert cluster.wait(runs).success
    assert cluster.client.explain(waits)["reason"] == "paused"
    done(tool(cluster, "queue", "resume", "--type", "echo"))
    assert cluster.wait(waits).success


def test_a_paused_queue_hands_out_nothing(cluster: Cluster) -> None:
    cluster.worker("only")
    done(tool(cluster, "queue", "pause"))
    task_id = cluster.submit("echo", 1)
    assert cluster.client.explain(task_id)["reason"] == "paused"
    done(tool(cluster, "queue", "resume"))
    assert cluster.wait(task_id).success


def test_a_dry_run_submits_nothing(cluster: Cluster) -> None:
    cluster.worker("small", "--memory-gb", "1")
    eventually(lambda: cluster.client.get_online_devices() == ["small"], "the device")
    ran = cluster.cli("retire-cluster-submit", "echo", "1", "--min-memory-gb", "64", "--dry-run", "--json")
    answer: dict[str, Any] = json.loads(ran.stdout)
    assert answer["reason"] == "no_device_matches"
    assert answer["devices"][0]["unmet"][0]["requirement"] == "min_memory_gb"
    assert cluster.client.list_tasks() == []


def test_what_a_task_reserves_is_never_given_twice(cluster: Cluster) -> None:
    cluster.worker("lab", "--resource", "licence=1", slots=4)
    tasks = [cluster.submit("sleep", {"duration": 0.2}, resources={"licence": 1}) for _ in range(4)]
    spans = sorted((result.started_at, result.completed_at) for result in cluster.client.wait_many(tasks, 60))
    assert all(before[1] <= after[0] for before, after in zip(spans, spans[1:]))
