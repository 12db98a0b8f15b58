"""retire-cluster-status and the verbs of retire-cluster: outputs and exit statuses."""

from __future__ import annotations

import json
import re
import signal
from typing import Any, Callable

import pytest

from harness.cluster import Cluster
from harness.process import Process, Ran
from harness.waiting import eventually

UNKNOWN = "00000000-0000-4000-8000-000000000000"
TASK_KEYS = [
    "task_id",
    "task_type",
    "payload",
    "priority",
    "requirements",
    "metadata",
    "group",
    "status",
    "reason",
    "created_at",
    "assigned_device_id",
    "assigned_at",
    "started_at",
    "completed_at",
    "retry_count",
    "error_history",
    "result",
]
CAPABILITY_KEYS = {
    "device_id",
    "role",
    "platform",
    "arch",
    "cpu_count",
    "memory_total_gb",
    "storage_total_gb",
    "has_gpu",
    "has_internet",
    "tags",
    "handlers",
    "slots",
    "version",
}
STATUSES = {"pending", "queued", "assigned", "running", "success", "failed", "cancelled", "timeout"}


@pytest.fixture(scope="module")
def cluster(clusters: Callable[..., Cluster]) -> Cluster:
    cluster = clusters("main")
    phone = ("--platform", "android", "--role", "mobile", "--memory-gb", "4")
    cluster.joined(
        cluster.start_worker("phone", *phone),
        cluster.start_worker("server", "--role", "compute", "--memory-gb", "16", "--tag", "rack", slots=3),
    )
    for n in range(3):
        assert cluster.run("echo", n).success
    assert not cluster.run("sleep", {"duration": -1}).success
    return cluster


@pytest.fixture(scope="module")
def stuck(cluster: Cluster) -> str:
    """A task that waits for more memory than there is."""
    return cluster.submit("echo", "stuck", min_memory_gb=64, required_platform="linux")


def status(cluster: Cluster, *arguments: str) -> Ran:
    return cluster.cli("retire-cluster-status", *arguments)


def tool(cluster: Cluster, *arguments: str) -> Ran:
    return cluster.cli("retire-cluster", *arguments)


def shown(ran: Ran) -> str:
    assert (ran.status, ran.stderr) == (0, ""), ran
    assert ran.stdout.endswith("\n")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", ran.stdout), "no escape codes when it is no terminal"
    return ran.stdout


def document(ran: Ran) -> Any:
    return json.loads(shown(ran))


def refused(ran: Ran, exit_status: int, *words: str) -> None:
    line = ran.error_line()
    assert ran.status == exit_status, (ran.status, line)
    assert ran.stdout == ""
    for word in words:
        assert word in line, line


def table(text: str) -> list[dict[str, str]]:
    """The rows of a table by their column; every column begins where its head does."""
    head, *rows = text.splitlines()
    names = re.findall(r"\S+(?: \S+)*", head)
    assert names == [name.upper() for name in names]
    cells = [re.split(r"\s{2,}", row.strip()) for row in rows]
    assert all(len(row) == len(names) for row in cells), text
    return [dict(zip(names, row)) for row in cells]


# -- without a flag


def test_the_overview_tells_devices_slots_and_tasks(cluster: Cluster, stuck: str) -> None:
    text = shown(status(cluster))
    assert "2 online of 2" in text and "0 of 4 in use" in text
    assert "3 success" in text and "1 failed" in text and "1 queued" in text
    assert "no_device_matches" in text
    assert "phone" in text and "server" in text
    assert cluster.address in text
    assert max(map(len, text.splitlines())) <= 160


def test_the_address_can_be_an_argument(cluster: Cluster) -> None:
    assert "2 online" in shown(cluster.cli("retire-cluster-status", cluster.address, address="127.0.0.1:1"))


def test_the_overview_as_json_is_the_cluster_statistics(cluster: Cluster, stuck: str) -> None:
    statistics = document(status(cluster, "--json"))
    assert {"cluster_stats", "queue_stats", "scheduler_stats", "device_stats"} <= set(statistics)
    assert statistics["cluster_stats"] == {
        "online_devices": 2,
        "total_devices": 2,
        "total_capacity": 4,
        "total_load": 0,
        "cluster_utilization": 0,
    }
    queue = statistics["queue_stats"]
    assert {"total_tasks", "by_status", "by_priority", "by_device", "by_type"} <= set(queue)
    assert set(queue["by_status"]) == STATUSES
    assert set(queue["by_priority"]) == {"low", "normal", "high", "urgent"}
    assert queue["by_status"]["success"] == 3 and queue["by_type"]["echo"] == 4
    scheduler = {"tasks_scheduled", "tasks_completed", "tasks_failed", "tasks_retried", "uptime_seconds"}
    losses = {"attempts_lost", "leases_expired", "results_stale"}
    assert set(statistics["scheduler_stats"]) == scheduler | losses
    assert set(statistics["device_stats"]) == {"phone", "server"}
    server = statistics["device_stats"]["server"]
    assert (server["capacity"], server["load"], server["utilization"]) == (3, 0, 0)
    assert CAPABILITY_KEYS <= set(server["capabilities"])


