"""The data classes: their values, and what they refuse."""

from __future__ import annotations

import json
import logging
import uuid
from typing import Any, Dict

import pytest
from retire_cluster import errors, get_logger
from retire_cluster.client.results import name_plugins
from retire_cluster.tasks import Task, TaskPriority, TaskRequirements, TaskResult, TaskStatus
from retire_cluster.tasks.times import from_iso, from_micros, to_iso
from retire_cluster.transport.address import parse_address

TASK_KEYS = (
    "task_id task_type payload priority requirements metadata group status reason created_at "
    "assigned_device_id assigned_at started_at completed_at retry_count error_history result"
).split()
RESULT_KEYS = (
    "task_id status result_data error_message error_traceback execution_time_seconds worker_device_id "
    "started_at completed_at logs plugin"
).split()


def test_task_has_the_keys_of_the_contract_and_survives_json() -> None:
    task = Task(
        "echo",
        {"message": "hi", "n": [1, 2.5, None, True]},
        priority=TaskPriority.URGENT,
        requirements=TaskRequirements(min_memory_gb=8, required_tags=["a"], resources={"r": 1}),
        metadata={"who": "anna"},
        group="g",
        task_id=str(uuid.uuid4()),
    )
    form = task.to_dict()
    assert list(form) == TASK_KEYS
    assert (form["priority"], form["status"]) == ("urgent", "pending")
    assert Task.from_dict(json.loads(json.dumps(form))) == task


def test_task_from_wire_has_times_and_result_and_survives_json() -> None:
    wire: Dict[str, Any] = {
        "task_id": bytes(16),
        "task_type": "echo",
        "payload": b"\x01",
        "priority": "low",
        "requirements": {"timeout_seconds": 5},
        "metadata": b"\x80",
        "group": "",
        "status": "failed",
        "created_at": 1_700_000_000_000_001,
        "assigned_at": None,
        "completed_at": 1_700_000_000_000_002,
        "assigned_device_id": "laptop-1",
        "retry_count": 2,
        "error_history": [
            {"attempt": 5, "device_id": "d", "outcome": "crashed", "error_message": "e", "at": 0}
        ],
        "result": {
            "data": None,
            "error_message": "no",
            "error_traceback": None,
            "run_us": 1500,
            "logs": [[2, 1, "x"]],
        },
    }
    task = Task.from_wire(wire)
    assert task.result is not None and list(task.result.to_dict()) == RESULT_KEYS
    assert (task.payload, task.requirements.timeout_seconds, task.retry_count) == (1, 5, 2)
    form = task.to_dict()
    assert form["created_at"] == "2023-11-14T22:13:20.000001Z"
    assert form["error_history"][0]["at"] == "1970-01-01T00:00:00.000000Z"
    assert form["result"]["execution_time_seconds"] == 0.0015
    assert Task.from_dict(json.loads(json.dumps(form))) == task


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"task_type": ""}, "task_type is empty"),
        ({"task_type": "Echo"}, "task_type is 'Echo'"),
        ({"task_type": "x" * 65}, "task_type is 65 bytes"),
        ({"task_type": 5}, "task_type is 5"),
        ({"priority": 0}, "priority is 0"),
        ({"priority": "highest"}, "priority is 'highest'"),
        ({"priority": True}, "priority is True"),
        ({"status": "done"}, "status is 'done'"),
        ({"metadata": []}, r"metadata is \[\]"),
        ({"group": "g" * 129}, "group is 129 bytes"),
        ({"group": 7}, "group is 7"),
        ({"task_id": "17"}, "task_id is '17'"),
        ({"requirements": {"min_cores": 4}}, "min_cores"),
        ({"requirements": 4}, "requirements is 4"),
    ],
)
def test_task_refuses_naming_field_and_value(fields: Dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        Task(**{"task_type": "echo", **fields})
    assert isinstance(raised.value, errors.InvalidTaskError) and raised.value.field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("min_cpu_cores", -1),
        ("min_cpu_cores", 1_000_001),
        ("min_cpu_cores", 1.5),
        ("min_cpu_cores", "4"),
        ("min_cpu_cores", True),
        ("min_cpu_cores", None),
        ("min_memory_gb", -0.1),
        ("min_memory_gb", 1e10),
        ("min_memory_gb", float("nan")),
        ("min_storage_gb", float("inf")),
        ("gpu_required", 1),
        ("internet_required", "yes"),
        ("required_platform", "p" * 65),
        ("required_role", 3),
        ("required_tags", "gpu"),
        ("required_tags", [""]),
        ("required_tags", ["t"] * 1025),
        ("timeout_seconds", 0),
        ("timeout_seconds", 31_536_001),
        ("max_retries", -1),
        ("max_retries", 1001),
        ("resources", {"a": -1}),
        ("resources", {"": 1}),
        ("resources", []),
        ("at_most_once", None),
        ("min_isolation", "total"),
    ],
)
def test_requirement_refuses_naming_field_and_value(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}"):
        TaskRequirements(**{field: value})


