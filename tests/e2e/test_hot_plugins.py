"""Plugins come, change and go while a worker runs."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Callable

import pytest

from retire_cluster.tasks import Task

from harness.cluster import Cluster, Worker
from harness.plugins import (
    Workshop,
    device,
    offers,
    sha256_of,
    until_offered,
    until_refused,
    until_withdrawn,
)
from harness.waiting import eventually

Start = Callable[..., Cluster]


@pytest.fixture
def start(own_cluster: Callable[..., Cluster], workshop: Workshop) -> Start:
    def run(slots: int = 1, *flags: str) -> Cluster:
        cluster = own_cluster()
        cluster.worker(
            "hot", "--plugin-dir", str(workshop.drop), "--allow-path", str(workshop.open), *flags, slots=slots
        )
        return cluster

    return run


def worker_of(cluster: Cluster) -> Worker:
    (worker,) = cluster.workers
    assert worker.alive
    return worker


def test_a_plugin_that_is_dropped_in_is_offered_and_one_that_is_removed_withdrawn(
    start: Start, workshop: Workshop
) -> None:
    cluster = start()
    assert not offers(cluster)
    early = cluster.submit("versioned")  # before anybody can run it
    file = workshop.put(workshop.build("1"))
    ran = cluster.wait(early)
    assert (ran.result_data, ran.plugin) == ("1", f"versioned 1 sha256:{sha256_of(file)}")
    assert offers(cluster) and offers(cluster, "echo")
    assert f"{ran.plugin} {file}" in device(cluster)["plugins"]
    assert str(ran.plugin) in cluster.cli("retire-cluster", "device", "show", "hot").stdout
    file.unlink()
    until_withdrawn(cluster)
    late = cluster.submit("versioned")
    eventually(lambda: cluster.client.explain(late)["reason"] == "no_handler", "nobody can run it")
    workshop.put(workshop.build("2"))
    assert cluster.wait(late).result_data == "2"
    lines = [line for line in worker_of(cluster).stderr.splitlines() if str(file) in line]
    assert ["is offered" in lines[0], "is withdrawn" in lines[1], "is offered" in lines[2]] == [True] * 3, (
        lines
    )


def test_a_replaced_plugin_serves_new_tasks_while_the_running_one_ends_on_the_old(
    start: Start, workshop: Workshop
) -> None:
    cluster = start(2)
    workshop.put(workshop.build("1"))
    until_offered(cluster)
    held = cluster.submit("versioned", "hold")
    cluster.until(held, "running")
    workshop.put(workshop.build("2"))
    eventually(lambda: cluster.run("versioned").result_data == "2", "new tasks run on the new code")
    assert cluster.status(held) == "running"
    workshop.release()
    old, new = cluster.wait(held), cluster.run("versioned")
    assert (old.result_data, new.result_data) == ("1", "2")
    for result, version in ((old, "1"), (new, "2")):
        assert result.plugin == f"versioned {version} sha256:{sha256_of(workshop.build(version))}"
        task = cluster.client.get_task(result.task_id)
        assert task is not None and task.result is not None and task.result.plugin == result.plugin


def test_replaced_under_load_no_task_is_lost(start: Start, workshop: Workshop) -> None:
    cluster = start(2)
    workshop.put(workshop.build("1"))
    until_offered(cluster)
    client = cluster.new_client()
    ids: list[str] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set() and len(ids) < 200_000:
            batch = client.submit_tasks([Task("versioned", None) for _ in range(200)])
            ids.extend(batch)
            client.wait_many(batch, timeout=120)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for version in ("2", "3", "4"):
            workshop.put(workshop.build(version))
            eventually(
                lambda version=version: cluster.run("versioned").result_data == version,
                f"version {version} runs",
            )
    finally:
        stop.set()
        thread.join(180)
    assert not thread.is_alive()
    results = client.wait_many(ids, timeout=120)
    hashes: dict[Path, str] = {}
    assert {result.status.value for result in results} == {"success"}
    assert {result.result_data for result in results} >= {"1", "4"}
    for result in results:
        built = workshop.build(str(result.result_data))
        assert (
            result.plugin
            == f"versioned {result.result_data} sha256:{hashes.setdefault(built, sha256_of(built))}"
        )
    assert len(results) == len(ids) and len(ids) >= 400
    worker_of(cluster)


def test_what_a_removed_plugin_had_not_begun_waits_for_it_and_loses_nothing(
    start: Start, workshop: Workshop
) -> None:
    cluster = start()
    file = workshop.put(workshop.build("1"))
    until_offered(cluster)
    held = cluster.submit("versioned", "hold")
    cluster.until(held, "running")
    waiting = [cluster.submit("versioned") for _ in range(5)]
    file.unlink()
    until_withdrawn(cluster)
    for task in waiting:
        cluster.until(task, "queued")
    workshop.release()
    assert cluster.wait(held).result_data == "1", "what runs may end"
    assert {cluster.status(task) for task in waiting} == {"queued"}
    workshop.put(workshop.build("2"))
    for task in waiting:
        assert cluster.wait(task).result_data == "2"
        assert cluster.client.get_task(task).retry_count == 0


def test_a_file_that_is_written_slowly_is_taken_when_it_is_complete(start: Start, workshop: Workshop) -> None:
    cluster = start()
    file = workshop.put(workshop.build("1"))
    until_offered(cluster)
    held = cluster.submit("versioned", "hold")
    cluster.until(held, "running")  # its host has the file's old bytes, which are written over now
    new = workshop.build("2").read_bytes()
    with open(file, "r+b") as writer:
        writer.truncate(0)
        writer.write(new[: len(new) // 2])
        writer.flush()
        workshop.put(workshop.build("1", 'TYPE="second"'), "second.so")
        until_offered(cluster, "second")  # so the worker has looked at both
        assert offers(cluster) and device(cluster).get("refused_plugins", []) == []
        writer.write(new[len(new) // 2 :])
    workshop.release()
    assert cluster.wait(held).result_data == "1"
    eventually(lambda: cluster.run("versioned").result_data == "2", "the whole file is used")
    assert [
        line for line in worker_of(cluster).stderr.splitlines() if "warn" in line and str(file) in line
    ] == []


def test_half_a_file_is_refused_until_the_rest_comes(start: Start, workshop: Workshop) -> None:
    cluster = start()
    whole = workshop.build("1").read_bytes()
    file = workshop.drop / "versioned.so"
    file.write_bytes(whole[: len(whole) // 2])
    until_refused(cluster, file)
    with open(file, "ab") as writer:
        writer.write(whole[len(whole) // 2 :])
    until_offered(cluster)
    assert cluster.run("versioned").result_data == "1"
    eventually(lambda: device(cluster).get("refused_plugins", []) == [], "nothing is refused any more")


def test_a_replacement_that_is_refused_leaves_the_old_one_at_work(start: Start, workshop: Workshop) -> None:
    cluster = start()
    file = workshop.put(workshop.build("1"))
    until_offered(cluster)
    workshop.put(workshop.build("2", "DIES_AT_LOAD"))
    refusal = until_refused(cluster, file)
    assert "SIGABRT" in refusal and "no way to live here" in refusal and "stays in use" in refusal
    assert cluster.run("versioned").result_data == "1"


def break_mode(workshop: Workshop) -> Path:
    file = workshop.put(workshop.build("1"), "broken.so")
    file.chmod(0o777)
    return file


def break_link(workshop: Workshop) -> Path:
    (workshop.drop / "broken.so").symlink_to(workshop.build("1"))
    return workshop.drop / "broken.so"


def break_text(workshop: Workshop) -> Path:
    file = workshop.drop / "broken.so"
    file.write_text("this is no shared library\n")
    return file


BROKEN: dict[str, tuple[Callable[[Workshop], Path], str]] = {
    "writable by everybody": (break_mode, "writable by everybody"),
    "a link that leads out": (break_link, "leads out of its directory"),
    "no library": (break_text, "not a shared library"),
    "another ABI": (lambda w: w.put(w.build("1", "ABI=99"), "broken.so"), "ABI 99"),
    "dies in its constructor": (lambda w: w.put(w.build("1", "DIES_AT_LOAD"), "broken.so"), "SIGABRT"),
    "a bad name": (lambda w: w.put(w.build("1", 'TYPE="No Name"'), "broken.so"), "No Name"),
}


def test_what_is_refused_is_said_once_shown_and_forgotten_when_it_goes(
    start: Start, workshop: Workshop
) -> None:
    cluster = start()
    worker = worker_of(cluster)
    pid = worker.pid
    for what, (make, reason) in BROKEN.items():
        before = len(worker.stderr.splitlines())
        file = make(workshop)
        assert reason in until_refused(cluster, file), what
        shown = cluster.cli("retire-cluster", "device", "show", "hot")
        assert str(file) in shown.stdout, what
        # The built-in ones work on, and another plugin can come.
        assert cluster.run("echo", what).result_data == {"echo": what}
        file.unlink()
        eventually(lambda: device(cluster).get("refused_plugins", []) == [], f"{what}: forgotten")
        lines = [line for line in worker.stderr.splitlines()[before:] if "warn" in line and str(file) in line]
        assert len(lines) == 1, (what, lines)
    workshop.put(workshop.build("1"))
    until_offered(cluster)
    assert worker.alive and worker.pid == pid


def test_a_directory_that_is_replaced_is_looked_into_anew(start: Start, workshop: Workshop) -> None:
    cluster = start()
    workshop.put(workshop.build("1"))
    until_offered(cluster)
    away = workshop.drop.with_name("away")
    workshop.drop.rename(away)
    until_withdrawn(cluster)
    workshop.drop.mkdir(mode=0o755)
    workshop.put(workshop.build("2"))
    until_offered(cluster)
    assert cluster.run("versioned").result_data == "2"
    (away / "other.so").write_text("nobody looks here any more")
    assert device(cluster).get("refused_plugins", []) == []


def test_rules_hold_for_what_comes_later(start: Start, workshop: Workshop) -> None:
    cluster = start(1, "--deny", "denied")
    workshop.put(workshop.build("1", 'TYPE="denied"'), "denied.so")
    workshop.put(workshop.build("1"))
    until_offered(cluster)
    assert not offers(cluster, "denied")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_plugin_of_another_compiler_loads(start: Start, workshop: Workshop, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    cluster = start()
    workshop.put(workshop.build("1", compiler=compiler))
    until_offered(cluster)
    assert cluster.run("versioned").result_data == "1"
