"""TaskScheduler against a fake main on a real socket, mostly where something goes wrong."""

from __future__ import annotations

import os
import threading
import uuid
from typing import Any, Iterator, List

import msgpack
import pytest
from fake_main import FakeMain, eventually
from retire_cluster import errors
from retire_cluster.client.core import split_ids
from retire_cluster.ids import parse_task_id
from retire_cluster.tasks import Task, TaskPriority, TaskRequirements, TaskScheduler, TaskStatus
from retire_cluster.tasks.batches import batches, pack_tasks
from retire_cluster.wire import Message


@pytest.fixture
def scheduler(main: FakeMain) -> Iterator[TaskScheduler]:
    with TaskScheduler(main.address, request_timeout=5) as made:
        yield made


def test_submitted_task_is_waited_for(main: FakeMain, scheduler: TaskScheduler) -> None:
    task_id = scheduler.submit_task(Task("echo", {"message": "hi"}, priority=TaskPriority.HIGH))
    main.finish(parse_task_id(task_id), 4, msgpack.packb({"echo": {"message": "hi"}}))
    result = scheduler.wait(task_id, timeout=5)
    assert (result.task_id, result.status, result.success) == (task_id, TaskStatus.SUCCESS, True)
    assert result.result_data == {"echo": {"message": "hi"}}
    assert result.worker_device_id == "laptop-1"
    assert result.execution_time_seconds == pytest.approx(1e-4)
    assert result.to_dict()["completed_at"] == "2023-11-14T22:13:20.000100Z"
    (submit,) = main.of_type("submit")
    assert submit.body["specs"] == [["echo", 3, {}, ""]]
    assert not main.of_type("wait")  # main pushes it: nothing is asked for


def test_failed_task_says_why(main: FakeMain, scheduler: TaskScheduler) -> None:
    task_id = scheduler.submit_task(Task("echo"))
    main.finish(parse_task_id(task_id), 5, None, "no such file", "Traceback: 1", [[4, 2_500_000, "ouch"]])
    result = scheduler.wait(task_id, timeout=5)
    assert (result.status, result.error_message) == (TaskStatus.FAILED, "no such file")
    assert result.error_traceback == "Traceback: 1"
    assert result.logs == [{"time": 2.5, "level": "error", "message": "ouch"}]


def test_result_may_come_before_anybody_waits(main: FakeMain, scheduler: TaskScheduler) -> None:
    task_id = scheduler.submit_task(Task("echo"))
    main.finish(parse_task_id(task_id))
    eventually(lambda: len(scheduler._connection._cache), "the push")
    assert scheduler.wait(task_id, timeout=0).status is TaskStatus.SUCCESS
    assert scheduler.wait(task_id, timeout=5).status is TaskStatus.SUCCESS


def test_an_end_that_a_retry_may_undo_is_not_remembered(main: FakeMain, scheduler: TaskScheduler) -> None:
    ids = scheduler.submit_tasks([Task("echo"), Task("echo"), Task("echo")])
    for task_id, status in zip(ids, (5, 7, 6)):  # failed, timed out, cancelled
        main.finish(parse_task_id(task_id), status)
    scheduler.wait_many(ids, timeout=5)
    assert not main.of_type("wait")
    scheduler.wait_many(ids, timeout=5)
    assert main.of_type("wait")
    (asked,) = (split_ids(wait.body["ids"]) for wait in main.of_type("wait"))
    assert sorted(asked) == sorted(map(parse_task_id, ids[:2]))


def test_equal_specs_are_sent_once(main: FakeMain, scheduler: TaskScheduler) -> None:
    small = TaskRequirements(min_cpu_cores=2)
    tasks = [
        Task("echo", n, requirements=small if n % 2 else TaskRequirements(), group="g") for n in range(100)
    ]
    ids = scheduler.submit_tasks(tasks)
    assert len(set(ids)) == 100
    (submit,) = main.of_type("submit")
    assert submit.body["specs"] == [["echo", 2, {}, "g"], ["echo", 2, {"min_cpu_cores": 2}, "g"]]
    assert [item[1] for item in submit.body["tasks"]] == [0, 1] * 50