def test_utilization_is_in_percent(cluster: Cluster) -> None:
    task_id = cluster.submit("sleep", {"duration": 600}, required_role="compute")
    cluster.until(task_id, "running")
    statistics = document(status(cluster, "--json"))
    assert statistics["cluster_stats"]["cluster_utilization"] == pytest.approx(25)
    assert statistics["device_stats"]["server"]["utilization"] == pytest.approx(100 / 3, abs=0.1)
    assert cluster.client.cancel_task(task_id)
    eventually(lambda: cluster.load("server") == 0, "the slot is free again")


# -- devices


@pytest.mark.parametrize("command", [["--devices"], ["device", "list"]])
def test_devices_as_a_table(cluster: Cluster, command: list[str]) -> None:
    run = tool if command[0] == "device" else status
    rows = table(shown(run(cluster, *command)))
    assert [row["DEVICE"] for row in rows] == ["phone", "server"]
    assert [row["STATE"] for row in rows] == ["online", "online"]
    assert [row["ROLE"] for row in rows] == ["mobile", "compute"]
    assert rows[0]["PLATFORM"].startswith("android")
    assert [row["SLOTS"] for row in rows] == ["0/1", "0/3"]


@pytest.mark.parametrize("command", [["--devices"], ["device", "list"]])
def test_devices_as_json(cluster: Cluster, command: list[str]) -> None:
    run = tool if command[0] == "device" else status
    devices = document(run(cluster, *command, "--json"))["devices"]
    assert [device["device_id"] for device in devices] == ["phone", "server"]
    for device in devices:
        assert CAPABILITY_KEYS | {"state", "load", "last_seen"} <= set(device)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", device["last_seen"])


def test_devices_of_one_role(cluster: Cluster) -> None:
    rows = table(shown(status(cluster, "--devices", "--role", "mobile")))
    assert [row["DEVICE"] for row in rows] == ["phone"]
    only = document(status(cluster, "--devices", "--role", "mobile", "--json"))["devices"]
    assert [device["device_id"] for device in only] == ["phone"]


def test_one_device(cluster: Cluster) -> None:
    for ran in (status(cluster, "--device", "server"), tool(cluster, "device", "show", "server")):
        text = shown(ran)
        assert re.search(r"device\s+server", text) and "16 GB" in text and "rack" in text and "echo" in text
    device = document(tool(cluster, "device", "show", "server", "--json"))
    assert device["device_id"] == "server" and device["memory_total_gb"] == 16


def test_6_for_a_device_that_is_not_there(cluster: Cluster) -> None:
    refused(status(cluster, "--device", "nobody"), 6, "nobody")
    refused(tool(cluster, "device", "show", "nobody"), 6, "nobody")
    refused(tool(cluster, "device", "show", "nobody", "--json"), 6, "nobody")


# -- tasks


@pytest.mark.parametrize("command", [["--tasks"], ["task", "list"]])
def test_tasks_as_a_table(cluster: Cluster, stuck: str, command: list[str]) -> None:
    run = tool if command[0] == "task" else status
    rows = table(shown(run(cluster, *command)))
    row = next(row for row in rows if row["TASK"] == stuck)
    assert (row["TYPE"], row["PRIORITY"], row["STATUS"]) == ("echo", "normal", "queued")
    assert row["REASON"] == "no_device_matches"
    failed = table(shown(run(cluster, *command, "--status", "failed")))
    assert [(row["TYPE"], row["STATUS"]) for row in failed] == [("sleep", "failed")]


@pytest.mark.parametrize("command", [["--tasks"], ["task", "list"]])
def test_a_list_of_a_status_that_no_task_has_says_so(cluster: Cluster, stuck: str, command: list[str]) -> None:
    run = tool if command[0] == "task" else status
    assert shown(run(cluster, *command, "--status", "timeout")) == "No task has the status timeout.\n"
    assert document(run(cluster, *command, "--status", "timeout", "--json"))["tasks"] == []


def test_a_list_of_a_type_that_has_no_tasks_says_so(cluster: Cluster) -> None:
    assert shown(tool(cluster, "task", "list", "--type", "nosuch")) == "No task of type nosuch.\n"
    both = tool(cluster, "task", "list", "--type", "nosuch", "--status", "failed")
    assert shown(both) == "No task of type nosuch has the status failed.\n"


