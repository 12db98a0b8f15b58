#!/usr/bin/env python3
"""Peers that do not read, or hardly, and one that submits without end: real sockets, the protocol, one process.

    stalled_peers.py ADDRESS WORKERS CLIENTS FILE

WORKERS devices `stalled-N`, each with 64 slots and the task type `hold`, by turns
    deaf     says hello and heartbeats, and never reads: main goes on taking it for alive, and sends it tasks
    silent   says hello once every few seconds, on a new connection, and nothing else: it is lost with what it was given
    slow     says heartbeats and reads one message a second
CLIENTS ask for the result of the first line of stdin, a task ID, over and over, and never read. The flood submits `hold`
tasks of 16 KiB as fast as its socket takes them, whatever main answers; the IDs that main acknowledged go to FILE, 32
digits a line. After the first line of stdin the command `report` is answered by one line of JSON: {"accepted", "busy",
"other": refusals that are not `busy`, "assigned": messages with tasks that slow ones read}. `end` ends, and so does the
end of stdin.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import msgpack
import zmq

from harness.peer import device

TASK_TYPE = "hold"
PAYLOAD_BYTES = 16_384
BATCH = 16
HEARTBEAT_SECONDS = 1.0
SILENT_SECONDS = 5.0  # until a silent one is there again
READ_SECONDS = 1.0
ASK_SECONDS = 0.2
HELLO_SECONDS = 2.0  # a client that was cut asks again after this

_HELLO = {"versions": [1, 1], "program": "a stalled peer/1"}


class Peer:
    """A DEALER with room for next to nothing on its own side, so that what it does not read stays with main."""

    def __init__(self, context: zmq.Context[Any], address: str, hello: dict[str, Any]) -> None:
        self._context = context
        self._address = address
        self._hello = {**_HELLO, "instance": os.urandom(16), **hello}
        self._correlation = 0
        self.due: dict[str, float] = {}
        self.connect()

    def connect(self) -> None:
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVHWM, 1)
        self.socket.setsockopt(zmq.RCVBUF, 8192)
        self.socket.connect(f"tcp://{self._address}")
        self.say("hello", self._hello)

    def reconnect(self) -> None:
        self.socket.close(0)
        self._hello["instance"] = os.urandom(16)
        self.connect()

    def say(self, kind: str, body: dict[str, Any]) -> None:
        """Dropped when there is no room."""
        self._correlation += 1
        self.send(msgpack.packb([1, kind, self._correlation, body]))

    def send(self, frame: bytes) -> bool:
        try:
            self.socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def hello_again(self) -> None:
        self.say("hello", self._hello)

    def read_one(self) -> Any:
        """None if nothing waits."""
        try:
            return msgpack.unpackb(self.socket.recv(zmq.NOBLOCK), strict_map_key=False)
        except zmq.Again:
            return None

    def is_due(self, what: str, every: float, now: float) -> bool:
        if now < self.due.get(what, 0.0):
            return False
        self.due[what] = now + every
        return True


class Flood:
    """Each acknowledged ID is written down before the next answer is read."""

    def __init__(self, peer: Peer, acknowledged: Path) -> None:
        self._peer = peer
        self._file = open(acknowledged, "w", encoding="utf-8")  # noqa: SIM115
        self._payload = msgpack.packb("x" * PAYLOAD_BYTES)
        self._open: dict[int, list[bytes]] = {}
        self._number = 1 << 32
        self.accepted = 0
        self.refusals: Counter[str] = Counter()

    def turn(self) -> None:
        for _ in range(20):
            ids = [uuid.uuid4().bytes for _ in range(BATCH)]
            items = [[task_id, 0, self._payload] for task_id in ids]
            body = {"specs": [[TASK_TYPE, 1, {}, ""]], "tasks": items}
            self._number += 1
            if not self._peer.send(msgpack.packb([1, "submit", self._number, body])):
                break
            self._open[self._number] = ids
        while (message := self._peer.read_one()) is not None:
            _, kind, correlation, body = message
            ids = self._open.pop(correlation, None)
            if kind == "submitted" and ids is not None:
                self.accepted += len(ids)
                self._file.writelines(task_id.hex() + "\n" for task_id in ids)
            elif kind == "error":
                self.refusals[body["code"]] += 1
                if body["code"] == "hello_required":
                    self._peer.hello_again()

    def close(self) -> None:
        self._file.close()


class Stalled:
    def __init__(self, address: str, workers: int, clients: int, acknowledged: Path, result: bytes) -> None:
        context = zmq.Context()
        context.set(zmq.MAX_SOCKETS, 4 * (workers + clients) + 64)

        def worker(n: int) -> Peer:
            record = device(f"stalled-{n}", [TASK_TYPE], 64)
            return Peer(context, address, {"peer": "worker", "device": record, "held": []})

        self.deaf, self.silent, self.slow = (
            [worker(n) for n in range(first, workers, 3)] for first in range(3)
        )
        self.clients = [Peer(context, address, {"peer": "client"}) for _ in range(clients)]
        self.flood = Flood(Peer(context, address, {"peer": "client"}), acknowledged)
        self._ask = msgpack.packb([1, "get", 1, {"ids": result}])
        self._assigned = 0
        self._commands = zmq.Poller()
        self._commands.register(sys.stdin.fileno(), zmq.POLLIN)

    def run(self) -> None:
        while True:
            if self._commands.poll(5):
                command = sys.stdin.readline().strip()
                if command != "report":
                    self.flood.close()
                    return
                print(json.dumps(self._report()), flush=True)
            self._turn(time.monotonic())

    def _report(self) -> dict[str, int]:
        busy = self.flood.refusals["busy"]
        other = self.flood.refusals.total() - busy - self.flood.refusals["hello_required"]
        return {"accepted": self.flood.accepted, "busy": busy, "other": other, "assigned": self._assigned}

    def _turn(self, now: float) -> None:
        for peer in self.deaf + self.slow:
            if peer.is_due("heartbeat", HEARTBEAT_SECONDS, now):
                peer.say("heartbeat", {})
        for peer in self.slow:
            if peer.is_due("read", READ_SECONDS, now) and (message := peer.read_one()) is not None:
                self._assigned += message[1] == "assign"
                if message[1] == "error":
                    peer.hello_again()
        for peer in self.silent:
            if peer.is_due("there again", SILENT_SECONDS, now):
                peer.reconnect()
        for peer in self.clients:
            if peer.is_due("hello", HELLO_SECONDS, now):
                peer.hello_again()
            if peer.is_due("ask", ASK_SECONDS, now):
                for _ in range(10):
                    peer.send(self._ask)
        self.flood.turn()


def main() -> None:
    address, workers, clients, acknowledged = (
        sys.argv[1],
        int(sys.argv[2]),
        int(sys.argv[3]),
        Path(sys.argv[4]),
    )
    result = uuid.UUID(sys.stdin.readline().strip()).bytes
    Stalled(address, workers, clients, acknowledged, result).run()


if __name__ == "__main__":
    main()
