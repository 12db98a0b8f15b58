"""The shell that both a client and a worker run: one thread that owns a DEALER socket, and a way into it for
other threads.
"""

from __future__ import annotations

import collections
import os
import socket
import threading
import time
from typing import Any, Callable, Deque, Iterable, List, Optional

import zmq

from retire_cluster.log import module_logger
from retire_cluster.transport.address import Address
from retire_cluster.transport.session import Close, Effect, Open, Send
from retire_cluster.wire import Message, Refused, decode
from retire_cluster.wire.messages import MESSAGE_BYTES_MAX

FRAMES_PER_TURN_MAX = 256
LINGER_MS = 500  # for the last words, as goodbye
_log = module_logger("connection")


class Pump:
    """Turns of: wait, run what other threads posted, read frames, let time pass, do the effects.

    `core` has `effects`, `on_message(message, now)`, `on_time(now)`, `next_deadline()`; `after_turn()` is
    called at the end of each turn, in the thread. The clock is time.monotonic. post() may be called from any
    thread; everything else of the core happens in the thread, so the core needs no lock.
    """

    def __init__(self, address: Address, core: Any, after_turn: Callable[[], None], name: str) -> None:
        self._address = address
        self._core = core
        self._after_turn = after_turn
        self._context = zmq.Context()
        self._socket: Optional[zmq.Socket[bytes]] = None
        self._poller = zmq.Poller()
        # A socket pair wakes the thread: unlike ZeroMQ's sockets it may be written to from any thread.
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._poller.register(self._wake_in.fileno(), zmq.POLLIN)
        self._posted: Deque[Callable[[float], None]] = collections.deque()
        self._stopping = False
        self.failure: Optional[BaseException] = None
        self.pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def post(self, work: Callable[[float], None]) -> None:
        """Runs `work(now)` in the thread, soon. Does nothing once the pump has stopped."""
        self._posted.append(work)
        self._wake()

    def stop(self, timeout: float = 5.0) -> None:
        """Ends the thread after what is posted; waits for it unless called from it."""
        self._stopping = True
        self._wake()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    @property
    def running(self) -> bool:
        return self._thread.is_alive() and not self._stopping

    def in_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def _wake(self) -> None:
        try:
            self._wake_out.send(b"\x00")
        except (BlockingIOError, OSError):
            pass  # it is awake already, or gone

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
            self._drain_posted(time.monotonic())
            self._apply()
        except BaseException as error:
            # A mistake of this package: nobody may wait for ever on a thread that is gone.
            self.failure = error
            _log.exception("the connection's thread failed")
        finally:
            self._stopping = True
            try:
                self._after_turn()
            finally:
                self._close_socket(LINGER_MS)
                self._wake_in.close()
                self._wake_out.close()
                self._context.term()

    def _turn(self) -> None:
        deadline = self._core.next_deadline()
        wait_ms = 60_000
        if deadline is not None:
            wait_ms = max(0, int(min(wait_ms, (deadline - time.monotonic()) * 1000 + 1)))
        self._poller.poll(0 if self._posted else wait_ms)
        self._drain_wake()
        frames = self._receive()
        now = time.monotonic()
        self._drain_posted(now)
        for message in self._read(frames):
            self._core.on_message(message, now)
        self._core.on_time(now)
        self._apply()
        self._after_turn()
        self._apply()  # what the owner has answered to it

    def _drain_wake(self) -> None:
        try:
            while len(self._wake_in.recv(4096)) == 4096:
                pass
        except (BlockingIOError, OSError):
            pass

    def _drain_posted(self, now: float) -> None:
        for _ in range(len(self._posted)):  # what is posted meanwhile waits for the next turn
            self._posted.popleft()(now)

    def _receive(self) -> List[List[bytes]]:
        frames: List[List[bytes]] = []
        if self._socket is None:
            return frames
        try:
            while len(frames) < FRAMES_PER_TURN_MAX:
                frames.append(self._socket.recv_multipart(zmq.NOBLOCK))
        except zmq.Again:
            pass
        return frames

    def _read(self, frames: List[List[bytes]]) -> Iterable[Message]:
        for parts in frames:
            try:
                if len(parts) != 1:
                    raise Refused("malformed", f"a message of {len(parts)} frames")
                yield decode(parts[0])
            except Refused as refused:
                _log.warning(
                    "dropped a message from main at %s that cannot be read: %s", self._address, refused
                )

    def _apply(self) -> None:
        effects: List[Effect] = self._core.effects
        for effect in effects:
            if isinstance(effect, Open):
                self._open_socket()
            elif isinstance(effect, Close):
                self._close_socket(0)
            elif isinstance(effect, Send) and self._socket is not None:
                self._send(effect.frame)
        effects.clear()

    def _send(self, frame: bytes) -> None:
        assert self._socket is not None
        self._socket.send(frame, zmq.NOBLOCK, copy=len(frame) < 65_536)

    def _open_socket(self) -> None:
        self._close_socket(0)
        opened = self._context.socket(zmq.DEALER)
        opened.setsockopt(zmq.LINGER, LINGER_MS)
        opened.setsockopt(zmq.IPV6, 1)
        opened.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)
        opened.setsockopt(
            zmq.SNDHWM, 0
        )  # the core bounds what may wait; a dropped request would wait for ever
        opened.setsockopt(zmq.RCVHWM, 1_000)
        opened.setsockopt(zmq.RECONNECT_IVL, 100)
        opened.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
        opened.connect(self._address.endpoint)
        self._poller.register(opened, zmq.POLLIN)
        self._socket = opened

    def _close_socket(self, linger_ms: int) -> None:
        if self._socket is not None:
            self._poller.unregister(self._socket)
            self._socket.close(linger_ms)
            self._socket = None
