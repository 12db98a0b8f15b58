"""The life of one peer's connection to main, without sockets or clocks: who calls says what time it is.

   start              welcome
───────▶ GREETING ──────────────▶ READY ──┐ hello_required
            ▲  │ silence            │  ▲   │
  back-off  │  ▼                    ▼  └── GREETING
         WAITING ◀──────────────────┘ silence
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Dict, List, Optional, Union

GREETING_SECONDS = 2.0  # how long a connection may take to answer hello before a new one is tried
BACKOFF_FIRST_SECONDS = 0.1
BACKOFF_MAX_SECONDS = 5.0


@dataclass(frozen=True)
class Open:
    """A new socket, please; the old one is closed already."""


@dataclass(frozen=True)
class Close:
    """The socket is given up, with what waits in it."""


@dataclass(frozen=True)
class Send:
    """A frame for the socket."""

    frame: bytes


Effect = Union[Open, Close, Send]


class State(Enum):
    GREETING = auto()
    READY = auto()
    WAITING = auto()


class Session:
    """Liveness, back-off and heartbeat times of one connection. Times are seconds of any clock that never
    goes back.

    Not thread-safe. The owner sends the frames of hello and heartbeat, whose bodies only it knows: `start`,
    `on_time` and `hello_required` return True when hello has to be sent.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.state = State.WAITING
        self._until = math.inf  # GREETING, WAITING: when that ends; before start(): never
        self._heard = 0.0
        self._next_heartbeat = 0.0
        self._backoff = BACKOFF_FIRST_SECONDS
        self.heartbeat_seconds = 5.0
        self.offline_after_seconds = 15.0

    @property
    def ready(self) -> bool:
        return self.state is State.READY

    def start(self, now: float, out: List[Effect]) -> bool:
        out.append(Open())
        self.state = State.GREETING
        self._until = now + GREETING_SECONDS
        return True

    def welcomed(self, body: Dict[str, Any], now: float) -> None:
        self.state = State.READY
        self._heard = now
        self._backoff = BACKOFF_FIRST_SECONDS
        self.heartbeat_seconds = max(0.01, body["heartbeat_ms"] / 1000)
        self.offline_after_seconds = max(0.05, body["offline_after_ms"] / 1000)
        self._plan_heartbeat(now)

    def heard(self, now: float) -> None:
        """Something readable came from main."""
        self._heard = now

    def hello_required(self, now: float) -> bool:
        """Main does not know the connection. False if hello is under way already: main says it once for every
        frame.
        """
        if self.state is not State.READY:
            return False
        self.state = State.GREETING
        self._until = now + GREETING_SECONDS
        return True

    def on_time(self, now: float, out: List[Effect]) -> bool:
        """What time does by itself. True if hello has to be sent."""
        if self.state is State.WAITING:
            return now >= self._until and self.start(now, out)
        if now >= self._silent_at():
            out.append(Close())
            self.state = State.WAITING
            # Full jitter: peers that lost the same main do not all come back at once.
            self._until = now + self._rng.uniform(0, self._backoff)
            self._backoff = min(2 * self._backoff, BACKOFF_MAX_SECONDS)
        return False

    def heartbeat_due(self, now: float) -> bool:
        """True once for each heartbeat that has to be sent."""
        if self.state is not State.READY or now < self._next_heartbeat:
            return False
        self._plan_heartbeat(now)
        return True

    def next_deadline(self) -> float:
        if self.state is State.READY:
            return min(self._silent_at(), self._next_heartbeat)
        return self._until

    def _silent_at(self) -> float:
        return self._heard + self.offline_after_seconds if self.state is State.READY else self._until

    def _plan_heartbeat(self, now: float) -> None:
        # Earlier by up to 10 %, never later: main counts intervals.
        self._next_heartbeat = now + self.heartbeat_seconds * (1 - 0.1 * self._rng.random())


def earliest(*times: Optional[float]) -> Optional[float]:
    known = [t for t in times if t is not None]
    return min(known) if known else None
