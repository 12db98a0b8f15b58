"""Peers that send garbage, lies, floods, or nothing: each is answered or ignored, and nobody else notices."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import struct
import time
import uuid
from collections.abc import Iterator
from typing import Any, Callable

import msgpack
import pytest
import zmq
from retire_cluster.tasks import TaskScheduler

from harness.cluster import Cluster
from harness.peer import RawPeer, device, submit_body
from harness.programs import ROOT
from harness.waiting import DEADLINE_SECONDS, eventually

CLIENT_MESSAGES = {"submit", "wait", "forget", "get", "list", "cancel", "why", "stats", "devices"}
WORKER_MESSAGES = {"started", "finished", "returned", "device_update", "drain"}
OF_EVERYBODY = {"hello", "heartbeat", "goodbye"}
# A peer of these tests may have joined as a device that offers echo, and gone; its tasks come back when its lease is over.
HONEST = {"required_tags": ["honest"]}
VECTORS = sorted((ROOT / "tests" / "protocol").glob("invalid_*.json"))


@pytest.fixture(scope="module")
def cluster(clusters: Callable[..., Cluster]) -> Cluster:
    cluster = clusters("main")
    cluster.worker("honest", "--only", "echo", "--only", "sleep", "--tag", "honest", slots=2)
    return cluster


@pytest.fixture(autouse=True)
def nobody_is_harmed(cluster: Cluster) -> Iterator[None]:
    """main is the same process, and a task of an honest client runs on the honest worker."""
    pid = cluster.main.pid
    yield
    assert cluster.main.alive and cluster.main.pid == pid
    assert cluster.run("echo", "still there", **HONEST).worker_device_id == "honest"
    assert all(worker.alive for worker in cluster.workers)


@pytest.fixture
def client(cluster: Cluster) -> Iterator[RawPeer]:
    with RawPeer(cluster.address) as peer:
        peer.hello_client()
        yield peer


def error(peer: RawPeer) -> tuple[int, str]:
    """Correlation and code of the error that comes next; its message is one line."""
    kind, correlation, body = peer.receive()
    assert kind == "error", (kind, body)
    assert body["message"].strip() and "\n" not in body["message"]
    return correlation, body["code"]


def alive(peer: RawPeer) -> None:
    """It is served as if nothing had been."""
    assert peer.ask("heartbeat", {})[0] == "heartbeat"


def come_back(peer: RawPeer) -> None:
    """Says hello until it is welcomed: a peer that did not read is cut, and what has no room on its way to it is dropped."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    hello = {"versions": [1, 1], "program": "a test/1", "instance": peer.instance, "peer": "client"}
    while True:
        asked = peer.send("hello", hello)
        try:
            while peer.receive(2)[1] != asked:
                pass
            return
        except AssertionError:  # nothing came
            assert time.monotonic() < deadline, "it was never welcomed"


# -- what is no message

GARBAGE = [
    b"",
    b"\x00",
    b"\xc1",
    b"\xff" * 64,
    b"GET / HTTP/1.1\r\n\r\n",
    b'{"type": "hello"}',
    msgpack.packb([]),
    msgpack.packb({"version": 1}),
    msgpack.packb([1, "stats", 1]),
    b"\x94\x01\xa5stats\x01" + b"\x81\xa1a" * 100_000 + b"\xc0",  # nested maps
    b"\x94\x01\xa5stats\x01" + b"\x91" * 1_000_000,  # nested arrays
    b"\xdd\xff\xff\xff\xff",  # four thousand million elements, says it
    b"\x94\x01\xa6submit\x01\x81\xa5tasks\xdd\xff\xff\xff\xff",
    b"\x94\x01\xa6submit\x01\x81\xa5tasks\xc6\xff\xff\xff\xff",
    b"\x94\x01\xa4wait\x01\x81\xa3ids\xc6\x7f\xff\xff\xff",
    os.urandom(1000),
]


@pytest.mark.parametrize("frame", GARBAGE, ids=lambda frame: repr(frame[:12]))
@pytest.mark.parametrize("greeted", [True, False], ids=["greeted", "not greeted"])
def test_garbage_gets_an_error(cluster: Cluster, frame: bytes, greeted: bool) -> None:
    with RawPeer(cluster.address) as peer:
        if greeted:
            peer.hello_client()
        peer.send_bytes(frame)
        code = error(peer)[1]
        assert code in ("malformed", "too_large") or (code == "hello_required" and not greeted)
        peer.hello_client()
        alive(peer)