def test_many_tasks_go_in_messages_of_ten_thousand(main: FakeMain, scheduler: TaskScheduler) -> None:
    ids = scheduler.submit_tasks([Task("echo", n) for n in range(20_001)])
    assert len(ids) == 20_001
    assert [len(m.body["tasks"]) for m in main.of_type("submit")] == [10_000, 10_000, 1]


def test_large_tasks_go_in_messages_below_16_mib() -> None:
    packed = pack_tasks([Task("echo", bytes(5 * 2**20)) for _ in range(7)], 2**24)
    assert [len(b.ids) for b in batches(packed)] == [3, 3, 1]
    assert [b.first for b in batches(packed)] == [0, 3, 6]
    (alone,) = batches(pack_tasks([Task("echo", bytes(2**24 - 100))], 2**24))
    assert len(alone.ids) == 1


def test_no_tasks_need_no_message(main: FakeMain, scheduler: TaskScheduler) -> None:
    assert scheduler.submit_tasks([]) == []
    assert scheduler.wait_many([]) == []
    assert not main.of_type("submit")


def test_same_id_again_changes_nothing_and_other_content_conflicts(
    main: FakeMain, scheduler: TaskScheduler
) -> None:
    task_id = scheduler.submit_task(Task("echo", 1))
    assert scheduler.submit_task(Task("echo", 1, task_id=task_id)) == task_id
    with pytest.raises(errors.TaskConflictError) as raised:
        scheduler.submit_tasks([Task("echo", 5), Task("echo", 2, task_id=task_id)])
    assert (raised.value.code, raised.value.index) == ("conflict", 1)


