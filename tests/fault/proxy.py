"""A TCP proxy between peers and main that does to their connections what a bad network does.

One thread with an event loop of its own serves all connections of one proxy. What it does wrong is told by its
methods, which may be called from any thread and return when it is done; Storm calls them in an order that a seed
decides.

    peer ──(TO_MAIN)──▶ proxy ──▶ main
         ◀─(TO_PEER)───       ◀──
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable

TO_MAIN, TO_PEER = "to main", "to peer"
BOTH = (TO_MAIN, TO_PEER)

CHUNK_BYTES = 65_536
QUEUED_CHUNKS_MAX = 64  # of one direction of one connection; then TCP holds its sender back
_DONE_SECONDS = 30.0  # for what is asked of the loop: it only ever takes that long when something is broken


@dataclass
class Counts:
    """What happened since the start; bytes of both directions."""

    connections: int = 0
    refused: int = 0  # while the proxy was down
    resets: int = 0
    half_closed: int = 0
    cut: int = 0  # connections that ended with bytes in flight
    bytes_passed: int = 0
    bytes_lost: int = 0
    faults: collections.Counter[str] = field(default_factory=collections.Counter)  # of Storm, by name


class _Way:
    """One direction of one connection: what is read from `source` goes to `sink`, later, or never."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUED_CHUNKS_MAX)
        self.ended = False  # nothing more is passed on, the end included
        self.unsent = 0  # bytes that were taken from the sender and have not gone on


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, near: socket.socket, far: socket.socket) -> None:
        self._proxy = proxy
        self._near, self._far = near, far
        self.ways = {TO_MAIN: _Way(near, far), TO_PEER: _Way(far, near)}

    async def run(self) -> None:
        """Until both directions have ended. An error of either end, or cancel(), is an RST to both: what is under
        way does not arrive."""
        jobs = []
        for direction, way in self.ways.items():
            jobs += [self._read(way), self._write(direction, way)]
        tasks = [asyncio.ensure_future(job) for job in jobs]
        try:
            await asyncio.gather(*tasks)
        except (OSError, asyncio.CancelledError):
            for end in (self._near, self._far):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._near.close()
            self._far.close()

    @property
    def unsent(self) -> int:
        return sum(way.unsent for way in self.ways.values())

    def half_close(self, direction: str) -> None:
        """The receiver of this direction is told that nothing more comes; its sender is told nothing, ever."""
        way = self.ways[direction]
        if way.ended:
            return
        for each in self.ways.values():
            each.ended = True
        with contextlib.suppress(OSError):
            way.sink.shutdown(socket.SHUT_WR)

    async def _read(self, way: _Way) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data = await loop.sock_recv(way.source, CHUNK_BYTES)
            way.unsent += len(data)
            await way.queue.put((loop.time() + self._proxy.draw_delay(), data))
            if not data:
                return

    async def _write(self, direction: str, way: _Way) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await way.queue.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self._proxy.flowing[direction].wait()
            if not data:
                if way.ended:
                    return
                with contextlib.suppress(OSError):
                    way.sink.shutdown(socket.SHUT_WR)
                return
            if way.ended or direction in self._proxy.losing:
                self._proxy.counts.bytes_lost += len(data)
            else:
                await loop.sock_sendall(way.sink, data)
                self._proxy.counts.bytes_passed += len(data)
            way.unsent -= len(data)


