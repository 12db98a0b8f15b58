"""Devices that pause by their owner's rules: what runs ends, what does not run goes elsewhere, and it is said why.

The worker reads the machine's files below a directory of the test's own.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Callable

import pytest

from harness.cluster import QUICK_LOSS, Cluster, Main
from harness.process import run
from harness.waiting import eventually

TERMUX = "data/data/com.termux/files/usr/bin/termux-battery-status"


class System:
    """The files in which a system tells of itself."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(path.name + ".new")
        draft.write_text(text)
        draft.chmod(mode)
        draft.replace(path)  # never seen half written

    def battery(self, percent: int, status: str = "Discharging") -> None:
        self.write("sys/class/power_supply/BAT0/type", "Battery\n")
        self.write("sys/class/power_supply/BAT0/capacity", f"{percent}\n")
        self.write("sys/class/power_supply/BAT0/status", f"{status}\n")

    def temperature(self, celsius: float) -> None:
        self.write("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n")
        self.write("sys/class/thermal/thermal_zone0/temp", f"{round(celsius * 1000)}\n")

    def load(self, load: float) -> None:
        self.write("proc/loadavg", f"{load} 0.10 0.10 1/100 1000\n")

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--system-root", str(self.root), "--duty-interval", "0.05")


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path / "system")


@pytest.fixture
def cluster(own_cluster: Callable[..., Cluster]) -> Cluster:
    return own_cluster("--heartbeat-interval", "0.5")


def state(cluster: Cluster, device_id: str) -> tuple[str, str]:
    devices = {d["device_id"]: d for d in cluster.client.get_devices()}
    device = devices.get(device_id, {"state": "unknown", "state_reason": ""})
    return device["state"], device["state_reason"] or ""


def until(cluster: Cluster, device_id: str, wanted: str) -> str:
    eventually(lambda: state(cluster, device_id)[0] == wanted, f"{device_id} is {wanted}")
    return state(cluster, device_id)[1]


def test_low_battery_finishes_what_runs_and_gives_the_rest_away(
    cluster: Cluster, system: System, tmp_path: Path
) -> None:
    system.battery(80)
    gate = tmp_path / "gate"
    open_flags = ("--allow", "command", "--sandbox", "off")  # for the gate
    laptop = cluster.worker("laptop", *open_flags, "--pause-on-battery=50%", *system.flags)
    running = cluster.submit("command", {"command": f"until test -e {gate}; do sleep 0.02; done; echo done"})
    cluster.until(running, "running")
    waiting = [cluster.submit("echo", n) for n in range(20)]

    system.battery(49)
    assert until(cluster, "laptop", "paused") == "on battery at 49 %, wants 50 %"
    laptop.line(r"paused: on battery at 49 %, wants 50 %; 1 tasks run to their end")
    why = cluster.client.explain(waiting[-1])
    assert why["reason"] == "devices_paused"
    assert [(d["verdict"], d["state_reason"]) for d in why["devices"]] == [
        ("paused", "on battery at 49 %, wants 50 %")
    ]
    shown = cluster.cli("retire-cluster-status", "--why", waiting[-1])
    assert "paused" in shown.stdout and "on battery at 49 %, wants 50 %" in shown.stdout
    shown = cluster.cli("retire-cluster", "device", "show", "laptop")
    assert "on battery at 49 %, wants 50 %" in shown.stdout
    shown = cluster.cli("retire-cluster", "device", "list", "--json")
    assert "on battery at 49 %, wants 50 %" in shown.stdout
    shown = cluster.cli("retire-cluster", "device", "list")
    assert "laptop is paused: on battery at 49 %, wants 50 %" in shown.stdout

    cluster.worker("server")
    results = cluster.client.wait_many(waiting, 60)
    assert {result.worker_device_id for result in results} == {"server"}
    assert cluster.status(running) == "running"
    gate.touch()
    result = cluster.wait(running)
    assert (result.status.value, result.worker_device_id) == ("success", "laptop")
    assert all(cluster.client.get_task(one).retry_count == 0 for one in [*waiting, running])


def test_it_goes_on_when_the_level_is_well_above_again(cluster: Cluster, system: System) -> None:
    system.battery(30)
    cluster.start_worker("phone", "--pause-on-battery=50%", *system.flags)
    assert until(cluster, "phone", "paused") == "on battery at 30 %, wants 50 %"
    task = cluster.submit("echo", "x")
    system.battery(52)
    eventually(lambda: state(cluster, "phone")[1] == "on battery at 52 %, wants 50 %", "new words for it")
    assert cluster.status(task) == "queued"
    system.battery(55)
    assert cluster.wait(task).worker_device_id == "phone"
    assert state(cluster, "phone") == ("online", "")