def test_index_of_a_refusal_counts_from_the_first_task(main: FakeMain, scheduler: TaskScheduler) -> None:
    task_id = scheduler.submit_task(Task("echo", 1))
    tasks = [Task("echo") for _ in range(10_003)] + [Task("echo", 2, task_id=task_id)]
    with pytest.raises(errors.TaskConflictError) as raised:
        scheduler.submit_tasks(tasks)
    assert raised.value.index == 10_003


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (object(), "object"),
        ({"x": {1, 2}}, "set"),
        (2**64, "payload"),
        ("\ud800", "payload"),
        (bytes(2**24), "16777216"),
    ],
)
def test_payload_that_cannot_be_sent_is_refused_before_anything_is(
    main: FakeMain, scheduler: TaskScheduler, payload: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        scheduler.submit_tasks([Task("echo"), Task("echo", payload)])
    assert isinstance(raised.value, errors.InvalidTaskError) and raised.value.index == 1
    assert not main.of_type("submit")


def test_payload_that_contains_itself_is_refused(scheduler: TaskScheduler) -> None:
    loop: List[Any] = []
    loop.append(loop)
    with pytest.raises(errors.InvalidTaskError):
        scheduler.submit_task(Task("echo", loop))


def test_task_changed_into_a_wrong_one_is_refused(main: FakeMain, scheduler: TaskScheduler) -> None:
    task = Task("echo")
    task.requirements.max_retries = -1
    with pytest.raises(errors.InvalidTaskError, match="max_retries is -1"):
        scheduler.submit_task(task)
    with pytest.raises(errors.InvalidTaskError, match="is not a Task"):
        scheduler.submit_tasks([{"task_type": "echo"}])  # type: ignore[list-item]
    assert not main.of_type("submit")


def test_wait_ends_at_its_timeout_and_the_task_may_be_waited_for_again(
    main: FakeMain, scheduler: TaskScheduler
) -> None:
    task_id = scheduler.submit_task(Task("echo"))
    with pytest.raises(TimeoutError, match="1 task is not final after 0.05 s") as raised:
        scheduler.wait(task_id, timeout=0.05)
    assert isinstance(raised.value, errors.RetireClusterError) and raised.value.code == "timed_out"
    main.finish(parse_task_id(task_id))
    assert scheduler.wait(task_id, timeout=5).success


def test_wait_for_an_unknown_task_says_so(scheduler: TaskScheduler) -> None:
    with pytest.raises(errors.NotFoundError, match="0f8fad5b"):
        scheduler.wait("0f8fad5b-d9cb-469f-a165-70867728950e", timeout=5)


@pytest.mark.parametrize("bad", ["", "abc", None, 7, b"x" * 16])
def test_what_is_no_task_id_is_refused(scheduler: TaskScheduler, bad: Any) -> None:
    for call in (scheduler.wait, scheduler.get_task_status, scheduler.cancel_task, scheduler.explain):
        with pytest.raises(ValueError, match="must be a UUID"):
            call(bad)


def test_wait_many_keeps_the_order_and_as_completed_does_not(
    main: FakeMain, scheduler: TaskScheduler
) -> None:
    ids = scheduler.submit_tasks([Task("echo", n) for n in range(3)])
    completed = scheduler.as_completed(ids, timeout=5)
    main.finish(parse_task_id(ids[2]))
    assert next(completed).task_id == ids[2]
    main.finish(parse_task_id(ids[0]))
    main.finish(parse_task_id(ids[1]))
    assert sorted(r.task_id for r in completed) == sorted(ids[:2])
    assert [r.task_id for r in scheduler.wait_many([*ids, ids[0]], timeout=5)] == [*ids, ids[0]]


def test_two_threads_wait_for_the_same_task(main: FakeMain, scheduler: TaskScheduler) -> None:
    task_id = scheduler.submit_task(Task("echo"))
    got: List[Any] = []
    threads = [
        threading.Thread(target=lambda: got.append(scheduler.wait(task_id, timeout=5))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    main.finish(parse_task_id(task_id))
    for thread in threads:
        thread.join(5)
    assert [r.task_id for r in got] == [task_id] * 8


def test_many_threads_submit_at_once(main: FakeMain, scheduler: TaskScheduler) -> None:
    got: List[str] = []

    def work() -> None:
        for n in range(20):
            got.append(scheduler.submit_task(Task("echo", n)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set(got)) == 160 and len(main.tasks) == 160


# -- trouble


def test_no_main_there_is_a_connection_error_that_says_what_to_check() -> None:
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:9.*retire-cluster-main") as raised:
        TaskScheduler("127.0.0.1:9", connect_timeout=0.2)
    assert isinstance(raised.value, errors.MainUnreachableError) and raised.value.code == "unreachable"


def test_main_that_says_nothing_is_a_connection_error(main: FakeMain) -> None:
    main.silent = True
    with pytest.raises(errors.MainUnreachableError):
        TaskScheduler(main.address, connect_timeout=0.2)


@pytest.mark.parametrize("bad", ["", "host:0", "host:99999", "a b", "http://x", "[::1", 8080])
def test_what_is_no_address_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="address is"):
        TaskScheduler(bad)


def test_refused_hello_is_raised_at_once(main: FakeMain) -> None:
    def refuse(peer: bytes, message: Message) -> bool:
        main.error(peer, message.correlation, "unsupported_version")
        return True

    main.hook = refuse
    with pytest.raises(errors.ProtocolError) as raised:
        TaskScheduler(main.address)
    assert raised.value.code == "unsupported_version"


def test_restarted_main_is_greeted_and_asked_again(main: FakeMain, scheduler: TaskScheduler) -> None:
    task_id = scheduler.submit_task(Task("echo"))
    main.forget_sessions()
    assert scheduler.get_cluster_statistics() == {"queue_stats": {"total_tasks": 1}}
    assert len(main.of_type("hello")) == 2
    waiter = scheduler.as_completed([task_id], timeout=5)
    main.finish(parse_task_id(task_id))
    assert next(waiter).task_id == task_id


def test_wait_goes_on_through_a_restart(main: FakeMain, scheduler: TaskScheduler) -> None:
    task_id = scheduler.submit_task(Task("echo"))
    got: List[Any] = []
    thread = threading.Thread(target=lambda: got.append(scheduler.wait(task_id, timeout=10)))
    thread.start()
    eventually(lambda: scheduler._connection._watches, "the watch")
    main.forget_sessions()
    main.wait_for("wait")  # the next heartbeat finds out
    main.finish(parse_task_id(task_id))
    thread.join(10)
    assert got[0].task_id == task_id


def test_submission_whose_answer_is_lost_is_repeated_with_the_same_id(
    main: FakeMain, scheduler: TaskScheduler
) -> None:
    lost = []

    def lose_first(peer: bytes, message: Message) -> bool:
        if message.type == "submit" and not lost:
            lost.append(message)
            main.tasks[message.body["tasks"][0][0]] = (message.body["specs"][0], message.body["tasks"][0][2:])
            main.sessions.clear()
            return True
        return False

    main.hook = lose_first
    task_id = scheduler.submit_task(Task("echo"))
    assert [m.body["tasks"][0][0] for m in main.of_type("submit")] == [parse_task_id(task_id)] * 2
    assert len(main.tasks) == 1


@pytest.mark.quick_silence
def test_silent_main_is_left_and_found_again(main: FakeMain, scheduler: TaskScheduler) -> None:
    main.silent = True
    hellos = len(main.of_type("hello"))
    main.wait_for("hello", hellos + 1)
    assert not scheduler._connection.reachable
    main.silent = False
    assert scheduler.submit_task(Task("echo"))


def test_call_while_main_is_silent_fails_after_the_request_timeout(main: FakeMain) -> None:
    with TaskScheduler(main.address, request_timeout=0.2) as scheduler:
        main.silent = True
        with pytest.raises(ConnectionError, match=main.address):
            scheduler.submit_task(Task("echo"))


def test_busy_main_is_asked_again(main: FakeMain, scheduler: TaskScheduler) -> None:
    refused = []

    def busy(peer: bytes, message: Message) -> bool:
        if message.type == "submit" and len(refused) < 2:
            refused.append(message)
            main.error(peer, message.correlation, "busy", retry_after_ms=10)
            return True
        return False

    main.hook = busy
    scheduler.submit_task(Task("echo"))
    assert len(refused) == 2 and len(main.of_type("submit")) == 3


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"\xc1"],
        [b"garbage"],
        [b"\xdd\xff\xff\xff\xff"],
        [msgpack.packb([1, "results", 0, {"devices": [], "results": [[1]]}])],
        [msgpack.packb([9, "results", 0, {}])],
        [msgpack.packb([1, "nosuch", 0, {}])],
        [msgpack.packb([1, "heartbeat", 0, {}]), b"second frame"],
    ],
)
def test_garbage_from_main_harms_nobody(
    main: FakeMain, scheduler: TaskScheduler, frames: List[bytes]
) -> None:
    main.send_raw(frames)
    assert scheduler.submit_task(Task("echo"))
    assert scheduler._connection.reachable


