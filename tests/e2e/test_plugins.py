"""The example plugins, built outside of the tree against an installed package, and refused ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Callable

import pytest

from harness.cluster import Cluster
from harness.programs import ROOT, bin_dir, program
from harness.waiting import eventually


def execute(*command: str | Path) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Retire-Cluster is installed: the programs are there already, or their build is installed."""
    program("retire-cluster-worker")
    tree = bin_dir().parent
    if not (tree / "CMakeCache.txt").exists():
        return tree
    prefix = tmp_path_factory.mktemp("prefix")
    execute("cmake", "--install", tree, "--prefix", prefix)
    return prefix


@pytest.fixture(scope="module")
def plugin_dir(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin directory with both examples, and some files that are none."""
    work = tmp_path_factory.mktemp("plugins")
    drop = work / "drop"
    drop.mkdir(mode=0o755)
    for name in ("wordcount", "c_upper"):
        shutil.copytree(ROOT / "plugins" / "examples" / name, work / name)  # so nothing of the tree is near
        execute("cmake", "-S", work / name, "-B", work / name / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
        execute("cmake", "--build", work / name / "build")
        shutil.copy(work / name / "build" / f"{name}.so", drop)
    (drop / "text.so").write_text("this is no shared library\n")
    shutil.copy(drop / "c_upper.so", drop / "writable.so")
    os.chmod(drop / "writable.so", 0o777)
    return drop


@pytest.fixture(scope="module")
def cluster(clusters: Callable[..., Cluster], plugin_dir: Path) -> Cluster:
    cluster = clusters("main")
    cluster.worker("pluggable", "--plugin-dir", str(plugin_dir), slots=2)
    return cluster


def test_the_example_plugins_are_offered_beside_the_built_in_ones(cluster: Cluster) -> None:
    handlers = set(cluster.client.get_device_capabilities("pluggable")["handlers"])
    assert {"word_count", "slow_count", "echo", "sleep"} <= handlers


def test_an_example_plugin_in_cpp_runs(cluster: Cluster) -> None:
    result = cluster.run("word_count", {"text": "to be or not to be"})
    assert result.result_data == {"to": 2, "be": 2, "or": 1, "not": 1}
    refused = cluster.run("word_count", {"texts": ""})
    assert refused.status.value == "failed" and "texts" in refused.error_message
    assert cluster.client.get_task(refused.task_id).retry_count == 0


def test_an_example_plugin_logs_and_can_be_cancelled(cluster: Cluster) -> None:
    result = cluster.run("slow_count", {"to": 3, "delay": 0.001})
    assert result.result_data["counted"] == 3
    assert [line["message"] for line in result.logs if line["level"] == "info"] == ["counted to 3"]
    slow = cluster.submit("slow_count", {"to": 1_000_000, "delay": 0.05})
    cluster.until(slow, "running")
    assert cluster.client.cancel_task(slow)
    assert cluster.wait(slow).status.value == "cancelled"
    eventually(lambda: cluster.load("pluggable") == 0, "the slot is free again")


def test_an_example_plugin_in_c_runs(cluster: Cluster, plugin_dir: Path) -> None:
    (task_type,) = {
        kind for kind in cluster.client.get_device_capabilities("pluggable")["handlers"] if "upper" in kind
    }
    result = cluster.run(task_type, "shout")
    assert (result.status.value, result.result_data) == ("success", "SHOUT")


def test_refused_files_are_named_in_the_log_and_in_the_device(cluster: Cluster, plugin_dir: Path) -> None:
    (worker,) = cluster.workers
    for name in ("text.so", "writable.so"):
        lines = [line for line in worker.stderr.splitlines() if str(plugin_dir / name) in line]
        assert len(lines) == 1 and "warn" in lines[0], lines
    (device,) = cluster.client.get_devices()
    refused = sorted(device["refused_plugins"])
    assert len(refused) == 2
    assert str(plugin_dir / "text.so") in refused[0] and str(plugin_dir / "writable.so") in refused[1]
    shown = cluster.cli("retire-cluster", "device", "show", "pluggable")
    assert shown.status == 0 and "text.so" in shown.stdout and "writable.so" in shown.stdout


def test_the_installed_programs_work_where_they_are(prefix: Path, clusters: Callable[..., Cluster]) -> None:
    """They find plugins and handler host relative to themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETIRE_CLUSTER_BIN_DIR", str(prefix / "bin"))
        cluster = clusters("installed")
        cluster.worker("installed")
        assert cluster.run("echo", "from the prefix").result_data == {"echo": "from the prefix"}
        ran = cluster.cli("retire-cluster", "submit", "echo", "1", "--wait")
        assert (ran.status, json.loads(ran.stdout)) == (0, {"echo": 1}), ran.stderr
