"""main goes and comes back under workers and clients that go on by themselves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import pytest

from harness.cluster import QUICK_LOSS, Cluster, Main
from harness.peer import RawPeer
from harness.waiting import eventually


FORGETFUL = (*QUICK_LOSS, "--store", "memory:")


@pytest.fixture
def cluster(own_cluster: Callable[..., Cluster]) -> Cluster:
    """Its main keeps nothing."""
    return own_cluster(*FORGETFUL)


@pytest.fixture
def durable(own_cluster: Callable[..., Cluster]) -> Cluster:
    """A main with the store that is the default; its lease is long, so that nothing is lost to a busy machine."""
    return own_cluster("--heartbeat-interval", "0.3")


def restart(cluster: Cluster, how: str, *flags: str) -> None:
    """On the same port and data directory."""
    if how == "stop":
        assert cluster.main.stop() == 0
    else:
        cluster.main.kill()
    cluster.main = Main(cluster.main.home, *(flags or FORGETFUL), port=cluster.main.port)


def restart_durable(cluster: Cluster, how: str, *flags: str) -> None:
    restart(cluster, how, "--heartbeat-interval", "0.3", *flags)


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


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_durable_main_has_everything_and_repeats_nothing(durable: Cluster, tmp_path: Path, how: str) -> None:
    worker = durable.worker("faithful", "--allow", "command", "--sandbox", "off", slots=2)
    finished = durable.submit("echo", "kept")
    result = durable.wait(finished)
    failed = durable.submit("command", {"command": "exit 3", "check": True}, max_retries=0)
    assert not durable.wait(failed).success
    gate, runs = tmp_path / "gate", tmp_path / "runs"
    running = [
        durable.submit("command", {"command": f"echo run >> {runs}; until test -e {gate}; do sleep 0.02; done"})
        for _ in range(2)
    ]
    for task_id in running:
        durable.until(task_id, "running")
    queued = [durable.submit("echo", n) for n in range(50)]
    nobody = durable.submit("no_such_type", 1, priority="high", group="g", metadata={"a": 1})

    restart_durable(durable, how)
    durable.main.line(r"queue loaded: waiting=51 running=2")
    durable.joined(worker)
    assert durable.wait(finished) == result
    assert durable.status(failed) == "failed"
    again = durable.client.get_task(failed)
    assert again is not None and [e["outcome"] for e in again.error_history] == ["failed"]
    task = durable.client.get_task(nobody)
    assert task is not None
    assert (task.status.value, task.priority.name, task.group, task.metadata) == ("queued", "HIGH", "g", {"a": 1})
    gate.touch()
    for task_id in running:
        assert durable.wait(task_id).success
    for n, task_id in enumerate(queued):
        assert durable.wait(task_id).result_data == {"echo": n}
    assert runs.read_text() == "run\n" * 2, "what was running went on and was not repeated"
    # In the order in which they were submitted.
    ended = [durable.wait(task_id).started_at for task_id in queued]
    assert ended[0] <= ended[-1]


def test_what_waits_is_run_after_a_restart_by_a_worker_that_comes_later(durable: Cluster) -> None:
    """With payloads for which there is no room in memory."""
    restart_durable(durable, "kill", "--memory-budget", "0")
    ids = [durable.submit("echo", ["x" * 1000, n]) for n in range(200)]
    restart_durable(durable, "kill", "--memory-budget", "0")
    again = durable.submit("echo", ["x" * 1000, 7], task_id=ids[7])
    assert again == ids[7], "the same content changes nothing"
    with pytest.raises(Exception, match="in use for other content"):
        durable.submit("echo", ["y" * 1000, 7], task_id=ids[7])
    durable.worker("late", slots=2)
    for n, task_id in enumerate(ids):
        assert durable.wait(task_id).result_data == {"echo": ["x" * 1000, n]}
    restart_durable(durable, "kill", "--memory-budget", "0")
    for n, task_id in enumerate(ids):
        assert durable.wait(task_id).result_data == {"echo": ["x" * 1000, n]}
    task = durable.client.get_task(ids[3])
    assert task is not None and task.payload == ["x" * 1000, 3]


def test_a_client_that_waits_over_a_restart_gets_its_result(durable: Cluster) -> None:
    task_id = durable.submit("echo", "patience")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(durable.client.wait, task_id, 60)
        restart_durable(durable, "kill")
        durable.worker("late")
        assert waiting.result(60).result_data == {"echo": "patience"}


def test_a_device_stays_drained_and_a_cancelled_task_cancelled(durable: Cluster) -> None:
    worker = durable.worker("tired")
    with RawPeer(durable.address) as peer:
        peer.hello_client()
        peer.send("device", {"action": "drain", "device_id": "tired"})
        drained = durable.submit("echo", 0)
        eventually(
            lambda: durable.client.explain(drained)["devices"][0]["verdict"] == "draining", "it is drained"
        )
    task_id = durable.submit("no_such_type", 1)
    assert durable.client.cancel_task(task_id)
    restart_durable(durable, "kill")
    worker.line(r"joined main at .*\n(.*\n)*.*joined main at ")
    assert durable.status(task_id) == "cancelled"
    eventually(
        lambda: durable.client.explain(drained)["devices"][0]["verdict"] == "draining", "it is drained still"
    )


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
