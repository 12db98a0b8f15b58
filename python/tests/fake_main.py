"""A main small enough to be obviously right, which a test can make misbehave. Speaks the protocol on a real
ROUTER socket.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Set, Tuple, TypeVar

import zmq
from retire_cluster.wire import Message, decode, encode

T = TypeVar("T")
DEADLINE_SECONDS = 10.0


def eventually(condition: Callable[[], T], what: str = "it", deadline: float = DEADLINE_SECONDS) -> T:
    """Waits until `condition()` is true and returns it."""
    end = time.monotonic() + deadline
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {deadline} s for {what}"
        pause.wait(0.005)


class FakeMain:
    """Runs in a thread. `answer` decides what to do with a message that needs a session; the default keeps
    tasks and answers as a main without workers. Everything that came is in `received`, in order."""

    def __init__(self, heartbeat_ms: int = 50, offline_after_ms: int = 5000, port: int = 0) -> None:
        self.heartbeat_ms = heartbeat_ms
        self.offline_after_ms = offline_after_ms
        self.received: List[Message] = []
        self.sessions: Dict[bytes, Dict[str, Any]] = {}
        self.tasks: Dict[bytes, Tuple[List[Any], List[Any]]] = {}
        self.results: Dict[bytes, List[Any]] = {}
        self.watchers: Dict[bytes, Set[bytes]] = {}
        self.silent = False  # hears everything and says nothing
        self.hook: Optional[Callable[[bytes, Message], bool]] = None  # True: handled
        self.abandon: List[int] = []
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        if port:
            self._router.bind(f"tcp://127.0.0.1:{port}")
            self.port = port
        else:
            self.port = self._router.bind_to_random_port("tcp://127.0.0.1")
        self.address = f"127.0.0.1:{self.port}"
        self.failure: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join(5)
            self._router.close(0)
            self._context.term()
        assert self.failure is None, self.failure

    def __enter__(self) -> FakeMain:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # -- for tests

    def post(self, work: Callable[[], None]) -> None:
        self._posted.put(work)

    def send(self, kind: str, correlation: int, body: Dict[str, Any], to: Optional[bytes] = None) -> None:
        """To one peer, or to every one with a session."""
        self.send_raw([encode(kind, correlation, body)], to)

    def send_raw(self, frames: List[bytes], to: Optional[bytes] = None) -> None:
        def work() -> None:
            for peer in [to] if to is not None else list(self.sessions):
                self._router.send_multipart([peer, *frames])

        self.post(work)

    def forget_sessions(self) -> None:
        """As a restart does, that is quicker than anybody notices. Returns when it is done."""
        done = threading.Event()

        def work() -> None:
            self.sessions.clear()
            self.watchers.clear()
            done.set()

        self.post(work)
        assert done.wait(DEADLINE_SECONDS)

    def of_type(self, kind: str) -> List[Message]:
        return [m for m in list(self.received) if m.type == kind]

    def wait_for(self, kind: str, count: int = 1) -> List[Message]:
        return eventually(
            lambda: len(self.of_type(kind)) >= count and self.of_type(kind), f"{count} x {kind}"
        )

    def finish(self, task_id: bytes, status: int = 4, data: Optional[bytes] = b"\xc0", *tail: Any) -> None:
        """Ends a task and tells those who wait for it."""
        item = [task_id, status, data, 0, 1_700_000_000_000_000, 1_700_000_000_000_100, 100, *tail]

        def work() -> None:
            self.results[task_id] = item
            for peer in self.watchers.pop(task_id, set()):
                self._push(peer, [item])

        self.post(work)

    # -- inside

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if self._router.poll(2):
                    peer, *frames = self._router.recv_multipart()
                    self._on_frames(peer, frames)
                while not self._posted.empty():
                    self._posted.get()()
        except BaseException as error:
            self.failure = error

    def _on_frames(self, peer: bytes, frames: List[bytes]) -> None:
        assert len(frames) == 1
        message = decode(frames[0])
        self.received.append(message)
        if self.silent:
            return
        if self.hook is not None and self.hook(peer, message):
            return
        if message.type == "hello":
            self.sessions[peer] = message.body
            self._send(peer, "welcome", message.correlation, self.welcome())
        elif message.type == "goodbye":
            self.sessions.pop(peer, None)
        elif peer not in self.sessions:
            self.error(peer, message.correlation, "hello_required")
        else:
            self._answer(peer, message)

    def welcome(self) -> Dict[str, Any]:
        return {
            "version": 1,
            "program": "fake",
            "instance": os.urandom(16),
            "epoch": 1,
            "durable": False,
            "heartbeat_ms": self.heartbeat_ms,
            "offline_after_ms": self.offline_after_ms,
            "lease_ms": 2 * self.offline_after_ms,
            "message_bytes_max": 33554432,
            "payload_bytes_max": 16777216,
            "result_bytes_max": 16777216,
            "abandon": self.abandon,
        }

    def error(self, peer: bytes, correlation: int, code: str, **more: Any) -> None:
        self._send(peer, "error", correlation, {"code": code, "message": f"{code}, says the fake", **more})

    def _send(self, peer: bytes, kind: str, correlation: int, body: Dict[str, Any]) -> None:
        self._router.send_multipart([peer, encode(kind, correlation, body)])

    def _push(self, peer: bytes, items: List[Any]) -> None:
        self._send(peer, "results", 0, {"devices": ["laptop-1"], "results": items})

    def _watch(self, peer: bytes, ids: List[bytes]) -> None:
        done = [self.results[i] for i in ids if i in self.results]
        for task_id in ids:
            if task_id not in self.results:
                self.watchers.setdefault(task_id, set()).add(peer)
        if done:
            self._push(peer, done)

    def _answer(self, peer: bytes, message: Message) -> None:
        kind, correlation, body = message
        if kind == "heartbeat":
            self._send(peer, "heartbeat", correlation, {})
        elif kind == "submit":
            for item in body["tasks"]:
                spec = body["specs"][item[1]]
                if self.tasks.setdefault(item[0], (spec, item[2:])) != (spec, item[2:]):
                    index = body["tasks"].index(item)
                    return self.error(peer, correlation, "conflict", index=index, field="task_id")
            self._send(peer, "submitted", correlation, {"count": len(body["tasks"])})
            if body.get("notify"):
                self._watch(peer, [item[0] for item in body["tasks"]])
        elif kind == "wait":
            ids = [body["ids"][at : at + 16] for at in range(0, len(body["ids"]), 16)]
            unknown = [i for i in ids if i not in self.tasks]
            self._send(peer, "waiting", correlation, {"unknown": b"".join(unknown)})
            self._watch(peer, [i for i in ids if i in self.tasks])
        elif kind == "finished":
            self._send(peer, "ack", correlation, {})
        elif kind == "cancel":
            self._send(peer, "cancelled", correlation, {"cancelled": [body["ids"] in self.tasks or None]})
        elif kind == "stats":
            self._send(
                peer,
                "statistics",
                correlation,
                {"statistics": {"queue_stats": {"total_tasks": len(self.tasks)}}},
            )
