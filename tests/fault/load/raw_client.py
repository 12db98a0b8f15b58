"""A client that speaks the protocol itself (docs/protocol.md), and notes what main says word for word."""

from __future__ import annotations

import os
import random
import time
import uuid
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Set

import msgpack
import zmq

from checker.history import FINAL, MISSING, Writer
from load.plan import TASK_TYPE, Planned, batch, read_result

_STATUS = ("pending", "queued", "assigned", "running", "success", "failed", "cancelled", "timeout")
_HEARTBEAT_SECONDS = 0.3
_SILENCE_SECONDS = 3.0  # after which the connection is made anew
_IDS_AT_ONCE = 1000


class _Request:
    """What was sent and is to be sent again until it is answered."""

    def __init__(self, kind: str, body: Dict[str, Any], done: Callable[[str, Dict[str, Any]], None]) -> None:
        self.kind = kind
        self.body = body
        self.done = done  # with the answer's type and body; not called for `busy` and `hello_required`
        self.not_before = 0.0
        self.correlation = 0  # 0: not sent on this connection
        self.on_resend: Callable[[], None] = lambda: None
        self.sent = False


class RawClient:
    def __init__(self, address: str, history: Writer, seed: int) -> None:
        self._address = address
        self._history = history
        self._rng = random.Random(seed)
        self._context = zmq.Context()
        self._instance = os.urandom(16)
        self._socket: Optional[zmq.Socket[bytes]] = None
        self._joined = False
        self._hello = 0
        self._correlation = 0
        self._requests: List[_Request] = []
        self._sent: Dict[int, _Request] = {}
        self._heard = self._beat = 0.0
        self._failures = 0
        self._connect_at = 0.0
        self._lost_at: Optional[float] = None
        self.awaited: Set[str] = set()  # acknowledged, and without a result
        self.finished: List[str] = []
        self.gaps: List[float] = []  # seconds without a session, for each time there was none

    # -- what is asked

    def submit(self, tasks: List[Planned]) -> None:
        """One batch. Its outcome goes into the history; its results are awaited once it is acknowledged."""
        kinds: Dict[Any, int] = {}
        specs: List[Any] = []
        items = []
        for task in tasks:
            spec = [TASK_TYPE, task.priority, task.requirements, ""]
            index = kinds.setdefault(repr(spec), len(specs))
            if index == len(specs):
                specs.append(spec)
            items.append([uuid.UUID(task.id).bytes, index, msgpack.packb(task.payload)])
        number = self._history.invoke(task.intended for task in tasks)

        def done(kind: str, body: Dict[str, Any]) -> None:
            if kind == "submitted":
                self._history.ok(number, [tasks[index].id for index in body.get("known", [])])
                self.awaited |= {task.id for task in tasks} - set(self.finished)
            else:
                self._history.failed(number, f"{body['code']}: {body['message']}")

        request = self._ask("submit", {"specs": specs, "tasks": items, "notify": True}, done)
        request.on_resend = lambda: self._history.again(number)

    def look(self, ids: List[str], how: str) -> None:
        """Notes what main knows of these tasks."""
        since = time.monotonic()

        def done(kind: str, body: Dict[str, Any]) -> None:
            assert kind == "tasks", (kind, body)
            for task_id, wire in zip(ids, body["tasks"]):
                if wire is None:
                    self._history.seen(since, how, task_id, MISSING)
                    continue
                result = wire.get("result") or {}
                error = result.get("error_message")
                self._saw(since, how, task_id, wire["status"], result.get("data"), error, wire.get("reason"))

        self._ask("get", {"ids": _pack_ids(ids), "payload": False}, done)

    def list_all(self) -> None:
        """Notes the IDs of main's whole list of witness tasks."""
        found: List[str] = []

        def page(cursor: Optional[int]) -> None:
            body = {"limit": 1000, "task_type": TASK_TYPE}
            self._ask("list", body if cursor is None else {**body, "cursor": cursor}, done)

        def done(kind: str, body: Dict[str, Any]) -> None:
            assert kind == "tasks", (kind, body)
            found.extend(str(uuid.UUID(bytes=wire["task_id"])) for wire in body["tasks"])
            if body.get("next_cursor") is None:
                self._history.listed(found)
            else:
                page(body["next_cursor"])

        page(None)

    @property
    def idle(self) -> bool:
        """Everything that was asked is answered."""
        return not self._requests

    @property
    def under_way(self) -> int:
        """Submissions that are not answered."""
        return sum(request.kind == "submit" for request in self._requests)

    def turn(self, wait_seconds: float) -> None:
        now = time.monotonic()
        if self._socket is None and now >= self._connect_at:
            self._connect(now)
        if self._socket is None:
            time.sleep(max(0.0, min(wait_seconds, self._connect_at - now)))
            return
        if now - self._heard > _SILENCE_SECONDS:
            self._disconnect(now)
            return
        if now - self._beat > _HEARTBEAT_SECONDS:
            self._beat = now
            if self._joined:
                self._send("heartbeat", 0, {})
            else:
                self._say_hello()
        if self._joined:
            self._send_waiting(now)
        if self._socket.poll(int(wait_seconds * 1000)):
            for _ in range(100):
                try:
                    frame = self._socket.recv(zmq.DONTWAIT)
                except zmq.Again:
                    break
                self._take(msgpack.unpackb(frame, strict_map_key=False))

    def close(self) -> None:
        if self._socket is not None:
            self._send("goodbye", 0, {})
            self._socket.close(linger=500)
        self._context.term()

    # -- the connection

    def _connect(self, now: float) -> None:
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        self._socket.connect(f"tcp://{self._address}")
        self._heard = now
        self._say_hello()

    def _disconnect(self, now: float) -> None:
        if self._socket is not None:
            self._socket.close(linger=0)
        self._socket = None
        self._lost_session(now)
        self._failures += 1
        self._connect_at = now + self._rng.random() * min(5.0, 0.1 * 2**self._failures)

    def _lost_session(self, now: float) -> None:
        if self._joined:
            self._lost_at = now
        self._joined = False
        self._sent.clear()
        for request in self._requests:
            request.correlation = 0

    def _say_hello(self) -> None:
        self._hello = self._next()
        self._beat = time.monotonic()
        body = {"peer": "client", "versions": [1, 1], "program": "a load client/1", "instance": self._instance}
        self._send("hello", self._hello, body)

    def _next(self) -> int:
        self._correlation += 1
        return self._correlation

    def _send(self, kind: str, correlation: int, body: Dict[str, Any]) -> bool:
        assert self._socket is not None
        try:
            self._socket.send(msgpack.packb([1, kind, correlation, body]), zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def _ask(self, kind: str, body: Dict[str, Any], done: Callable[[str, Dict[str, Any]], None]) -> _Request:
        request = _Request(kind, body, done)
        self._requests.append(request)
        return request

    def _send_waiting(self, now: float) -> None:
        for request in self._requests:
            if request.correlation or now < request.not_before:
                continue
            correlation = self._next()
            if request.sent:
                request.on_resend()
            if not self._send(request.kind, correlation, request.body):
                return
            request.sent = True
            request.correlation = correlation
            self._sent[correlation] = request

    # -- what comes

    def _take(self, message: Any) -> None:
        version, kind, correlation, body = message
        assert version == 1, message
        now = self._heard = time.monotonic()
        if kind == "welcome":
            if correlation == self._hello:
                self._welcome(now)
        elif kind == "results":
            for item in body["results"]:
                task_id, status, data = str(uuid.UUID(bytes=item[0])), _STATUS[item[1]], item[2]
                self._saw(now, "push", task_id, status, data, item[7] if len(item) > 7 else None)
                self._ended(task_id)
        elif kind == "error" and body["code"] == "hello_required":
            if self._joined:
                self._lost_session(now)
                self._say_hello()
        elif correlation in self._sent:
            self._answered(self._sent.pop(correlation), kind, body, now)

    def _answered(self, request: _Request, kind: str, body: Dict[str, Any], now: float) -> None:
        if kind == "error" and body["code"] == "busy":
            request.correlation = 0
            request.not_before = now + body.get("retry_after_ms", 100) / 1000
            return
        self._requests.remove(request)
        request.done(kind, body)

    def _welcome(self, now: float) -> None:
        self._joined = True
        self._failures = 0
        if self._lost_at is not None:
            self.gaps.append(now - self._lost_at)
            self._lost_at = None
        self._requests = [request for request in self._requests if request.kind != "wait"]
        waited = sorted(self.awaited)
        for begin in range(0, len(waited), _IDS_AT_ONCE):
            self._wait(waited[begin : begin + _IDS_AT_ONCE])

    def _wait(self, ids: List[str]) -> None:
        since = time.monotonic()

        def done(kind: str, body: Dict[str, Any]) -> None:
            assert kind == "waiting", (kind, body)
            unknown = body["unknown"]
            for at in range(0, len(unknown), 16):
                task_id = str(uuid.UUID(bytes=unknown[at : at + 16]))
                self._history.seen(since, "wait", task_id, MISSING)
                self.awaited.discard(task_id)

        self._ask("wait", {"ids": _pack_ids(ids)}, done)

    def _ended(self, task_id: str) -> None:
        if task_id in self.awaited:
            self.awaited.discard(task_id)
            self.finished.append(task_id)

    def _saw(
        self,
        since: float,
        how: str,
        task_id: str,
        status: str,
        data: Optional[bytes],
        error: Optional[str],
        reason: Optional[str] = None,
    ) -> None:
        if status not in FINAL:
            self._history.seen(since, how, task_id, status)
            return
        key, execution = read_result(None if data is None else msgpack.unpackb(data, strict_map_key=False))
        self._history.seen(since, how, task_id, status, key=key, execution=execution, error=error, reason=reason)


def _pack_ids(ids: Iterable[str]) -> bytes:
    return b"".join(uuid.UUID(task_id).bytes for task_id in ids)


def run(
    address: str,
    history: Writer,
    tasks: Iterator[Planned],
    stop: Callable[[], bool],
    *,
    seed: int,
    batch_size: int,
    window: int,
    pause: float,
    drain_seconds: float,
) -> int:
    """Submits until `stop`, then waits for what is left. The number of results that did not come."""
    client = RawClient(address, history, seed)
    rng = random.Random(seed)
    next_batch = 0.0
    recent: List[List[Planned]] = []
    deadline: Optional[float] = None
    while True:
        now = time.monotonic()
        if stop() and deadline is None:
            deadline = now + drain_seconds
        if deadline is not None and ((client.idle and not client.awaited) or now > deadline):
            break
        if deadline is None and now >= next_batch and client.under_way < 4 and len(client.awaited) < window:
            next_batch = now + pause * (0.5 + rng.random())
            choice = rng.randrange(20)
            if choice == 0 and recent:
                client.submit(rng.choice(recent))  # once more, with the same IDs and content
            elif choice == 1 and client.finished:
                client.look(rng.sample(client.finished, min(20, len(client.finished))), "get")
            else:
                made = batch(tasks, rng.randrange(1, batch_size * 2))
                recent = [*recent[-20:], made]
                client.submit(made)
        client.turn(0.01)
    left = len(client.awaited) + client.under_way
    client.close()
    return left
