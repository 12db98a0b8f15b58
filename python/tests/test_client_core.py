"""The client's core alone: no socket, and time is a number."""

from __future__ import annotations

import random
from typing import Any, Dict, List, Tuple

import pytest
from retire_cluster import errors
from retire_cluster.client.core import HELLO, Answered, Arrived, Broken, ClientCore, Failed, Joined, Request, Unknown
from retire_cluster.transport.session import Send
from retire_cluster.wire import Message, decode, encode

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
A, B = b"a" * 16, b"b" * 16


class Driver:
    """Feeds a core, and takes what it wants sent as (type, correlation) or the effect's name."""

    def __init__(self) -> None:
        self.core = ClientCore("main:1", "test", bytes(16), random.Random(7))
        self.now = 0.0

    def took(self) -> List[Any]:
        out: List[Any] = []
        for effect in self.core.effects:
            if isinstance(effect, Send):
                message = decode(effect.frame)
                out.append((message.type, message.correlation))
            else:
                out.append(type(effect).__name__)
        self.core.effects.clear()
        return out

    def told(self) -> List[Any]:
        events = list(self.core.events)
        self.core.events.clear()
        return events

    def at(self, now: float) -> List[Any]:
        self.now = now
        self.core.on_time(now)
        return self.took()

    def hear(self, kind: str, correlation: int = 0, **body: Any) -> List[Any]:
        self.core.on_message(Message(kind, correlation, body), self.now)
        return self.took()

    def join(self) -> Driver:
        self.core.start(self.now)
        self.hear("welcome", HELLO, **WELCOME)
        self.took()
        self.told()
        return self

    def ask(self, correlation: int = 1, deadline: float = 30.0, notify: Tuple[bytes, ...] = ()) -> Request:
        request = Request(correlation, encode("stats", correlation, {}), "statistics", deadline, notify)
        self.core.request(request)
        return request


def test_start_opens_and_says_hello() -> None:
    driver = Driver()
    driver.core.start(0)
    assert driver.took() == ["Open", ("hello", HELLO)]


def test_time_alone_starts_nothing() -> None:
    driver = Driver()
    assert driver.at(100) == []
    assert driver.core.next_deadline() == float("inf")


def test_requests_wait_for_the_welcome() -> None:
    driver = Driver()
    driver.core.start(0)
    driver.took()
    driver.ask(5)
    driver.ask(6)
    assert driver.took() == []
    assert driver.hear("welcome", HELLO, **WELCOME) == [("stats", 5), ("stats", 6)]
    assert [type(e) for e in driver.told()] == [Joined]


def test_answer_belongs_to_its_request() -> None:
    driver = Driver().join()
    one, other = driver.ask(1), driver.ask(2)
    driver.hear("statistics", 2, statistics={"b": 1})
    driver.hear("statistics", 1, statistics={"a": 1})
    assert [(e.request, e.body["statistics"]) for e in driver.told()] == [(other, {"b": 1}), (one, {"a": 1})]


@pytest.mark.parametrize(
    ("kind", "correlation", "body"),
    [
        ("statistics", 99, {"statistics": {}}),  # nobody asked
        ("cancelled", 1, {"cancelled": []}),  # another type than what was asked for
        ("heartbeat", 1, {}),
        ("assign", 1, {"specs": [], "tasks": []}),  # not for clients
    ],
)
def test_what_answers_nothing_changes_nothing(kind: str, correlation: int, body: Dict[str, Any]) -> None:
    driver = Driver().join()
    driver.ask(1)
    driver.took()
    assert driver.hear(kind, correlation, **body) == []
    assert driver.told() == []
    driver.hear("statistics", 1, statistics={})
    assert [type(e) for e in driver.told()] == [Answered]


def test_same_answer_twice_counts_once() -> None:
    driver = Driver().join()
    driver.ask(1)
    driver.hear("statistics", 1, statistics={})
    driver.hear("statistics", 1, statistics={})
    assert len(driver.told()) == 1


def test_error_fails_its_request_with_its_class() -> None:
    driver = Driver().join()
    driver.ask(1)
    driver.hear("error", 1, code="conflict", message="the task ID is in use", index=3, field="task_id")
    (event,) = driver.told()
    assert isinstance(event, Failed) and isinstance(event.error, errors.TaskConflictError)
    assert (event.error.code, event.error.index, event.error.field) == ("conflict", 3, "task_id")


