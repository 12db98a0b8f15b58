"""kill -9 of main under load, at random moments and at named failpoints, and while it recovers."""

from __future__ import annotations

import random
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Callable, List

from arena import PATIENT, Arena, sleep_until
from checker.verdict import Verdict
from counts import count, seed
from harness.process import run
from harness.programs import ROOT
from harness.waiting import eventually
from load.plan import Mix

WORKERS = 8
LOAD = ("--batch-size", "30", "--window", "200")

# Name, and the largest number of passes; each cycle draws one. Under this load a turn takes a few milliseconds.
WHILE_SERVING = (
    ("received", 100),
    ("appended", 100),
    ("handed_over", 100),
    ("answer_due", 60),
    ("answer_sent", 60),
    ("batch_due", 40),
    ("batch_durable", 40),
)
WHILE_STARTING = (("epoch_due", 1), ("mark_due", 1), ("mark_renamed", 1), ("restoring", 3), ("queue_loaded", 1))
# The mark is written once at the start and once at the end.
WHILE_STOPPING = (("closing", 1), ("mark_due", 2), ("mark_renamed", 2))

# Which kind of cycle comes next: half at random moments, half at failpoints, three of ten before main has recovered.
PATTERN = ("random", "failpoint", "random", "failpoint", "recovery", "failpoint", "random", "starting", "recovery", "stopping")
_STARTS_SECONDS = 0.4  # random kills during recovery come up to so long after the start


class Killer:
    """Kills main again and again, each time when it serves (or before, where that is the point)."""

    def __init__(self, arena: Arena, rng: random.Random) -> None:
        self.arena = arena
        self.rng = rng
        self.begin = time.monotonic()
        self.kills: Counter[str] = Counter()
        self.serves_after: List[float] = []  # seconds from a start to the first acknowledgement

    def cycle(self, kind: str) -> None:
        """main serves at the beginning, and is dead at the end."""
        getattr(self, "_" + kind)()
        self.arena.forget(self.arena.main)

    def serve(self, **env: str) -> None:
        """main is started, and acknowledges again, unless it ends by itself."""
        before, begin = self.arena.acknowledgements(), time.monotonic()
        self.arena.start_main(listen=not env, **env)
        eventually(
            lambda: self.arena.acknowledgements() > before or not self.arena.main.alive,
            f"main acknowledges again after start {self.arena.starts}",
        )
        if self.arena.main.alive:
            self.serves_after.append(time.monotonic() - begin)
        elif not env:
            raise AssertionError(f"main ended with {self.arena.main.status}: {self.arena.main.stderr}")

    def _random(self) -> None:
        self.serve()
        sleep_until(time.monotonic() + self.rng.random() * 0.5)
        self._kill("random")

    def _recovery(self) -> None:
        self.arena.start_main(listen=False)
        sleep_until(time.monotonic() + self.rng.random() * _STARTS_SECONDS)
        self._kill("recovery")

    def _failpoint(self) -> None:
        name, passes = self.rng.choice(WHILE_SERVING)
        self.serve(**self._armed(name, passes))
        self._ended_by(name)

    def _starting(self) -> None:
        name, passes = self.rng.choice(WHILE_STARTING)
        self.arena.start_main(listen=False, **self._armed(name, passes))
        self._ended_by(name)

    def _stopping(self) -> None:
        name, passes = self.rng.choice(WHILE_STOPPING)
        self.serve(RETIRE_CLUSTER_FAILPOINT=f"{name}=kill@{passes}")
        self.arena.main.signal(signal.SIGTERM)
        self._ended_by(name)

    def _armed(self, name: str, passes: int) -> "dict[str, str]":
        return {"RETIRE_CLUSTER_FAILPOINT": f"{name}=kill@{self.rng.randrange(1, passes + 1)}"}

    def _kill(self, kind: str) -> None:
        assert self.arena.main.alive, f"main ended with {self.arena.main.status}: {self.arena.main.stderr}"
        self.arena.main.kill()
        self.kills[kind] += 1

    def _ended_by(self, failpoint: str) -> None:
        """Waits for the failpoint; what does not come there in time is killed, and counted apart."""
        end = time.monotonic() + 5
        sleep_until(end, lambda: not self.arena.main.alive)
        if self.arena.main.alive:
            self._kill(f"{failpoint} not reached")
            return
        status = self.arena.main.status
        assert status == -signal.SIGKILL, f"main ended with {status} at {failpoint}: {self.arena.main.stderr}"
        self.kills[failpoint] += 1


