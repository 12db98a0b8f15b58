#!/usr/bin/env python3
"""Many workers in one process: real sockets, the protocol and the reconnecting of the Python package, no handlers.

    many_workers.py ADDRESS COUNT SEED

Each joins as device `many-N` with one slot and the task type `hold`, takes what it is given, and holds it until it is
told to finish. Commands are lines on stdin, each answered by one line of JSON on stdout:

    report    {"joined": how many are welcome now, "joins": welcomes so far, "holding": attempts begun and not ended,
               "acknowledged": results that main has taken, "begun": {task: how often it was begun},
               "welcomed": seconds of the monotonic clock at each peer's latest welcome,
               "back_offs": [[how many before it since the last welcome, seconds], …], "broken": [error, …]}
    finish    ends everything that is held and whatever comes later, with the result {"held_by": device}
    end       says goodbye and ends; so does the end of stdin
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python" / "src"))

import msgpack
import zmq
from retire_cluster.transport.session import Close, Open, Send, State
from retire_cluster.version import PROGRAM
from retire_cluster.wire import decode
from retire_cluster.wire.messages import MESSAGE_BYTES_MAX
from retire_cluster.worker.core import Broken, Joined, Outcome, Report, Start, WorkerCore

TASK_TYPE = "hold"
DESCRIPTORS_PER_PEER = 4  # a socket, its mailbox, and the same of one that is being closed


def allow_descriptors(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count * DESCRIPTORS_PER_PEER + 256
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


class Peer:
    """One worker; its owner polls the socket and calls turn()."""

    def __init__(self, crowd: Crowd, number: int, rng: random.Random) -> None:
        self._crowd = crowd
        self.device_id = f"many-{number}"
        capability = {
            "device_id": self.device_id,
            "role": "worker",
            "platform": "linux",
            "arch": "x86_64",
            "cpu_count": 1,
            "memory_total_gb": 1,
            "storage_total_gb": 1,
            "has_gpu": False,
            "has_internet": False,
            "tags": [],
            "handlers": [TASK_TYPE],
            "slots": 1,
            "version": "1",
        }
        self.core = WorkerCore(capability, PROGRAM, os.urandom(16), rng)
        self.socket: zmq.Socket[bytes] | None = None
        self.running: dict[int, Any] = {}
        self.welcomed = 0.0
        self.due = 0.0
        self._back_offs = 0  # since the last welcome

    def start(self, now: float) -> None:
        self.core.start(now)
        self._settle(now)

    def turn(self, now: float) -> None:
        while self.socket is not None:
            try:
                frame = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            message = decode(frame)
            if message[0] == "ack":
                self._crowd.acknowledged += 1
            self.core.on_message(message, now)
        was_waiting = self.core.session.state is State.WAITING
        self.core.on_time(now)
        if self.core.session.state is State.WAITING and not was_waiting:
            self._crowd.back_offs.append((self._back_offs, self.core.session.next_deadline() - now))
            self._back_offs += 1
        self._settle(now)

    def finish(self, now: float) -> None:
        for number in list(self.running):
            del self.running[number]
            data = msgpack.packb({"held_by": self.device_id})
            self.core.on_done(number, Report(Outcome.SUCCESS, data), now)
        self.core.on_time(now)
        self._settle(now)

    def leave(self) -> None:
        self.core.goodbye()
        self._settle(time.monotonic())
        if self.socket is not None:
            self.socket.close(500)

    def _settle(self, now: float) -> None:
        for event in self.core.events:
            if isinstance(event, Joined):
                self.welcomed = now
                self._back_offs = 0
                self._crowd.joins += 1
            elif isinstance(event, Start):
                self._crowd.begun[event.attempt.task_id.hex()] += 1
                self.running[event.attempt.number] = event.attempt
            elif isinstance(event, Broken):
                self._crowd.broken.append(f"{self.device_id}: {event.error}")
        self.core.events.clear()
        for effect in self.core.effects:
            if isinstance(effect, Open):
                self._open()
            elif isinstance(effect, Close):
                self._close()
            elif isinstance(effect, Send) and self.socket is not None:
                self.socket.send(effect.frame, zmq.NOBLOCK)
        self.core.effects.clear()
        if self._crowd.finishing and self.running:
            self.finish(now)
        deadline = self.core.next_deadline()
        self.due = now + 3600 if deadline is None else deadline

    def _open(self) -> None:
        self._close()
        # As the package does.
        opened = self._crowd.context.socket(zmq.DEALER)
        opened.setsockopt(zmq.LINGER, 500)
        opened.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)
        opened.setsockopt(zmq.SNDHWM, 0)
        opened.setsockopt(zmq.RECONNECT_IVL, 100)
        opened.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
        opened.connect(f"tcp://{self._crowd.address}")
        self.socket = opened
        self._crowd.by_socket[opened] = self
        self._crowd.poller.register(opened, zmq.POLLIN)

    def _close(self) -> None:
        if self.socket is not None:
            self._crowd.poller.unregister(self.socket)
            del self._crowd.by_socket[self.socket]
            self.socket.close(0)
            self.socket = None


class Crowd:
    """All of them, and what they have seen."""

    def __init__(self, address: str, count: int, seed: int) -> None:
        self.address = address
        self.context = zmq.Context()
        self.context.set(zmq.MAX_SOCKETS, count * 2 + 16)
        self.poller = zmq.Poller()
        self.by_socket: dict[Any, Peer] = {}
        self.joins = 0
        self.acknowledged = 0
        self.begun: Counter[str] = Counter()
        self.back_offs: list[tuple[int, float]] = []
        self.broken: list[str] = []
        self.finishing = False
        rng = random.Random(seed)
        self.peers = [Peer(self, n, random.Random(rng.getrandbits(64))) for n in range(count)]
        self.poller.register(sys.stdin.fileno(), zmq.POLLIN)

    def run(self) -> None:
        for peer in self.peers:
            peer.start(time.monotonic())
        while True:
            left = min(peer.due for peer in self.peers) - time.monotonic()
            ready = dict(self.poller.poll(max(0, int(left * 1000) + 1)))
            now = time.monotonic()
            if ready.pop(sys.stdin.fileno(), None) and not self._obey(now):
                return
            turns = {self.by_socket[socket] for socket in ready if socket in self.by_socket}
            turns.update(peer for peer in self.peers if peer.due <= now)
            for peer in turns:
                peer.turn(now)

    def _obey(self, now: float) -> bool:
        """Does what the next line of stdin says. False: it is the last."""
        line = sys.stdin.readline()
        command = line.strip()
        if command == "report":
            self._say(self.report())
        elif command == "finish":
            self.finishing = True
            for peer in self.peers:
                peer.finish(now)
            self._say({})
        elif command in ("end", ""):
            for peer in self.peers:
                peer.leave()
            self.context.term()
            if line:
                self._say({})
            return False
        else:
            self._say({"error": f"no such command: {command}"})
        return True

    def report(self) -> dict[str, Any]:
        return {
            "joined": sum(peer.core.session.ready for peer in self.peers),
            "joins": self.joins,
            "holding": sum(len(peer.running) for peer in self.peers),
            "acknowledged": self.acknowledged,
            "begun": self.begun,
            "welcomed": [peer.welcomed for peer in self.peers],
            "back_offs": self.back_offs,
            "broken": self.broken,
        }

    def _say(self, answer: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def main() -> None:
    address, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    allow_descriptors(count)
    Crowd(address, count, seed).run()


if __name__ == "__main__":
    main()
