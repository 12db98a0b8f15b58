"""The proxy does what it says: a fault that is none would prove nothing."""

from __future__ import annotations

import socket
import threading
import time
from typing import Iterator

import pytest

import proxy as proxies
from proxy import BOTH, FAULTS, TO_MAIN, TO_PEER, Proxy
from harness.waiting import eventually

SOON = 0.2  # for what must not come: a longer wait makes the test stricter, never wrong


class Server:
    """Takes connections, and keeps them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.taken: list[socket.socket] = []
        self.open = True
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                self.taken.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self.open = False
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes its thread, which would keep it open
        self._listener.close()
        for each in self.taken:
            each.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    if made.open:
        made.close()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.address, seed=1) as made:
        yield made


def connected(proxy: Proxy, server: Server) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection through the proxy, peer's first."""
    before = len(server.taken)
    host, port = proxy.address.split(":")
    near = socket.create_connection((host, int(port)), 30)
    eventually(lambda: len(server.taken) > before, "the proxy connects")
    far = server.taken[before]
    far.settimeout(30)
    return near, far


def receives(end: socket.socket, count: int) -> bytes:
    out = b""
    while len(out) < count:
        part = end.recv(count - len(out))
        if not part:
            break
        out += part
    return out


def nothing_comes(end: socket.socket) -> bool:
    end.settimeout(SOON)
    try:
        return end.recv(1) is None
    except TimeoutError:
        return True
    finally:
        end.settimeout(30)


def is_reset(end: socket.socket) -> bool:
    try:
        while end.recv(65_536):
            pass
    except ConnectionResetError:
        return True
    return False


def test_everything_passes_in_both_directions_in_order(proxy: Proxy, server: Server) -> None:
    near, far = connected(proxy, server)
    data = bytes(range(256)) * 20_000
    for sender, receiver in ((near, far), (far, near)):
        sending = threading.Thread(target=sender.sendall, args=(data,))
        sending.start()
        assert receives(receiver, len(data)) == data
        sending.join(30)
    near.shutdown(socket.SHUT_WR)
    assert far.recv(1) == b"", "the end passes, too"
    far.sendall(b"answer")
    far.close()
    assert receives(near, 100) == b"answer"
    eventually(lambda: proxy.connections == 0, "the connection is gone")
    assert proxy.counts.bytes_lost == 0


@pytest.mark.parametrize("direction", BOTH)
def test_a_stall_holds_one_direction_and_loses_nothing(proxy: Proxy, server: Server, direction: str) -> None:
    near, far = connected(proxy, server)
    sender, receiver = (near, far) if direction == TO_MAIN else (far, near)
    proxy.stall(direction)
    sender.sendall(b"held")
    assert nothing_comes(receiver)
    receiver.sendall(b"other way")
    assert receives(sender, 9) == b"other way"
    proxy.mend()
    assert receives(receiver, 4) == b"held"


def test_a_stall_holds_its_sender_back_and_its_own_memory_small(proxy: Proxy, server: Server) -> None:
    near, far = connected(proxy, server)
    proxy.stall()
    near.settimeout(SOON)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 1 << 30:
            sent += near.send(b"x" * 1_000_000)
    proxy.mend()
    assert len(receives(far, sent)) == sent


def test_a_reset_reaches_both_ends(proxy: Proxy, server: Server) -> None:
    near, far = connected(proxy, server)
    proxy.reset()
    assert is_reset(near) and is_reset(far)
    near, far = connected(proxy, server)
    near.sendall(b"new")
    assert receives(far, 3) == b"new"


@pytest.mark.parametrize("direction", BOTH)
def test_a_half_close_is_seen_by_one_end_only(proxy: Proxy, server: Server, direction: str) -> None:
    near, far = connected(proxy, server)
    told, untold = (far, near) if direction == TO_MAIN else (near, far)
    proxy.half_close(direction)
    assert told.recv(1) == b""
    told.close()
    untold.sendall(b"for nobody")
    assert nothing_comes(untold)
    assert proxy.connections == 1
    untold.close()
    eventually(lambda: proxy.connections == 0, "it ends with the end that did not know")
    assert proxy.counts.bytes_lost == len(b"for nobody")


def test_a_delay_is_kept_and_the_order_too(proxy: Proxy, server: Server) -> None:
    near, far = connected(proxy, server)
    proxy.delay(0.2, 0.2)
    begin = time.monotonic()
    for n in range(10):
        near.sendall(bytes([n]))
    assert receives(far, 10) == bytes(range(10))
    assert time.monotonic() - begin >= 0.2


def test_what_is_lost_is_gone_and_the_connection_with_it(proxy: Proxy, server: Server) -> None:
    near, far = connected(proxy, server)
    proxy.lose(TO_MAIN)
    near.sendall(b"lost")
    eventually(lambda: proxy.counts.bytes_lost == 4, "it is lost")
    far.sendall(b"not this")
    assert receives(near, 8) == b"not this"
    proxy.mend()
    assert is_reset(near) and is_reset(far)


def test_a_cut_takes_the_connection_that_has_something_in_flight(proxy: Proxy, server: Server) -> None:
    busy_near, busy_far = connected(proxy, server)
    idle_near, idle_far = connected(proxy, server)
    proxy.stall(TO_PEER)
    busy_far.sendall(b"in flight")
    eventually(lambda: proxy.cut() == 1, "the busy one is cut")
    assert is_reset(busy_near) and is_reset(busy_far)
    proxy.mend()
    idle_far.sendall(b"alive")
    assert receives(idle_near, 5) == b"alive"
    assert proxy.counts.bytes_lost == len(b"in flight")


def test_a_proxy_that_is_down_takes_nobody_until_it_is_mended(proxy: Proxy, server: Server) -> None:
    near, _ = connected(proxy, server)
    proxy.down()
    assert is_reset(near)
    host, port = proxy.address.split(":")
    again = socket.create_connection((host, int(port)), 30)
    assert is_reset(again)
    assert proxy.counts.refused == 1
    proxy.mend()
    connected(proxy, server)


def test_a_target_that_is_away_ends_the_connection(server: Server) -> None:
    server.close()
    with Proxy(server.address) as proxy:
        host, port = proxy.address.split(":")
        near = socket.create_connection((host, int(port)), 30)
        near.settimeout(30)
        try:
            assert near.recv(1) == b""
        except ConnectionResetError:
            pass


def test_a_plan_is_the_same_for_the_same_seed_and_has_every_fault() -> None:
    plan = proxies.plan(7, 3, 24, 2.0, 1.0)
    assert plan == proxies.plan(7, 3, 24, 2.0, 1.0)
    assert plan != proxies.plan(8, 3, 24, 2.0, 1.0)
    for begin in range(0, 24, len(FAULTS)):
        assert {fault.name for fault in plan[begin : begin + len(FAULTS)]} == set(FAULTS)
    assert {fault.proxy for fault in plan} == {0, 1, 2}
    assert {fault.direction for fault in plan} == {TO_MAIN, TO_PEER}


def test_a_storm_carries_out_every_fault_and_leaves_the_network_good(proxy: Proxy, server: Server) -> None:
    storm = proxies.Storm([proxy], proxies.plan(3, 1, len(FAULTS), 0.05, 0.02))
    storm.join(60)
    assert storm.done == len(FAULTS)
    assert proxy.counts.faults == dict.fromkeys(FAULTS, 1)
    near, far = connected(proxy, server)
    near.sendall(b"good")
    assert receives(far, 4) == b"good"