def test_result_that_this_python_cannot_read_is_told(main: FakeMain, scheduler: TaskScheduler) -> None:
    task_id = scheduler.submit_task(Task("echo"))
    main.finish(parse_task_id(task_id), 4, b"\xc7\x00\x05")
    result = scheduler.wait(task_id, timeout=5)
    assert result.result_data is None and "not msgpack" in str(result.error_message)


def test_closed_scheduler_refuses_and_ends_those_who_wait(main: FakeMain) -> None:
    scheduler = TaskScheduler(main.address)
    task_id = scheduler.submit_task(Task("echo"))
    got: List[Any] = []

    def wait() -> None:
        try:
            scheduler.wait(task_id)
        except errors.ClosedError as error:
            got.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: scheduler._connection._watches, "the watch")
    scheduler.close()
    scheduler.close()
    thread.join(5)
    assert len(got) == 1
    main.wait_for("goodbye")
    with pytest.raises(errors.ClosedError):
        scheduler.submit_task(Task("echo"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_forked_child_is_told_to_make_its_own(scheduler: TaskScheduler) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            scheduler.submit_task(Task("echo"))
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    assert b"ClosedError: this scheduler was made before a fork" in os.read(reader, 1000)
    os.close(reader)


def test_evicted_results_are_asked_for_anew(main: FakeMain, scheduler: TaskScheduler) -> None:
    scheduler._connection._cache._entries_max = 1
    ids = scheduler.submit_tasks([Task("echo", n) for n in range(3)])
    for task_id in ids:
        main.finish(parse_task_id(task_id))
    assert [r.task_id for r in scheduler.wait_many(ids, timeout=5)] == ids
    assert [r.task_id for r in scheduler.wait_many(ids, timeout=5)] == ids
    assert len(scheduler._connection._cache) == 1
    assert main.of_type("wait")


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "10"])
def test_limit_of_a_list_is_checked(scheduler: TaskScheduler, limit: Any) -> None:
    with pytest.raises(ValueError, match="limit is"):
        scheduler.list_tasks(limit=limit)


