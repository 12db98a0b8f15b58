"""What handlers tell while they run: progress, log lines, checkpoints. In C++ and in Python."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from retire_cluster.tasks import Task, TaskExecutor

from harness.cluster import QUICK_LOSS, Cluster
from harness.plugins import SOURCE, Workshop
from harness.process import Process
from harness.programs import bin_dir, program
from harness.waiting import eventually


@pytest.fixture(scope="module")
def plugin_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the plugin `telling`, which does what its payload says."""
    program("retire-cluster-worker")
    built = bin_dir().parent / "tests" / "worker_plugins" / "telling.so"
    if not built.exists():
        pytest.skip(f"{built} is not there: the programs were not built with their tests")
    directory = tmp_path_factory.mktemp("plugins")
    shutil.copy(built, directory)
    return directory


@pytest.fixture(scope="module")
def cluster(clusters: Callable[..., Cluster], plugin_dir: Path) -> Cluster:
    cluster = clusters("main", *QUICK_LOSS)
    cluster.worker("teller", "--plugin-dir", str(plugin_dir), "--sandbox", "off", slots=3)
    return cluster


def python_telling(steps: list[dict[str, Any]], context: Any) -> dict[str, Any]:
    """The twin of tests/unit/worker/plugins/telling.cpp."""
    given = context.checkpoint
    said = {
        "checkpoint": (given or b"").decode(),
        "attempt": str(context.attempt),
        "key": context.idempotency_key,
    }
    for step in steps:
        if step.get("attempt", context.attempt) != context.attempt:
            continue
        for i in range(step.get("count", 1) if "log" in step else 0):
            context.info(step["log"] if "count" not in step else f"{step['log']} {i}")
        if "progress" in step:
            context.progress(step["progress"], step.get("text", ""))
        if "checkpoint" in step:
            context.save_checkpoint(step["checkpoint"].encode())
        while "wait_for" in step and not os.path.exists(step["wait_for"]):
            if context.wait_cancelled(0.01):
                raise RuntimeError("cancelled")
        if "fail" in step:
            raise RuntimeError(step["fail"])
    return said


@pytest.fixture(scope="module")
def python_worker(cluster: Cluster) -> Iterator[TaskExecutor]:
    executor = TaskExecutor(cluster.address, device_id="python-teller", slots=3, connect_timeout=60)
    executor.register_handler("python_telling", python_telling)
    with executor:
        eventually(lambda: "python-teller" in cluster.client.get_online_devices(), "it has joined")
        yield executor


@pytest.fixture(params=["telling", "python_telling"])
def kind(request: pytest.FixtureRequest, cluster: Cluster, python_worker: TaskExecutor) -> str:
    kind: str = request.param
    return kind


numbers = itertools.count()


@pytest.fixture
def files(tmp_path: Path) -> Callable[[], Path]:
    return lambda: tmp_path / f"go-{next(numbers)}"


def follow(cluster: Cluster, task_id: str, home: Path) -> Process:
    home.mkdir()
    return Process("retire-cluster", ["--to", cluster.address, "task", "logs", "-f", task_id], home)


def test_logs_f_shows_lines_while_the_task_runs(
    cluster: Cluster, kind: str, files: Callable[[], Path], tmp_path: Path
) -> None:
    go = files()
    task_id = cluster.submit(kind, [{"log": "begun"}, {"wait_for": str(go)}, {"log": "the end"}])
    following = follow(cluster, task_id, tmp_path / "cli")
    following.line(r"info  begun$", "stdout")
    assert cluster.status(task_id) == "running"
    lines = cluster.client.get_task_logs(task_id)
    assert [(line["level"], line["message"]) for line in lines] == [("info", "begun")]
    go.touch()
    assert following.ended() == 0
    said = [line.split("info  ")[1] for line in following.stdout.splitlines()]
    assert said == ["begun", "the end"], "each line once, the last ones from the result"
    ran = cluster.cli("retire-cluster", "task", "logs", task_id, "--json")
    document = json.loads(ran.stdout)
    assert (document["status"], document["attempt"]) == ("success", 1)
    assert [line["message"] for line in document["logs"]] == ["begun", "the end"]


