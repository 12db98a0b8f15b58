"""retire-cluster-submit: what it prints, and how it ends."""

from __future__ import annotations

import json
import re
import uuid
from typing import Callable

import pytest

from harness.cluster import Cluster
from harness.process import Ran

RESULT_KEYS = [
    "task_id",
    "status",
    "result_data",
    "error_message",
    "error_traceback",
    "execution_time_seconds",
    "worker_device_id",
    "started_at",
    "completed_at",
    "logs",
    "plugin",
]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture(scope="module")
def cluster(clusters: Callable[..., Cluster]) -> Cluster:
    cluster = clusters("main")
    cluster.worker("device", "--allow", "command", "--deny", "system_info", slots=2)
    return cluster


def submit(cluster: Cluster, *arguments: str, stdin: str | bytes = "", **env: str) -> Ran:
    return cluster.cli("retire-cluster-submit", *arguments, stdin=stdin, **env)


def done(ran: Ran) -> str:
    """What it printed; it ended well and said nothing else."""
    assert (ran.status, ran.stderr) == (0, ""), ran
    return ran.stdout


def refused(ran: Ran, status: int, *words: str) -> None:
    """It ended with this status and one line on stderr that has these words."""
    line = ran.error_line()
    assert ran.status == status, (ran.status, line)
    assert line.startswith("retire-cluster-submit: ")
    for word in words:
        assert word in line, line


# -- what is printed


def test_it_prints_the_task_id(cluster: Cluster) -> None:
    task_id = done(submit(cluster, "echo", '{"message": "hi"}')).strip()
    assert str(uuid.UUID(task_id)) == task_id
    assert cluster.wait(task_id).result_data == {"echo": {"message": "hi"}}


def test_json_without_wait(cluster: Cluster) -> None:
    document = json.loads(done(submit(cluster, "echo", "1", "--json")))
    assert list(document) == ["task_id", "status"]
    assert cluster.wait(document["task_id"]).success


def test_wait_prints_the_result_data(cluster: Cluster) -> None:
    assert json.loads(done(submit(cluster, "echo", '{"a": [1, null, "ü"]}', "--wait"))) == {
        "echo": {"a": [1, None, "ü"]}
    }


def test_wait_json_prints_the_whole_result(cluster: Cluster) -> None:
    result = json.loads(done(submit(cluster, "sleep", '{"duration": 0.05}', "--wait", "--json")))
    assert list(result) == RESULT_KEYS
    assert result["status"] == "success" and result["result_data"] == {"slept_for": 0.05}
    assert result["worker_device_id"] == "device"
    assert result["execution_time_seconds"] >= 0.05
    assert TIME.fullmatch(result["started_at"]) and TIME.fullmatch(result["completed_at"])
    assert (result["error_message"], result["error_traceback"], result["logs"]) == (None, None, [])


def test_numbers_keep_their_value(cluster: Cluster) -> None:
    payload = [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1, 0.1, 1e300, -2.5e-10, True, False, None]
    printed = done(submit(cluster, "echo", json.dumps(payload), "--wait"))
    assert json.loads(printed)["echo"] == payload


def test_bytes_in_a_result_can_be_printed(cluster: Cluster) -> None:
    task_id = cluster.submit("echo", b"\x00\xff")
    cluster.wait(task_id)
    shown = cluster.cli("retire-cluster-status", "--task", task_id, "--json")
    assert shown.status == 0 and json.loads(shown.stdout)["status"] == "success"


def test_count_prints_so_many(cluster: Cluster) -> None:
    ids = done(submit(cluster, "echo", "--count", "5")).split()
    assert len(set(ids)) == 5
    assert len(json.loads(done(submit(cluster, "echo", "--count", "5", "--json")))) == 5
    results = done(submit(cluster, "echo", "7", "--count", "5", "--wait")).splitlines()
    assert [json.loads(line) for line in results] == [{"echo": 7}] * 5
    whole = [
        json.loads(line)
        for line in done(submit(cluster, "echo", "--count", "3", "--wait", "--json")).splitlines()
    ]
    assert [list(result) for result in whole] == [RESULT_KEYS] * 3
    assert len({result["task_id"] for result in whole}) == 3


