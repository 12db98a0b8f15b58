"""The package with the real programs: every example of the guide, and a Python worker beside C++ ones."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from fake_main import eventually
from retire_cluster import LocalCluster, errors, get_logger
from retire_cluster.programs import find_program
from retire_cluster.tasks import (
    PermanentError,
    Task,
    TaskContext,
    TaskExecutor,
    TaskPriority,
    TaskQueue,
    TaskRequirements,
    TaskResult,
    TaskScheduler,
    TaskStatus,
)

ROOT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    try:
        find_program("retire-cluster-main")
        find_program("retire-cluster-worker")
    except errors.ProgramError as error:
        if os.environ.get("RETIRE_CLUSTER_REQUIRE_PROGRAMS") == "1":
            pytest.fail(f"the programs are required: {error}")
        pytest.skip(str(error))
    flags = ["--http-allow=127.0.0.0/8"]
    with LocalCluster(workers=2, slots=2, allow=["python_eval", "command"], worker_args=flags) as running:
        yield running


@pytest.fixture
def scheduler(cluster: LocalCluster) -> TaskScheduler:
    return cluster.scheduler


@pytest.fixture
def executor(cluster: LocalCluster) -> Iterator[TaskExecutor]:
    """A Python worker, with the tag `python`."""
    with TaskExecutor(cluster.address, role="compute", tags=["python"], slots=1, drain_timeout=5) as joined:
        yield joined


def run(scheduler: TaskScheduler, task: Task) -> TaskResult:
    return scheduler.wait(scheduler.submit_task(task), timeout=WAIT_SECONDS)


# -- the guide, from top to bottom


def test_guide_basic_task_submission(scheduler: TaskScheduler) -> None:
    task = Task(task_type="echo", payload={"message": "Hello World!"}, priority=TaskPriority.NORMAL)
    task_id = scheduler.submit_task(task)
    result = scheduler.wait(task_id, timeout=WAIT_SECONDS)
    assert result.status == TaskStatus.SUCCESS
    assert result.result_data == {"echo": {"message": "Hello World!"}}


def test_guide_task_with_requirements(cluster: LocalCluster, scheduler: TaskScheduler) -> None:
    compute_task = Task(
        task_type="python_eval",
        payload={"expression": "sum(range(1000000))"},
        requirements=TaskRequirements(
            min_cpu_cores=4, min_memory_gb=8, required_platform="linux", timeout_seconds=60
        ),
    )
    cluster.add_worker("--cpu-count=4", "--memory-gb=8", "--platform=linux")
    result = run(scheduler, compute_task)
    assert result.result_data == {"result": 499999500000, "expression": "sum(range(1000000))"}


def test_guide_mobile_specific_task(cluster: LocalCluster, scheduler: TaskScheduler) -> None:
    mobile_task = Task(
        task_type="system_info",
        payload={},
        requirements=TaskRequirements(required_role="mobile", required_platform="android"),
    )
    task_id = scheduler.submit_task(mobile_task)
    assert scheduler.get_task_status(task_id) is TaskStatus.QUEUED
    cluster.add_worker("--role=mobile", "--platform=android", "--device-id=phone-1")
    result = scheduler.wait(task_id, timeout=WAIT_SECONDS)
    assert (result.status, result.worker_device_id) == (TaskStatus.SUCCESS, "phone-1")


def test_guide_sleep_task(scheduler: TaskScheduler) -> None:
    result = run(scheduler, Task(task_type="sleep", payload={"duration": 0.2}))
    assert result.result_data["slept_for"] == pytest.approx(0.2, abs=0.2)
    assert result.execution_time_seconds >= 0.2


def test_guide_system_info_task(scheduler: TaskScheduler) -> None:
    result = run(scheduler, Task(task_type="system_info", payload={}))
    assert result.status is TaskStatus.SUCCESS and isinstance(result.result_data, dict)


def test_guide_python_evaluation_task(scheduler: TaskScheduler) -> None:
    result = run(scheduler, Task(task_type="python_eval", payload={"expression": "2 + 2"}))
    assert result.result_data == {"result": 4, "expression": "2 + 2"}


def test_guide_http_request_task(scheduler: TaskScheduler) -> None:
    class Data(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f'{{"you": "{self.headers["Authorization"]}"}}'.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Data) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            payload = {
                "url": f"http://127.0.0.1:{server.server_port}/data",
                "method": "GET",
                "headers": {"Authorization": "Bearer token"},
                "timeout": 30,
            }
            result = run(scheduler, Task(task_type="http_request", payload=payload))
        finally:
            server.shutdown()
            thread.join()
    assert result.status is TaskStatus.SUCCESS, result.error_message
    assert result.result_data["status_code"] == 200 and "Bearer token" in str(result.result_data["content"])


def test_guide_command_execution_task(scheduler: TaskScheduler) -> None:
    result = run(scheduler, Task(task_type="command", payload={"command": "ls -la", "timeout": 10}))
    assert result.status is TaskStatus.SUCCESS, result.error_message
    assert result.result_data["return_code"] == 0


def test_guide_custom_task_types(scheduler: TaskScheduler, executor: TaskExecutor) -> None:
    def process_data(data: Any) -> str:
        return str(data).upper()

    def my_custom_handler(payload: Any) -> Dict[str, Any]:
        input_data = payload.get("input")
        result = process_data(input_data)
        return {"output": result}

    executor.register_handler("my_custom_task", my_custom_handler)
    result = run(scheduler, Task("my_custom_task", {"input": "data"}))
    assert (result.result_data, result.worker_device_id) == ({"output": "DATA"}, executor.device_id)


def test_guide_requirements() -> None:
    TaskRequirements(
        min_cpu_cores=4,
        min_memory_gb=8,
        min_storage_gb=100,
        gpu_required=True,
        internet_required=True,
    )
    TaskRequirements(required_platform="linux", required_role="compute", required_tags=["gpu-capable"])
    TaskRequirements(timeout_seconds=300, max_retries=3)
    values = [TaskPriority.URGENT, TaskPriority.HIGH, TaskPriority.NORMAL, TaskPriority.LOW]
    assert [p.value for p in values] == [4, 3, 2, 1]


def test_guide_monitoring(scheduler: TaskScheduler, capsys: pytest.CaptureFixture[str]) -> None:
    task_id = scheduler.submit_task(Task("echo", 1))
    scheduler.wait(task_id, timeout=WAIT_SECONDS)

    status = scheduler.get_task_status(task_id)
    print(f"Task status: {status.value}")  # type: ignore[union-attr]

    result = scheduler.get_task_result(task_id)
    if result:
        if result.status == TaskStatus.SUCCESS:
            print(f"Result: {result.result_data}")
        else:
            print(f"Error: {result.error_message}")

    stats = scheduler.get_cluster_statistics()
    print(f"Online devices: {stats['cluster_stats']['online_devices']}")
    print(f"Queue size: {stats['queue_stats']['total_tasks']}")

    said = capsys.readouterr().out
    assert "Task status: success\nResult: {'echo': 1}\nOnline devices: " in said


def test_guide_debugging(scheduler: TaskScheduler, capsys: pytest.CaptureFixture[str]) -> None:
    logger = get_logger("scheduler", level="DEBUG")
    logger.debug("hello")

    task_queue = TaskQueue(scheduler)
    stats = task_queue.get_queue_statistics()
    print(stats)
    assert set(stats) >= {"total_tasks", "by_status", "by_priority", "by_device", "by_type"}
    assert set(scheduler.task_queue.get_queue_statistics()) == set(stats)

    online_devices = scheduler.get_online_devices()
    for device_id in online_devices:
        capabilities = scheduler.get_device_capabilities(device_id)
        print(f"{device_id}: {capabilities}")
    assert len(online_devices) >= 2 and "cpu_count" in capsys.readouterr().out


def test_example_runs(cluster: LocalCluster) -> None:
    example = ROOT / "examples" / "task_execution_example.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python" / "src")}
    command = [sys.executable, str(example), cluster.address]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


# -- beyond the guide


def test_tasks_of_both_kinds_of_workers_serve_one_queue(
    scheduler: TaskScheduler, executor: TaskExecutor
) -> None:
    executor.register_handler("echo", lambda payload: {"echo": payload})
    anywhere = [Task("echo", n) for n in range(200)]
    here = [Task("echo", n, requirements=TaskRequirements(required_tags=["python"])) for n in range(50)]
    ids = scheduler.submit_tasks(anywhere + here)
    results = scheduler.wait_many(ids, timeout=WAIT_SECONDS)
    assert [r.result_data for r in results] == [{"echo": n} for n in [*range(200), *range(50)]]
    devices = {r.worker_device_id for r in results}
    assert {r.worker_device_id for r in results[200:]} == {executor.device_id} and len(devices) > 1


def test_many_tasks_end_once_each(scheduler: TaskScheduler) -> None:
    ids = scheduler.submit_tasks(Task("echo", n) for n in range(12_000))
    seen = [r.task_id for r in scheduler.as_completed(ids, timeout=2 * WAIT_SECONDS)]
    assert sorted(seen) == sorted(ids)


def test_task_comes_back_whole(scheduler: TaskScheduler) -> None:
    sent = Task(
        "echo",
        {"a": [1, "b", None]},
        priority=TaskPriority.HIGH,
        requirements=TaskRequirements(min_cpu_cores=1, timeout_seconds=7.5),
        metadata={"who": "anna"},
        group="anna",
    )
    task_id = scheduler.submit_task(sent)
    scheduler.wait(task_id, timeout=WAIT_SECONDS)
    task = scheduler.get_task(task_id)
    assert task is not None and task.task_id == task_id
    for name in ("task_type", "payload", "priority", "requirements", "metadata", "group"):
        assert getattr(task, name) == getattr(sent, name)
    assert task.status is TaskStatus.SUCCESS and task.created_at is not None and task.result is not None
    assert Task.from_dict(task.to_dict()).to_dict() == task.to_dict()
    assert task_id in [t.task_id for t in scheduler.list_tasks(status=TaskStatus.SUCCESS, task_type="echo")]


def test_same_id_again_changes_nothing_and_other_content_is_refused(scheduler: TaskScheduler) -> None:
    task_id = scheduler.submit_task(Task("echo", 1))
    assert scheduler.submit_task(Task("echo", 1, task_id=task_id)) == task_id
    with pytest.raises(errors.TaskConflictError):
        scheduler.submit_task(Task("echo", 2, task_id=task_id))


def test_unknown_ids(scheduler: TaskScheduler) -> None:
    nobody = "0f8fad5b-d9cb-469f-a165-70867728950e"
    assert scheduler.get_task_status(nobody) is None
    assert scheduler.get_task_result(nobody) is None
    assert scheduler.get_task(nobody) is None
    assert scheduler.cancel_task(nobody) is False
    assert scheduler.get_device_capabilities("nobody") is None
    with pytest.raises(errors.NotFoundError):
        scheduler.wait(nobody, timeout=WAIT_SECONDS)
    with pytest.raises(errors.NotFoundError):
        scheduler.explain(nobody)


def test_type_that_nobody_offers_is_queued_explained_and_cancelled(scheduler: TaskScheduler) -> None:
    task_id = scheduler.submit_task(Task("nobody_has_this"))
    assert scheduler.get_task_result(task_id) is None
    explanation = scheduler.explain(task_id)
    assert (explanation["task_id"], explanation["reason"]) == (task_id, "no_handler")
    with pytest.raises(TimeoutError):
        scheduler.wait(task_id, timeout=0.1)
    assert scheduler.cancel_task(task_id) is True
    assert scheduler.wait(task_id, timeout=WAIT_SECONDS).status is TaskStatus.CANCELLED
    assert scheduler.cancel_task(task_id) is False


def test_explanation_names_the_requirement_with_both_values(scheduler: TaskScheduler) -> None:
    task = Task("echo", requirements=TaskRequirements(min_memory_gb=10**6))
    explanation = scheduler.explain(task)
    unmet = [u for device in explanation["devices"] for u in device.get("unmet", ())]
    assert {u["requirement"] for u in unmet} >= {"min_memory_gb"}
    assert all(
        u["wanted"] == 10**6 and u["has"] < 10**6 for u in unmet if u["requirement"] == "min_memory_gb"
    )


def python_task(kind: str, payload: Any = None, **more: Any) -> Task:
    return Task(kind, payload, requirements=TaskRequirements(required_tags=["python"], **more))


def test_failed_handler_is_repeated_and_a_permanent_failure_is_not(
    scheduler: TaskScheduler, executor: TaskExecutor
) -> None:
    tries: List[int] = []

    def second_time(payload: Any, context: TaskContext) -> int:
        tries.append(context.attempt)
        if context.attempt == 1:
            raise OSError("not yet")
        return context.attempt

    def never(payload: Any) -> None:
        tries.append(0)
        raise PermanentError("never")

    executor.register_handler("second_time", second_time)
    executor.register_handler("never", never)
    result = run(scheduler, python_task("second_time", max_retries=1))
    assert (result.status, result.result_data, tries) == (TaskStatus.SUCCESS, 2, [1, 2])
    tries.clear()
    result = run(scheduler, python_task("never", max_retries=3))
    assert (result.status, tries) == (TaskStatus.FAILED, [0])
    assert "never" in str(result.error_message) and "PermanentError" in str(result.error_traceback)


def test_retry_brings_a_failed_task_back_and_is_waited_for(
    scheduler: TaskScheduler, executor: TaskExecutor
) -> None:
    mended = threading.Event()

    def once_mended(payload: Any) -> str:
        if not mended.is_set():
            raise PermanentError("out of order")
        return "mended"

    executor.register_handler("once_mended", once_mended)
    task_id = scheduler.submit_task(python_task("once_mended"))
    assert scheduler.wait(task_id, timeout=WAIT_SECONDS).status is TaskStatus.FAILED
    mended.set()
    assert scheduler.retry_task(task_id) is True
    result = scheduler.wait(task_id, timeout=WAIT_SECONDS)  # not the end that it had before
    assert (result.status, result.result_data) == (TaskStatus.SUCCESS, "mended")
    task = scheduler.get_task(task_id)
    assert task is not None and len(task.error_history) == 1
    assert "out of order" in task.error_history[0]["error_message"]
    assert scheduler.retry_task(task_id) is False  # a success stays one
    assert scheduler.retry_task("0f8fad5b-d9cb-469f-a165-70867728950e") is None


def test_a_task_that_another_client_brought_back_is_waited_for(
    cluster: LocalCluster, scheduler: TaskScheduler, executor: TaskExecutor
) -> None:
    executor.register_handler("always_fails", lambda payload: {}["nothing"])
    task_id = scheduler.submit_task(python_task("always_fails", max_retries=0))
    first = scheduler.wait(task_id, timeout=WAIT_SECONDS)
    with TaskScheduler(cluster.address) as other:
        assert other.retry_task(task_id) is True
    second = scheduler.wait(task_id, timeout=WAIT_SECONDS)
    assert second.status is TaskStatus.FAILED
    assert first.completed_at is not None and second.completed_at is not None
    assert second.completed_at > first.completed_at


def test_a_paused_type_waits_until_it_is_resumed(scheduler: TaskScheduler) -> None:
    scheduler.pause_queue("echo")
    try:
        task_id = scheduler.submit_task(Task("echo", 1))
        assert scheduler.explain(task_id)["reason"] == "paused"
        assert run(scheduler, Task("system_info")).success  # another type is not held up
        assert scheduler.get_task_status(task_id) is TaskStatus.QUEUED
    finally:
        scheduler.resume_queue("echo")
    assert scheduler.wait(task_id, timeout=WAIT_SECONDS).success
    with pytest.raises(errors.InvalidTaskError) as refused:
        scheduler.pause_queue("No Type")
    assert refused.value.field == "task_type"


def test_a_device_is_drained_resumed_and_removed(cluster: LocalCluster, scheduler: TaskScheduler) -> None:
    with TaskExecutor(cluster.address, device_id="guest-9") as guest:
        guest.register_handler("for_the_guest", lambda payload: payload)
        eventually(lambda: "guest-9" in scheduler.get_online_devices(), "the device")
        scheduler.drain_device("guest-9")
        task_id = scheduler.submit_task(Task("for_the_guest", 7))
        assert scheduler.explain(task_id)["reason"] == "devices_draining"
        scheduler.resume_device("guest-9")
        assert scheduler.wait(task_id, timeout=WAIT_SECONDS).result_data == 7
        with pytest.raises(errors.TaskConflictError):
            scheduler.remove_device("guest-9")  # it is here
    eventually(lambda: "guest-9" not in scheduler.get_online_devices(), "the device to leave")
    scheduler.remove_device("guest-9")
    assert scheduler.get_device_capabilities("guest-9") is None
    for call in (scheduler.drain_device, scheduler.resume_device, scheduler.remove_device):
        with pytest.raises(errors.NotFoundError):
            call("guest-9")


def test_timeout_of_a_python_handler(scheduler: TaskScheduler, executor: TaskExecutor) -> None:
    gate = threading.Event()
    executor.register_handler("stuck", lambda payload: gate.wait(WAIT_SECONDS))
    result = run(scheduler, python_task("stuck", timeout_seconds=0.1, max_retries=0))
    assert result.status is TaskStatus.TIMEOUT
    gate.set()


def test_cancel_reaches_a_running_python_handler(scheduler: TaskScheduler, executor: TaskExecutor) -> None:
    begun, seen = threading.Event(), threading.Event()

    def wait(payload: Any, context: TaskContext) -> None:
        begun.set()
        if context.wait_cancelled(WAIT_SECONDS):
            seen.set()

    executor.register_handler("wait", wait)
    task_id = scheduler.submit_task(python_task("wait"))
    assert begun.wait(WAIT_SECONDS)
    assert scheduler.cancel_task(task_id)
    assert seen.wait(WAIT_SECONDS)
    assert scheduler.wait(task_id, timeout=WAIT_SECONDS).status is TaskStatus.CANCELLED


def test_second_process_of_a_device_replaces_the_first(cluster: LocalCluster) -> None:
    first = TaskExecutor(cluster.address, device_id="twin", slots=1, drain_timeout=1)
    first.start()
    eventually(lambda: "twin" in cluster.scheduler.get_online_devices(), "the first to join", WAIT_SECONDS)
    with TaskExecutor(cluster.address, device_id="twin", slots=1, drain_timeout=1):
        eventually(lambda: first.error is not None, "the first to be replaced", WAIT_SECONDS)
        assert isinstance(first.error, errors.ReplacedError)
    first.stop()


def test_logs_come_back(scheduler: TaskScheduler, executor: TaskExecutor) -> None:
    def say(payload: Any, context: TaskContext) -> None:
        context.log("hello", level="warning")

    executor.register_handler("say", say)
    logs = run(scheduler, python_task("say")).logs
    assert [(line["level"], line["message"]) for line in logs] == [("warning", "hello")]


def test_task_of_a_killed_worker_ends_on_another(programs_required: None) -> None:
    flags = ["--heartbeat-interval=0.2", "--offline-after=0.6", "--lease=1"]
    with LocalCluster(workers=2, slots=1, main_args=flags) as cluster:
        task_id = cluster.scheduler.submit_task(Task("sleep", {"duration": 1.5}))

        def running() -> Any:
            task = cluster.scheduler.get_task(task_id)
            return task if task and task.status is TaskStatus.RUNNING else None

        device = eventually(running, "the start", WAIT_SECONDS).assigned_device_id
        pids = {worker.pid: worker for worker in cluster.workers}
        victim = next(w for w in pids.values() if _device_of(w.pid) == device)
        os.kill(victim.pid, signal.SIGKILL)
        result = cluster.scheduler.wait(task_id, timeout=WAIT_SECONDS)
        assert result.status is TaskStatus.SUCCESS and result.worker_device_id != device


def _device_of(pid: int) -> str:
    """The device ID that a worker keeps in its data directory."""
    arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    folder = next(a.split("=", 1)[1] for a in arguments if a.startswith("--data-dir="))
    found = [p for p in Path(folder).iterdir() if p.is_file() and "device" in p.name]
    return found[0].read_text().strip()


@pytest.fixture
def programs_required(cluster: LocalCluster) -> None:
    """Skips or fails as `cluster` does."""
