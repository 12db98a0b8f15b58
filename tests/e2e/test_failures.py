"""Retries, timeouts, cancellation, and what does not hold up others."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from retire_cluster.tasks import Task

from harness.cluster import Cluster
from harness.process import exists
from harness.waiting import eventually


@pytest.fixture(scope="module")
def cluster(clusters: Callable[..., Cluster]) -> Cluster:
    cluster = clusters("main")
    one = cluster.start_worker("one-slot", "--tag", "one")
    many = cluster.start_worker("many-slots", "--allow", "command", "--sandbox", "off", "--tag", "many", slots=8)
    cluster.joined(one, many)
    return cluster


ONE: dict[str, Any] = {"required_tags": ["one"]}
MANY: dict[str, Any] = {"required_tags": ["many"]}
FAILS = {"command": "exit 1", "check": True}


def history(task: Task) -> list[str]:
    """The outcome of each attempt that did not succeed; the times and devices must be there."""
    assert all(entry["device_id"] and entry["at"] for entry in task.error_history)
    attempts = [entry["attempt"] for entry in task.error_history]
    assert attempts == sorted(set(attempts)), "an attempt is there twice"
    return [entry["outcome"] for entry in task.error_history]


@pytest.mark.parametrize("max_retries", [0, 2])
def test_a_failing_task_is_tried_until_max_retries(cluster: Cluster, max_retries: int) -> None:
    result = cluster.run("command", FAILS, max_retries=max_retries, **MANY)
    assert result.status.value == "failed"
    task = cluster.client.get_task(result.task_id)
    assert task.retry_count == max_retries
    assert history(task) == ["failed"] * (1 + max_retries)


def test_a_retry_waits_and_says_so(cluster: Cluster) -> None:
    task_id = cluster.submit("command", FAILS, max_retries=1, **MANY)
    eventually(
        lambda: cluster.client.get_task(task_id).reason == "retry_backoff", "the reason is retry_backoff"
    )
    assert cluster.client.explain(task_id)["reason"] == "retry_backoff"
    result = cluster.wait(task_id)
    first = cluster.client.get_task(task_id).error_history
    assert result.status.value == "failed" and len(first) == 2
    assert first[0]["at"] < first[1]["at"]


def test_a_task_that_fails_once_succeeds_in_the_second_attempt(cluster: Cluster, tmp_path: Any) -> None:
    marker = tmp_path / "marker"
    line = f"test -e {marker} && echo ok || {{ touch {marker}; exit 1; }}"
    result = cluster.run("command", {"command": line, "check": True}, **MANY)
    assert result.status.value == "success"
    assert result.result_data["stdout"] == "ok\n"
    task = cluster.client.get_task(result.task_id)
    assert (task.retry_count, history(task)) == (1, ["failed"])


def test_at_most_once_is_not_repeated(cluster: Cluster) -> None:
    result = cluster.run("command", FAILS, max_retries=5, at_most_once=True, **MANY)
    assert history(cluster.client.get_task(result.task_id)) == ["failed"]


def test_a_permanent_failure_is_not_repeated(cluster: Cluster) -> None:
    result = cluster.run("sleep", {"duration": "x"}, max_retries=5, **MANY)
    assert result.status.value == "failed"
    task = cluster.client.get_task(result.task_id)
    assert task.retry_count == 0 and len(task.error_history) == 1


def test_a_timeout_ends_the_attempt_and_is_repeated(cluster: Cluster) -> None:
    result = cluster.run("sleep", {"duration": 600}, timeout_seconds=0.3, max_retries=1, **MANY)
    assert result.status.value == "timeout"
    assert "0.3" in result.error_message
    assert 0.25 <= result.execution_time_seconds < 30
    task = cluster.client.get_task(result.task_id)
    assert (task.retry_count, history(task)) == (1, ["timeout", "timeout"])
    eventually(lambda: cluster.load("many-slots") == 0, "the slot is free again")


def test_a_command_that_does_not_heed_its_end_is_ended(cluster: Cluster) -> None:
    line = "trap '' TERM; while :; do sleep 0.05; done"
    result = cluster.run("command", {"command": line}, timeout_seconds=0.3, max_retries=0, **MANY)
    assert result.status.value == "timeout"
    eventually(lambda: cluster.load("many-slots") == 0, "the slot is free again")


def test_cancel_while_queued(cluster: Cluster) -> None:
    blocker = cluster.submit("sleep", {"duration": 600}, **ONE)
    cluster.until(blocker, "running")
    waiting = cluster.submit("sleep", {"duration": 600}, **ONE)
    assert cluster.status(waiting) in ("queued", "assigned")
    assert cluster.client.cancel_task(waiting) is True
    result = cluster.wait(waiting)
    assert result.status.value == "cancelled"
    assert result.result_data is None
    assert cluster.status(blocker) == "running"
    assert cluster.client.cancel_task(waiting) is False
    assert cluster.client.cancel_task(blocker) is True


def test_cancel_while_running_ends_it_at_once_and_frees_the_slot(cluster: Cluster) -> None:
    running = cluster.submit("sleep", {"duration": 600}, **ONE)
    cluster.until(running, "running")
    assert cluster.client.cancel_task(running) is True
    assert cluster.wait(running, 30).status.value == "cancelled"
    assert cluster.run("echo", "next", **ONE).success  # which needs the slot
    eventually(lambda: cluster.load("one-slot") == 0, "the slot is free again")
    task = cluster.client.get_task(running)
    assert task.status.value == "cancelled" and task.retry_count == 0


def test_cancel_a_command_and_all_that_it_started(cluster: Cluster, tmp_path: Any) -> None:
    pids = tmp_path / "pids"
    task_id = cluster.submit(
        "command", {"command": f"sleep 600 & echo $! $$ > {pids}.new; mv {pids}.new {pids}; wait"}, **MANY
    )
    eventually(pids.exists, "the command has started")
    assert cluster.client.cancel_task(task_id)
    assert cluster.wait(task_id).status.value == "cancelled"
    for pid in map(int, pids.read_text().split()):
        eventually(lambda pid=pid: not exists(pid), f"process {pid} of the cancelled command ended")


def test_cancel_during_the_back_off(cluster: Cluster) -> None:
    task_id = cluster.submit("command", FAILS, max_retries=10, **MANY)
    eventually(lambda: cluster.client.get_task(task_id).reason == "retry_backoff", "it waits for its retry")
    assert cluster.client.cancel_task(task_id) is True
    assert cluster.wait(task_id).status.value == "cancelled"


def test_cancel_of_a_final_or_unknown_task_says_false(cluster: Cluster) -> None:
    result = cluster.run("echo", 1, **MANY)
    assert cluster.client.cancel_task(result.task_id) is False
    assert cluster.status(result.task_id) == "success"
    assert cluster.client.cancel_task("00000000-0000-4000-8000-000000000000") is False


def test_what_nobody_can_run_holds_up_nothing(cluster: Cluster) -> None:
    stuck = [cluster.submit("echo", n, priority="urgent", min_cpu_cores=10_000) for n in range(100)]
    stuck += [cluster.submit("no_such_type", n, priority="urgent") for n in range(100)]
    for _ in range(5):
        assert cluster.run("echo", "through", priority="low", **ONE).success
    assert {cluster.status(task_id) for task_id in stuck} == {"queued"}
    assert all(cluster.client.cancel_task(task_id) for task_id in stuck)


def test_a_full_device_does_not_hold_up_another(cluster: Cluster) -> None:
    blockers = [cluster.submit("sleep", {"duration": 600}, priority="urgent", **ONE) for _ in range(5)]
    cluster.until(blockers[0], "running")
    assert cluster.run("echo", "past it", priority="low").worker_device_id == "many-slots"
    assert all(cluster.client.cancel_task(task_id) for task_id in blockers)


def test_logs_and_errors_of_an_attempt_are_told(cluster: Cluster) -> None:
    result = cluster.run(
        "command", {"command": "echo the reason >&2; exit 9", "check": True}, max_retries=0, **MANY
    )
    assert "9" in result.error_message
    assert result.error_message == cluster.client.get_task(result.task_id).error_history[0]["error_message"]
