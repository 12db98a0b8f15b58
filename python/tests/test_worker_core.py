"""The worker's core alone: no socket, no thread, and time is a number."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest
from retire_cluster import errors
from retire_cluster.transport.session import Send
from retire_cluster.wire import Message, decode
from retire_cluster.worker.context import TaskContext, Told
from retire_cluster.worker.core import (
    Abandon,
    Broken,
    Cancel,
    Joined,
    Outcome,
    Report,
    Start,
    Tell,
    WorkerCore,
)

CAPABILITY: Dict[str, Any] = {
    "device_id": "d",
    "role": "worker",
    "platform": "linux",
    "arch": "x",
    "cpu_count": 1,
    "memory_total_gb": 1,
    "storage_total_gb": 1,
    "has_gpu": False,
    "has_internet": False,
    "tags": [],
    "handlers": ["echo", "slow"],
    "slots": 1,
    "version": "1",
}
WELCOME = {
    "version": 1,
    "program": "main",
    "instance": bytes(16),
    "epoch": 1,
    "durable": False,
    "heartbeat_ms": 5000,
    "offline_after_ms": 15000,
    "lease_ms": 30000,
    "message_bytes_max": 1,
    "payload_bytes_max": 1,
    "result_bytes_max": 1,
}
OK = Report(Outcome.SUCCESS, b"\xc0")


class Driver:
    def __init__(self, slots: int = 1) -> None:
        self.core = WorkerCore({**CAPABILITY, "slots": slots}, "test", bytes(16), random.Random(7))
        self.now = 0.0
        self.frames: List[Message] = []
        self.tells: List[Tell] = []

    def run(self) -> List[Any]:
        """Lets time pass at `now`; returns what the owner is told."""
        self.core.on_time(self.now)
        for effect in self.core.effects:
            self.frames.append(
                decode(effect.frame) if isinstance(effect, Send) else Message(type(effect).__name__, 0, {})
            )
        self.core.effects.clear()
        self.tells += [e for e in self.core.events if isinstance(e, Tell)]
        events = [e for e in self.core.events if not isinstance(e, Tell)]
        self.core.events.clear()
        return events

    def sent(self, kind: Optional[str] = None) -> List[Message]:
        """What was sent since the last call."""
        frames, self.frames = self.frames, []
        return [m for m in frames if kind is None or m.type == kind]

    def hear(self, kind: str, correlation: int = 0, **body: Any) -> List[Any]:
        self.core.on_message(Message(kind, correlation, body), self.now)
        return self.run()

    def join(self) -> Driver:
        self.core.start(self.now)
        self.hear("welcome", 1, **WELCOME)
        self.sent()
        return self

    def assign(
        self, *attempts: Tuple[int, int], kind: str = "echo", timeout_ms: int = 60_000, seq: int = 1
    ) -> List[int]:
        """Attempts as (number, priority); returns the numbers of those that are started."""
        specs = [[kind, timeout_ms, priority, False] for _, priority in attempts]
        tasks = [[bytes(16), number, place, b"\xc0", 1] for place, (number, _) in enumerate(attempts)]
        return started(self.hear("assign", seq, specs=specs, tasks=tasks))

    def done(self, number: int, report: Report = OK) -> List[int]:
        self.core.on_done(number, report, self.now)
        return started(self.run())


def started(events: List[Any]) -> List[int]:
    return [e.attempt.number for e in events if isinstance(e, Start)]


def outcomes(messages: List[Message]) -> Dict[int, int]:
    return {item[1]: item[2] for m in messages if m.type == "finished" for item in m.body["results"]}


def test_hello_carries_capability_and_what_is_held() -> None:
    driver = Driver()
    driver.core.start(0)
    events = driver.hear("welcome", 1, **WELCOME)
    opened, hello = driver.sent()
    assert (opened.type, hello.type) == ("Open", "hello")
    assert (hello.body["peer"], hello.body["held"], hello.body["device"]["slots"]) == ("worker", [], 1)
    assert [type(e) for e in events] == [Joined]


def test_priority_then_arrival_decides_and_never_more_than_slots() -> None:
    driver = Driver().join()
    assert driver.assign((1, 1), (2, 2), (3, 4), (4, 2)) == [3]
    assert driver.assign((5, 3), seq=2) == []
    order = [3]
    while len(order) < 5:
        order += driver.done(order[-1])
    assert order == [3, 5, 2, 4, 1]


def test_slots_run_at_once() -> None:
    driver = Driver(slots=3).join()
    assert driver.assign(*[(n, 2) for n in range(5)]) == [0, 1, 2]
    assert driver.done(1) == [3]


def test_finished_is_kept_until_acknowledged_and_sent_again() -> None:
    driver = Driver().join()
    driver.assign((7, 2))
    driver.now = 0.05
    driver.done(7)
    (finished,) = driver.sent("finished")
    assert finished.body["results"] == [[bytes(16), 7, 1, b"\xc0", 50_000]]
    driver.now = 9
    driver.run()
    assert driver.sent("finished") == []
    driver.now = 10.05
    driver.run()
    (again,) = driver.sent("finished")
    assert again.body == finished.body and again.correlation != finished.correlation
    assert not driver.core.idle
    driver.hear("ack", again.correlation)
    assert driver.core.idle
    driver.now = 30
    driver.run()
    assert driver.sent("finished") == []


def test_acknowledgement_of_nothing_changes_nothing() -> None:
    driver = Driver().join()
    driver.hear("ack", 99)
    driver.assign((7, 2))
    driver.hear("ack", 2)
    driver.done(7)
    assert outcomes(driver.sent()) == {7: 1}


def test_finished_is_sent_again_after_a_new_welcome_and_held_until_then() -> None:
    driver = Driver().join()
    driver.assign((7, 2))
    driver.done(7)
    driver.sent()
    driver.hear("error", 0, code="hello_required", message="")
    (hello,) = driver.sent("hello")
    assert hello.body["held"] == [7]
    driver.hear("welcome", 1, **WELCOME)
    assert outcomes(driver.sent()) == {7: 1}


def test_abandoned_attempts_are_forgotten_in_every_state() -> None:
    driver = Driver().join()
    driver.assign((1, 2))
    driver.done(1)
    driver.assign((2, 2), (3, 2), seq=2)
    driver.hear("error", 0, code="hello_required", message="")
    driver.sent()
    events = driver.hear("welcome", 1, **WELCOME, abandon=[1, 2, 3, 99])
    assert [e.attempt.number for e in events if isinstance(e, Cancel)] == [2]
    assert outcomes(driver.sent()) == {}
    driver.now = 5
    driver.run()
    (beat,) = driver.sent("heartbeat")
    assert (beat.body["held"], beat.body["running"]) == ([], 1)
    driver.done(2)
    assert outcomes(driver.sent()) == {} and driver.core.idle


def test_attempt_that_is_held_already_is_not_run_twice() -> None:
    driver = Driver(slots=4).join()
    assert driver.assign((1, 2)) == [1]
    assert driver.assign((1, 2), seq=2) == []
    driver.done(1)
    assert driver.assign((1, 2), seq=3) == []


def test_type_that_is_not_offered_is_handed_back() -> None:
    driver = Driver().join()
    assert driver.assign((1, 2), kind="nosuch") == []
    (finished,) = driver.sent("finished")
    assert finished.body["results"][0][2:6] == [
        7,
        None,
        0,
        "this device has no handler for nosuch (any more)",
    ]


def test_recall_gives_back_what_is_not_started() -> None:
    driver = Driver().join()
    driver.assign((1, 2), (2, 2), (3, 2))
    driver.sent()
    driver.hear("recall", 12, attempts=[1, 2, 99])
    assert driver.sent() == [Message("returned", 12, {"attempts": [2]})]
    assert driver.done(1) == [3]


def test_stop_ends_a_waiting_attempt_at_once() -> None:
    driver = Driver().join()
    driver.assign((1, 2), (2, 2))
    driver.hear("stop", 0, attempts=[2, 99])
    assert outcomes(driver.sent()) == {2: 5}


def test_stop_cancels_a_running_attempt_whose_slot_is_free_when_it_ends() -> None:
    driver = Driver().join()
    driver.assign((1, 2), (2, 2))
    driver.sent()
    events = driver.hear("stop", 0, attempts=[1])
    assert [type(e) for e in events] == [Cancel]
    assert outcomes(driver.sent()) == {}
    assert driver.hear("stop", 0, attempts=[1]) == []
    assert driver.done(1) == [2]
    assert outcomes(driver.sent()) == {1: 5}


def test_stop_after_the_end_leaves_the_outcome() -> None:
    driver = Driver().join()
    driver.assign((1, 2))
    driver.done(1)
    assert driver.hear("stop", 0, attempts=[1]) == []
    assert outcomes(driver.sent()) == {1: 1}


def test_timeout_is_counted_from_the_start_of_the_attempt() -> None:
    driver = Driver().join()
    driver.assign((1, 2), (2, 2), timeout_ms=1000)
    driver.now = 0.9
    driver.done(1)
    driver.sent()
    assert driver.core.next_deadline() <= 1.9
    driver.now = 1.85
    assert driver.run() == []
    driver.now = 1.9
    events = driver.run()
    assert [type(e) for e in events] == [Abandon]
    (finished,) = driver.sent("finished")
    assert finished.body["results"][0][1:6] == [2, 4, None, 1_000_000, "not done after 1 s"]


def test_timeout_frees_the_slot_and_the_late_result_is_dropped() -> None:
    driver = Driver().join()
    driver.assign((1, 2), (2, 2), timeout_ms=1000)
    driver.now = 1.0
    assert started(driver.run()) == [2]
    driver.sent()
    assert driver.done(1) == []
    assert outcomes(driver.sent()) == {}


def test_stopped_attempt_that_does_not_end_is_cancelled_at_its_timeout() -> None:
    driver = Driver().join()
    driver.assign((1, 2), timeout_ms=1000)
    driver.hear("stop", 0, attempts=[1])
    driver.now = 1
    driver.run()
    assert outcomes(driver.sent()) == {1: 5}


def test_short_attempt_is_only_finished_and_a_long_one_is_started() -> None:
    driver = Driver(slots=2).join()
    driver.assign((1, 2), (2, 2))
    driver.now = 0.05
    driver.done(1)
    driver.now = 0.1
    driver.run()
    assert driver.sent("started") == [Message("started", 0, {"attempts": [2]})]
    driver.now = 0.3
    driver.run()
    assert driver.sent("started") == []


def test_started_is_said_again_to_a_new_main() -> None:
    driver = Driver().join()
    driver.assign((1, 2))
    driver.now = 0.2
    driver.run()
    driver.hear("error", 0, code="hello_required", message="")
    driver.sent()
    driver.hear("welcome", 1, **WELCOME)
    assert driver.sent("started") == [Message("started", 0, {"attempts": [1]})]


def test_heartbeat_says_what_is_seen_held_and_running() -> None:
    driver = Driver().join()
    driver.assign((1, 2), (2, 2), seq=4)
    driver.core.load = 0.5
    driver.now = 5
    driver.run()
    (beat,) = driver.sent("heartbeat")
    assert beat.body == {"seen": 4, "held": [1, 2], "load": 0.5, "running": 1}


def test_numbers_of_assigns_begin_anew_with_a_session() -> None:
    driver = Driver().join()
    driver.assign((1, 2), seq=40)
    driver.hear("error", 0, code="hello_required", message="")
    driver.hear("welcome", 1, **WELCOME)
    driver.now = 5
    driver.run()
    assert driver.sent("heartbeat")[0].body["seen"] == 0


def test_silence_means_a_new_connection_while_work_goes_on() -> None:
    driver = Driver().join()
    driver.assign((1, 2))
    driver.now = 15
    driver.run()
    assert [m.type for m in driver.sent()][-1] == "Close"
    assert driver.done(1) == []
    assert driver.sent() == []
    driver.now = 16
    driver.run()
    opened, hello = driver.sent()
    assert (opened.type, hello.body["held"]) == ("Open", [1])
    driver.hear("welcome", 1, **WELCOME)
    assert outcomes(driver.sent()) == {1: 1}


def test_draining_starts_nothing_and_says_so() -> None:
    driver = Driver().join()
    driver.assign((1, 2), (2, 2))
    driver.core.drain()
    driver.run()
    assert len(driver.sent("drain")) == 1
    assert driver.done(1) == []
    driver.hear("recall", 3, attempts=[2])
    assert driver.sent("returned")[0].body == {"attempts": [2]}
    driver.hear("error", 0, code="hello_required", message="")
    assert driver.sent("hello")[0].body["draining"] is True


def test_replaced_worker_stops_for_good() -> None:
    driver = Driver().join()
    driver.assign((1, 2))
    driver.sent()
    events = driver.hear("error", 0, code="replaced", message="another process has joined")
    assert [type(e) for e in events] == [Cancel, Broken]
    assert isinstance(events[1].error, errors.ReplacedError)
    assert [m.type for m in driver.sent()] == ["Close"]
    driver.now = 100
    assert driver.run() == [] and driver.sent() == [] and driver.core.next_deadline() is None


@pytest.mark.parametrize("code", ["unsupported_version", "not_let_in", "invalid"])
def test_refused_hello_is_the_end(code: str) -> None:
    driver = Driver()
    driver.core.start(0)
    (event,) = driver.hear("error", 1, code=code, message="no")
    assert isinstance(event, Broken) and event.error.code == code


@pytest.mark.parametrize("code", ["malformed", "internal", "busy", "out_of_tea"])
def test_other_errors_do_not_end_a_worker(code: str) -> None:
    driver = Driver().join()
    assert driver.hear("error", 0, code=code, message="no") == []
    assert driver.assign((1, 2)) == [1]


def test_refused_result_is_replaced_by_a_failure_and_then_dropped() -> None:
    driver = Driver().join()
    driver.assign((1, 2))
    driver.done(1)
    (finished,) = driver.sent("finished")
    driver.hear("error", finished.correlation, code="too_large", message="over 1 MiB")
    (finished,) = driver.sent("finished")
    assert finished.body["results"][0][2:6] == [3, None, 0, "main refused the result: over 1 MiB"]
    driver.hear("error", finished.correlation, code="too_large", message="over 1 MiB")
    assert driver.sent() == [] and driver.core.idle


def test_large_results_go_in_several_messages() -> None:
    driver = Driver(slots=3).join()
    driver.assign((1, 2), (2, 2), (3, 2))
    for number in (1, 2, 3):
        driver.core.on_done(number, Report(Outcome.SUCCESS, bytes(9 * 2**20)), 0)
    driver.run()
    assert [len(m.body["results"]) for m in driver.sent("finished")] == [1, 1, 1]


def test_new_capability_is_told() -> None:
    driver = Driver().join()
    driver.core.set_capability({**CAPABILITY, "handlers": ["new"]})
    driver.run()
    assert driver.sent("device_update")[0].body["device"]["handlers"] == ["new"]
    assert driver.assign((1, 2), kind="new") == [1]
    driver.assign((2, 2), kind="echo", seq=2)
    assert outcomes(driver.sent()) == {2: 7}


# -- what running attempts tell


def test_a_short_attempt_is_not_asked_and_a_long_one_a_few_times_a_second() -> None:
    driver = Driver(slots=2).join()
    driver.assign((1, 2), (2, 2))
    driver.now = 0.05
    driver.done(1)
    for step in range(1, 101):
        driver.now = step * 0.02
        driver.run()
    assert {tell.attempt.number for tell in driver.tells} == {2}
    assert 7 <= len(driver.tells) <= 9
    assert not any(tell.again for tell in driver.tells)


def test_what_is_told_is_a_progress_until_the_attempt_is_stopped_or_over() -> None:
    driver = Driver().join()
    driver.assign((1, 2))
    driver.now = 0.5
    driver.run()
    driver.sent()
    told = Told(0.5, "half", 3, [[2, 7, "line"]], b"saved")
    driver.core.on_told(1, told)
    driver.core.on_told(99, told)
    driver.run()
    (message,) = driver.sent("progress")
    assert message.body == {"attempts": [[1, 0.5, "half", 3, [[2, 7, "line"]], b"saved"]]}
    driver.hear("stop", attempts=[1])
    driver.core.on_told(1, told)
    driver.run()
    assert driver.sent("progress") == []


def test_a_new_main_is_told_again() -> None:
    driver = Driver().join()
    driver.assign((1, 2))
    driver.now = 0.5
    driver.run()
    driver.hear("error", code="hello_required", message="")
    driver.core.on_told(1, Told(0.5, None, 0, [], None))
    driver.run()
    assert driver.sent("progress") == [], "nobody is there to be told"
    driver.hear("welcome", 1, **WELCOME)
    driver.tells.clear()
    driver.now = 1.0
    driver.run()
    assert [tell.again for tell in driver.tells] == [True]


def test_a_checkpoint_is_handed_on_and_comes_back_with_a_failure_only() -> None:
    driver = Driver(slots=3).join()
    tasks = [[bytes(16), 1, 0, b"\xc0", 2, b"before"], [bytes(16), 2, 0, b"\xc0", 1, None]]
    events = driver.hear("assign", 1, specs=[["echo", 60_000, 2, False]], tasks=tasks)
    assert [e.attempt.checkpoint for e in events] == [b"before", None]
    driver.done(1, Report(Outcome.FAILED, error="no", checkpoint=b"after"))
    driver.done(2, Report(Outcome.SUCCESS, b"\xc0", checkpoint=b"unneeded"))
    items = [item for m in driver.sent("finished") for item in m.body["results"]]
    assert items[0][5:] == ["no", None, [], b"after"]
    assert b"unneeded" not in items[1]


def test_a_timeout_takes_what_the_handler_has_left() -> None:
    driver = Driver().join()
    driver.core.left_by = lambda attempt: ([[2, 1, "stuck"]], b"saved")
    driver.assign((1, 2), timeout_ms=1000)
    driver.now = 2.0
    driver.run()
    (item,) = driver.sent("finished")[0].body["results"]
    assert (item[2], item[7], item[8]) == (Outcome.TIMEOUT, [[2, 1, "stuck"]], b"saved")


def test_a_context_tells_what_is_new_and_keeps_its_bounds() -> None:
    context = TaskContext(bytes(16), 2, 60, b"before")
    assert (context.checkpoint, context.attempt, context.idempotency_key) == (b"before", 2, context.task_id)
    assert context.tell() is None
    context.progress(7, "x" * 300)
    context.info("one")
    context.save_checkpoint(b"c")
    told = context.tell()
    assert told == (1.0, "x" * 256, 0, [[2, told.lines[0][1], "one"]], b"c")
    assert context.tell() is None
    context.warning("two")
    again = context.tell(again=True)
    assert (again.fraction, again.first_line, [line[2] for line in again.lines], again.checkpoint) == (
        1.0,
        1,
        ["two"],
        b"c",
    )
    context.progress(float("nan"))
    assert context.tell().fraction == 0
    with pytest.raises(ValueError, match="1048577 bytes, over the limit of 1048576"):
        context.save_checkpoint(bytes(1_048_577))
    with pytest.raises(TypeError):
        context.save_checkpoint("text")  # type: ignore[arg-type]
    assert context.saved_checkpoint() == b"c"
    for _ in range(20_000):
        context.debug("flood")
    assert len(context.lines()) == 10_000
    assert not context.cancelled and not context.cancelled()
    context.cancel()
    assert context.cancelled and context.cancelled() is True


def test_a_scratch_directory_goes_with_its_attempt() -> None:
    context = TaskContext(bytes(16), 1, 60)
    scratch = Path(context.scratch_dir)
    assert context.scratch_dir == str(scratch)
    assert scratch.stat().st_mode & 0o777 == 0o700
    (scratch / "file").write_text("x")
    context.end()
    assert not scratch.exists()
    with pytest.raises(RuntimeError):
        context.scratch_dir  # noqa: B018
