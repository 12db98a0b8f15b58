#!/usr/bin/env python3
"""Mixed faults for as long as one likes, with the history checker over everything, and an eye on memory and descriptors.

    soak.py [--minutes 60] [--seed 1] [--home DIR] [--keep]

The run is cut into rounds. In each, load clients submit while faults come one after the other, drawn from the seed:
main, workers and handler hosts are killed, main and workers are frozen, proxies do to the connections what a bad network
does, clients are killed and started anew. Then the faults stop, everything has to end, and the round is judged. Main is
killed in the first third of the rounds only, and one worker is never killed: what is flat is measured on those two, from
samples each ten seconds. Ends with 0 if nothing was lost, doubled, wrong or left, and memory and descriptors are flat.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent / "e2e", HERE.parents[1] / "python" / "src"):
    sys.path.insert(0, str(folder))

import arena as arenas
import proxy as proxies
from arena import Arena, NumberedWorker
from checker import history
from harness.cluster import Worker
from harness.waiting import eventually
from load.plan import Mix
from proxy import Proxy
from retire_cluster.tasks import Task, TaskScheduler

LEASE_SECONDS = 4.0
FLAGS = (
    *("--heartbeat-interval", "0.3", "--offline-after", "2", "--lease", str(LEASE_SECONDS)),
    # Small, so that each is full long before the end: what grows after that grows without end.
    *("--history-count", "30000", "--history-mib", "128", "--memory-budget", "16", "--disk-reserve", "0"),
)
WORKERS = 4
SLOTS = 2
SAMPLE_SECONDS = 10.0
PAUSE_SECONDS = 3.0  # between faults, at most
FAULT_SECONDS = 5.0  # of one, at most
BALLAST_BYTES = 8192
BALLAST_PAUSE_SECONDS = 0.1
# What one may grow by over the time that is judged, as a part of its median and beyond that.
GROWTH_PART = 0.10
GROWTH_BYTES = 8 << 20
DESCRIPTORS_MORE = 2  # main may be about to close a log of its store

# A killed host fails the attempt in it, as the contract says; where that happens no task is there whose end it decides.
WITH_HOST_KILLS = Mix(fail_first=5, work_ms=100, poison=True)
WITHOUT_HOST_KILLS = Mix(once=10, fail=5, fail_first=5, work_ms=100, poison=True)


@dataclass
class Sample:
    seconds: float  # since the start of the run
    pid: int
    rss_bytes: int
    descriptors: int  # but for data_files
    data_files: int = 0  # of the store, whose number follows what is kept


def look_at(pid: int, begin: float) -> Optional[Sample]:
    """None if it is gone."""
    try:
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        files = [_target(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except (OSError, IndexError):
        return None
    data_files = sum(name.endswith(".sst") for name in files)
    return Sample(time.monotonic() - begin, pid, resident, len(files) - data_files, data_files)


def _target(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)
    except OSError:  # closed meanwhile
        return ""


class Sampler:
    """Looks at some processes each ten seconds, in a thread of its own, and writes what it sees to a file."""

    def __init__(self, processes: Callable[[], Dict[str, int]], path: Path, begin: float) -> None:
        self._processes = processes
        self._begin = begin
        self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115
        self._stop = threading.Event()
        self.samples: Dict[str, List[Sample]] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            for name, pid in self._processes().items():
                sample = look_at(pid, self._begin)
                if sample is None:
                    continue
                self.samples.setdefault(name, []).append(sample)
                self._file.write(json.dumps({"name": name, **vars(sample)}) + "\n")

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._file.close()


class Ballast:
    """Tasks with some bytes, so that buffers in memory and on disk go round many times within the run."""

    def __init__(self, address: str, seed: int) -> None:
        self._address = address
        self._rng = random.Random(seed)
        self._stop = threading.Event()
        self.done = 0
        self.failure: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with TaskScheduler(self._address, connect_timeout=120, request_timeout=120) as client:
                while not self._stop.wait(BALLAST_PAUSE_SECONDS):
                    payload = self._rng.randbytes(BALLAST_BYTES // 2).hex()
                    result = client.wait(client.submit_task(Task("echo", payload)), 120)
                    # A task whose device was lost with it three times is set aside.
                    if result.success:
                        assert result.result_data == {"echo": payload}, "another task's result"
                    else:
                        assert (result.error_message or "").startswith("set aside"), result
                    self.done += 1
        except BaseException as error:
            self.failure = error

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        if self.failure is not None:
            raise AssertionError(f"the ballast failed: {self.failure!r}")


@dataclass
class Totals:
    rounds: int = 0
    submitted: int = 0
    acknowledged: int = 0
    unknown: int = 0
    recovered: int = 0
    resent: int = 0
    executions: int = 0
    repeated: int = 0
    ballast: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    main_starts: int = 1


class Soak:
    def __init__(self, home: Path, seed: int, log: Callable[[str], None]) -> None:
        self._rng = random.Random(seed)
        self._seed = seed
        self._log = log
        self.begin = time.monotonic()
        self.totals = Totals()
        self.arena = Arena(home / "arena", *FLAGS, seed=seed, mix=WITHOUT_HOST_KILLS)
        # Every second worker and every second client reaches main by a proxy.
        self.proxies = [Proxy(self.arena.address, seed=seed + n) for n in range(2)]
        for n in range(WORKERS):
            self.arena.start_worker(slots=SLOTS, address=self._address(n))
        for worker in self.arena.workers:
            worker.line("joined main at")
        self.steady = self.arena.workers[1]  # by the proxy; frozen and cut off, and never killed
        self._numbers = 0
        self._earlier: Set[str] = set()  # the tasks of earlier rounds
        self.resting: List[Tuple[Sample, Sample]] = []  # main and the steady worker between the rounds
        self.sampler = Sampler(self._processes, home / "samples.jsonl", self.begin)

    def _address(self, n: int) -> str:
        return self.proxies[0 if n < WORKERS else 1].address if n % 2 else self.arena.address

    def _processes(self) -> Dict[str, int]:
        found = {"main": self.arena.main.pid}
        found.update((worker.device_id, worker.pid) for worker in list(self.arena.workers))
        return found

    # -- one round

    def round(self, seconds: float, *, kill_main: bool) -> None:
        """Load, faults for so long, the end of everything, the verdict."""
        self.totals.rounds += 1
        number = self.totals.rounds
        kill_hosts = number % 2 == 0
        self.arena.mix = WITH_HOST_KILLS if kill_hosts else WITHOUT_HOST_KILLS
        self.arena.seed = self._seed + number
        self.arena.histories = self.arena.home / f"histories-{number}"
        self.arena.histories.mkdir()
        self.arena.witness = self.arena.witness.with_name(f"witness-{number}.log")
        self.arena.witness.touch()
        self.arena.witness.chmod(0o666)
        self.arena.clients = []
        for n, kind in enumerate(("raw", "raw", "package", "cli")):
            self._start_client(kind, n)
        ballast = Ballast(self.arena.address, self._seed + number)

        faults = [self._kill_worker, self._freeze_worker, self._freeze_main, self._restart_client]
        faults += [self._network] * 3
        if kill_main:
            faults += [self._kill_main] * 2
        if kill_hosts:
            faults += [self._kill_host, self._kill_supervisor]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            fault = self._rng.choice(faults)
            fault()
            arenas.sleep_until(time.monotonic() + self._rng.uniform(0.2, PAUSE_SECONDS))
        ballast.stop()
        self.arena.stop_clients(300)
        verdict = self.arena.judge()
        # Main still knows those of earlier rounds, which had their verdict.
        verdict.unexpected = [line for line in verdict.unexpected if line.split()[0] not in self._earlier]
        self._earlier.update(
            task.id
            for path in self.arena.histories.glob("*.jsonl")
            for submission in history.read(path).submissions
            for task in submission.tasks
        )
        self._add(verdict, ballast)
        self._log(f"round={number} kill_main={kill_main} kill_hosts={kill_hosts} {verdict.summary()}")
        verdict.check()
        self._check_alive()
        self._rest()
        shutil.rmtree(self.arena.histories)
        self.arena.witness.unlink()

    def _start_client(self, kind: str, n: int) -> None:
        self._numbers += 1
        self.arena.start_client(
            kind,
            *("--pause", "0.4", "--batch-size", "4"),
            address=self._address(WORKERS + n),
            name=f"{kind}-{self._numbers}",
        )

    def _add(self, verdict: Any, ballast: Ballast) -> None:
        for name in ("submitted", "acknowledged", "unknown", "recovered", "resent", "executions"):
            setattr(self.totals, name, getattr(self.totals, name) + getattr(verdict, name))
        self.totals.repeated += len(verdict.repeated)
        self.totals.ballast += ballast.done

    def _check_alive(self) -> None:
        for each in [self.arena.main, *self.arena.workers]:
            assert each.alive, f"{each.name} ended with {each.status}: {each.log()}"

    def _rest(self) -> None:
        """All is quiet: what is open now is what stays open."""
        with TaskScheduler(self.arena.address, connect_timeout=60, request_timeout=60) as client:

            def idle() -> bool:
                cluster = client.get_cluster_statistics()["cluster_stats"]
                return cluster["online_devices"] == WORKERS and cluster["total_load"] == 0

            eventually(idle, "all devices are online and idle")
        arenas.sleep_until(time.monotonic() + 2)  # connections of those that went are closed by then
        main, steady = (self._look_at_rest(pid) for pid in (self.arena.main.pid, self.steady.pid))
        self.resting.append((main, steady))
        self._log(
            f"resting: main rss={main.rss_bytes >> 10} KiB descriptors={main.descriptors} and "
            f"{main.data_files} data files, "
            f"steady worker rss={steady.rss_bytes >> 10} KiB descriptors={steady.descriptors}"
        )

    def _look_at_rest(self, pid: int) -> Sample:
        """The one of several looks with the fewest descriptors: what stays open is in each of them."""
        looks = []
        for _ in range(5):
            looks.append(look_at(pid, self.begin))
            arenas.sleep_until(time.monotonic() + 0.2)
        found = [look for look in looks if look is not None]
        assert found, f"process {pid} has ended"
        return min(found, key=lambda look: look.descriptors)

    # -- faults

    def _count(self, name: str) -> None:
        self.totals.faults[name] += 1

    def _victim(self) -> NumberedWorker:
        return self._rng.choice([worker for worker in self.arena.workers if worker is not self.steady])

    def _pause(self, longest: float) -> None:
        arenas.sleep_until(time.monotonic() + self._rng.uniform(0.05, 1) * longest)

    def _kill_main(self) -> None:
        self._count("main killed")
        self.arena.kill_main()
        self._pause(FAULT_SECONDS / 2)
        self.arena.start_main()
        self.totals.main_starts += 1

    def _freeze_main(self) -> None:
        self._count("main frozen")
        self.arena.main.signal(signal.SIGSTOP)
        self._pause(1.5 * LEASE_SECONDS)
        self.arena.main.signal(signal.SIGCONT)

    def _kill_worker(self) -> None:
        self._count("worker killed")
        worker = self._victim()
        self.arena.kill_worker(worker)
        self._pause(FAULT_SECONDS)
        self.arena.start_worker(slots=SLOTS, address=self._address(worker.number - 1), number=worker.number)

    def _freeze_worker(self) -> None:
        self._count("worker frozen")
        worker = self._rng.choice(self.arena.workers)
        worker.signal(signal.SIGSTOP)
        self._pause(2 * LEASE_SECONDS)
        worker.signal(signal.SIGCONT)

    def _kill_host(self) -> None:
        self._kill_one("host killed", arenas.hosts)

    def _kill_supervisor(self) -> None:
        self._kill_one("supervisor killed", arenas.supervisors)

    def _kill_one(self, name: str, find: Callable[[Worker], List[int]]) -> None:
        found = find(self._rng.choice(self.arena.workers))
        if not found:
            return
        try:
            os.kill(self._rng.choice(found), signal.SIGKILL)
        except ProcessLookupError:
            return
        self._count(name)

    def _restart_client(self) -> None:
        self._count("client killed")
        client = self._rng.choice(self.arena.clients)
        self.arena.kill_client(client)
        self._start_client(client.kind, self._rng.randrange(4))

    def _network(self) -> None:
        fault = proxies.plan(self._rng.getrandbits(32), len(self.proxies), 1, FAULT_SECONDS, 1)[0]
        self._count(f"network: {fault.name}")
        proxy = self.proxies[fault.proxy]
        fault.begin(proxy)
        arenas.sleep_until(time.monotonic() + fault.seconds)
        fault.end(proxy)

    def close(self) -> None:
        self.sampler.stop()
        self.arena.close()
        for each in self.proxies:
            each.close()


@dataclass
class Trend:
    """How one process's memory went, from when it was warm."""

    name: str
    samples: List[Sample]

    def quarter(self, last: bool) -> float:
        count = max(1, len(self.samples) // 4)
        part = self.samples[-count:] if last else self.samples[:count]
        return statistics.median(sample.rss_bytes for sample in part)

    def growth_bytes(self) -> float:
        """Of the line of least squares, over the whole time."""
        times = [sample.seconds for sample in self.samples]
        if len(times) < 3 or times[-1] == times[0]:
            return 0.0
        slope = statistics.linear_regression(times, [float(sample.rss_bytes) for sample in self.samples]).slope
        return slope * (times[-1] - times[0])

    def problems(self) -> List[str]:
        median = statistics.median(sample.rss_bytes for sample in self.samples)
        allowed = GROWTH_PART * median + GROWTH_BYTES
        found = []
        if self.growth_bytes() > allowed:
            found.append(f"{self.name}: memory grew by {self.growth_bytes() / 1024:.0f} KiB, {allowed / 1024:.0f} allowed")
        if self.quarter(True) - self.quarter(False) > allowed:
            found.append(f"{self.name}: the last quarter's median is more than {allowed / 1024:.0f} KiB above the first's")
        return found

    def text(self) -> str:
        span = self.samples[-1].seconds - self.samples[0].seconds
        return (
            f"{self.name}: {len(self.samples)} samples over {span / 60:.1f} min, median RSS of the first quarter "
            f"{self.quarter(False) / 1024:.0f} KiB, of the last {self.quarter(True) / 1024:.0f} KiB, "
            f"line of least squares {self.growth_bytes() / 1024:+.0f} KiB over that time"
        )


def warm(samples: List[Sample], pid: int) -> List[Sample]:
    """Of this process, without the first quarter of its time."""
    own = [sample for sample in samples if sample.pid == pid]
    return own[len(own) // 4 :]


def check_descriptors(name: str, resting: List[Sample], pid: int, more: int) -> List[str]:
    """Those at rest, of one process: none is above the first by more than `more`."""
    counts = [sample.descriptors for sample in resting if sample.pid == pid]
    if len(counts) >= 2 and max(counts[1:]) > counts[0] + more:
        return [f"{name}: descriptors at rest went from {counts[0]} to {counts}"]
    return []


def run(minutes: float, seed: int, home: Path, log: Callable[[str], None]) -> List[str]:
    """What was not flat. Errors: AssertionError for what was lost, doubled, wrong or left."""
    round_seconds = min(180.0, max(12.0, minutes * 60 / 4))
    end = time.monotonic() + minutes * 60
    kill_main_until = time.monotonic() + minutes * 60 / 3
    soak = Soak(home, seed, log)
    try:
        while time.monotonic() < end:
            soak.round(
                min(round_seconds, end - time.monotonic()), kill_main=time.monotonic() < kill_main_until
            )
        totals, sampler = soak.totals, soak.sampler.samples
        main_pid, steady_pid = soak.arena.main.pid, soak.steady.pid
        trends = [
            Trend("main", warm(sampler.get("main", []), main_pid)),
            Trend("steady worker", warm(sampler.get(soak.steady.device_id, []), steady_pid)),
        ]
        problems = []
        for trend in trends:
            if len(trend.samples) < 8:
                log(f"{trend.name}: {len(trend.samples)} samples of one life, too few to judge its memory")
                continue
            log(trend.text())
            problems += trend.problems()
        problems += check_descriptors("main", [main for main, _ in soak.resting], main_pid, DESCRIPTORS_MORE)
        problems += check_descriptors("steady worker", [own for _, own in soak.resting], steady_pid, 0)
        log(f"minutes={minutes:g} seed={seed} " + " ".join(f"{k}={v}" for k, v in vars(totals).items()))
        for problem in problems:
            log(f"not flat: {problem}")
        return problems
    finally:
        soak.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--home", type=Path, help="for data, logs and samples; a new directory if left out")
    parser.add_argument("--keep", action="store_true", help="leave it there when all went well")
    given = parser.parse_args()
    home = given.home or Path(tempfile.mkdtemp(prefix="retire-cluster-soak-"))
    home.mkdir(parents=True, exist_ok=True)

    def log(line: str) -> None:
        print(time.strftime("%H:%M:%S"), line, flush=True)

    try:
        problems = run(given.minutes, given.seed, home, log)
    except AssertionError as error:
        log(f"FAILED: {error}")
        log(f"data and logs are kept in {home}")
        return 1
    if problems:
        log(f"FAILED; data and logs are kept in {home}")
        return 1
    if not given.keep and given.home is None:
        shutil.rmtree(home)
    log("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
