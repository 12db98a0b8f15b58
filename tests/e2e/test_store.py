"""The store of a real main: backup, verification and compaction while it runs and when it does not, what a
restored backup is, and the end of a main whose disk fails."""

from __future__ import annotations

import json
import os
import resource
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import pytest
from retire_cluster.tasks import Task

from harness.cluster import Cluster, Main
from harness.process import Ran
from harness.waiting import eventually

BACKUP_EPOCHS = 1024


@pytest.fixture
def cluster(own_cluster: Callable[..., Cluster]) -> Cluster:
    return own_cluster("--heartbeat-interval", "0.3")


def data_dir(cluster: Cluster) -> Path:
    return cluster.main.home / "data"


def store(cluster: Cluster, verb: str, *arguments: str) -> Ran:
    return cluster.cli("retire-cluster", "store", verb, *arguments, "--data-dir", str(data_dir(cluster)))


def done(ran: Ran) -> str:
    assert ran.status == 0, ran.stderr
    return ran.stdout


def refused(ran: Ran, status: int, *says: str) -> None:
    assert ran.status == status, (ran.stdout, ran.stderr)
    assert ran.stdout == ""
    assert len(ran.stderr.splitlines()) == 1, ran.stderr
    for word in says:
        assert word in ran.stderr


def start_on(cluster: Cluster, directory: Path) -> None:
    """main anew, on the same port, with this data directory."""
    home = directory.parent
    assert directory.name == "data"
    cluster.main = Main(home, "--heartbeat-interval", "0.3", port=cluster.main.port)


def test_a_backup_under_load_has_what_was_acknowledged_before(cluster: Cluster, tmp_path: Path) -> None:
    cluster.worker("runs", slots=2)
    finished = cluster.submit("echo", "finished")
    result = cluster.wait(finished)
    acknowledged: list[str] = []
    stop = threading.Event()

    def load() -> None:
        client = cluster.new_client()
        while not stop.is_set():
            acknowledged.extend(client.submit_tasks([Task("no_such_type", "x" * 500) for _ in range(200)]))

    loader = threading.Thread(target=load)
    loader.start()
    try:
        eventually(lambda: len(acknowledged) > 2_000, "some load")
        before = list(acknowledged)
        said = done(store(cluster, "backup", str(tmp_path / "backup")))
        eventually(lambda: len(acknowledged) > len(before) + 200, "main goes on")
    finally:
        stop.set()
        loader.join()
    assert f"--data-dir {tmp_path / 'backup'}" in said
    assert "whole" in done(store(cluster, "verify", str(tmp_path / "backup")))
    run = int((data_dir(cluster) / "epoch").read_text())
    assert int((tmp_path / "backup" / "epoch").read_text()) == run + BACKUP_EPOCHS

    assert cluster.main.stop() == 0
    (tmp_path / "restored").mkdir()
    (tmp_path / "backup").rename(tmp_path / "restored" / "data")
    start_on(cluster, tmp_path / "restored" / "data")
    cluster.main.line(rf"\(run {run + BACKUP_EPOCHS + 1}\): the last main stopped in order")
    assert cluster.wait(finished) == result
    for task_id in before:
        assert cluster.status(task_id) == "queued", task_id
    # And it is a main like any other.
    assert cluster.run("echo", "on the copy").success


def test_attempts_of_a_restored_backup_are_none_of_the_former_main(cluster: Cluster, tmp_path: Path) -> None:
    """One runs while the backup is made, and is taken up; others are handed out afterwards."""
    cluster.worker("runs", "--allow", "command", "--sandbox", "off")
    gate, runs = tmp_path / "gate", tmp_path / "runs"
    task_id = cluster.submit(
        "command", {"command": f"echo run >> {runs}; until test -e {gate}; do sleep 0.02; done"}
    )
    cluster.until(task_id, "running")
    (tmp_path / "restored").mkdir()
    done(store(cluster, "backup", str(tmp_path / "restored" / "data")))
    # The former main goes on and hands out attempts that the copy knows nothing of.
    later = cluster.submit("command", {"command": f"until test -e {gate}; do sleep 0.02; done"})
    cluster.main.kill()
    start_on(cluster, tmp_path / "restored" / "data")
    gate.touch()
    assert cluster.wait(task_id).success
    assert runs.read_text() == "run\n", "what the backup knew as running went on"
    assert cluster.status(later) is None, "submitted after the backup"
    assert cluster.run("echo", 1).success


def test_verify_and_compact_while_main_runs_and_when_not(cluster: Cluster) -> None:
    ids = [cluster.submit("no_such_type", n) for n in range(20)]
    figures = json.loads(done(store(cluster, "verify", "--json")))
    assert figures["records"] >= 20 and figures["batches"] >= 1
    assert "bytes before" in done(store(cluster, "compact"))
    cluster.main.kill()
    assert json.loads(done(store(cluster, "verify", "--json")))["closed_in_order"] == 0
    assert "it was not closed in order" in done(store(cluster, "verify"))
    compacted = json.loads(done(store(cluster, "compact", "--json")))
    assert compacted["bytes_before"] > 0 and compacted["bytes_after"] > 0
    assert "not closed in order" not in done(store(cluster, "verify"))
    start_on(cluster, data_dir(cluster))
    assert [cluster.status(task_id) for task_id in ids] == ["queued"] * 20