def test_unknown_error_code_is_kept() -> None:
    driver = Driver().join()
    driver.ask(1)
    driver.hear("error", 1, code="out_of_tea", message="none left")
    (event,) = driver.told()
    assert type(event.error) is errors.RetireClusterError and event.error.code == "out_of_tea"


def test_hello_required_greets_once_and_repeats_all_with_the_same_frames() -> None:
    driver = Driver().join()
    request = driver.ask(1)
    driver.ask(2)
    driver.took()
    assert driver.hear("error", 1, code="hello_required", message="") == [("hello", HELLO)]
    assert driver.hear("error", 2, code="hello_required", message="") == []
    driver.core.on_message(Message("welcome", HELLO, WELCOME), 0)
    assert driver.core.effects[0] == Send(request.frame)
    assert driver.took() == [("stats", 1), ("stats", 2)]


def test_silence_closes_then_opens_after_the_backoff_and_repeats() -> None:
    driver = Driver().join()
    driver.ask(1, deadline=1000)
    driver.took()
    assert ("heartbeat", 0) in driver.at(5)
    assert driver.at(14.9)[-1:] != ["Close"]
    assert "Close" in driver.at(15.0)
    assert driver.core.next_deadline() <= 15.1
    assert driver.at(15.1) == ["Open", ("hello", HELLO)]
    assert driver.hear("welcome", HELLO, **WELCOME) == [("stats", 1)]


def test_backoff_doubles_with_full_jitter_up_to_five_seconds() -> None:
    driver = Driver()
    driver.core.start(0)
    driver.took()
    waits = []
    now = 0.0
    for _ in range(60):
        now = driver.core.next_deadline()
        assert driver.at(now) == ["Close"]
        opened = driver.core.next_deadline()
        waits.append(opened - now)
        assert driver.at(opened) == ["Open", ("hello", HELLO)]
    assert waits[0] <= 0.1 and waits[1] <= 0.2
    assert max(waits) <= 5.0 and max(waits) > 3.0
    assert min(waits[10:]) < 1.5  # full jitter: from 0, not from half


def test_any_message_is_a_sign_of_life() -> None:
    driver = Driver().join()
    driver.now = 14
    driver.hear("heartbeat")
    assert "Close" not in driver.at(20)
    assert "Close" in driver.at(29)


def test_heartbeats_come_at_the_interval_of_the_welcome_less_up_to_a_tenth() -> None:
    driver = Driver().join()
    assert driver.at(4.49) == []
    assert driver.at(5.0) == [("heartbeat", 0)]
    assert driver.at(5.1) == []


def test_request_without_answer_fails_at_its_deadline() -> None:
    driver = Driver().join()
    driver.ask(1, deadline=10)
    driver.took()
    assert driver.core.next_deadline() <= 10
    driver.at(9.9)
    assert driver.told() == []
    driver.at(10)
    (event,) = driver.told()
    assert isinstance(event.error, errors.MainUnreachableError) and "main:1" in str(event.error)
    driver.hear("statistics", 1, statistics={})
    assert driver.told() == []


def test_busy_is_repeated_when_main_said() -> None:
    driver = Driver().join()
    driver.ask(1)
    driver.took()
    assert driver.hear("error", 1, code="busy", message="", retry_after_ms=250) == []
    assert driver.told() == []
    again = driver.core.next_deadline()
    assert again is not None and 0.25 <= again <= 0.3125  # spread, and never before the time named
    assert driver.at(again - 0.001) == []
    assert driver.at(again) == [("stats", 1)]


def test_a_busy_hello_is_not_taken_for_a_request() -> None:
    """The connection is tried again; the first request, whose number is 1, waits for the welcome."""
    driver = Driver()
    driver.core.start(0)
    driver.ask(1)
    driver.took()
    assert driver.hear("error", HELLO, code="busy", message="", retry_after_ms=100) == []
    assert driver.told() == []
    assert driver.at(2.0) == ["Close"]
    opened = driver.core.next_deadline()
    assert opened is not None and driver.at(opened) == ["Open", ("hello", HELLO)]
    assert driver.hear("welcome", HELLO, **WELCOME) == [("stats", 1)]


def test_a_refused_hello_breaks_the_client_although_a_request_waits() -> None:
    driver = Driver()
    driver.core.start(0)
    driver.ask(1)
    driver.took()
    driver.hear("error", HELLO, code="not_let_in", message="no")
    assert [type(event) for event in driver.told()] == [Failed, Broken]