def test_requirements_and_priority_are_handed_on(cluster: Cluster) -> None:
    flags = "--priority urgent --min-cpu-cores 2 --min-memory-gb 3.5 --min-storage-gb 10 --gpu --internet"
    flags += " --platform Android --role mobile --tag b --tag a --timeout 7.5 --max-retries 9"
    task_id = done(submit(cluster, "echo", *flags.split())).strip()
    task = cluster.client.get_task(task_id).to_dict()
    assert task["priority"] == "urgent"
    requirements = task["requirements"]
    assert (requirements["min_cpu_cores"], requirements["min_memory_gb"]) == (2, 3.5)
    assert (requirements["min_storage_gb"], requirements["gpu_required"]) == (10, True)
    assert (requirements["internet_required"], requirements["required_platform"]) == (True, "android")
    assert (requirements["required_role"], sorted(requirements["required_tags"])) == ("mobile", ["a", "b"])
    assert (requirements["timeout_seconds"], requirements["max_retries"]) == (7.5, 9)
    assert cluster.client.cancel_task(task_id)


# -- how it ends


def test_1_when_the_task_failed(cluster: Cluster) -> None:
    ran = submit(cluster, "sleep", '{"duration": -1}', "--wait")
    refused(ran, 1, "failed", "duration")
    assert ran.stdout == ""
    ran = submit(cluster, "sleep", '{"duration": -1}', "--wait", "--json")
    refused(ran, 1, "failed")
    result = json.loads(ran.stdout)
    assert (result["status"], list(result)) == ("failed", RESULT_KEYS)


def test_1_when_the_task_timed_out(cluster: Cluster) -> None:
    limits = ["--timeout", "0.2", "--max-retries", "0"]
    refused(submit(cluster, "sleep", '{"duration": 600}', *limits, "--wait"), 1, "timeout")


def test_1_when_one_of_many_failed(cluster: Cluster) -> None:
    lines = "\n".join(json.dumps({"task_type": "sleep", "payload": {"duration": n}}) for n in (0, -1, 0))
    ran = submit(cluster, "--file", "-", "--wait", "--json", stdin=lines)
    assert ran.status == 1
    assert [json.loads(line)["status"] for line in ran.stdout.splitlines()].count("success") == 2
    assert len(ran.stderr.splitlines()) == 1


def test_4_when_there_is_no_main(cluster: Cluster) -> None:
    ran = submit(cluster, "echo", "--connect-timeout", "0.3", "--to", "127.0.0.1:1")
    refused(ran, 4, "127.0.0.1:1", "0.3 s", "retire-cluster-main")
    assert ran.seconds < 10