def test_the_list_of_a_cluster_without_tasks_says_how_to_submit_one(own_cluster: Callable[..., Cluster]) -> None:
    assert "retire-cluster-submit" in shown(tool(own_cluster(), "task", "list"))


@pytest.mark.parametrize("command", [["--tasks"], ["task", "list"]])
def test_tasks_as_json(cluster: Cluster, stuck: str, command: list[str]) -> None:
    run = tool if command[0] == "task" else status
    page = document(run(cluster, *command, "--limit", "2", "--json"))
    assert [list(task) for task in page["tasks"]] == [TASK_KEYS] * 2
    assert page["next_cursor"] is not None
    rest = document(run(cluster, *command, "--limit", "1000", "--json"))
    assert len(rest["tasks"]) >= 5 and rest["next_cursor"] is None
    final = document(run(cluster, *command, "--status", "success", "--json"))["tasks"]
    assert {task["status"] for task in final} == {"success"}


def test_one_task(cluster: Cluster, stuck: str) -> None:
    for text in (shown(status(cluster, "--task", stuck)), shown(tool(cluster, "task", "show", stuck))):
        assert stuck in text and "min_memory_gb 64" in text and "queued" in text
    task = document(tool(cluster, "task", "show", stuck, "--json"))
    assert list(task) == TASK_KEYS
    assert (task["payload"], task["status"], task["result"]) == ("stuck", "queued", None)
    assert task["requirements"]["min_memory_gb"] == 64


def test_one_task_that_is_final(cluster: Cluster) -> None:
    failed = cluster.run("sleep", {"duration": "x"})
    text = shown(status(cluster, "--task", failed.task_id))
    assert "failed" in text and "duration" in text and failed.worker_device_id in text
    task = document(status(cluster, "--task", failed.task_id, "--json"))
    assert task["result"]["status"] == "failed" and "duration" in task["result"]["error_message"]
    assert task["result"]["worker_device_id"] == failed.worker_device_id
    assert len(task["error_history"]) == 1


# -- why


def test_why_as_people_read_it(cluster: Cluster, stuck: str) -> None:
    """The guide's troubleshooting of a task that is stuck in QUEUED."""
    for text in (shown(status(cluster, "--why", stuck)), shown(tool(cluster, "task", "why", stuck))):
        assert "no_device_matches" in text
        assert "needs min_memory_gb 64, has 16" in text
        assert "needs min_memory_gb 64, has 4" in text
        assert "needs required_platform linux, has android" in text
        assert "would run on server if min_memory_gb were at most 16" in text


def test_why_as_json(cluster: Cluster, stuck: str) -> None:
    why = document(status(cluster, "--why", stuck, "--json"))
    assert list(why) == ["task_id", "status", "reason", "position", "devices", "nearest"]
    assert (why["task_id"], why["status"], why["reason"]) == (stuck, "queued", "no_device_matches")
    assert why["position"] == 1
    devices = {device["device_id"]: device for device in why["devices"]}
    assert list(devices["server"]) == ["device_id", "verdict", "unmet"]
    assert devices["server"]["unmet"] == [{"requirement": "min_memory_gb", "wanted": 64, "has": 16}]
    platform = {"requirement": "required_platform", "wanted": "linux", "has": "android"}
    assert platform in devices["phone"]["unmet"]


def test_why_of_a_type_that_nobody_offers(cluster: Cluster) -> None:
    task_id = cluster.submit("render")
    text = shown(tool(cluster, "task", "why", task_id))
    assert "no_handler" in text and "render" in text
    assert cluster.client.cancel_task(task_id)


def test_why_of_a_task_that_ran(cluster: Cluster) -> None:
    result = cluster.run("echo", 1)
    assert "success" in shown(tool(cluster, "task", "why", result.task_id))


@pytest.mark.parametrize(
    "command",
    [["--task", UNKNOWN], ["--why", UNKNOWN], ["--task", UNKNOWN, "--json"], ["--why", UNKNOWN, "--json"]],
)
def test_6_for_a_task_that_is_not_there(cluster: Cluster, command: list[str]) -> None:
    refused(status(cluster, *command), 6, UNKNOWN)


@pytest.mark.parametrize("verb", ["show", "why", "cancel"])
def test_6_for_a_task_of_a_verb_that_is_not_there(cluster: Cluster, verb: str) -> None:
    refused(tool(cluster, "task", verb, UNKNOWN), 6, UNKNOWN)


# -- cancel


def test_cancel_by_verb(cluster: Cluster) -> None:
    task_id = cluster.submit("nobody_has_this")
    first = document(tool(cluster, "task", "cancel", task_id, "--json"))
    assert first == {"task_id": task_id, "cancelled": True}
    assert cluster.status(task_id) == "cancelled"
    second = document(tool(cluster, "task", "cancel", task_id, "--json"))
    assert second == {"task_id": task_id, "cancelled": False}
    assert "final" in shown(tool(cluster, "task", "cancel", task_id))