def test_busy_for_ever_ends_at_the_deadline() -> None:
    driver = Driver().join()
    driver.ask(1, deadline=2)
    driver.hear("error", 1, code="busy", message="", retry_after_ms=60_000)
    driver.at(2)
    error = driver.told()[0].error
    assert isinstance(error, errors.MainUnreachableError) and "busy" in str(error)


def test_busy_wait_is_repeated() -> None:
    driver = Driver().join()
    driver.core.watch([A])
    ((_, correlation),) = driver.took()
    driver.hear("error", correlation, code="busy", message="", retry_after_ms=100)
    assert driver.at(0.099) == []
    assert [kind for kind, _ in driver.at(0.125)] == ["wait"]


def test_watch_asks_main_unless_it_pushes_anyway() -> None:
    driver = Driver().join()
    driver.ask(1, notify=(A,))
    driver.hear("statistics", 1, statistics={})
    driver.took()
    driver.core.watch([A])
    assert driver.took() == []
    driver.core.watch([B])
    assert [kind for kind, _ in driver.took()] == ["wait"]
    driver.core.watch([B])
    assert driver.took() == []


def test_watch_is_repeated_after_a_new_welcome_even_for_pushed_ones() -> None:
    driver = Driver().join()
    driver.ask(1, notify=(A,))
    driver.hear("statistics", 1, statistics={})
    driver.core.watch([A])
    driver.took()
    driver.hear("error", 0, code="hello_required", message="")
    driver.core.on_message(Message("welcome", HELLO, WELCOME), 0)
    (effect,) = driver.core.effects
    assert decode(effect.frame).body == {"ids": A}


def test_submission_is_repeated_before_the_wait() -> None:
    driver = Driver().join()
    driver.core.watch([A])
    driver.ask(1)
    driver.took()
    driver.hear("error", 0, code="hello_required", message="")
    assert [kind for kind, _ in driver.hear("welcome", HELLO, **WELCOME)] == ["stats", "wait"]


def test_results_arrive_once_watched_or_not() -> None:
    driver = Driver().join()
    driver.core.watch([A])
    item = [A, 4, None, None, None, 0, 0]
    driver.hear("results", 0, devices=[], results=[item])
    assert driver.told() == [Arrived([], [item])]
    driver.took()
    driver.core.watch([A])  # it has gone by: asked for anew
    assert [kind for kind, _ in driver.took()] == ["wait"]


def test_unknown_tasks_are_told() -> None:
    driver = Driver().join()
    driver.core.watch([A, B])
    ((_, correlation),) = driver.took()
    driver.hear("waiting", correlation, unknown=B)
    assert driver.told() == [Unknown([B])]


def test_unwatched_tasks_are_not_asked_for_again() -> None:
    driver = Driver().join()
    driver.core.watch([A, B])
    driver.core.unwatch([A])
    driver.took()
    driver.hear("error", 0, code="hello_required", message="")
    driver.core.on_message(Message("welcome", HELLO, WELCOME), 0)
    (effect,) = driver.core.effects
    assert decode(effect.frame).body == {"ids": B}


def test_many_waits_are_split_at_the_limit_of_a_message() -> None:
    driver = Driver().join()
    driver.core.watch([n.to_bytes(16, "big") for n in range(25_000)])
    sizes = [len(decode(e.frame).body["ids"]) // 16 for e in driver.core.effects]
    assert sorted(sizes) == [5000, 10000, 10000]


def test_refused_hello_ends_everything() -> None:
    driver = Driver()
    driver.core.start(0)
    driver.ask(5)
    driver.took()
    took = driver.hear("error", HELLO, code="unsupported_version", message="main speaks 2 to 3")
    assert took == ["Close"]
    failed, broken = driver.told()
    assert isinstance(failed, Failed) and isinstance(broken, Broken)
    assert isinstance(broken.error, errors.ProtocolError) and "2 to 3" in str(broken.error)
    assert driver.at(1000) == [] and driver.core.next_deadline() is None
    driver.ask(6)
    assert isinstance(driver.told()[0].error, errors.ProtocolError)


def test_goodbye_only_on_a_connection() -> None:
    driver = Driver()
    driver.core.goodbye()
    assert driver.took() == []
    driver.join().core.goodbye()
    assert driver.took() == [("goodbye", 0)]
