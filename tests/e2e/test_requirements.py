"""Every requirement, met and not met; the devices are the same machine under other flags."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from harness.cluster import Cluster, make_task

CAPABILITIES = {
    "phone": [
        "--platform",
        "android",
        "--role",
        "mobile",
        "--cpu-count",
        "8",
        "--memory-gb",
        "6",
        "--storage-gb",
        "64",
    ],
    "gpu-box": ["--gpu", "--internet", "--role", "compute", "--cpu-count", "16", "--memory-gb", "64"],
    "small": [
        "--cpu-count",
        "1",
        "--memory-gb",
        "0.5",
        "--storage-gb",
        "2",
        "--tag",
        "kitchen",
        "--tag",
        "arm",
    ],
    "disk": [
        "--role",
        "storage",
        "--cpu-count",
        "2",
        "--memory-gb",
        "2",
        "--storage-gb",
        "4000",
        "--tag",
        "arm",
    ],
}
DEFAULTS = {"gpu-box": ["--storage-gb", "200"]}


@pytest.fixture(scope="module")
def cluster(clusters: Callable[..., Cluster]) -> Cluster:
    cluster = clusters("main")
    flags = {name: [*own, *DEFAULTS.get(name, [])] for name, own in CAPABILITIES.items()}
    cluster.joined(*[cluster.start_worker(name, *own) for name, own in flags.items()])
    return cluster


def test_main_knows_the_overridden_capabilities(cluster: Cluster) -> None:
    phone = cluster.client.get_device_capabilities("phone")
    assert (phone["platform"], phone["role"], phone["cpu_count"]) == ("android", "mobile", 8)
    assert (phone["memory_total_gb"], phone["storage_total_gb"]) == (6, 64)
    assert (phone["has_gpu"], phone["has_internet"], phone["slots"]) == (False, False, 1)
    assert {"arm", "kitchen"} <= set(cluster.client.get_device_capabilities("small")["tags"])
    assert cluster.client.get_device_capabilities("gpu-box")["has_gpu"] is True


@pytest.mark.parametrize(
    "requirements, devices",
    [
        ({"min_cpu_cores": 16}, {"gpu-box"}),
        ({"min_cpu_cores": 3}, {"gpu-box", "phone"}),
        ({"min_memory_gb": 64}, {"gpu-box"}),
        ({"min_memory_gb": 6}, {"gpu-box", "phone"}),
        ({"min_storage_gb": 4000}, {"disk"}),
        ({"gpu_required": True}, {"gpu-box"}),
        ({"internet_required": True}, {"gpu-box"}),
        ({"required_platform": "android"}, {"phone"}),
        ({"required_platform": "ANDROID"}, {"phone"}),
        ({"required_platform": "linux"}, {"gpu-box", "small", "disk"}),
        ({"required_role": "mobile"}, {"phone"}),
        ({"required_role": "compute"}, {"gpu-box"}),
        ({"required_role": "storage"}, {"disk"}),
        ({"required_role": "worker"}, {"small"}),
        ({"required_tags": ["kitchen"]}, {"small"}),
        ({"required_tags": ["arm"]}, {"small", "disk"}),
        ({"required_tags": ["arm", "kitchen"]}, {"small"}),
        ({"required_role": "mobile", "required_platform": "android", "min_memory_gb": 5.5}, {"phone"}),
    ],
    ids=str,
)
def test_a_task_runs_where_its_requirements_are_met(
    cluster: Cluster, requirements: dict[str, Any], devices: set[str]
) -> None:
    ids = [cluster.submit("system_info", {}, **requirements) for _ in range(4)]
    for task_id in ids:
        result = cluster.wait(task_id)
        assert result.status.value == "success"
        assert result.worker_device_id in devices
        assert result.result_data["device_id"] == result.worker_device_id


@pytest.mark.parametrize(
    "requirements, field, wanted, has",
    [
        ({"min_cpu_cores": 999}, "min_cpu_cores", 999, {"small": 1, "gpu-box": 16}),
        ({"min_memory_gb": 64.5}, "min_memory_gb", 64.5, {"small": 0.5, "gpu-box": 64}),
        ({"min_storage_gb": 5000}, "min_storage_gb", 5000, {"disk": 4000, "phone": 64}),
        (
            {"required_platform": "windows"},
            "required_platform",
            "windows",
            {"phone": "android", "disk": "linux"},
        ),
        ({"required_role": "nobody"}, "required_role", "nobody", {"phone": "mobile", "small": "worker"}),
        ({"required_tags": ["attic"]}, "required_tags", ["attic"], {"small": "tags", "phone": "tags"}),
        ({"gpu_required": True, "required_role": "mobile"}, "gpu_required", True, {"phone": False}),
        ({"internet_required": True, "required_role": "mobile"}, "internet_required", True, {"phone": False}),
        ({"min_isolation": "strict"}, "min_isolation", "strict", {"phone": "basic"}),
        ({"resources": {"licence": 2}}, "resources.licence", 2, {"phone": 0}),
    ],
    ids=str,
)
def test_a_task_waits_where_they_are_not_and_says_why(
    cluster: Cluster, requirements: dict[str, Any], field: str, wanted: Any, has: dict[str, Any]
) -> None:
    task_id = cluster.submit("echo", 1, **requirements)
    why = cluster.client.explain(task_id)
    assert (why["task_id"], why["status"]) == (task_id, "queued")
    assert (why["reason"], why["position"]) == ("no_device_matches", 1)
    assert len(why["devices"]) == len(CAPABILITIES)
    assert {device["verdict"] for device in why["devices"]} == {"unmet"}
    unmet = {device["device_id"]: device["unmet"] for device in why["devices"]}
    for name, value in has.items():
        if value == "tags":  # those given, and those found
            value = sorted(cluster.client.get_device_capabilities(name)["tags"])
        assert {"requirement": field, "wanted": wanted, "has": value} in unmet[name]
    assert why["nearest"].startswith("would run on ")

    # Nobody is held up by it.
    assert cluster.run("echo", 2, priority="low").success
    assert cluster.status(task_id) == "queued"
    assert cluster.client.cancel_task(task_id)


def test_several_unmet_requirements_are_all_named(cluster: Cluster) -> None:
    task_id = cluster.submit("echo", 1, min_cpu_cores=100, min_memory_gb=100, required_tags=["attic", "arm"])
    small = next(d for d in cluster.client.explain(task_id)["devices"] if d["device_id"] == "small")
    assert small["unmet"][:2] == [
        {"requirement": "min_cpu_cores", "wanted": 100, "has": 1},
        {"requirement": "min_memory_gb", "wanted": 100, "has": 0.5},
    ]
    tags = small["unmet"][2]
    assert (tags["requirement"], tags["wanted"]) == ("required_tags", ["arm", "attic"])
    assert {"arm", "kitchen"} <= set(tags["has"])
    cluster.client.cancel_task(task_id)


def test_why_of_a_task_that_was_not_submitted(cluster: Cluster) -> None:
    before = cluster.client.get_cluster_statistics()["queue_stats"]["total_tasks"]
    why = cluster.client.explain(make_task("echo", 1, min_cpu_cores=17))
    assert why["reason"] == "no_device_matches"
    assert cluster.client.explain(make_task("echo", 1))["reason"] in (None, "")
    assert cluster.client.get_cluster_statistics()["queue_stats"]["total_tasks"] == before


def test_a_waiting_task_runs_when_a_device_comes_that_fits(cluster: Cluster) -> None:
    task_id = cluster.submit("echo", 1, required_tags=["late"], min_memory_gb=128)
    assert cluster.status(task_id) == "queued"
    late = cluster.start_worker("late", "--tag", "late", "--memory-gb", "128")
    assert cluster.wait(task_id).worker_device_id == "late"
    cluster.remove(late)


def test_a_busy_device_is_said_to_be_busy_and_the_place_in_line_counts(cluster: Cluster) -> None:
    blocker = cluster.submit("sleep", {"duration": 600}, required_role="mobile")
    cluster.until(blocker, "running")
    first, second = (cluster.submit("echo", n, required_role="mobile") for n in range(2))
    why = cluster.client.explain(second)
    if why["status"] == "queued":  # a device is sent short tasks ahead; then it is assigned already
        assert (why["reason"], why["position"]) == ("devices_busy", 2)
        verdicts = {device["device_id"]: device["verdict"] for device in why["devices"]}
        assert verdicts["phone"] == "busy" and verdicts["disk"] == "unmet"
    assert cluster.client.cancel_task(blocker)
    assert cluster.wait(first).success and cluster.wait(second).success
