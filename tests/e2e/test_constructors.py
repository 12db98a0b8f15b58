"""Plugins whose constructors hang, fork, daemonise or close what their host needs, while they are probed or
when a host starts: each costs itself, nothing is left over, and the others work."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from harness.cluster import Cluster, Worker
from harness.programs import bin_dir, program
from harness.waiting import eventually
from test_sandbox import family, running, scratch_root

HOWS = ("hang", "fork", "daemon", "close")
WHENS = ("probe", "run")


@pytest.fixture(scope="module")
def drop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program("retire-cluster-worker")
    built = bin_dir().parent / "tests" / "constructor_plugins" / "constructors.so"
    if not built.exists():
        pytest.skip(f"skipped: {built} is missing; it is built with -DRC_BUILD_TESTS=ON")
    drop = tmp_path_factory.mktemp("constructors")
    drop.chmod(0o755)
    for when in WHENS:
        for how in HOWS:
            shutil.copy(built, drop / f"{when}-{how}.so")
    return drop


@pytest.fixture(scope="module")
def constructed(clusters: Callable[..., Cluster], drop: Path) -> Iterator[tuple[Cluster, Worker]]:
    if os.geteuid() != 0:
        pytest.skip(
            "skipped: what a constructor starts is only sure to be found under a user of its own: root"
        )
    cluster = clusters("constructors")
    worker = cluster.start_worker("constructed", "--plugin-dir", str(drop), "--sandbox", "basic", slots=2)
    # The one that hangs takes its 10 s.
    eventually(lambda: "constructed" in cluster.client.get_online_devices(), "the worker joins", 60)
    yield cluster, worker
    root = scratch_root(worker)
    cluster.remove(worker)
    assert not root.exists(), "no file is left"
    assert not any(running(file) for file in drop.glob("*.so")), "no process is left"


def device(cluster: Cluster) -> dict[str, Any]:
    return cluster.client.get_device_capabilities("constructed")


@pytest.mark.parametrize(
    "how, why",
    [("hang", "did not say what it offers within the time allowed"), ("close", "died while it was loaded")],
)
def test_one_that_cannot_be_probed_is_refused(
    constructed: tuple[Cluster, Worker], drop: Path, how: str, why: str
) -> None:
    cluster, _ = constructed
    refused = [
        line for line in cluster.client.get_devices()[0]["refused_plugins"] if f"probe-{how}.so" in line
    ]
    assert len(refused) == 1 and why in refused[0], refused
    assert f"probe-{how}" not in device(cluster)["handlers"]
    assert not running(drop / f"probe-{how}.so")


@pytest.mark.parametrize("how", ["fork", "daemon"])
def test_what_a_probe_starts_ends_with_it(constructed: tuple[Cluster, Worker], drop: Path, how: str) -> None:
    cluster, _ = constructed
    assert f"probe-{how}" in device(cluster)["handlers"]
    assert not running(drop / f"probe-{how}.so")
    assert cluster.run(f"probe-{how}", None, max_retries=0).status.value == "success"


# What becomes of the attempt, and what its error says. The one that hangs is killed after a minute.
STARTS = {
    "hang": ("failed", "did not begin with it in time"),
    "fork": ("success", ""),
    "daemon": ("success", ""),
    "close": ("failed", "handler process died"),
}


@pytest.mark.parametrize("how", STARTS)
def test_one_that_harms_its_host_costs_its_attempt(
    constructed: tuple[Cluster, Worker], drop: Path, how: str
) -> None:
    cluster, worker = constructed
    status, message = STARTS[how]
    task = cluster.submit(f"run-{how}", None, max_retries=0)
    others = [cluster.submit("echo", n) for n in range(20)]
    assert {r.status.value for r in cluster.client.wait_many(others, 60)} == {"success"}
    result = cluster.client.wait_many([task], 150)[0]
    assert result.status.value == status, result.error_message
    assert message in (result.error_message or "")
    assert worker.alive

    def nothing_is_left() -> bool:
        hosts = running(drop / f"run-{how}.so")
        # One that serves on, and its supervisor.
        return hosts <= family(worker.pid) and len(hosts) <= (2 if status == "success" else 0)

    eventually(nothing_is_left, "what it started is gone")