def kill_main(arena: Arena, cycles: int, rng: random.Random) -> Killer:
    killer = Killer(arena, rng)
    arena.kill_main()
    for number in range(cycles):
        if number % 5 == 4:  # main has died a moment ago: this client's submissions have not been answered
            client = rng.choice([client for client in arena.clients if client.kind == "raw"])
            arena.kill_client(client)
            arena.start_client("raw", *LOAD)
        killer.cycle(PATTERN[number % len(PATTERN)])
        if number % 100 == 99:
            print(f"{number + 1} kills after {time.monotonic() - killer.begin:.0f} s", flush=True)
    killer.serve()
    return killer


def report(killer: Killer, verdict: Verdict, seconds: float) -> None:
    """The figures of docs/reliability.md."""
    waits = sorted(killer.serves_after)
    print(f"kills={sum(killer.kills.values())} seed={killer.arena.seed} seconds={seconds:.0f}")
    print("kills by kind:", " ".join(f"{name}={number}" for name, number in sorted(killer.kills.items())))
    print(f"seconds from start to the first acknowledgement: median={waits[len(waits) // 2]:.2f} longest={waits[-1]:.2f}")
    print(verdict.summary())


def test_every_failpoint_has_its_cycle() -> None:
    """The list is main's own."""
    listed = (ROOT / "common" / "base" / "failpoints.def").read_text()
    names = set(re.findall(r'^RC_FAILPOINT\(\w+, "(\w+)"\)', listed, re.M))
    assert names == {name for name, _ in (*WHILE_SERVING, *WHILE_STARTING, *WHILE_STOPPING)}


def test_a_failpoint_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    ran = run(
        "retire-cluster-main", "--port", "0", "--data-dir", str(tmp_path / "data"), home=tmp_path,
        RETIRE_CLUSTER_FAILPOINT="nowhere=kill@1",
    )  # fmt: skip
    assert ran.status == 3
    assert ran.error_line().startswith('retire-cluster-main: the failpoint "nowhere=kill@1" names none of received, ')
    assert "unset RETIRE_CLUSTER_FAILPOINT" in ran.stderr
    assert not (tmp_path / "data").exists()


def test_what_was_acknowledged_survives_kill_9_of_main(arenas: Callable[..., Arena]) -> None:
    """RETIRE_CLUSTER_KILL_CYCLES raises the number of kills."""
    cycles = count("KILL_CYCLES", 20)
    begin = time.monotonic()
    arena = arenas(*PATIENT, seed=seed(), mix=Mix(once=10, fail=5, work_ms=10))
    arena.start_workers(WORKERS)
    arena.start_clients(*LOAD)
    killer = kill_main(arena, cycles, random.Random(f"kills {seed()}"))
    arena.stop_clients()
    verdict = arena.judge()
    report(killer, verdict, time.monotonic() - begin)
    verdict.check()
    assert sum(killer.kills.values()) == cycles
    assert arena.starts == cycles + 2
    # The load went on all the time, and main was hit while clients waited for it.
    assert verdict.acknowledged >= 10 * cycles
    assert verdict.resent > cycles / 4
    # Half were at failpoints, nearly all of which were reached.
    missed = sum(number for name, number in killer.kills.items() if name.endswith("not reached"))
    assert missed <= max(2, cycles / 20), killer.kills
    for worker in arena.workers:
        assert worker.alive