def test_a_backup_of_a_stopped_store(cluster: Cluster, tmp_path: Path) -> None:
    task_id = cluster.submit("no_such_type", 1)
    cluster.main.kill()
    (tmp_path / "copy").mkdir()
    done(store(cluster, "backup", str(tmp_path / "copy" / "data")))
    shutil.rmtree(data_dir(cluster))
    start_on(cluster, tmp_path / "copy" / "data")
    assert cluster.status(task_id) == "queued"


def test_what_is_in_the_way_is_named(cluster: Cluster, tmp_path: Path) -> None:
    for running in (True, False):
        if not running:
            cluster.main.kill()
        (tmp_path / "there").mkdir(exist_ok=True)
        refused(store(cluster, "backup", str(tmp_path / "there")), 1, "there", "is there already")
        refused(
            store(cluster, "backup", str(tmp_path / "no" / "copy")), 1, f"{tmp_path / 'no'} is no directory"
        )
        refused(store(cluster, "backup", str(data_dir(cluster) / "store" / "copy")), 1, "in the store itself")
    assert list((tmp_path / "there").iterdir()) == []
    elsewhere = ("--data-dir", str(tmp_path / "nowhere"))
    for verb in (("verify",), ("compact",), ("backup", str(tmp_path / "copy"))):
        refused(cluster.cli("retire-cluster", "store", *verb, *elsewhere), 3, "nowhere")
    (tmp_path / "empty").mkdir()
    refused(
        cluster.cli("retire-cluster", "store", "verify", str(tmp_path / "empty")), 3, "there is no store in"
    )
    assert list((tmp_path / "empty").iterdir()) == []
    assert cluster.cli("retire-cluster", "store", "backup").status == 2
    assert cluster.cli("retire-cluster", "store").status == 2
    assert cluster.cli("retire-cluster", "store", "restore").status == 2


def test_a_main_without_a_store_has_none_to_look_after(own_cluster: Callable[..., Cluster]) -> None:
    refused(store(own_cluster("--store", "memory:"), "verify"), 3, "there is no store in")


def test_a_damaged_store_is_named_and_refused(cluster: Cluster, tmp_path: Path) -> None:
    for n in range(50):
        cluster.submit("no_such_type", ["x" * 1000, n])
    assert cluster.main.stop() == 0
    data = max((data_dir(cluster) / "store").glob("*.sst"), key=lambda path: path.stat().st_size)
    with open(data, "r+b") as file:
        file.seek(5_000)
        byte = file.read(1)[0]
        file.seek(5_000)
        file.write(bytes([byte ^ 1]))
    refused(store(cluster, "verify"), 1, "is damaged", data.name)


def test_a_disk_that_fails_ends_main_in_one_line(cluster: Cluster) -> None:
    """A limit on the size of its files stands for the disk: the write fails in the midst of a batch."""
    kept = [cluster.submit("no_such_type", n) for n in range(10)]
    logs = len(cluster.main.stderr.splitlines())
    resource.prlimit(cluster.main.pid, resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    with ThreadPoolExecutor() as threads:
        client = cluster.new_client()
        waits = threads.submit(client.submit_task, Task("no_such_type", "x" * (3 << 20)))
        assert cluster.main.ended() == 1
        said = [
            line
            for line in cluster.main.stderr.splitlines()[logs:]
            if line.startswith("retire-cluster-main: ")
        ]
        assert len(said) == 1, cluster.main.stderr
        assert "cannot write" in said[0] and os.strerror(27) in said[0], said[
            0
        ]  # EFBIG, with the file's name
        assert "Aborted" not in cluster.main.stderr and "Assertion" not in cluster.main.stderr
        # Started again, it has what was acknowledged; the client that was not answered sends once more.
        start_on(cluster, data_dir(cluster))
        task_id = waits.result()
    assert cluster.status(task_id) == "queued"
    assert [cluster.status(kept_id) for kept_id in kept] == ["queued"] * 10


def test_what_is_paused_stays_paused(cluster: Cluster) -> None:
    cluster.worker("runs")
    assert cluster.cli("retire-cluster", "queue", "pause", "--type", "echo").status == 0
    cluster.main.kill()
    start_on(cluster, data_dir(cluster))
    cluster.main.line(r"still paused, since before this start: echo$")
    waits = cluster.submit("echo", 1)
    assert cluster.client.explain(waits)["reason"] == "paused"
    assert cluster.cli("retire-cluster", "queue", "resume", "--type", "echo").status == 0
    assert cluster.wait(waits).success