def test_8_when_the_wait_is_over_and_the_task_goes_on(cluster: Cluster) -> None:
    ran = submit(cluster, "nobody_has_this", "--wait", "--wait-timeout", "0.3")
    refused(ran, 8, "300 ms")
    (task_id,) = re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", ran.stderr)
    assert cluster.status(task_id) == "queued"
    assert cluster.client.cancel_task(task_id)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["echo", "{bad"], ["JSON", "{b"]),
        (["echo", ""], ["JSON"]),
        (["echo", '{"a": 1} x'], ["JSON"]),
        (["echo", "[" * 100_000], ["PAYLOAD-JSON"]),
        (["echo", "1", "2"], ["2"]),
        ([], ["TYPE"]),
        (["Echo Echo"], ["Echo Echo"]),
        (["x" * 65], ["type"]),
        (["echo", "--nope"], ["--nope"]),
        (["echo", "--priority", "highest"], ["--priority", "highest", "urgent"]),
        (["echo", "--min-cpu-cores", "-1"], ["--min-cpu-cores", "-1"]),
        (["echo", "--min-cpu-cores", "1.5"], ["--min-cpu-cores", "1.5"]),
        (["echo", "--min-cpu-cores", "99999999999999999999"], ["--min-cpu-cores"]),
        (["echo", "--min-memory-gb", "much"], ["--min-memory-gb", "much"]),
        (["echo", "--min-memory-gb", "nan"], ["--min-memory-gb", "nan"]),
        (["echo", "--min-memory-gb", "inf"], ["--min-memory-gb", "inf"]),
        (["echo", "--min-memory-gb", "1e300"], ["--min-memory-gb"]),
        (["echo", "--timeout", "0"], ["--timeout", "0"]),
        (["echo", "--timeout", "-5"], ["--timeout", "-5"]),
        (["echo", "--max-retries", "1001"], ["--max-retries", "1001"]),
        (["echo", "--count", "0"], ["--count", "0"]),
        (["echo", "--count", "-1"], ["--count", "-1"]),
        (["echo", "--task-id", "17"], ["--task-id", "17"]),
        (["echo", "--to", "host:99999"], ["host:99999"]),
        (["echo", "--to", ""], ["--to"]),
        (["echo", "--tag", ""], ["tag"]),
        (["echo", "--wait-timeout", "x"], ["--wait-timeout"]),
        (["--file", "/no/such/file"], ["/no/such/file"]),
        (["echo", "--file", "-"], ["--file"]),
        (["echo", "--count"], ["--count"]),
    ],
    ids=lambda value: " ".join(value)[:40] if value and isinstance(value, list) else "none",
)
def test_2_for_what_cannot_be_meant(cluster: Cluster, arguments: list[str], words: list[str]) -> None:
    before = cluster.client.get_cluster_statistics()["queue_stats"]["total_tasks"]
    ran = submit(cluster, *arguments)
    refused(ran, 2, *words)
    assert ran.stdout == ""
    assert len(ran.stderr) < 1000, "a line for people"
    assert cluster.client.get_cluster_statistics()["queue_stats"]["total_tasks"] == before


def test_a_payload_over_the_limit_is_refused(cluster: Cluster) -> None:
    """16 MiB, which is more than an argument can hold: as a line of a file."""
    line = json.dumps({"task_type": "echo", "payload": "x" * (16 * 1024 * 1024)})
    refused(submit(cluster, "--file", "-", stdin=line), 2, "line 1", "16")
    assert cluster.main.alive


def test_a_payload_just_below_the_limit_passes(cluster: Cluster) -> None:
    payload = "x" * (16 * 1024 * 1024 - 1024)
    ran = submit(
        cluster, "--file", "-", "--wait", stdin=json.dumps({"task_type": "echo", "payload": payload})
    )
    assert json.loads(done(ran)) == {"echo": payload}


# -- --task-id


def test_the_same_id_with_the_same_content_changes_nothing(cluster: Cluster) -> None:
    task_id = str(uuid.uuid4())
    for _ in range(3):
        assert done(submit(cluster, "echo", '{"a": 1}', "--task-id", task_id)).strip() == task_id
    assert cluster.wait(task_id).success
    assert json.loads(done(submit(cluster, "echo", '{"a": 1}', "--task-id", task_id, "--wait"))) == {
        "echo": {"a": 1}
    }


@pytest.mark.parametrize(
    "other", [["echo", "2"], ["echo", "1", "--priority", "high"], ["sleep", "1"]], ids=str
)
def test_the_same_id_with_other_content_is_refused(cluster: Cluster, other: list[str]) -> None:
    task_id = str(uuid.uuid4())
    done(submit(cluster, "echo", "1", "--task-id", task_id))
    refused(submit(cluster, *other, "--task-id", task_id), 1, task_id)
    assert cluster.wait(task_id).result_data == {"echo": 1}


# -- --file