# -- queue


def test_queue(cluster: Cluster, stuck: str) -> None:
    for text in (shown(status(cluster, "--queue")), shown(tool(cluster, "queue", "stats"))):
        assert "success" in text and "echo" in text
    expected = cluster.client.get_cluster_statistics()["queue_stats"]
    assert document(status(cluster, "--queue", "--json"))["by_status"] == expected["by_status"]
    assert document(tool(cluster, "queue", "stats", "--json"))["by_type"] == expected["by_type"]


# -- verbs that are other programs


def test_submit_and_status_as_verbs(cluster: Cluster) -> None:
    assert document(tool(cluster, "submit", "echo", "5", "--wait")) == {"echo": 5}
    assert "2 online" in shown(tool(cluster, "status"))
    assert tool(cluster, "submit", "sleep", '{"duration": -1}', "--wait").status == 1


@pytest.mark.parametrize(
    "verb", [[], ["main"], ["worker"], ["submit"], ["status"], ["task"], ["device", "list"]]
)
def test_help_and_version(cluster: Cluster, verb: list[str]) -> None:
    assert "--" in shown(tool(cluster, *verb, "--help"))
    if len(verb) <= 1 and verb != ["task"]:
        assert re.search(r"\d+\.\d+\.\d+", shown(tool(cluster, *verb, "--version")))


# -- watch


def test_watch_shows_it_again_until_it_is_interrupted(cluster: Cluster) -> None:
    watch = Process("retire-cluster-status", ["--watch", cluster.address], cluster.home / "watch")
    eventually(lambda: watch.stdout.count("2 online of 2") >= 2, "it is shown twice")
    watch.signal(signal.SIGINT)
    assert watch.ended(10) in (0, -signal.SIGINT, 130)
    assert watch.stderr == ""


# -- wrong usage, and no main


@pytest.mark.parametrize(
    "program, arguments, words",
    [
        ("retire-cluster-status", ["--nope"], ["--nope"]),
        ("retire-cluster-status", ["--tasks", "--status", "done"], ["--status", "done"]),
        ("retire-cluster-status", ["--tasks", "--limit", "0"], ["--limit", "0"]),
        ("retire-cluster-status", ["--tasks", "--limit", "x"], ["--limit", "x"]),
        ("retire-cluster-status", ["--task", "xyz"], ["xyz"]),
        ("retire-cluster-status", ["--why", ""], ["--why"]),
        ("retire-cluster-status", ["host:port"], ["host:port"]),
        ("retire-cluster-status", ["a", "b"], ["b"]),
        ("retire-cluster-status", ["--connect-timeout", "-1"], ["--connect-timeout", "-1"]),
        ("retire-cluster", [], ["command"]),
        ("retire-cluster", ["nope"], ["nope"]),
        ("retire-cluster", ["task"], ["task"]),
        ("retire-cluster", ["task", "show"], ["missing"]),
        ("retire-cluster", ["task", "nope"], ["nope"]),
        ("retire-cluster", ["task", "show", "xyz"], ["xyz"]),
        ("retire-cluster", ["device", "show"], ["missing"]),
        ("retire-cluster", ["submit"], ["TYPE"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_2_for_wrong_usage(cluster: Cluster, program: str, arguments: list[str], words: list[str]) -> None:
    refused(cluster.cli(program, *arguments), 2, *words)


@pytest.mark.parametrize(
    "program, arguments",
    [
        ("retire-cluster-status", []),
        ("retire-cluster-status", ["--devices", "--json"]),
        ("retire-cluster", ["task", "list"]),
        ("retire-cluster", ["task", "cancel", UNKNOWN]),
        ("retire-cluster", ["device", "show", "x"]),
        ("retire-cluster", ["queue", "stats"]),
        ("retire-cluster", ["submit", "echo"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_4_when_there_is_no_main(cluster: Cluster, program: str, arguments: list[str]) -> None:
    ran = cluster.cli(program, *arguments, "--connect-timeout", "0.2", address="127.0.0.1:1")
    refused(ran, 4, "127.0.0.1:1", "0.2 s")


def test_3_for_an_environment_that_is_wrong(cluster: Cluster) -> None:
    refused(cluster.cli("retire-cluster-status", address="no such:address:1"), 3, "RETIRE_CLUSTER_ADDRESS")


def test_the_log_of_a_flag_without_effect_is_on_stderr(cluster: Cluster) -> None:
    ran = status(cluster, "--token", "secret", "--json")
    assert ran.status == 0 and json.loads(ran.stdout)
    assert "token" in ran.error_line() and "secret" not in ran.stderr
