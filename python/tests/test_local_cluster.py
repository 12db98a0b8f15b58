"""LocalCluster's failures, with programs that are small scripts."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fake_main import FakeMain, eventually
from retire_cluster import LocalCluster
from retire_cluster.errors import ProgramError
from retire_cluster.programs import Program, find_program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a stand-in program in $RETIRE_CLUSTER_BIN_DIR from the lines of a shell script."""
    monkeypatch.setenv("RETIRE_CLUSTER_BIN_DIR", str(tmp_path))

    def make(name: str, script: str) -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make


def test_program_is_found_where_the_variable_says_and_nowhere_else(programs: Any, tmp_path: Path) -> None:
    path = programs("retire-cluster-main", "")
    assert find_program("retire-cluster-main") == str(path)
    with pytest.raises(ProgramError, match=str(tmp_path)):
        find_program("sh")


def test_program_is_found_on_path_and_then_in_the_newest_build(
    programs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RETIRE_CLUSTER_BIN_DIR")
    for name in ("CMakeLists.txt", "CMakePresets.json"):
        (tmp_path / name).touch()
    for age, preset in enumerate(("old", "new")):
        path = tmp_path / "build" / preset / "bin" / "rc-stand-in"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (age, age))
    monkeypatch.chdir(path.parent)
    assert find_program("rc-stand-in") == str(path)
    on_path = programs("rc-stand-in", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("rc-stand-in") == str(on_path)
    with pytest.raises(ProgramError, match="cmake"):
        find_program("rc-nosuch")


def test_missing_program_is_an_error_and_leaves_nothing(programs: Any) -> None:
    with pytest.raises(ProgramError, match="no retire-cluster-main"):
        LocalCluster(workers=0).start()


def test_program_that_ends_is_an_error_with_its_last_words(programs: Any) -> None:
    programs("retire-cluster-main", "echo 'port 1 is in use' >&2; exit 3")
    with pytest.raises(ProgramError, match=r"(?s)exit status 3.*port 1 is in use"):
        LocalCluster(workers=0).start()


def test_program_that_says_nothing_is_late_and_ended(programs: Any, tmp_path: Path) -> None:
    programs("retire-cluster-main", f"echo $$ > {tmp_path}/pid; exec sleep 600")
    with pytest.raises(ProgramError, match="in time"):
        LocalCluster(workers=0, timeout=0.5).start()
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_worker_that_ends_is_an_error_with_its_last_words(programs: Any, main: FakeMain) -> None:
    def devices(peer: bytes, message: Any) -> bool:
        if message.type == "devices":
            main._send(peer, "device_list", message.correlation, {"devices": []})
        return bool(message.type == "devices")

    main.hook = devices
    programs("retire-cluster-main", f"echo listening on tcp://{main.address}; exec sleep 600")
    programs("retire-cluster-worker", 'echo "cannot join $1" >&2; exit 4')
    cluster = LocalCluster(workers=1)
    with pytest.raises(
        ProgramError, match=rf"(?s)retire-cluster-worker ended.*cannot join --join={main.address}"
    ):
        cluster.start()
    with pytest.raises(ProgramError, match="not running"):
        cluster.scheduler.get_cluster_statistics()


def test_program_that_will_not_end_is_killed(programs: Any) -> None:
    programs("stubborn", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    program = Program("stubborn", [])
    try:
        program.wait_for_line("ready", time.monotonic() + 10)
    finally:
        program.stop(timeout=0.2)
    assert not program.running
    program.stop()


def test_chatty_program_is_not_held_up(programs: Any) -> None:
    programs(
        "chatty",
        "head -c 300000 /dev/zero | tr '\\0' 'x' >&2; echo; echo last >&2; echo ready; exec sleep 600",
    )
    program = Program("chatty", [])
    try:
        program.wait_for_line("ready", time.monotonic() + 10)
        assert eventually(program.last_lines)[-1].endswith("last")
    finally:
        program.stop()


@pytest.mark.parametrize("workers", [-1, 1.5, "2", True])
def test_what_is_no_number_of_workers_is_refused(workers: Any) -> None:
    with pytest.raises(ValueError, match="workers is"):
        LocalCluster(workers)


def test_cluster_that_does_not_run_says_so() -> None:
    with pytest.raises(ProgramError, match="not running"):
        assert LocalCluster().main
    LocalCluster().stop()