def test_a_message_over_the_limit(cluster: Cluster) -> None:
    """The transport cuts the connection, or main answers; either way the peer can come back."""
    with RawPeer(cluster.address) as peer:
        peer.hello_client()
        peer.send_bytes(b"\x00" * (33 * 1024 * 1024))
    with RawPeer(cluster.address) as peer:
        peer.hello_client()
        alive(peer)


def test_a_payload_over_the_limit(client: RawPeer) -> None:
    item = [uuid.uuid4().bytes, 0, b"\x00" * (16 * 1024 * 1024 + 1)]
    answer, body = client.ask("submit", {"specs": [["echo", 2, {}, ""]], "tasks": [item]})
    assert (answer, body["code"]) == ("error", "too_large")
    alive(client)


@pytest.mark.parametrize("frames", [2, 3, 1000])
def test_messages_of_several_frames(client: RawPeer, frames: int) -> None:
    good = msgpack.packb([1, "stats", 7, {}])
    client.send_bytes(*[good] * frames)
    assert error(client) == (0, "malformed")
    alive(client)


def test_random_bytes_and_mutations(cluster: Cluster) -> None:
    """A thousand messages that are almost right; whatever is answered, main goes on."""
    seed = 20_240_601
    chance = random.Random(seed)
    known = [
        bytes.fromhex(vector["hex"]) for vector in all_vectors("valid_*.json") if len(vector["hex"]) < 4000
    ]
    with RawPeer(cluster.address) as peer:
        peer.hello_client()
        for number in range(1000):
            frame = bytearray(chance.choice(known))
            for _ in range(chance.randrange(1, 4)):
                frame[chance.randrange(len(frame))] = chance.randrange(256)
            peer.send_bytes(bytes(frame))
            if number % 100 == 99:
                peer.hello_client()
        peer.hello_client()
        alive(peer)


# -- the vectors of the protocol


def all_vectors(pattern: str) -> list[dict[str, Any]]:
    files = sorted((ROOT / "tests" / "protocol").glob(pattern))
    return [vector for path in files for vector in json.loads(path.read_text())["vectors"]]