def test_requirements_at_their_default_ask_for_nothing() -> None:
    assert TaskRequirements().to_wire() == {}
    assert TaskRequirements(timeout_seconds=300.0, min_memory_gb=0.0, required_platform="").to_wire() == {}
    assert TaskRequirements(required_platform="Linux").to_wire() == {"required_platform": "linux"}
    assert TaskRequirements.from_dict({"required_role": None}) == TaskRequirements()
    assert TaskRequirements(required_tags=("a", "b")).required_tags == ["a", "b"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "data", "words"),
    [
        (Task.from_dict, {"task_type": "echo", "colour": 1}, "colour"),
        (Task.from_dict, {"payload": 1}, "needs task_type"),
        (Task.from_dict, [], "must be an object"),
        (Task.from_dict, {"task_type": "echo", "created_at": "yesterday"}, "created_at is 'yesterday'"),
        (TaskRequirements.from_dict, {"min_cores": 1}, "min_cores"),
        (TaskResult.from_dict, {"task_id": "x", "status": "success", "data": 1}, "data"),
        (TaskResult.from_dict, {"task_id": "x"}, "needs status"),
        (TaskResult.from_dict, {"task_id": "x", "status": "fine"}, "status is 'fine'"),
    ],
)
def test_from_dict_refuses_naming_the_key(make: Any, data: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(data)


def test_priority_may_be_given_as_word_or_number() -> None:
    assert Task("echo", priority="HIGH").priority is TaskPriority.HIGH  # type: ignore[arg-type]
    assert Task("echo", priority=4).priority is TaskPriority.URGENT  # type: ignore[arg-type]


def test_final_states() -> None:
    assert [s.value for s in TaskStatus if s.is_final] == ["success", "failed", "cancelled", "timeout"]


def test_times() -> None:
    assert to_iso(from_micros(1)) == "1970-01-01T00:00:00.000001Z"
    assert from_micros(None) is None and to_iso(None) is None
    assert from_micros(2**62) is None
    assert to_iso(from_iso("2026-01-31T14:00:00+02:00", "at")) == "2026-01-31T12:00:00.000000Z"


def test_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(parse_address("host")) == "host:8080"
    assert str(parse_address("192.168.1.100:80")) == "192.168.1.100:80"
    assert parse_address("[::1]:9").endpoint == "tcp://[::1]:9"
    assert str(parse_address("tcp://h:1")) == "h:1"
    monkeypatch.setenv("RETIRE_CLUSTER_ADDRESS", "elsewhere:77")
    assert str(parse_address()) == "elsewhere:77"
    monkeypatch.delenv("RETIRE_CLUSTER_ADDRESS")
    assert str(parse_address()) == "127.0.0.1:8080"


def test_logger_writes_at_its_level_once(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger("retire_cluster")
    root.handlers.clear()
    try:
        get_logger("scheduler", level="DEBUG")
        logger = get_logger("scheduler", level="DEBUG")
        logger.debug("hello there")
        get_logger("scheduler", level="warn").info("not this")
    finally:
        root.handlers.clear()
        root.propagate = True
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "retire_cluster.scheduler: hello there" in lines[0]


@pytest.mark.parametrize("level", ["loud", ""])
def test_logger_refuses_an_unknown_level(level: str) -> None:
    with pytest.raises(ValueError, match="level is"):
        get_logger("x", level=level)


def test_results_name_what_ran_them_by_the_message_s_table() -> None:
    plain = [uuid.uuid4().bytes, 4, None, None, None, 1, 0]
    items = [list(plain), [*plain, None, None, [], 1], [*plain, "no"], [*plain, None, None, [], 2]]
    name_plugins(items, ["echo 1 sha256:00", "echo 2 sha256:01", ""])
    results = [TaskResult.from_item("x", item, []) for item in items]
    assert [result.plugin for result in results] == [
        "echo 1 sha256:00",
        "echo 2 sha256:01",
        "echo 1 sha256:00",
        None,
    ]
    assert results[2].error_message == "no"
    unknown = [list(plain)]
    name_plugins(unknown, None)
    assert TaskResult.from_item("x", unknown[0], []).plugin is None