def test_a_file_of_tasks(cluster: Cluster) -> None:
    path = cluster.home / "tasks.jsonl"
    own = str(uuid.uuid4())
    tasks = [
        {"task_type": "echo", "payload": 1},
        {"task_type": "echo", "payload": {"b": 2}, "priority": "high", "group": "g", "metadata": {"m": 1}},
        {"task_type": "echo", "task_id": own, "requirements": {"min_cpu_cores": 1}},
    ]
    path.write_text("\n".join(map(json.dumps, tasks)) + "\n")
    ids = done(submit(cluster, "--file", str(path))).split()
    assert len(ids) == 3 and ids[2] == own
    second = cluster.client.get_task(ids[1])
    assert (second.priority.word, second.group, second.metadata) == ("high", "g", {"m": 1})
    assert all(result.success for result in cluster.client.wait_many(ids, 60))


def test_a_file_with_wait_prints_a_result_a_line(cluster: Cluster) -> None:
    lines = "".join(json.dumps({"task_type": "echo", "payload": n}) + "\n" for n in range(500))
    ran = submit(cluster, "--file", "-", "--wait", stdin=lines)
    assert sorted(json.loads(line)["echo"] for line in done(ran).splitlines()) == list(range(500))


@pytest.mark.parametrize(
    "bad, words",
    [
        ("nope", ["JSON"]),
        ('{"task_type": "echo"', ["JSON"]),
        ("[]", []),
        ("7", []),
        ("{}", ["task_type"]),
        ('{"task_type": 7}', ["task_type"]),
        ('{"task_type": "echo", "nope": 1}', ["nope"]),
        ('{"task_type": "echo", "priority": 9}', ["priority"]),
        ('{"task_type": "echo", "priority": "top"}', ["priority", "top"]),
        ('{"task_type": "echo", "requirements": []}', ["requirements"]),
        ('{"task_type": "echo", "requirements": {"min_cpu": 1}}', ["min_cpu"]),
        ('{"task_type": "echo", "requirements": {"min_cpu_cores": -1}}', ["min_cpu_cores"]),
        ('{"task_type": "echo", "requirements": {"min_cpu_cores": 1e30}}', ["min_cpu_cores"]),
        ('{"task_type": "echo", "requirements": {"gpu_required": "yes"}}', ["gpu_required"]),
        ('{"task_type": "echo", "requirements": {"required_tags": "a"}}', ["required_tags"]),
        ('{"task_type": "echo", "requirements": {"timeout_seconds": 0}}', ["timeout_seconds"]),
        ('{"task_type": "echo", "metadata": 1}', ["metadata"]),
        ('{"task_type": "echo", "group": 1}', ["group"]),
        ('{"task_type": "echo", "task_id": "x"}', ["task_id"]),
        ('{"task_type": "echo", "payload": "\\ud800"}', []),
    ],
)
def test_a_bad_line_stops_it_with_its_number(cluster: Cluster, bad: str, words: list[str]) -> None:
    """Exit 2; the earlier ones stay submitted, the later ones are not."""
    good = [json.dumps({"task_type": "echo", "payload": n}) for n in range(4)]
    ran = submit(cluster, "--file", "-", stdin="\n".join([*good[:3], bad, good[3]]))
    refused(ran, 2, "line 4", *words)
    ids = ran.stdout.split()
    assert len(ids) == 3
    assert [result.result_data for result in cluster.client.wait_many(ids, 60)] == [
        {"echo": n} for n in range(3)
    ]


def test_a_line_that_is_not_utf_8_stops_it(cluster: Cluster) -> None:
    refused(submit(cluster, "--file", "-", stdin=b'{"task_type": "echo", "payload": "\xff"}\n'), 2, "line 1")


def test_a_conflict_in_a_file_is_told_with_its_line(cluster: Cluster) -> None:
    task_id = str(uuid.uuid4())
    lines = [json.dumps({"task_type": "echo", "payload": n, "task_id": task_id}) for n in (1, 2)]
    ran = submit(cluster, "--file", "-", stdin="\n".join(lines))
    assert ran.status in (1, 2)
    assert task_id in ran.error_line() and "line 2" in ran.error_line()


def test_an_empty_file_is_no_error(cluster: Cluster) -> None:
    assert done(submit(cluster, "--file", "-", stdin="")) == ""
    assert done(submit(cluster, "--file", "-", "--wait", stdin="\n\n")) == ""