def test_without_a_level_it_pauses_whenever_it_runs_on_battery(cluster: Cluster, system: System) -> None:
    system.battery(100, "Full")
    cluster.worker("laptop", "--pause-on-battery", *system.flags)
    assert cluster.run("echo", 1).result_data == {"echo": 1}
    system.battery(99)
    assert until(cluster, "laptop", "paused") == "on battery at 99 %"


def test_a_phone_is_asked_by_its_program(cluster: Cluster, system: System) -> None:
    recorded = Path(__file__).parents[1] / "unit/sensors/recorded/phone/termux-battery-status.json"
    system.write(TERMUX, f"#!/bin/sh\ncat {recorded}\n", 0o755)
    cluster.start_worker("phone", "--pause-on-battery=50%", *system.flags)
    assert until(cluster, "phone", "paused") == "on battery at 41 %, wants 50 %"


def test_a_hot_device_cools_down(cluster: Cluster, system: System) -> None:
    system.temperature(60)
    cluster.worker("hot", "--max-temperature", "75", *system.flags)
    assert cluster.run("echo", 1).result_data == {"echo": 1}
    system.temperature(80.5)
    assert until(cluster, "hot", "paused") == "at 80.5 °C, at most 75 °C wanted"
    system.temperature(70)
    until(cluster, "hot", "online")


def test_the_load_of_others_pauses(cluster: Cluster, system: System) -> None:
    system.load(0.5)
    cluster.worker("shared", "--max-load", "2", *system.flags)
    assert cluster.run("echo", 1).result_data == {"echo": 1}
    system.load(4)
    assert until(cluster, "shared", "paused") == "load 4 of other programs, at most 2 wanted"
    system.load(1)
    until(cluster, "shared", "online")


def hours(from_now: int, to_now: int) -> str:
    """Work hours from and to so many hours from now."""
    now = time.localtime()
    return "-".join(f"{(now.tm_hour + hours) % 24:02}:{now.tm_min:02}" for hours in (from_now, to_now))


def test_outside_its_work_hours_it_is_paused(cluster: Cluster) -> None:
    span = hours(6, 8)
    cluster.start_worker("night", "--work-hours", span)
    assert until(cluster, "night", "paused") == f"outside its work hours, which begin {span[:5]}"
    cluster.worker("day", "--work-hours", hours(6, 8), "--work-hours", hours(-2, 2))
    assert cluster.run("echo", 1).worker_device_id == "day"


def test_a_rule_that_has_nothing_to_go_by_says_so(cluster: Cluster, system: System) -> None:
    worker = cluster.worker(
        "board", "--pause-on-battery", "--max-temperature", "70", "--max-load", "3", *system.flags
    )
    worker.line("--pause-on-battery has nothing to go by")
    worker.line("--max-temperature has nothing to go by")
    worker.line("--max-load has nothing to go by")
    assert cluster.run("echo", 1).worker_device_id == "board"


def test_a_main_that_was_restarted_is_told(own_cluster: Callable[..., Cluster], system: System) -> None:
    cluster = own_cluster(*QUICK_LOSS)
    system.battery(10)
    worker = cluster.start_worker("laptop", "--pause-on-battery=20%", *system.flags)
    until(cluster, "laptop", "paused")
    cluster.main.kill()
    cluster.main = Main(cluster.main.home, *QUICK_LOSS, port=cluster.main.port)
    assert until(cluster, "laptop", "paused") == "on battery at 10 %, wants 20 %"
    task = cluster.submit("echo", 1)
    system.battery(90)
    assert cluster.wait(task).worker_device_id == "laptop"
    assert worker.alive


@pytest.mark.parametrize(
    ("flag", "value", "wanted"),
    [
        ("--pause-on-battery", "101%", "a level such as 50%"),
        ("--pause-on-battery", "half", "a level such as 50%"),
        ("--pause-on-battery", "0", "a level such as 50%"),
        ("--work-hours", "22-06", "hours such as 22:00-06:00"),
        ("--work-hours", "Mo 22:00-06:00", "hours such as 22:00-06:00"),
        ("--max-load", "0", "number"),
        ("--max-temperature", "500", "number"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(tmp_path: Path, flag: str, value: str, wanted: str) -> None:
    ran = run("retire-cluster-worker", f"{flag}={value}", "--data-dir", str(tmp_path / "data"), home=tmp_path)
    assert ran.status == 2
    assert value in ran.stderr and wanted in ran.stderr


def test_the_rules_are_read_from_the_environment_and_a_file(cluster: Cluster, system: System) -> None:
    system.battery(30)
    file = cluster.home / "worker.toml"
    span = hours(6, 8)
    file.write_text(f'work-hours = ["Mon-Sun {span}"]\npause-on-battery = "always"\n')
    cluster.start_worker("filed", "--config", str(file), *system.flags)
    reason = until(cluster, "filed", "paused")
    assert reason == f"on battery at 30 %; outside its work hours, which begin {span[:5]}", json.dumps(reason)