def test_list_refuses_a_status_that_is_none(scheduler: TaskScheduler) -> None:
    with pytest.raises(ValueError, match="status is 'done'"):
        scheduler.list_tasks(status="done")


def test_list_follows_the_cursor(main: FakeMain, scheduler: TaskScheduler) -> None:
    wire = {
        "task_id": bytes(16),
        "task_type": "echo",
        "priority": "high",
        "requirements": {},
        "status": "queued",
    }

    def pages(peer: bytes, message: Message) -> bool:
        if message.type != "list":
            return False
        cursor = message.body.get("cursor", 0)
        body = {"tasks": [wire] * 2, "next_cursor": cursor + 1 if cursor < 2 else None}
        main._send(peer, "tasks", message.correlation, body)
        return True

    main.hook = pages
    assert len(scheduler.list_tasks(limit=5)) == 5
    assert len(scheduler.list_tasks(TaskStatus.QUEUED, "echo", 100)) == 6
    last = main.of_type("list")[-1].body
    assert (last["status"], last["task_type"], last["cursor"]) == ("queued", "echo", 2)


def test_explanation_has_values_and_takes_a_task_for_a_dry_run(
    main: FakeMain, scheduler: TaskScheduler
) -> None:
    unmet = [
        {"requirement": "min_memory_gb", "wanted": "64", "has": 15.5},
        {"requirement": "required_role", "wanted": "compute", "has": "worker"},
    ]
    body = {"task_id": bytes(16), "devices": [{"device_id": "d", "verdict": "unmet", "unmet": unmet}, {}]}

    def explain(peer: bytes, message: Message) -> bool:
        if message.type == "why":
            main._send(peer, "explained", message.correlation, {"explanation": body})
        return message.type == "why"

    main.hook = explain
    explanation = scheduler.explain(Task("echo", requirements=TaskRequirements(min_memory_gb=64)))
    assert explanation["task_id"] == str(uuid.UUID(int=0))
    assert [u["wanted"] for u in explanation["devices"][0]["unmet"]] == [64, "compute"]
    assert main.of_type("why")[0].body == {"spec": ["echo", 2, {"min_memory_gb": 64}, ""]}
    assert not main.of_type("submit")


def test_explanation_of_an_unknown_task_is_not_found(main: FakeMain, scheduler: TaskScheduler) -> None:
    def refuse(peer: bytes, message: Message) -> bool:
        if message.type == "why":
            main.error(peer, message.correlation, "not_found")
        return message.type == "why"

    main.hook = refuse
    with pytest.raises(errors.NotFoundError):
        scheduler.explain(str(uuid.uuid4()))
