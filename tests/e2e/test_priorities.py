"""The order in which tasks run."""

from __future__ import annotations

import shlex
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import pytest
from retire_cluster.tasks import TaskExecutor

from harness.cluster import Cluster, make_task


@pytest.fixture(scope="module")
def cluster(clusters: Callable[..., Cluster]) -> Cluster:
    cluster = clusters("main")
    cluster.worker("one-slot", "--allow", "command", "--sandbox", "off", "--deny", "sleep")
    return cluster


def blocked(cluster: Cluster, tmp_path: Path) -> Callable[[], None]:
    """Takes the one slot; call what it returns to free it."""
    gate = tmp_path / "gate"
    blocker = cluster.submit(
        "command", {"command": f"until test -e {shlex.quote(str(gate))}; do sleep 0.02; done"}
    )
    cluster.until(blocker, "running")
    return gate.touch


def test_four_priorities_in_order_under_one_slot(cluster: Cluster, tmp_path: Path) -> None:
    """Each task writes its name when it runs: that is the order, whatever anybody reports."""
    order = tmp_path / "order"
    release = blocked(cluster, tmp_path)
    words = ["low", "high", "urgent", "normal"] * 5
    tasks = [
        make_task("command", {"command": f"echo {word}-{n:02} >> {shlex.quote(str(order))}"}, priority=word)
        for n, word in enumerate(words)
    ]
    ids = [cluster.client.submit_task(task) for task in tasks]
    release()
    assert all(result.success for result in cluster.client.wait_many(ids, 60))
    expected = [
        f"{word}-{n:02}"
        for wanted in ("urgent", "high", "normal", "low")
        for n, word in enumerate(words)
        if word == wanted
    ]
    assert order.read_text().split() == expected


def test_a_later_urgent_task_overtakes_what_waits(cluster: Cluster, tmp_path: Path) -> None:
    order = tmp_path / "order"
    release = blocked(cluster, tmp_path)

    def note(word: str, priority: str) -> str:
        return cluster.submit(
            "command", {"command": f"echo {word} >> {shlex.quote(str(order))}"}, priority=priority
        )

    ids = [note("normal", "normal") for _ in range(10)]
    ids.append(note("urgent", "urgent"))
    release()
    assert all(result.success for result in cluster.client.wait_many(ids, 60))
    assert order.read_text().split()[0] == "urgent"


@pytest.fixture
def recorder(cluster: Cluster) -> Any:
    """A device of one slot whose handlers note in which order they ran. Give it tasks tagged "recorder"."""

    gate = threading.Event()
    recorder = SimpleNamespace(order=[], open=gate.set)
    with TaskExecutor(cluster.address, tags=["recorder"], device_id="recorder", slots=1) as executor:
        executor.register_handler("gate", lambda payload: gate.wait(60))
        for name in ("alpha", "beta", "gamma"):
            executor.register_handler(name, recorder.order.append)
        executor.register_handler("slow", lambda payload: recorder.order.append(payload) or time.sleep(0.03))
        yield recorder
        gate.set()


def test_first_in_first_out_across_types_and_requirements(cluster: Cluster, recorder: Any) -> None:
    tagged = {"required_tags": ["recorder"]}
    blocker = cluster.submit("gate", None, **tagged)
    cluster.until(blocker, "running", "assigned")
    types = ["alpha", "beta", "alpha", "gamma", "gamma", "beta"] * 5
    demands = [{}, {"min_cpu_cores": 1}, {"timeout_seconds": 100}, {"min_memory_gb": 0.01}]
    ids = [cluster.submit(kind, n, **tagged, **demands[n % 4]) for n, kind in enumerate(types)]
    recorder.open()
    assert all(result.success for result in cluster.client.wait_many(ids, 60))
    assert recorder.order == list(range(len(types)))


def test_groups_take_turns_within_a_priority(cluster: Cluster, recorder: Any) -> None:
    """With tasks that are not short: of those, a device is sent some 20 ms of work ahead as they come."""
    tagged = {"required_tags": ["recorder"]}
    blocker = cluster.submit("gate", None, **tagged)
    cluster.until(blocker, "running", "assigned")
    ids = [cluster.submit("slow", ["many", n], group="many", **tagged) for n in range(10)]
    ids += [cluster.submit("slow", ["few", n], group="few", **tagged) for n in range(2)]
    recorder.open()
    assert all(result.success for result in cluster.client.wait_many(ids, 60))
    places = {tuple(entry): place for place, entry in enumerate(recorder.order)}
    assert places["few", 1] <= 7, recorder.order
    assert [entry[1] for entry in recorder.order if entry[0] == "many"] == list(range(10))