class Proxy:
    """Listens on a free port of 127.0.0.1 when this returns, and passes on to `target` (HOST:PORT)."""

    def __init__(self, target: str, seed: int = 0) -> None:
        self.target = target
        self.counts = Counts()
        self.losing: set[str] = set()  # directions whose bytes go nowhere
        self._rng = random.Random(seed)
        self._delay = (0.0, 0.0)
        self._down = False
        self._links: dict[_Link, asyncio.Task[None]] = {}
        self._loop = asyncio.new_event_loop()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"proxy {self.address}", daemon=True)
        self._thread.start()
        self._ready.wait()

    # -- faults; each lasts until it is mended

    def stall(self, *directions: str) -> None:
        """Nothing moves (both directions if none is named); nothing is lost, and connections stay open."""
        self._do(lambda: [self.flowing[each].clear() for each in directions or BOTH])

    def lose(self, *directions: str) -> None:
        """What is sent is received by nobody. TCP cannot lose a part and go on, so cut() has to follow."""
        self._do(lambda: self.losing.update(directions or BOTH))

    def delay(self, seconds: float, jitter: float = 0.0) -> None:
        """Everything arrives so much later, in order; jitter is uniform."""
        self._do(lambda: setattr(self, "_delay", (seconds, jitter)))

    def down(self) -> None:
        """All connections are reset and new ones refused."""
        self._do(self._go_down)

    def mend(self) -> None:
        """The network is good again. A connection whose bytes were lost is reset: it cannot be mended."""
        self._do(self._mend)

    # -- faults of the moment

    def reset(self) -> None:
        """RST to both ends of every connection; what is under way is gone."""
        self._do(lambda: self._reset(list(self._links)))

    def half_close(self, direction: str) -> None:
        """In every connection the receiver of this direction sees its end; the other end sees an open one on
        which nothing happens any more."""
        self._do(lambda: self._half_close(direction))

    def cut(self) -> int:
        """Resets the connections that have bytes under way which the receiver has not got, and gives their
        number."""
        return self._do(self._cut)

    # -- the rest

    @property
    def connections(self) -> int:
        """That are open now."""
        return self._do(lambda: len(self._links))

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_DONE_SECONDS)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def draw_delay(self) -> float:
        seconds, jitter = self._delay
        return seconds + self._rng.uniform(0, jitter)

    def _do(self, work: Callable[[], Any]) -> Any:
        """Runs it in the loop's thread, and waits."""

        async def job() -> Any:
            result = work()
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(job(), self._loop).result(_DONE_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self.flowing = {direction: asyncio.Event() for direction in BOTH}
        for event in self.flowing.values():
            event.set()
        accepting = asyncio.ensure_future(self._accept())
        self._ready.set()
        await self._stop.wait()
        accepting.cancel()
        self._listener.close()
        await self._reset(list(self._links))
        await asyncio.gather(accepting, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            near, _ = await loop.sock_accept(self._listener)
            near.setblocking(False)
            if self._down:
                self.counts.refused += 1
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                near.close()
                continue
            loop.create_task(self._connect(near))

    async def _connect(self, near: socket.socket) -> None:
        host, port = self.target.rsplit(":", 1)
        far = socket.socket()
        far.setblocking(False)
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(far, (host, int(port)))
        except OSError:  # main is away: the peer finds a connection that ends at once
            near.close()
            far.close()
            return
        if self._down:
            near.close()
            far.close()
            return
        self.counts.connections += 1
        link = _Link(self, near, far)
        task = asyncio.ensure_future(link.run())
        self._links[link] = task
        task.add_done_callback(lambda _: self._links.pop(link, None))

    async def _reset(self, links: list[_Link]) -> int:
        tasks = [self._links[link] for link in links]
        for link, task in zip(links, tasks):
            self.counts.bytes_lost += link.unsent
            self.counts.resets += 1
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(links)

    def _half_close(self, direction: str) -> None:
        for link in self._links:
            link.half_close(direction)
            self.counts.half_closed += 1

    async def _cut(self) -> int:
        count = await self._reset([link for link in self._links if link.unsent > 0])
        self.counts.cut += count
        return count

    async def _go_down(self) -> None:
        self._down = True
        await self._reset(list(self._links))

    async def _mend(self) -> None:
        self._down = False
        self._delay = (0.0, 0.0)
        if self.losing:
            await self._reset(list(self._links))
            self.losing.clear()
        for event in self.flowing.values():
            event.set()


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong on one proxy, and for how long."""

    name: str
    proxy: int
    direction: str
    seconds: float
    pause: float  # after it, before the next

    def begin(self, proxy: Proxy) -> None:
        proxy.counts.faults[self.name] += 1
        if self.name == "stall":
            proxy.stall(self.direction)
        elif self.name == "stall both":
            proxy.stall()
        elif self.name == "reset":
            proxy.reset()
        elif self.name == "half-close":
            proxy.half_close(self.direction)
        elif self.name == "delay":
            proxy.delay(self.seconds / 4, self.seconds / 4)
        elif self.name == "lose":
            proxy.lose(self.direction)
        elif self.name == "cut in flight":
            proxy.stall(self.direction)
        elif self.name == "down":
            proxy.down()
        else:
            raise ValueError(f"no such fault: {self.name}")

    def end(self, proxy: Proxy) -> None:
        if self.name == "cut in flight":
            proxy.cut()
        proxy.mend()


FAULTS = ("stall", "stall both", "reset", "half-close", "delay", "lose", "cut in flight", "down")


def plan(seed: int, proxies: int, count: int, seconds_max: float, pause_max: float) -> list[Fault]:
    """The same for the same arguments. Every kind of fault comes in each eight."""
    rng = random.Random(seed)
    out: list[Fault] = []
    while len(out) < count:
        for name in rng.sample(FAULTS, len(FAULTS)):
            out.append(
                Fault(
                    name,
                    rng.randrange(proxies),
                    rng.choice(BOTH),
                    seconds_max * rng.uniform(0.05, 1),
                    pause_max * rng.uniform(0.1, 1),
                )
            )
    return out[:count]


class Storm:
    """Carries out a plan on some proxies, one fault after the other, in a thread of its own."""

    def __init__(self, proxies: list[Proxy], faults: list[Fault]) -> None:
        self._proxies = proxies
        self._faults = faults
        self._stop = threading.Event()
        self.failure: BaseException | None = None
        self.done = 0
        self._thread = threading.Thread(target=self._run, name="storm", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for fault in self._faults:
                proxy = self._proxies[fault.proxy]
                fault.begin(proxy)
                self._stop.wait(fault.seconds)
                fault.end(proxy)
                self.done += 1
                if self._stop.wait(fault.pause):
                    return
        except BaseException as error:
            self.failure = error

    def stop(self) -> None:
        """Ends early; the network is good afterwards."""
        self._stop.set()
        self.join()

    def join(self, seconds: float = 600.0) -> None:
        """Waits for the end of the plan. Fails if a fault could not be carried out."""
        end = time.monotonic() + seconds
        self._thread.join(max(0.0, end - time.monotonic()))
        if self._thread.is_alive():
            raise AssertionError(f"the storm still blows after {seconds:g} s")
        if self.failure is not None:
            raise AssertionError(f"a fault could not be carried out: {self.failure!r}")
