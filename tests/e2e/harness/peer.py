"""A peer that sends whatever it is told to: right, wrong, or not msgpack at all."""

from __future__ import annotations

import os
import time
import uuid
from typing import Any

import msgpack
import zmq

from harness.waiting import DEADLINE_SECONDS


class RawPeer:
    """One DEALER connection. Messages are plain lists and maps; nothing is checked before it is sent."""

    def __init__(self, address: str) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDTIMEO, int(DEADLINE_SECONDS * 1000))
        self.socket.connect(f"tcp://{address}")
        self.instance = os.urandom(16)
        self._correlation = 1 << 32  # above those of the vectors, whose mutations may be answered too

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()
        self._context.term()

    def send_bytes(self, *frames: bytes) -> None:
        self.socket.send_multipart(list(frames))

    def send(self, kind: str, body: dict[str, Any], correlation: int | None = None) -> int:
        """The correlation it was sent with."""
        if correlation is None:
            self._correlation += 1
            correlation = self._correlation
        self.send_bytes(msgpack.packb([1, kind, correlation, body]))
        return correlation

    def receive(self, deadline: float = DEADLINE_SECONDS) -> tuple[str, int, dict[str, Any]]:
        """Type, correlation and body of the next message."""
        assert self.socket.poll(int(deadline * 1000)), f"main sent nothing for {deadline:g} s"
        version, kind, correlation, body = msgpack.unpackb(self.socket.recv(), strict_map_key=False)
        assert version == 1
        return kind, correlation, body

    def nothing_waits(self) -> bool:
        return self.socket.poll(0) == 0

    def receive_type(self, wanted: str, deadline: float = DEADLINE_SECONDS) -> tuple[int, dict[str, Any]]:
        """The next message of this type; others are dropped."""
        end = time.monotonic() + deadline
        while True:
            kind, correlation, body = self.receive(max(0.001, end - time.monotonic()))
            if kind == wanted:
                return correlation, body

    def ask(self, kind: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Type and body of the answer to this request; what has another correlation is dropped."""
        sent = self.send(kind, body)
        while True:
            answer, correlation, answer_body = self.receive()
            if correlation == sent:
                return answer, answer_body

    def hello_client(self) -> dict[str, Any]:
        return self._hello({"peer": "client"})

    def hello_worker(
        self, device_id: str, handlers: list[str], slots: int = 1, **more: Any
    ) -> dict[str, Any]:
        held = more.pop("held", [])
        return self._hello(
            {"peer": "worker", "device": device(device_id, handlers, slots, **more), "held": held}
        )

    def _hello(self, body: dict[str, Any]) -> dict[str, Any]:
        common = {"versions": [1, 1], "program": "a test/1", "instance": self.instance}
        kind, welcome = self.ask("hello", {**common, **body})
        assert kind == "welcome", welcome
        return welcome


def device(device_id: str, handlers: list[str], slots: int = 1, **more: Any) -> dict[str, Any]:
    """A capability record."""
    return {
        "device_id": device_id,
        "role": "worker",
        "platform": "linux",
        "arch": "x86_64",
        "cpu_count": 4,
        "memory_total_gb": 8,
        "storage_total_gb": 100,
        "has_gpu": False,
        "has_internet": False,
        "tags": [],
        "handlers": handlers,
        "slots": slots,
        "version": "1",
        **more,
    }


def submit_body(
    task_type: str, payload: Any = None, task_id: bytes | None = None, **requirements: Any
) -> dict[str, Any]:
    """The body of a `submit` of one task."""
    item = [task_id or uuid.uuid4().bytes, 0, msgpack.packb(payload)]
    return {"specs": [[task_type, 2, requirements, ""]], "tasks": [item]}
