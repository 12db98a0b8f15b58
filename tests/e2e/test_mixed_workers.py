"""Workers in Python and in C++ at one queue, and a whole cluster started from Python."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable

import pytest
from retire_cluster import LocalCluster
from retire_cluster.tasks import PermanentError, TaskExecutor, TaskRequirements, TaskScheduler
from retire_cluster.tasks import Task as PlainTask

from harness.cluster import Cluster
from harness.programs import bin_dir, program


@pytest.fixture(scope="module")
def cluster(clusters: Callable[..., Cluster]) -> Cluster:
    cluster = clusters("main")
    cluster.worker("cpp", slots=2)
    return cluster


def test_python_and_cpp_workers_serve_one_queue(cluster: Cluster) -> None:
    def sleep(payload: dict[str, Any]) -> dict[str, Any]:
        time.sleep(payload["duration"])
        return {"slept_for": payload["duration"]}

    with TaskExecutor(
        cluster.address, device_id="python", role="compute", tags=["python"], slots=2
    ) as executor:
        executor.register_handler("sleep", sleep)
        executor.register_handler("only_python", lambda payload: {"output": payload["input"] * 2})
        ids = [cluster.submit("sleep", {"duration": 0.05}) for _ in range(40)]
        results = cluster.client.wait_many(ids, 60)
        assert all(result.result_data == {"slept_for": 0.05} for result in results)
        assert {result.worker_device_id for result in results} == {"python", "cpp"}

        custom = cluster.run("only_python", {"input": 21})
        assert (custom.result_data, custom.worker_device_id) == ({"output": 42}, "python")
        assert cluster.run("echo", "x").worker_device_id == "cpp"
        assert cluster.client.get_device_capabilities("python")["role"] == "compute"
    assert cluster.client.get_online_devices() == ["cpp"]


def test_what_a_python_handler_raises(cluster: Cluster) -> None:
    def broken(payload: Any) -> None:
        raise RuntimeError("no luck")

    def refuses(payload: Any) -> None:
        raise PermanentError("not this one")

    with TaskExecutor(cluster.address, device_id="python-2") as executor:
        executor.register_handler("broken", broken)
        executor.register_handler("refuses", refuses)
        result = cluster.run("broken", 1, max_retries=1)
        assert result.status.value == "failed" and "no luck" in result.error_message
        assert "RuntimeError" in result.error_traceback
        assert len(cluster.client.get_task(result.task_id).error_history) == 2
        result = cluster.run("refuses", 1, max_retries=5)
        assert len(cluster.client.get_task(result.task_id).error_history) == 1


def test_cancel_reaches_a_python_handler(cluster: Cluster) -> None:
    ended = threading.Event()

    def patient(payload: Any, context: Any) -> None:
        while not context.cancelled:
            time.sleep(0.01)
        ended.set()

    with TaskExecutor(cluster.address, device_id="python-3") as executor:
        executor.register_handler("patient", patient)
        task_id = cluster.submit("patient")
        cluster.until(task_id, "running")
        assert cluster.client.cancel_task(task_id)
        assert ended.wait(30)
        assert cluster.wait(task_id).status.value == "cancelled"


def test_a_local_cluster_starts_and_stops_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    program("retire-cluster-main")
    program("retire-cluster-worker")
    monkeypatch.setenv("RETIRE_CLUSTER_BIN_DIR", str(bin_dir()))
    with LocalCluster(workers=2) as local:
        scheduler: TaskScheduler = local.scheduler
        ids = scheduler.submit_tasks([PlainTask("echo", n) for n in range(100)])
        assert [result.result_data["echo"] for result in scheduler.wait_many(ids, 60)] == list(range(100))
        assert len(scheduler.get_online_devices()) == 2
        stuck = scheduler.submit_task(PlainTask("echo", requirements=TaskRequirements(min_memory_gb=10**6)))
        assert scheduler.explain(stuck)["reason"] == "no_device_matches"
