"""A thousand workers that lose their main and come back to the next one, on a small machine."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from arena import sleep_until
from counts import count
from harness.cluster import Cluster, Main
from harness.waiting import eventually
from many_workers import DESCRIPTORS_PER_PEER, TASK_TYPE
from retire_cluster.tasks import Task

COUNT = count("RECONNECTING_WORKERS", 1000)
BACK_WITHIN_SECONDS = 60.0
OFFLINE_SECONDS = 3.0
FLAGS = ("--heartbeat-interval", "1", "--offline-after", str(OFFLINE_SECONDS), "--lease", "60")
FLAGS = (*FLAGS, "--disk-reserve", "0")
SUBMIT_SECONDS = 0.02  # between two submissions of the honest client
UNANSWERED_SECONDS = 60.0
BACK_OFF_FIRST_SECONDS, BACK_OFF_MAX_SECONDS = 0.1, 5.0  # docs/protocol.md


class Crowd:
    """many_workers.py as a process."""

    def __init__(self, address: str, count: int, seed: int, errors: Path) -> None:
        self._errors = errors
        with open(errors, "wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("many_workers.py")), address, str(count), str(seed)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                bufsize=1,
            )

    def ask(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        line = self._process.stdout.readline()
        assert line, f"the crowd has ended: {self._errors.read_text()}"
        return json.loads(line)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


@pytest.fixture
def crowds(tmp_path: Path) -> Iterator[Callable[..., Crowd]]:
    made: list[Crowd] = []

    def make(address: str, count: int, seed: int) -> Crowd:
        made.append(Crowd(address, count, seed, tmp_path / f"crowd-{len(made)}.err"))
        return made[-1]

    yield make
    for crowd in made:
        crowd.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """With room for that many connections; skipped where the machine has none."""
    wanted = COUNT * DESCRIPTORS_PER_PEER + 256
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"{COUNT} workers need {wanted} open files, and the hard limit here is {hard}")
    made = Cluster(tmp_path / "cluster", *FLAGS)
    yield made
    made.close()


class SteadyClient:
    """Submits one task after the other at a steady pace, in a thread of its own; nobody runs them.

    A latency is counted from when the submission was to begin, so that one which is held up shows in those behind it,
    too; beside it stands how long the call itself took.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._client = cluster.new_client()
        self._stop = threading.Event()
        self.answers: list[tuple[float, float, float]] = []  # when it was to begin, latency, of the call; seconds
        self.ids: list[str] = []
        self._thread = ThreadPoolExecutor(1)
        self._ended = self._thread.submit(self._run)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            begin = time.monotonic()
            self.ids.append(self._client.submit_task(Task("nobody_has_this", len(self.ids))))
            end = time.monotonic()
            assert end - begin < UNANSWERED_SECONDS, f"submission {len(self.ids)} took {end - begin:.0f} s"
            self.answers.append((due, end - due, end - begin))
            due += SUBMIT_SECONDS

    def submitted_after(self, when: float) -> bool:
        if self._ended.done():
            self._ended.result()  # tells why
        return bool(self.answers) and self.answers[-1][0] > when

    def stop(self) -> None:
        """Fails if a submission was not answered."""
        self._stop.set()
        self._ended.result()
        self._thread.shutdown()

    def print_latencies(self, what: str, begin: float, end: float) -> None:
        """Of those that were to begin between the two."""
        found = [(latency, call) for due, latency, call in self.answers if begin <= due < end]
        latencies, calls = (sorted(column) for column in zip(*found))
        p50, p99 = (latencies[min(len(latencies) - 1, int(len(latencies) * part))] for part in (0.5, 0.99))
        print(
            f"{what}: submissions={len(found)} p50_ms={p50 * 1e3:.1f} p99_ms={p99 * 1e3:.1f} "
            f"longest_ms={latencies[-1] * 1e3:.1f} longest_call_ms={calls[-1] * 1e3:.1f}"
        )


def scheduler_stats(cluster: Cluster) -> dict[str, int]:
    return cluster.client.get_cluster_statistics()["scheduler_stats"]


def online(cluster: Cluster) -> int:
    return cluster.client.get_cluster_statistics()["cluster_stats"]["online_devices"]