def test_a_log_is_followed_over_a_retry(
    cluster: Cluster, kind: str, files: Callable[[], Path], tmp_path: Path
) -> None:
    go = files()
    steps = [
        {"attempt": 1, "log": "first"},
        {"attempt": 1, "wait_for": str(go)},
        {"attempt": 1, "log": "about to fail"},
        {"attempt": 1, "fail": "no luck"},
        {"log": "second"},
    ]
    task_id = cluster.submit(kind, steps)
    lines: list[dict[str, Any]] = []
    follower = threading.Thread(
        target=lambda: lines.extend(cluster.new_client().follow_task_logs(task_id, timeout=120))
    )
    follower.start()
    eventually(lambda: cluster.client.get_task_logs(task_id), "the first line")
    go.touch()
    assert cluster.wait(task_id).status.value == "success"
    follower.join(120)
    assert [(line["attempt"], line["message"]) for line in lines] == [
        (1, "first"),
        (1, "about to fail"),
        (2, "second"),
    ]


def test_progress_is_seen_in_status(cluster: Cluster, kind: str, files: Callable[[], Path]) -> None:
    go = files()
    task_id = cluster.submit(kind, [{"progress": 0.42, "text": "page 7"}, {"wait_for": str(go)}])
    task = eventually(
        lambda: (lambda found: found if found and found.progress else None)(cluster.client.get_task(task_id)),
        "there is progress",
    )
    assert (task.progress["fraction"], task.progress["text"]) == (0.42, "page 7")
    assert task.progress["at"].endswith("Z")
    document = json.loads(cluster.cli("retire-cluster", "task", "show", task_id, "--json").stdout)
    assert document["progress"] == task.progress
    assert "42 %  page 7" in cluster.cli("retire-cluster", "task", "show", task_id).stdout
    listed = cluster.cli("retire-cluster-status", "--tasks", "--status", "running").stdout
    assert "42 %  page 7" in listed
    (in_list,) = [t for t in cluster.client.list_tasks(status="running") if t.task_id == task_id]
    assert in_list.progress == task.progress
    go.touch()
    cluster.wait(task_id)
    task = cluster.client.get_task(task_id)
    assert task is not None and task.progress is None
    assert "progress" not in task.to_dict()


def test_a_failed_attempts_checkpoint_is_handed_to_the_next(cluster: Cluster, kind: str) -> None:
    steps = [
        {"attempt": 1, "checkpoint": "early"},
        {"attempt": 1, "checkpoint": "late"},
        {"attempt": 1, "fail": "at once"},
    ]
    result = cluster.run(kind, steps)
    assert result.result_data["checkpoint"] == "late"
    assert result.result_data["attempt"] == "2"
    assert result.result_data["key"] == result.task_id
    assert cluster.run(kind, []).result_data["checkpoint"] == "", "that was another task's"


def test_a_plugin_in_plain_c_has_all_of_it(cluster: Cluster, workshop: Workshop) -> None:
    """Sandboxed, unlike the other tests here."""
    workshop.put(workshop.build("1", source=SOURCE.with_name("telling.c")), "telling_c.so")
    worker = cluster.worker("c-teller", "--plugin-dir", str(workshop.drop))
    result = cluster.run("telling_c", timeout_seconds=50)
    attempt, key, checkpoint, left, wrong = result.result_data
    assert (attempt, key, wrong) == (2, result.task_id, "")
    assert checkpoint == b"\x00\x01\xfe\xff"
    assert 0 < left < 50
    failed = cluster.run("telling_c", max_retries=0)
    assert (failed.status.value, failed.error_message) == ("failed", "told all")
    assert [(line["level"], line["message"]) for line in failed.logs] == [
        ("debug", "one"),
        ("info", "two"),
        ("warning", "three"),
        ("error", "four"),
    ]
    times = [line["time"] for line in failed.logs]
    assert times == sorted(times) and 0 <= times[0] and times[-1] <= failed.execution_time_seconds
    cluster.remove(worker)


