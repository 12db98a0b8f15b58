"""What a client has asked of main and what is still to come; no sockets, clocks or threads.

Every request may be sent again with the same correlation and content: submissions carry IDs that the client
chose, so a repetition changes nothing. A `cancel` that is repeated may answer False for a task that its first
copy cancelled.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

from retire_cluster import errors
from retire_cluster.client.results import name_plugins
from retire_cluster.transport.session import Close, Effect, Send, Session, earliest
from retire_cluster.wire import Message, encode
from retire_cluster.wire.messages import ID_BYTES, ITEMS_MAX

BUSY_SECONDS = 0.1  # if main is busy and does not say for how long
HELLO = 2**64 - 1  # correlation of every hello; the owner's requests count from 1, the core's own from 2**63
# Refusals of a hello that trying again does not mend.
FATAL_CODES = ("unsupported_version", "not_let_in", "not_permitted", "invalid", "malformed", "replaced")


@dataclass(eq=False)
class Request:
    """One message that is answered. `deadline`: when to give up. `notify_ids`: tasks whose results main
    pushes once this is answered."""

    correlation: int
    frame: bytes
    answer: str
    deadline: float
    notify_ids: Tuple[bytes, ...] = ()
    not_before: float = 0.0  # main was busy
    sent: bool = False


# What the core tells its owner.
@dataclass(frozen=True)
class Answered:
    request: Request
    body: Dict[str, Any]


@dataclass(frozen=True)
class Failed:
    request: Request
    error: errors.RetireClusterError


@dataclass(frozen=True)
class Arrived:
    """Results of tasks; items as in the protocol."""

    devices: List[str]
    items: List[List[Any]]


@dataclass(frozen=True)
class Unknown:
    """Tasks that are waited for and that main does not know."""

    ids: List[bytes]


@dataclass(frozen=True)
class Joined:
    welcome: Dict[str, Any]


@dataclass(frozen=True)
class Broken:
    """Main will not serve this client; nothing more is tried."""

    error: errors.RetireClusterError


def split_ids(ids: bytes) -> List[bytes]:
    return [ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)]


class ClientCore:
    """Not thread-safe. Each method adds to `effects` what the socket has to do, and to `events` what the
    owner has to know; the owner takes both and clears them."""

    def __init__(self, address: str, program: str, instance: bytes, rng: random.Random) -> None:
        self._address = address
        self._hello = {"peer": "client", "versions": [1, 1], "program": program, "instance": instance}
        self.session = Session(rng)
        self._rng = rng
        self.effects: List[Effect] = []
        self.events: List[Any] = []
        self.broken: Optional[errors.RetireClusterError] = None
        self._outstanding: Dict[int, Request] = {}  # in the order they were made
        self._watched: Set[bytes] = set()  # somebody waits for the result
        self._subscribed: Set[bytes] = set()  # main pushes the result to this connection
        self._waits: Dict[
            int, Tuple[List[bytes], float]
        ] = {}  # correlation: IDs, when to send (again) if main was busy
        self._next_wait = 2**63  # correlations of the core's own requests; the owner's start at 1

    # -- from the owner

    def start(self, now: float) -> None:
        self._greet_if(self.session.start(now, self.effects))

    def request(self, request: Request) -> None:
        if self.broken is not None:
            self.events.append(Failed(request, self.broken))
            return
        self._outstanding[request.correlation] = request
        if self.session.ready:
            self._send(request)

    def watch(self, ids: Iterable[bytes]) -> None:
        """The results of these are wanted: an Arrived or an Unknown will tell of each."""
        new = [i for i in ids if i not in self._watched]
        self._watched.update(new)
        if self.session.ready:
            self._wait_for([i for i in new if i not in self._subscribed])

    def unwatch(self, ids: Iterable[bytes]) -> None:
        self._watched.difference_update(ids)

    def goodbye(self) -> None:
        if self.session.ready:
            self.effects.append(Send(encode("goodbye", 0, {})))

    # -- from the socket

    def on_message(self, message: Message, now: float) -> None:
        if self.broken is not None:
            return
        self.session.heard(now)
        kind, correlation, body = message
        if kind == "results":
            self._on_results(body)
        elif kind == "welcome":
            self._on_welcome(body, now)
        elif kind == "error":
            self._on_error(correlation, body, now)
        elif kind == "waiting":
            self._on_waiting(correlation, body)
        elif correlation in self._outstanding and kind == self._outstanding[correlation].answer:
            request = self._outstanding.pop(correlation)
            self._subscribed.update(request.notify_ids)
            self.events.append(Answered(request, body))
        # Else a heartbeat, or the answer to what was given up: nothing to do.

    def on_time(self, now: float) -> None:
        if self.broken is not None:
            return
        self._greet_if(self.session.on_time(now, self.effects))
        if self.session.heartbeat_due(now):
            self.effects.append(Send(encode("heartbeat", 0, {})))
        for request in list(self._outstanding.values()):
            if now >= request.deadline:
                del self._outstanding[request.correlation]
                self.events.append(Failed(request, self._no_answer(request)))
            elif not request.sent and self.session.ready and now >= request.not_before:
                self._send(request)
        for correlation, (ids, at) in list(self._waits.items()):
            if at and now >= at and self.session.ready:
                del self._waits[correlation]
                self._wait_for([i for i in ids if i in self._watched])

    def next_deadline(self) -> Optional[float]:
        if self.broken is not None:
            return None
        times = [self.session.next_deadline()]
        for request in self._outstanding.values():
            times.append(request.deadline)
            if not request.sent and self.session.ready:
                times.append(request.not_before)
        times.extend(at for _, at in self._waits.values() if at and self.session.ready)
        return earliest(*times)

    # -- inside

    def _greet_if(self, due: bool) -> None:
        if due:
            # What was on the old connection is not on the new one.
            self._subscribed.clear()
            self._waits.clear()
            for request in self._outstanding.values():
                request.sent = False
            self.effects.append(Send(encode("hello", HELLO, self._hello)))

    def _send(self, request: Request) -> None:
        request.sent = True
        self.effects.append(Send(request.frame))

    def _wait_for(self, ids: List[bytes]) -> None:
        for at in range(0, len(ids), ITEMS_MAX):
            part = ids[at : at + ITEMS_MAX]
            self._next_wait += 1
            self._waits[self._next_wait] = (part, 0.0)
            self._subscribed.update(part)
            self.effects.append(Send(encode("wait", self._next_wait, {"ids": b"".join(part)})))

    def _on_welcome(self, body: Dict[str, Any], now: float) -> None:
        if self.session.ready:
            return  # the answer to a hello that was given up
        self.session.welcomed(body, now)
        self.events.append(Joined(body))
        for request in self._outstanding.values():
            if not request.sent and now >= request.not_before:
                self._send(request)
        # After the submissions: main has to know the tasks to be waited for.
        self._wait_for(list(self._watched))

    def _on_results(self, body: Dict[str, Any]) -> None:
        ids = [item[0] for item in body["results"]]
        self._subscribed.difference_update(ids)
        self._watched.difference_update(ids)
        name_plugins(body["results"], body.get("plugins"))
        self.events.append(Arrived(body["devices"], body["results"]))

    def _on_waiting(self, correlation: int, body: Dict[str, Any]) -> None:
        self._waits.pop(correlation, None)
        unknown = split_ids(body["unknown"])
        self._subscribed.difference_update(unknown)
        wanted = [i for i in unknown if i in self._watched]
        if wanted:
            self._watched.difference_update(wanted)
            self.events.append(Unknown(wanted))

    def _on_error(self, correlation: int, body: Dict[str, Any], now: float) -> None:
        code = body["code"]
        request = self._outstanding.get(correlation)
        if code == "hello_required":
            self._greet_if(self.session.hello_required(now))
        elif not self.session.ready and code in FATAL_CODES and request is None:
            self._break(errors.from_body(body))
        elif code == "busy":
            # Never before the time main named, and not all clients at once.
            pause = max(0.001, body.get("retry_after_ms", BUSY_SECONDS * 1000) / 1000)
            again = now + pause * (1 + self._rng.random() / 4)
            if request is not None:
                request.sent, request.not_before = False, again
            elif correlation in self._waits:
                ids, _ = self._waits[correlation]
                self._subscribed.difference_update(ids)
                self._waits[correlation] = (ids, again)
        elif request is not None:
            del self._outstanding[correlation]
            self.events.append(Failed(request, errors.from_body(body)))
        elif code in ("replaced", "not_let_in", "not_permitted"):
            self._break(errors.from_body(body))

    def _break(self, error: errors.RetireClusterError) -> None:
        self.broken = error
        self.effects.append(Close())
        for request in self._outstanding.values():
            self.events.append(Failed(request, error))
        self._outstanding.clear()
        self.events.append(Broken(error))

    def _no_answer(self, request: Request) -> errors.RetireClusterError:
        if request.not_before:
            return errors.MainUnreachableError(
                f"main at {self._address} was busy until the time given was over: try again later, or give it "
                "longer"
            )
        state = "does not answer" if self.session.ready else "is not reachable"
        return errors.MainUnreachableError(
            f"main at {self._address} {state}: check that retire-cluster-main runs there "
            "and that the network lets it through"
        )