def type_of(frame: bytes) -> str | None:
    """The type in the envelope, if that much can be read."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(frame) + 1, strict_map_key=False)
    unpacker.feed(frame)
    try:
        if unpacker.read_array_header() != 4 or unpacker.unpack() != 1:
            return None
        kind = unpacker.unpack()
    except Exception:  # of any kind: it is garbage
        return None
    return kind if isinstance(kind, str) else None


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_every_invalid_vector_is_refused(cluster: Cluster, path: Any) -> None:
    """With the error of the vector; what only main sends may be not_permitted instead."""
    vectors = json.loads(path.read_text())["vectors"]
    assert vectors
    with RawPeer(cluster.address) as client, RawPeer(cluster.address) as worker:
        client.hello_client()
        worker.hello_worker("fuzzer", ["fuzz"])
        for vector in vectors:
            frame = bytes.fromhex(vector["hex"])
            kind = type_of(frame)
            peer = worker if kind in WORKER_MESSAGES | {"heartbeat"} else client
            peer.send_bytes(frame)
            answer, _, body = peer.receive()
            assert answer == "error", (vector["name"], answer)
            read = kind is None or kind in CLIENT_MESSAGES | WORKER_MESSAGES | OF_EVERYBODY
            allowed = {vector["error"]} if read else {vector["error"], "not_permitted"}
            assert body["code"] in allowed, (vector["name"], vector["error"], body)
            assert "\n" not in body["message"]
        assert client.nothing_waits() and worker.nothing_waits()
        alive(client)
        worker.send("goodbye", {})


def test_valid_vectors_of_clients_are_served(cluster: Cluster) -> None:
    with RawPeer(cluster.address) as peer:
        peer.hello_client()
        for vector in all_vectors("valid_client.json"):
            kind = vector["reading"]["type"]
            if kind not in CLIENT_MESSAGES - {"forget"}:
                continue
            peer.send_bytes(bytes.fromhex(vector["hex"]))
            correlation = vector["reading"]["correlation"]
            while True:
                answer, answered, body = peer.receive()
                if answer != "results":
                    break
            assert answered == correlation, vector["name"]
            if answer == "error":
                assert body["code"] in ("conflict", "not_found", "busy"), (vector["name"], body)
        peer.hello_client()
        for task in cluster.client.list_tasks(status="queued", limit=1000):
            cluster.client.cancel_task(task.task_id)


# -- the wrong message


def test_nothing_without_a_hello(cluster: Cluster) -> None:
    with RawPeer(cluster.address) as peer:
        for kind in [*sorted(CLIENT_MESSAGES | WORKER_MESSAGES), "heartbeat", "goodbye", "welcome", "assign"]:
            sent = peer.send(kind, {})
            assert error(peer) == (sent, "hello_required")


def test_an_unknown_type_and_a_wrong_version(client: RawPeer) -> None:
    sent = client.send("make_coffee", {})
    assert error(client) == (sent, "unknown_type")
    client.send_bytes(msgpack.packb([2, "stats", 9, {}]))
    assert error(client) == (9, "unsupported_version")
    alive(client)


def test_versions_that_do_not_meet(cluster: Cluster) -> None:
    with RawPeer(cluster.address) as peer:
        hello = {
            "peer": "client",
            "versions": [2, 9],
            "program": "from the future",
            "instance": peer.instance,
        }
        answer, body = peer.ask("hello", hello)
        assert (answer, body["code"]) == ("error", "unsupported_version")
        assert "1" in body["message"]
        peer.hello_client()
        alive(peer)


@pytest.mark.parametrize("kind", sorted(WORKER_MESSAGES))
def test_a_client_may_not_send_a_workers_messages(client: RawPeer, kind: str) -> None:
    bodies = {
        "finished": {"results": []},
        "device_update": {"device": device("honest", ["echo"])},
        "drain": {},
    }
    answer, body = client.ask(kind, bodies.get(kind, {"attempts": [1, 2, 3]}))
    assert (answer, body["code"]) == ("error", "not_permitted")
    alive(client)


@pytest.mark.parametrize("kind", sorted(CLIENT_MESSAGES))
def test_a_worker_may_not_send_a_clients_messages(cluster: Cluster, kind: str) -> None:
    with RawPeer(cluster.address) as peer:
        peer.hello_worker("curious", ["curiosity"])
        answer, body = peer.ask(kind, {})
        assert (answer, body["code"]) == ("error", "not_permitted")
        peer.send("goodbye", {})


# -- workers that lie


@pytest.fixture
def liar(cluster: Cluster) -> Iterator[RawPeer]:
    """A worker that offers the type "secret" and says what it likes."""
    with RawPeer(cluster.address) as peer:
        peer.hello_worker("liar", ["secret"])
        yield peer
        peer.send("goodbye", {})
        eventually(lambda: "liar" not in cluster.client.get_online_devices(), "the liar left")


def finished(task_id: bytes, attempt: int, data: Any = "a lie", outcome: int = 1) -> dict[str, Any]:
    return {"results": [[task_id, attempt, outcome, msgpack.packb(data), 10]]}


def task_bytes(task_id: str) -> bytes:
    return uuid.UUID(task_id).bytes


def assigned(peer: RawPeer) -> tuple[bytes, int]:
    """Task and attempt of the assignment that comes next."""
    _, body = peer.receive_type("assign")
    ((task, attempt, *_),) = body["tasks"]
    return task, attempt


def test_a_result_for_what_was_never_assigned(cluster: Cluster, liar: RawPeer) -> None:
    queued = cluster.submit("nobody_has_this")
    running = cluster.submit("sleep", {"duration": 600})
    cluster.until(running, "running")
    for task_id in (queued, running, str(uuid.uuid4())):
        for attempt in (0, 1, 2, 2**40, 2**40 + 1, 2**64 - 1):
            assert liar.ask("finished", finished(task_bytes(task_id), attempt))[0] == "ack"
            liar.send("started", {"attempts": [attempt]}, 0)
            liar.send("returned", {"attempts": [attempt]}, 0)
    assert (cluster.status(queued), cluster.status(running)) == ("queued", "running")
    assert cluster.client.cancel_task(queued) and cluster.client.cancel_task(running)


def test_a_result_for_an_attempt_of_another_worker(cluster: Cluster, liar: RawPeer) -> None:
    """The liar guesses the attempt number of what the honest worker runs."""
    probe = cluster.submit("secret", 1)
    task, attempt = assigned(liar)
    assert liar.ask("finished", finished(task, attempt))[0] == "ack"
    assert cluster.wait(probe).result_data == "a lie", "its own it may end as it likes"

    running = cluster.submit("sleep", {"duration": 600})
    cluster.until(running, "running")
    for guess in range(attempt, attempt + 200):
        assert liar.ask("finished", finished(task_bytes(running), guess))[0] == "ack"
        liar.send("returned", {"attempts": [guess]}, 0)
    alive_heartbeat = {"seen": 1, "held": list(range(attempt, attempt + 200)), "load": 0, "running": 1}
    assert liar.ask("heartbeat", alive_heartbeat)[0] == "heartbeat"
    assert cluster.status(running) == "running"
    assert cluster.client.get_task(running).assigned_device_id == "honest"
    assert cluster.client.cancel_task(running)
    assert cluster.wait(running).status.value == "cancelled"


def test_a_result_with_the_wrong_task_id(cluster: Cluster, liar: RawPeer) -> None:
    first, second = cluster.submit("secret", 1), cluster.submit("no_such_type", 2)
    task, attempt = assigned(liar)
    assert task == task_bytes(first)
    liar.ask("finished", finished(task_bytes(second), attempt))
    assert cluster.status(second) == "queued"
    assert cluster.status(first) in ("assigned", "running", "success")
    liar.ask("finished", finished(task, attempt, "the truth"))
    assert cluster.wait(first).status.value in ("success", "failed")
    assert cluster.client.cancel_task(second)


def test_the_same_result_twice_counts_once(cluster: Cluster, liar: RawPeer) -> None:
    before = cluster.client.get_cluster_statistics()["scheduler_stats"]["tasks_completed"]
    task_id = cluster.submit("secret", 1)
    task, attempt = assigned(liar)
    assert liar.ask("finished", finished(task, attempt, "first"))[0] == "ack"
    assert liar.ask("finished", finished(task, attempt, "second"))[0] == "ack"
    assert liar.ask("finished", finished(task, attempt, None, outcome=2))[0] == "ack"
    assert cluster.wait(task_id).result_data == "first"
    after = cluster.client.get_cluster_statistics()
    assert after["scheduler_stats"]["tasks_completed"] == before + 1
    assert after["device_stats"]["liar"]["load"] == 0


def test_a_result_that_is_no_msgpack_ends_the_task_all_the_same(cluster: Cluster, liar: RawPeer) -> None:
    task_id = cluster.submit("secret", 1)
    task, attempt = assigned(liar)
    assert liar.ask("finished", {"results": [[task, attempt, 1, b"\xc1\xc1", 10]]})[0] == "ack"
    result = cluster.wait(task_id)
    assert result.status.is_final
    shown = cluster.cli("retire-cluster", "task", "show", task_id, "--json")
    assert shown.status == 0, shown.stderr
    json.loads(shown.stdout)


def test_a_result_after_the_task_was_cancelled(cluster: Cluster, liar: RawPeer) -> None:
    task_id = cluster.submit("secret", 1)
    task, attempt = assigned(liar)
    assert cluster.client.cancel_task(task_id)
    assert liar.receive_type("stop")[1]["attempts"] == [attempt]
    assert liar.ask("finished", finished(task, attempt, "too late"))[0] == "ack"
    result = cluster.wait(task_id)
    assert (result.status.value, result.result_data) == ("cancelled", None)


def test_a_device_cannot_change_its_id(cluster: Cluster, liar: RawPeer) -> None:
    answer, body = liar.ask("device_update", {"device": device("honest", ["echo", "sleep"])})
    assert (answer, body["code"]) == ("error", "not_permitted")
    assert cluster.client.get_device_capabilities("honest")["handlers"] == ["echo", "sleep"]


def test_a_worker_that_takes_tasks_and_does_nothing(cluster: Cluster) -> None:
    """It holds what it was given until its lease is over, and no more; here it leaves before."""
    with RawPeer(cluster.address) as peer:
        peer.hello_worker("lazy", ["lazy"], slots=4)
        ids = [cluster.submit("lazy", n) for n in range(4)]
        taken = set()
        while len(taken) < 4:
            taken |= {item[0] for item in peer.receive_type("assign")[1]["tasks"]}
        assert taken == {task_bytes(task_id) for task_id in ids}
        peer.send("goodbye", {})
        for task_id in ids:
            cluster.until(task_id, "queued")
            assert cluster.client.cancel_task(task_id)


# -- floods, and peers that do not read


def test_a_flood_of_small_messages(cluster: Cluster) -> None:
    """Others are served while it lasts."""
    with RawPeer(cluster.address) as peer:
        peer.hello_client()
        frame = msgpack.packb([1, "heartbeat", 0, {}])
        for _ in range(50_000):
            peer.socket.send(frame)
        assert cluster.run("echo", "meanwhile").success
        come_back(peer)
        alive(peer)


def test_a_flood_of_garbage_from_many_peers(cluster: Cluster) -> None:
    peers = [RawPeer(cluster.address) for _ in range(20)]
    for number in range(500):
        for peer in peers:
            peer.socket.send(b"\xc1" * (number % 50))
    assert cluster.run("echo", "meanwhile").success
    for peer in peers:
        assert error(peer)[1] == "malformed"
        peer.close()


def test_what_is_kept_for_a_client_that_never_reads_is_bounded(cluster: Cluster) -> None:
    task_id = cluster.submit("echo", "x" * 1_000_000)
    assert cluster.wait(task_id).success
    before = _rss_megabytes(cluster.main.pid)
    with _silent(cluster, task_id, answers=800):
        assert _rss_megabytes(cluster.main.pid) < before + 450


def test_what_is_kept_for_many_clients_that_never_read_is_bounded_together(cluster: Cluster) -> None:
    """Each of them keeps within what one may have. They are cut, in the socket too, and all others are served."""
    task_id = cluster.submit("echo", "x" * 1_000_000)
    assert cluster.wait(task_id).success
    before = _rss_megabytes(cluster.main.pid)
    with contextlib.ExitStack() as silent:
        for _ in range(24):
            silent.enter_context(_silent(cluster, task_id, answers=60))
            assert _rss_megabytes(cluster.main.pid) < before + 450
        assert "bytes wait for all peers that do not read" in cluster.main.log()
        assert cluster.run("echo", "meanwhile").success


def test_a_client_that_never_reads_holds_up_nobody(cluster: Cluster) -> None:
    task_id = cluster.submit("echo", "x" * 1_000)
    assert cluster.wait(task_id).success
    with _silent(cluster, task_id, answers=20_000):
        for n in range(20):
            assert cluster.run("echo", n).success


@contextlib.contextmanager
def _silent(cluster: Cluster, task_id: str, answers: int) -> Iterator[None]:
    """A peer that asked so often for a task, and takes no answer; main has read all its questions."""
    with RawPeer(cluster.address) as peer:
        peer.socket.setsockopt(zmq.RCVHWM, 1)
        peer.socket.setsockopt(zmq.SNDHWM, answers)
        peer.hello_client()
        frame = msgpack.packb([1, "get", 1, {"ids": task_bytes(task_id)}])
        for _ in range(answers):
            peer.socket.send(frame)
        last = cluster.submit("no_such_type")
        peer.send("cancel", {"ids": task_bytes(last)})
        eventually(
            lambda: cluster.status(last) == "cancelled" or "a peer was cut" in cluster.main.log() or not cluster.main.alive,
            "main has read it all, or has cut the peer",
        )
        yield


def _rss_megabytes(pid: int) -> float:
    with open(f"/proc/{pid}/status") as status:
        (line,) = (line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def test_peers_that_cut_their_connection_midway(cluster: Cluster) -> None:
    """In the middle of the greeting of ZeroMQ, of a frame, and of a conversation."""
    host, port = cluster.address.rsplit(":", 1)
    greeting = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL" + b"\x00" * 48
    ready = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
    for sent in (b"", b"\xff", greeting[:20], greeting, greeting + ready, greeting + ready + b"\x02\xff\xff"):
        for hard in (False, True):
            with socket.create_connection((host, int(port)), DEADLINE_SECONDS) as raw:
                raw.sendall(sent)
                if hard:  # a reset instead of an end
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for _ in range(50):
        with RawPeer(cluster.address) as peer:
            peer.hello_client()
            peer.send("submit", {**submit_body("echo", 1), "notify": True})
    with RawPeer(cluster.address) as peer:
        peer.hello_worker("vanishing", ["vanish"])
        task_id = cluster.submit("vanish", 1)
        assigned(peer)
    assert cluster.client.cancel_task(task_id)


def test_many_connections_come_and_go(cluster: Cluster) -> None:
    before = len(os.listdir(f"/proc/{cluster.main.pid}/fd"))
    for _ in range(100):
        with RawPeer(cluster.address) as peer:
            peer.hello_client()
    eventually(
        lambda: len(os.listdir(f"/proc/{cluster.main.pid}/fd")) <= before + 5, "the connections are closed"
    )


def test_hello_again_and_again(cluster: Cluster) -> None:
    with RawPeer(cluster.address) as peer:
        hello = {"peer": "client", "versions": [1, 1], "program": "again", "instance": peer.instance}
        for _ in range(1000):
            peer.send("hello", hello)
        peer.hello_client()
        alive(peer)
        peer.hello_worker("turncoat", ["turn"])  # the same connection becomes a worker, and a client again
        task_id = cluster.submit("turn", 1)
        assigned(peer)
        peer.hello_client()
        alive(peer)
    assert cluster.client.cancel_task(task_id)


def test_an_honest_client_beside_all_this(cluster: Cluster) -> None:
    with TaskScheduler(cluster.address, connect_timeout=DEADLINE_SECONDS) as scheduler:
        assert scheduler.get_cluster_statistics()["cluster_stats"]["online_devices"] >= 1