def restart(cluster: Cluster, crowd: Crowd, steady: SteadyClient, away_seconds: float) -> float:
    """kill -9, and a new main after a while. How long it took until all were back, from when it listened."""
    killed = time.monotonic()
    joins = crowd.ask("report")["joins"]
    cluster.main.kill()
    sleep_until(time.monotonic() + away_seconds)
    cluster.main = Main(cluster.main.home, *FLAGS, port=cluster.main.port)
    begin = time.monotonic()

    def back() -> bool:
        report = crowd.ask("report")
        assert report["broken"] == [], "main turned workers away"
        return report["joins"] >= joins + COUNT and report["joined"] == COUNT

    eventually(back, f"all {COUNT} workers are back", BACK_WITHIN_SECONDS)
    took = time.monotonic() - begin
    eventually(lambda: online(cluster) == COUNT, f"main counts all {COUNT}", BACK_WITHIN_SECONDS)
    counted = time.monotonic()
    eventually(lambda: steady.submitted_after(counted), "submissions have caught up", BACK_WITHIN_SECONDS)
    steady.print_latencies("submissions that main was away for", killed, begin)
    steady.print_latencies("submissions from when it listened until all were back", begin, counted)
    return took


def check_back_offs(back_offs: list[list[float]]) -> None:
    """Drawn anew by each, from 0 to a bound that doubles."""
    assert len(back_offs) >= COUNT, "everybody had to connect anew"
    firsts = []
    for before, seconds in back_offs:
        bound = min(BACK_OFF_MAX_SECONDS, BACK_OFF_FIRST_SECONDS * 2**before)
        assert 0 <= seconds <= bound + 1e-6, (before, seconds)
        firsts.append(seconds / bound)
    firsts.sort()
    # Full jitter: each quarter of the range has about a quarter of them. 1,000 draws miss that by half once in e^-30.
    for quarter in range(4):
        share = sum(quarter / 4 <= part < (quarter + 1) / 4 for part in firsts) / len(firsts)
        assert 0.125 < share < 0.5, f"quarter {quarter + 1} has {share:.0%} of the back-offs"


def test_all_are_back_in_time_and_nothing_they_hold_is_repeated(
    cluster: Cluster, crowds: Callable[..., Crowd]
) -> None:
    crowd = crowds(cluster.address, COUNT, 1)
    eventually(lambda: online(cluster) == COUNT, f"all {COUNT} workers have joined", BACK_WITHIN_SECONDS)
    ids = [cluster.submit(TASK_TYPE, n) for n in range(COUNT)]
    eventually(lambda: crowd.ask("report")["holding"] == COUNT, "each holds a task")
    # Told as running, so recorded.
    eventually(
        lambda: cluster.client.get_cluster_statistics()["queue_stats"]["by_status"]["running"] == COUNT,
        "main knows that they run",
    )

    steady = SteadyClient(cluster)
    eventually(lambda: steady.submitted_after(0), "the honest client submits")
    at_once = restart(cluster, crowd, steady, 0)
    assert scheduler_stats(cluster)["leases_expired"] == 0
    back_offs = len(crowd.ask("report")["back_offs"])
    late = restart(cluster, crowd, steady, 2 * OFFLINE_SECONDS)  # everybody has given up the connection
    steady.stop()
    waiting = cluster.client.get_cluster_statistics()["queue_stats"]["by_status"]["queued"]
    assert waiting == len(set(steady.ids)), "what was acknowledged is there, and once"
    report = crowd.ask("report")
    print(f"workers={COUNT} back after {at_once:.1f} s; main away for {2 * OFFLINE_SECONDS:g} s: {late:.1f} s")
    check_back_offs(report["back_offs"][back_offs:])

    assert report["holding"] == COUNT, "nobody was told to give up what it holds"
    crowd.ask("finish")
    results = cluster.client.wait_many(ids, 120)
    assert {result.status.value for result in results} == {"success"}
    held_by = [result.result_data["held_by"] for result in results]
    assert len(set(held_by)) == COUNT, "each finished the task that it held"
    report = crowd.ask("report")
    assert len(report["begun"]) == COUNT and set(report["begun"].values()) == {1}, "nothing was begun twice"
    assert report["broken"] == []
    counted = scheduler_stats(cluster)
    assert (counted["leases_expired"], counted["attempts_lost"], counted["results_stale"]) == (0, 0, 0)
    crowd.ask("end")
