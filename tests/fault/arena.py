"""main with a durable store, workers, and load clients, all of them processes that may be killed at any moment."""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

from checker import history, verdict, witness
from harness import process
from harness.cluster import Main, Worker
from harness.process import Process
from harness.programs import bin_dir
from harness.programs import program as path_of
from harness.waiting import DEADLINE_SECONDS, eventually
from load.plan import Mix
from load.raw_client import RawClient
from retire_cluster.tasks import TaskScheduler

HERE = Path(__file__).resolve().parent

# A main whose leases outlast any of its restarts, so that a device which did not go is not taken for lost on a busy
# machine; heartbeats are frequent, so that everybody soon notices a new main.
PATIENT = ("--heartbeat-interval", "0.3", "--offline-after", "10", "--lease", "30", "--disk-reserve", "0")
CLIENT_KINDS = ("raw", "raw", "package", "cli")
_IDS_AT_ONCE = 1000


def free_port() -> int:
    """A port that no outgoing connection is given: main must get it again after each of its ends."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    rng = random.Random(os.urandom(8))
    for _ in range(1000):
        port = rng.randrange(10_000, max(first, 11_000))
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port below those of outgoing connections")


class LoadClient(Process):
    def __init__(self, home: Path, name: str, kind: str, *arguments: str, seed: int) -> None:
        self.kind = kind
        self.history = home / f"{name}.jsonl"
        super().__init__(
            "load",
            ["-m", "load", "--kind", kind, "--history", str(self.history), "--seed", str(seed), *arguments],
            home / name,
            path=Path(sys.executable),
            PYTHONPATH=str(HERE),
            PYTHONDONTWRITEBYTECODE="1",
        )


class NumberedWorker(Worker):
    """With the witness plugin, and data and a name that another process may take up after it."""

    def __init__(self, arena: Arena, number: int, address: str, *flags: str, slots: int) -> None:
        self.number = number
        super().__init__(
            arena.home / f"worker-{number}",
            address,
            f"device-{number}",
            *("--plugin-dir", str(bin_dir().parent / "tests" / "fault_plugins"), "--only", "witness", "--only", "echo"),
            *("--sandbox", "basic", "--allow-path", str(arena.witness.parent)),
            *flags,
            slots=slots,
        )


class Arena:
    """Everything that was started through it is ended by close(). `seed` decides what is submitted."""

    def __init__(self, home: Path, *main_flags: str, seed: int = 1, mix: Optional[Mix] = None) -> None:
        self.home = home
        self.flags = main_flags or PATIENT
        self.seed = seed
        self.mix = mix or Mix()
        self.port = free_port()
        self.starts = 0  # of main
        self.workers: List[NumberedWorker] = []
        self.clients: List[LoadClient] = []
        self._client: Optional[TaskScheduler] = None
        self._numbers = itertools.count(1)
        self._client_numbers = itertools.count(1)
        self._audits = itertools.count(1)
        self._read_up_to: Dict[Path, int] = defaultdict(int)
        self._acknowledgements = 0
        self.histories = home / "histories"
        self.histories.mkdir(parents=True)
        # Apart from `home`, which only its owner may enter: handlers run as users of their own.
        self._open_to_all = tempfile.TemporaryDirectory(prefix="retire-cluster-witness-")
        Path(self._open_to_all.name).chmod(0o755)
        self.witness = Path(self._open_to_all.name) / "witness.log"
        self.witness.touch()
        self.witness.chmod(0o666)
        self.main: Main = self.start_main()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    # -- main

    def start_main(self, *, listen: bool = True, **env: str) -> Main:
        """On the port and the data that it had. Unless `listen`, it may not have begun to listen, or have ended."""
        self.starts += 1
        self.main = Main(self.home / "main", *self.flags, port=self.port, listen=listen, **env)
        return self.main

    def kill_main(self) -> None:
        self.main.kill()
        self.forget(self.main)

    def forget(self, ended: Process) -> None:
        """Its log is not shown any more, nor kept."""
        if ended in process.running:
            process.running.remove(ended)

    # -- workers

    def start_worker(self, *flags: str, slots: int = 1, address: str = "", number: int = 0) -> NumberedWorker:
        """A `number` of a former one: on its data, under its name."""
        number = number or next(self._numbers)
        worker = NumberedWorker(self, number, address or self.address, *flags, slots=slots)
        self.workers.append(worker)
        return worker

    def start_workers(self, count: int, *flags: str, slots: int = 1) -> None:
        """Started and joined."""
        started = [self.start_worker(*flags, slots=slots) for _ in range(count)]
        for worker in started:
            worker.line("joined main at")

    def kill_worker(self, worker: NumberedWorker) -> None:
        """kill -9 of the agent alone; its hosts have to notice by themselves."""
        worker.kill()
        self.forget(worker)
        self.workers.remove(worker)

    # -- load

    def start_client(self, kind: str, *arguments: str, address: str = "", name: str = "") -> LoadClient:
        name = name or f"{kind}-{next(self._client_numbers)}"
        client = LoadClient(
            self.histories,
            name,
            kind,
            *("--address", address or self.address, "--witness", str(self.witness)),
            *("--mix", self.mix.text(), "--program", str(path_of("retire-cluster-submit"))),
            *arguments,
            seed=self.seed,
        )
        self.clients.append(client)
        return client

    def start_clients(self, *arguments: str, kinds: Sequence[str] = CLIENT_KINDS) -> None:
        for kind in kinds:
            self.start_client(kind, *arguments)

    def kill_client(self, client: LoadClient) -> None:
        """kill -9. What it had sent and not been told of has an unknown outcome."""
        client.kill()
        self.forget(client)
        self.clients.remove(client)

    def acknowledgements(self) -> int:
        """Submissions that were acknowledged so far, by what the clients have written; a glance, not the verdict."""
        for path in self.histories.glob("*.jsonl"):
            with open(path, "rb") as file:
                file.seek(self._read_up_to[path])
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read_up_to[path] += len(whole)
            self._acknowledgements += whole.count(b'{"e":"ok"')
        return self._acknowledgements

    def stop_clients(self, deadline: float = 180.0) -> None:
        """No further submissions; each client waits for what it is owed. What does not come is the verdict's."""
        for client in self.clients:
            # From then on it heeds the signal.
            eventually(lambda client=client: client.history.exists() or not client.alive, "a load client begins")
            client.signal(signal.SIGTERM)
        for client in self.clients:
            status = client.ended(deadline)
            assert status in (0, 3), f"a load client ended with {status}: {client.stderr}"
            self.forget(client)

    def client(self) -> TaskScheduler:
        """Of the Python package, for questions about the cluster."""
        if self._client is None:
            self._client = TaskScheduler(
                self.address, connect_timeout=DEADLINE_SECONDS, request_timeout=DEADLINE_SECONDS
            )
        return self._client

    # -- judging

    def judge(self) -> verdict.Verdict:
        """After stop_clients(): asks main for every task and for its whole list, and judges the run."""
        self._wait_for_ends()
        self._audit()
        return verdict.judge(self._histories(), witness.read(self.witness))

    def _wait_for_ends(self) -> None:
        """Of tasks for which no client waits any more. What does not end is for the verdict to find."""
        end = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < end:
            tasks = self.client().get_cluster_statistics()["queue_stats"]["by_status"]
            if not any(tasks.get(status) for status in ("queued", "assigned", "running")):
                return
            time.sleep(0.1)

    def _histories(self) -> List[history.History]:
        return [history.read(path) for path in sorted(self.histories.glob("*.jsonl"))]

    def _audit(self) -> None:
        ids: Dict[str, None] = {}
        for one in self._histories():
            for submission in one.submissions:
                ids.update((task.id, None) for task in submission.tasks)
        writer = history.Writer(self.histories / f"audit-{next(self._audits)}.jsonl")
        client = RawClient(self.address, writer, self.seed)
        wanted = list(ids)
        for begin in range(0, len(wanted), _IDS_AT_ONCE):
            client.look(wanted[begin : begin + _IDS_AT_ONCE], "audit")
        client.list_all()

        def answered() -> bool:
            client.turn(0.01)
            return client.idle

        eventually(answered, "main answers the audit")
        client.close()
        writer.end(0)

    # -- the end

    def close(self) -> None:
        problems = []
        if self._client is not None:
            self._client.close()
        for client in self.clients:
            if client.alive:
                client.kill()
        for started in [*self.workers, self.main]:
            try:
                started.stop()
            except AssertionError as error:
                problems.append(str(error))
        self._open_to_all.cleanup()
        assert not problems, problems


def hosts(worker: Worker) -> List[int]:
    """The PIDs of the processes in which a worker's handlers run."""
    return [pid for supervisor in supervisors(worker) for pid in children(supervisor)]


def supervisors(worker: Worker) -> List[int]:
    """The PIDs of the processes between a worker and its hosts, one for each."""
    return worker.children()


def children(pid: int) -> List[int]:
    found: List[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in task.read_text().split()]
        except OSError:  # the thread has just ended
            continue
    return sorted(found)


def sleep_until(end: float, condition: Callable[[], bool] = lambda: False) -> None:
    """For a moment that is drawn at random, not for an effect: until `end`, or the condition holds."""
    while time.monotonic() < end and not condition():
        time.sleep(0.005)
