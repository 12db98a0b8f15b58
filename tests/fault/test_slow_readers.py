"""A peer that stops reading for a while: what main could not hand to its socket is kept, and comes in order."""

from __future__ import annotations

import uuid
from typing import Callable

import msgpack
import zmq

from arena import Arena
from harness.peer import RawPeer, submit_body
from harness.waiting import eventually
from retire_cluster.tasks import Task

ANSWERS = 4000  # of 16 KiB: more than the buffers of ZeroMQ and of the system take, less than main keeps for a peer

_NEXT_SECONDS = 20.0  # until the next answer; all of them are due


def test_every_answer_comes_to_a_client_that_reads_late(arenas: Callable[..., Arena]) -> None:
    arena = arenas()
    task_id = uuid.uuid4().bytes
    with RawPeer(arena.address) as peer:
        peer.socket.setsockopt(zmq.RCVHWM, 1)
        peer.socket.setsockopt(zmq.SNDHWM, ANSWERS)
        peer.hello_client()
        assert peer.ask("submit", submit_body("no_such_type", "x" * 16_384, task_id))[0] == "submitted"
        for number in range(1, ANSWERS + 1):
            peer.socket.send(msgpack.packb([1, "get", number, {"ids": task_id}]))
        last = arena.client().submit_task(Task("no_such_type", 1))
        peer.socket.send(msgpack.packb([1, "cancel", ANSWERS + 1, {"ids": uuid.UUID(last).bytes}]))
        eventually(
            lambda: arena.client().get_task_status(last).value == "cancelled", "main has read every question"
        )
        assert "a peer was cut" not in arena.main.stderr
        correlations = []
        while len(correlations) <= ANSWERS:
            kind, correlation, _ = peer.receive(_NEXT_SECONDS)
            if kind != "heartbeat":
                correlations.append(correlation)
        assert correlations == list(range(1, ANSWERS + 2))
