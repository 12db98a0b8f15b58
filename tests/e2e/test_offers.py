"""Which types a worker offers: --allow, --deny, --only."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from harness.cluster import Cluster

ALWAYS = {"echo", "sleep", "system_info", "http_request"}
OFF_BY_DEFAULT = {"python_eval", "command"}


@pytest.fixture(scope="module")
def cluster(clusters: Callable[..., Cluster]) -> Cluster:
    return clusters("main")


def handlers(cluster: Cluster, *flags: str) -> set[str]:
    worker = cluster.worker("", *flags)
    offered = set(cluster.client.get_device_capabilities(worker.device_id)["handlers"])
    cluster.remove(worker)
    return offered


@pytest.mark.parametrize(
    "flags, offered",
    [
        ([], ALWAYS),
        (["--allow", "python_eval"], ALWAYS | {"python_eval"}),
        (["--allow", "python_eval", "--allow", "command"], ALWAYS | OFF_BY_DEFAULT),
        (["--deny", "echo"], ALWAYS - {"echo"}),
        (["--allow", "command", "--deny", "command"], ALWAYS),
        (["--only", "echo", "--only", "sleep"], {"echo", "sleep"}),
        (["--only", "python_eval", "--allow", "python_eval"], {"python_eval"}),
        (["--only", "echo", "--deny", "echo"], set()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_offered(cluster: Cluster, flags: list[str], offered: set[str]) -> None:
    assert handlers(cluster, *flags) == offered


@pytest.mark.parametrize(
    "flags, task_type, payload",
    [
        ([], "python_eval", {"expression": "1"}),
        ([], "command", {"command": "true"}),
        (["--deny", "echo"], "echo", 1),
        (["--only", "echo"], "sleep", {"duration": 0}),
        ([], "nobody_has_this", None),
    ],
)
def test_what_nobody_offers_waits_and_says_so(
    own_cluster: Callable[..., Cluster], flags: list[str], task_type: str, payload: Any
) -> None:
    """It is no error: it is queued, and runs when somebody comes who offers it."""
    cluster = own_cluster()
    worker = cluster.worker("", *flags)
    task_id = cluster.submit(task_type, payload)
    why = cluster.client.explain(task_id)
    assert (why["status"], why["reason"], why["position"]) == ("queued", "no_handler", 1)
    verdicts = {device["device_id"]: device["verdict"] for device in why["devices"]}
    assert verdicts[worker.device_id] == "no_handler"
    assert cluster.client.get_task(task_id).reason == "no_handler"

    if task_type != "nobody_has_this":
        helper = cluster.start_worker("", "--allow", task_type)
        assert cluster.wait(task_id).worker_device_id == helper.device_id


def test_what_only_a_device_that_is_away_offers_waits_for_it(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster()
    away = cluster.worker("away")
    cluster.remove(away)
    task_id = cluster.submit("echo", 1)
    why = cluster.client.explain(task_id)
    assert (why["reason"], [device["verdict"] for device in why["devices"]]) == (
        "devices_offline",
        ["offline"],
    )
