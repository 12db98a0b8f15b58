"""TaskExecutor against a fake main on a real socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import msgpack
import pytest
from fake_main import FakeMain, eventually
from retire_cluster import errors
from retire_cluster.tasks import PermanentError, TaskContext, TaskExecutor
from retire_cluster.worker import probe
from retire_cluster.worker.context import cut_text
from retire_cluster.worker.slots import takes_context

BIG_TIMEOUT_MS = 60_000


def wait_for_event(event: threading.Event) -> None:
    assert event.wait(10)


class Worker:
    """An executor joined to a fake main, and what main says to it."""

    def __init__(self, main: FakeMain, **more: Any) -> None:
        self.main = main
        self.executor = TaskExecutor(main.address, **{"slots": 2, "drain_timeout": 5, **more})
        self._assigns = 0
        self._attempts = 0

    def assign(
        self, kind: str, payload: Any = None, priority: int = 2, timeout_ms: int = BIG_TIMEOUT_MS
    ) -> int:
        self._assigns += 1
        self._attempts += 1
        body = {
            "specs": [[kind, timeout_ms, priority, False]],
            "tasks": [[bytes(16), self._attempts, 0, msgpack.packb(payload), 1]],
        }
        self.main.send("assign", self._assigns, body)
        return self._attempts

    def result(self, attempt: int) -> List[Any]:
        """The item of its finished, filled up to all elements."""

        def find() -> Any:
            for message in self.main.of_type("finished"):
                for item in message.body["results"]:
                    if item[1] == attempt:
                        return item + [None, None, []][len(item) - 5 :]
            return None

        return eventually(find, f"the result of attempt {attempt}")


@pytest.fixture
def worker(main: FakeMain) -> Iterator[Worker]:
    made = Worker(main)
    made.executor.register_handler("echo", lambda payload: {"echo": payload})
    made.executor.start()
    yield made
    made.executor.stop(drain_timeout=0.1)


def test_hello_has_a_whole_capability_record(main: FakeMain, worker: Worker) -> None:
    (hello,) = main.of_type("hello")
    device = hello.body["device"]
    assert (hello.body["peer"], hello.body["held"]) == ("worker", [])
    assert (device["handlers"], device["slots"], device["role"]) == (["echo"], 2, "worker")
    assert device["cpu_count"] >= 1 and device["memory_total_gb"] > 0 and device["storage_total_gb"] > 0
    assert device["platform"] in ("linux", "android", "darwin", "windows")
    assert device == worker.executor.capabilities


def test_handler_runs_and_its_result_is_reported(worker: Worker) -> None:
    item = worker.result(worker.assign("echo", {"a": [1, 2.5, None, b"x"]}))
    assert item[2] == 1 and msgpack.unpackb(item[3]) == {"echo": {"a": [1, 2.5, None, b"x"]}}
    assert item[5:] == [None, None, []]


def fail(payload: Any) -> None:
    raise KeyError("no such thing")


def leave(payload: Any) -> None:
    sys.exit(3)


def refuse(payload: Any) -> None:
    raise PermanentError("duration is missing")


@pytest.mark.parametrize(
    ("handler", "outcome", "error", "has_traceback"),
    [
        (fail, 2, "KeyError: 'no such thing'", True),
        (leave, 2, "SystemExit: 3", True),
        (refuse, 3, "PermanentError: duration is missing", True),
        (lambda payload: object(), 3, "the result cannot be sent", False),
        (lambda payload: {"when": {1}}, 3, "set", False),
        (lambda payload: 2**70, 3, "the result cannot be sent", False),
        (lambda payload: bytes(2**24 + 1), 3, "at most 16777216", False),
        (lambda payload: 1 / 0, 2, "ZeroDivisionError", True),
    ],
)
def test_failure_is_reported(
    worker: Worker, handler: Any, outcome: int, error: str, has_traceback: bool
) -> None:
    worker.executor.register_handler("bad", handler)
    item = worker.result(worker.assign("bad"))
    assert (item[2], item[3]) == (outcome, None)
    assert error in item[5]
    assert bool(item[6]) is has_traceback
    assert worker.result(worker.assign("echo"))[2] == 1  # the slot goes on


def test_long_error_is_cut_and_still_text(worker: Worker) -> None:
    def shout(payload: Any) -> None:
        raise RuntimeError("ü" * 100_000)

    worker.executor.register_handler("shout", shout)
    item = worker.result(worker.assign("shout"))
    assert 8000 < len(item[5].encode()) <= 8192 and len(item[6].encode()) <= 65536
    assert cut_text("\ud800", 10) == "?"


def test_payload_that_is_not_msgpack_fails_for_good(main: FakeMain, worker: Worker) -> None:
    body = {"specs": [["echo", 1000, 2, False]], "tasks": [[bytes(16), 900, 0, b"\xc1", 1]]}
    main.send("assign", 50, body)
    assert worker.result(900)[2] == 3


def test_order_is_priority_then_arrival(main: FakeMain) -> None:
    worker = Worker(main, slots=1)
    ran: List[int] = []
    gate = threading.Event()
    worker.executor.register_handler("gate", lambda payload: wait_for_event(gate))
    worker.executor.register_handler("note", ran.append)
    with worker.executor:
        worker.assign("gate", priority=4)
        last = 0
        for name, priority in [(1, 1), (2, 2), (3, 4), (4, 2), (5, 3)]:
            last = max(last, worker.assign("note", name, priority))
        main.send("recall", 77, {"attempts": []})
        main.wait_for("returned")  # everything before it has arrived
        gate.set()
        worker.result(2)
    assert ran == [3, 5, 2, 4, 1]


def test_never_more_than_slots_at_once(main: FakeMain) -> None:
    worker = Worker(main, slots=3)
    lock, most, now = threading.Lock(), [0], [0]
    barrier = threading.Barrier(3)

    def work(payload: Any) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        barrier.wait(10)  # passes only if three really run at once
        with lock:
            now[0] -= 1

    worker.executor.register_handler("work", work)
    with worker.executor:
        attempts = [worker.assign("work") for _ in range(12)]
        assert [worker.result(a)[2] for a in attempts] == [1] * 12
    assert most[0] == 3


def test_timeout_is_reported_and_the_slot_serves_on(main: FakeMain) -> None:
    worker = Worker(main, slots=1)
    seen: List[Any] = []
    release = threading.Event()

    def stuck(payload: Any, context: TaskContext) -> None:
        seen.append(context.wait_cancelled(10))
        release.wait(10)

    worker.executor.register_handler("stuck", stuck)
    worker.executor.register_handler("echo", lambda payload: payload)
    with worker.executor:
        item = worker.result(worker.assign("stuck", timeout_ms=50))
        assert (item[2], item[5]) == (4, "not done after 0.05 s")
        assert worker.result(worker.assign("echo"))[2] == 1
        eventually(lambda: seen == [True], "the handler that is not waited for any more has seen it")
        release.set()


def test_stop_is_seen_by_the_handler_and_reported_as_cancelled(main: FakeMain, worker: Worker) -> None:
    begun = threading.Event()

    def wait(payload: Any, context: TaskContext) -> str:
        begun.set()
        assert context.wait_cancelled(10) and context.cancelled
        return "whatever"

    worker.executor.register_handler("wait", wait)
    attempt = worker.assign("wait")
    wait_for_event(begun)
    main.send("stop", 0, {"attempts": [attempt]})
    assert worker.result(attempt)[2:4] == [5, None]


def test_recall_gives_back_what_waits(main: FakeMain) -> None:
    worker = Worker(main, slots=1)
    gate = threading.Event()
    worker.executor.register_handler("gate", lambda payload: wait_for_event(gate))
    with worker.executor:
        running = worker.assign("gate")
        main.wait_for("started")
        waiting = worker.assign("gate")
        main.send("recall", 9, {"attempts": [running, waiting]})
        (returned,) = main.wait_for("returned")
        assert (returned.correlation, returned.body["attempts"]) == (9, [waiting])
        gate.set()
        assert worker.result(running)[2] == 1


def test_long_attempt_is_reported_as_started_and_held(main: FakeMain, worker: Worker) -> None:
    gate = threading.Event()
    worker.executor.register_handler("gate", lambda payload: wait_for_event(gate))
    attempt = worker.assign("gate")
    (begun,) = main.wait_for("started")
    assert begun.body["attempts"] == [attempt]
    eventually(lambda: [m for m in main.of_type("heartbeat") if m.body["held"] == [attempt]], "a heartbeat")
    gate.set()
    worker.result(attempt)


def test_context_tells_and_logs(worker: Worker) -> None:
    def handler(payload: Any, context: TaskContext) -> List[Any]:
        context.log("one")
        context.log("x" * 9000, level="error")
        with pytest.raises(ValueError, match="level is"):
            context.log("two", level="loud")
        return [context.task_id, context.attempt, context.timeout_seconds, context.remaining_seconds > 50]

    worker.executor.register_handler("tell", handler)
    item = worker.result(worker.assign("tell"))
    assert msgpack.unpackb(item[3]) == ["00000000-0000-0000-0000-000000000000", 1, 60.0, True]
    assert [(line[0], len(line[2])) for line in item[7]] == [(2, 3), (4, 8192)]


def test_context_is_for_those_who_ask() -> None:
    assert not takes_context(lambda payload: 0)
    assert not takes_context(lambda payload, verbose=True: 0)
    assert not takes_context(lambda *args: 0)
    assert not takes_context(len)
    assert takes_context(lambda payload, context: 0)
    assert takes_context(lambda payload, ctx: 0)
    assert takes_context(lambda payload, context=None: 0)
    assert takes_context(lambda payload, *, context: 0)


def test_handlers_come_and_go_while_running(main: FakeMain, worker: Worker) -> None:
    worker.executor.register_handler("later", lambda payload: 1)
    (update,) = main.wait_for("device_update")
    assert update.body["device"]["handlers"] == ["echo", "later"]
    assert worker.executor.get_supported_task_types() == ["echo", "later"]
    assert worker.executor.unregister_handler("later")
    assert not worker.executor.unregister_handler("later")
    main.wait_for("device_update", 2)
    item = worker.result(worker.assign("later"))
    assert item[2] == 7 and "later" in item[5]


@pytest.mark.parametrize("bad", ["", "My Task", "x" * 65, None])
def test_what_is_no_task_type_is_refused(worker: Worker, bad: Any) -> None:
    with pytest.raises(ValueError, match="task_type"):
        worker.executor.register_handler(bad, print)


def test_what_cannot_be_called_is_refused(worker: Worker) -> None:
    with pytest.raises(TypeError, match="cannot be called"):
        worker.executor.register_handler("x", 5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"slots": 0}, "slots is 0"),
        ({"slots": 4097}, "slots is 4097"),
        ({"device_id": "my laptop"}, "device_id is 'my laptop'"),
        ({"role": "r" * 65}, "role is 65 bytes"),
        ({"tags": [""]}, r"tags\[0\] is empty"),
        ({"capabilities": {"cpus": 4}}, "'cpus'"),
        ({"capabilities": {"cpu_count": "4"}}, "cpu_count"),
        ({"capabilities": {"device_id": "x"}}, "'device_id'"),
    ],
)
def test_what_is_no_device_is_refused(more: Dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TaskExecutor("127.0.0.1:1", **more)


def test_capabilities_may_be_replaced() -> None:
    executor = TaskExecutor(
        "127.0.0.1:1", "mobile", ["a"], capabilities={"platform": "android", "has_gpu": True}
    )
    assert (executor.capabilities["platform"], executor.capabilities["has_gpu"]) == ("android", True)
    assert (executor.capabilities["role"], executor.capabilities["tags"]) == ("mobile", ["a"])


# -- connections


def test_no_main_there_is_a_connection_error() -> None:
    executor = TaskExecutor("127.0.0.1:9", connect_timeout=0.2)
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:9"):
        executor.start()
    executor.stop()


def test_result_that_was_not_acknowledged_is_sent_after_a_restart(main: FakeMain, worker: Worker) -> None:
    main.hook = lambda peer, message: message.type == "finished"
    attempt = worker.assign("echo")
    worker.result(attempt)
    main.hook = None
    main.forget_sessions()
    main.wait_for("hello", 2)
    assert main.of_type("hello")[1].body["held"] == [attempt]
    assert len(main.wait_for("finished", 2)) == 2
    eventually(
        lambda: worker.executor._core is not None and worker.executor._core.idle, "the acknowledgement"
    )


@pytest.mark.quick_silence
def test_work_goes_on_while_main_is_silent(main: FakeMain, worker: Worker) -> None:
    gate = threading.Event()
    worker.executor.register_handler("gate", lambda payload: wait_for_event(gate))
    attempt = worker.assign("gate")
    main.wait_for("started")
    main.silent = True
    main.wait_for("hello", 2)
    gate.set()
    main.silent = False
    assert worker.result(attempt)[2] == 1


def test_abandoned_attempt_is_cancelled_and_not_reported(main: FakeMain, worker: Worker) -> None:
    cancelled = threading.Event()

    def wait(payload: Any, context: TaskContext) -> None:
        context.wait_cancelled(10)
        cancelled.set()

    worker.executor.register_handler("wait", wait)
    attempt = worker.assign("wait")
    main.wait_for("started")
    main.abandon = [attempt]
    main.forget_sessions()
    wait_for_event(cancelled)
    worker.result(worker.assign("echo"))
    assert all(item[1] != attempt for m in main.of_type("finished") for item in m.body["results"])


@pytest.mark.parametrize("frames", [[b""], [b"\xc1"], [b"\xdd\xff\xff\xff\xff"], [b"a", b"b"]])
def test_garbage_from_main_harms_nobody(main: FakeMain, worker: Worker, frames: List[bytes]) -> None:
    main.send_raw(frames)
    assert worker.result(worker.assign("echo"))[2] == 1


def test_same_assign_twice_runs_once(main: FakeMain, worker: Worker) -> None:
    ran: List[Any] = []
    worker.executor.register_handler("note", ran.append)
    body = {"specs": [["note", 1000, 2, False]], "tasks": [[bytes(16), 5, 0, b"\x07", 1]]}
    main.hook = lambda peer, message: message.type == "finished"  # so that it stays held
    main.send("assign", 1, body)
    worker.result(5)
    main.send("assign", 2, body)
    main.send("recall", 3, {"attempts": []})
    main.wait_for("returned")
    assert ran == [7]
    main.hook = None
    main.forget_sessions()


def test_replaced_executor_stops_with_an_error(main: FakeMain) -> None:
    worker = Worker(main)
    raised: List[BaseException] = []

    def run() -> None:
        try:
            worker.executor.run()
        except errors.ReplacedError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    main.wait_for("hello")
    eventually(lambda: main.sessions, "the session")
    main.send("error", 0, {"code": "replaced", "message": "another process has joined as this device"})
    thread.join(10)
    assert len(raised) == 1 and "another process" in str(raised[0])
    assert worker.executor.error is raised[0]


def test_stop_drains_waits_and_says_goodbye(main: FakeMain) -> None:
    worker = Worker(main)
    begun, gate = threading.Event(), threading.Event()

    def wait(payload: Any) -> str:
        begun.set()
        wait_for_event(gate)
        return "done"

    worker.executor.register_handler("wait", wait)
    worker.executor.start()
    attempt = worker.assign("wait")
    wait_for_event(begun)
    stopper = threading.Thread(target=worker.executor.stop)
    stopper.start()
    main.wait_for("drain")
    assert not main.of_type("goodbye")
    gate.set()
    stopper.join(10)
    assert worker.result(attempt)[2] == 1
    main.wait_for("goodbye")
    worker.executor.stop()


def test_stop_does_not_wait_for_ever(main: FakeMain) -> None:
    worker = Worker(main)
    seen: List[bool] = []

    def wait(payload: Any, context: TaskContext) -> None:
        seen.append(context.wait_cancelled(10))

    worker.executor.register_handler("wait", wait)
    worker.executor.start()
    worker.assign("wait")
    main.wait_for("started")
    worker.executor.stop(drain_timeout=0.05)
    main.wait_for("goodbye")
    eventually(lambda: seen == [True], "the handler")


def test_executor_is_started_once(main: FakeMain) -> None:
    worker = Worker(main)
    with worker.executor:
        with pytest.raises(errors.ClosedError):
            worker.executor.start()
        with pytest.raises(errors.ClosedError):
            worker.executor.run()
        assert not main.of_type("goodbye")


def test_device_id_is_kept_in_the_data_dir_and_made_anew_without(main: FakeMain, tmp_path: Path) -> None:
    kept = str(tmp_path / "a")
    ids = {TaskExecutor(main.address, data_dir=kept).device_id for _ in range(2)}
    assert len(ids) == 1
    assert TaskExecutor(main.address).device_id != TaskExecutor(main.address).device_id
    assert TaskExecutor(main.address, device_id="mine").device_id == "mine"
    (tmp_path / "a" / "device_id").write_text("not an ID\n")
    with pytest.raises(ValueError, match="device_id"):
        TaskExecutor(main.address, data_dir=kept)


@pytest.mark.skipif(sys.platform == "win32", reason="no lock on this platform")
def test_second_executor_in_a_data_dir_is_refused(main: FakeMain, tmp_path: Path) -> None:
    with TaskExecutor(main.address, data_dir=str(tmp_path), slots=1):
        with pytest.raises(errors.ProgramError, match="data_dir of its own"):
            TaskExecutor(main.address, data_dir=str(tmp_path), slots=1).start()
    with TaskExecutor(main.address, data_dir=str(tmp_path), slots=1):
        pass


PROGRAM = """
import sys
from retire_cluster.tasks import TaskExecutor
executor = TaskExecutor(sys.argv[1], slots=1)
executor.register_handler("echo", lambda payload: payload)
executor.run()
print("left", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_drains_a_program_that_runs(main: FakeMain, number: int) -> None:
    source = str(Path(__file__).resolve().parents[1] / "src")
    command = [sys.executable, "-c", PROGRAM, main.address]
    child = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": source}, stdout=subprocess.PIPE, text=True
    )
    try:
        eventually(lambda: main.sessions, "the session")
        main.send(
            "assign", 1, {"specs": [["echo", 1000, 2, False]], "tasks": [[bytes(16), 1, 0, b"\x01", 1]]}
        )
        main.wait_for("finished")
        child.send_signal(number)
        said, _ = child.communicate(timeout=10)
        assert (said, child.returncode) == ("left\n", 0)
        assert main.of_type("drain") and main.wait_for("goodbye")
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TERMUX_VERSION": "0.118"}, "android"),
        ({}, {"linux": "linux", "darwin": "darwin", "win32": "windows"}),
    ],
)
def test_platform_of_a_phone(
    monkeypatch: pytest.MonkeyPatch, variables: Dict[str, str], expected: Tuple[str, Any]
) -> None:
    monkeypatch.delenv("TERMUX_VERSION", raising=False)
    monkeypatch.delenv("ANDROID_ROOT", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    wanted = expected.get(sys.platform, sys.platform) if isinstance(expected, dict) else expected
    assert probe.platform_name() == wanted