def test_a_crashed_attempt_leaves_its_log_and_its_checkpoint(cluster: Cluster) -> None:
    steps = [
        {"attempt": 1, "log": "about to fall"},
        {"attempt": 1, "checkpoint": "saved"},
        {"attempt": 1, "crash": True},
    ]
    assert cluster.run("telling", steps).result_data["checkpoint"] == "saved"
    result = cluster.run("telling", steps, max_retries=0)
    assert result.status.value == "failed"
    assert [line["message"] for line in result.logs] == ["about to fall"]


def test_a_checkpoint_survives_its_worker(
    cluster: Cluster, plugin_dir: Path, files: Callable[[], Path]
) -> None:
    """kill -9 of the worker, and the next attempt is another device's."""
    victim = cluster.worker(
        "victim", "--plugin-dir", str(plugin_dir), "--tag", "pair", "--sandbox", "off", slots=1
    )
    steps = [
        {"attempt": 1, "checkpoint": "page 41"},
        {"attempt": 1, "log": "saved"},
        {"attempt": 1, "wait_for": str(files())},
    ]
    task_id = cluster.submit("telling", steps, required_tags=["pair"])
    eventually(lambda: cluster.client.get_task_logs(task_id), "main has heard of it")
    victim.kill()
    cluster.workers.remove(victim)
    cluster.worker("heir", "--plugin-dir", str(plugin_dir), "--tag", "pair", "--sandbox", "off", slots=1)
    result = cluster.wait(task_id)
    assert result.worker_device_id == "heir"
    assert result.result_data["checkpoint"] == "page 41"
    assert result.result_data["attempt"] == "2"


def test_a_flood_is_bounded_and_slows_nobody(cluster: Cluster, kind: str, files: Callable[[], Path]) -> None:
    """Log lines and progress by the hundred thousand, and others go on."""
    go = files()
    flood = [{"log": "flood " + "x" * 500, "count": 300_000}]
    flood += [{"progress": i / 1000, "text": "x" * 300} for i in range(1000)]
    task_id = cluster.submit(kind, [*flood, {"wait_for": str(go)}], timeout_seconds=300)
    before = resident_kb(cluster.main.pid)
    cluster.until(task_id, "running")
    for _ in range(20):
        assert cluster.run("echo", {"hi": 1}).status.value == "success"
    eventually(
        lambda: (cluster.client.get_task(task_id).progress or {}).get("fraction") == 0.999, "it is through"
    )
    assert len(cluster.client.get_task_logs(task_id)) <= 10_000
    assert resident_kb(cluster.main.pid) - before < 100_000
    go.touch()
    result = cluster.wait(task_id)
    assert result.status.value == "success"
    assert sum(len(line["message"]) for line in result.logs) <= 1_048_576
    eventually(lambda: cluster.load("teller") == 0, "the slot is free")


def resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def test_logs_of_an_unknown_task(cluster: Cluster) -> None:
    ran = cluster.cli("retire-cluster", "task", "logs", "00000000-0000-4000-8000-000000000000")
    assert ran.status == 6
    assert "no task" in ran.stderr
    started = time.monotonic()
    with pytest.raises(LookupError):
        list(cluster.client.follow_task_logs("00000000-0000-4000-8000-000000000000"))
    assert time.monotonic() - started < 60


def test_a_follower_can_have_enough(cluster: Cluster, kind: str, files: Callable[[], Path]) -> None:
    task_id = cluster.client.submit_task(Task(kind, [{"wait_for": str(files())}]))
    with pytest.raises(TimeoutError):
        list(cluster.client.follow_task_logs(task_id, timeout=0.1))
    assert cluster.client.cancel_task(task_id)
