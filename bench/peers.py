"""Measures the peers that are installed, in the same run: the work, the keys and the settings of our workload.

Redis Streams, gearmand and beanstalkd are driven by the pipelined C++ programs in bench/peers/, which are built when their libraries are there:
what a user who needs speed would write, not what the usual client libraries reach. A peer that is not installed is named on stderr and left out.
What is unequal: none of them matches requirements, isolates handlers or holds leases.
"""

from __future__ import annotations

import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, NamedTuple

from processes import BUILD, Processes, long_enough, run_client, wait_until

SOURCES = Path(__file__).resolve().parent / "peers"


class Peer(NamedTuple):
    server: str  # the program whose presence means that it is installed
    package: str  # what holds it, for the message
    source: str
    libraries: list[str]
    version: list[str]
    serve: Callable[[int, Path, bool], list[str]]  # port, directory, durable
    worker: Callable[[int], list[str]]
    client: Callable[[int, int, int], list[str]]  # port, count, window


def _redis(port: int, directory: Path, durable: bool) -> list[str]:
    log = ["--appendonly", "yes", "--appendfsync", "always"] if durable else ["--appendonly", "no"]
    return ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(directory), *log]


def _gearmand(port: int, directory: Path, durable: bool) -> list[str]:
    del durable
    return ["gearmand", "-L", "127.0.0.1", "-p", str(port), "-P", str(directory / "pid"), "-l", str(directory / "log"),
            "--threads=1", "-u", "root"]


def _beanstalkd(port: int, directory: Path, durable: bool) -> list[str]:
    log = ["-b", str(directory), "-f", "0", "-u", "root"] if durable else []
    return ["beanstalkd", "-l", "127.0.0.1", "-p", str(port), *log]


PEERS = {
    "redis_streams": Peer("redis-server", "redis-server libhiredis-dev", "redis_streams.cpp", ["-lhiredis"],
                          ["redis-server", "--version"], _redis, lambda port: ["worker", str(port), "500"],
                          lambda port, n, window: ["client", str(port), str(n), str(window), "1000"]),
    "gearmand": Peer("gearmand", "gearman-job-server libgearman-dev", "gearman.cpp", ["-lgearman"],
                     ["gearmand", "--version"], _gearmand, lambda port: ["rawworker", str(port), "64"],
                     lambda port, n, window: ["rawfg", str(port), str(n), str(window)]),
    "beanstalkd": Peer("beanstalkd", "beanstalkd", "beanstalkd.cpp", [], ["beanstalkd", "-v"], _beanstalkd,
                       lambda port: ["worker", str(port), "64"],
                       lambda port, n, window: ["client", str(port), str(n), str(window), "64"]),
}
NOT_DURABLE = {"gearmand"}  # its queue on disk commits one job at a time and takes no foreground jobs


def measure(workload: str, runs: int, seconds: float, payload_bytes: int, window: int) -> dict[str, dict]:
    if workload not in ("throughput", "throughput-durable", "latency"):
        return {}
    out: dict[str, dict] = {}
    for name, peer in PEERS.items():
        if workload == "throughput-durable" and name in NOT_DURABLE:
            print(f"bench: {name} has no durable form of this workload", file=sys.stderr)
            continue
        driver = _driver(name, peer)
        if driver is not None:
            out[name] = _measure(peer, driver, workload, runs, seconds, payload_bytes, window)
    return out


def _driver(name: str, peer: Peer) -> str | None:
    """The path of its load program, built anew if need be; None if it is not installed."""
    if shutil.which(peer.server) is None:
        print(f"bench: {name} is not installed ({peer.package})", file=sys.stderr)
        return None
    source, program = SOURCES / peer.source, BUILD / "bench" / f"peer_{name}"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(parents=True, exist_ok=True)
        command = ["g++", "-O2", "-std=c++20", "-pthread", str(source), *peer.libraries, "-o", str(program)]
        built = subprocess.run(command, capture_output=True, text=True)
        if built.returncode != 0:
            print(f"bench: {name} left out: its load program does not build; install {peer.package}", file=sys.stderr)
            return None
    return str(program)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _measure(peer: Peer, driver: str, workload: str, runs: int, seconds: float, payload_bytes: int,
             window: int) -> dict:
    assert payload_bytes == 64, "the load programs of bench/peers send 64 bytes"
    durable = workload == "throughput-durable"
    port = _free_port()
    results = []
    with tempfile.TemporaryDirectory() as directory, Processes() as processes:
        processes.start(peer.serve(port, Path(directory), durable))

        def listening() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(f"{peer.server}'s start", listening)
        worker = peer.worker(port)
        if workload == "latency" and peer.server == "gearmand":
            worker = ["worker", str(port)]
        elif workload == "latency" and peer.server == "beanstalkd":
            worker = ["worker", str(port), "1"]
        processes.start([driver, *worker])
        keys: tuple[str, ...]
        if workload == "latency":
            keys, window = ("p50_us", "p99_us"), 1
            first, _ = run_client([driver, "ping", str(port), "500"])
            count = max(1000, int(seconds * 1e6 / first["p50"]))
            for _ in range(runs):
                out, _ = run_client([driver, "ping", str(port), str(count)])
                results.append({"p50_us": out["p50"], "p99_us": out["p99"], "tasks": out["n"]})
        else:
            keys = ("tasks_per_second", "cpu_us_per_task")
            first, _ = run_client([driver, *peer.client(port, 20_000, window)])
            count = int(20_000 / first["seconds"] * seconds)
            for _ in range(runs):
                started = 0.0

                def run(n: int) -> tuple[dict, float]:
                    nonlocal started
                    started = processes.cpu_seconds()
                    return run_client([driver, *peer.client(port, n, window)])

                count, out, cpu = long_enough(count, run, seconds)
                cpu += processes.cpu_seconds() - started
                results.append({"tasks_per_second": round(count / out["seconds"]),
                                "cpu_us_per_task": round(cpu * 1e6 / count, 3), "tasks": count,
                                "seconds": round(out["seconds"], 3)})
    version = subprocess.run(peer.version, capture_output=True, text=True)
    number = re.search(r"\d+(\.\d+)+", version.stdout + version.stderr)
    told = {"payload_bytes": payload_bytes, "clients": 1, "window": window, "workers": 1, "slots": 1,
            "isolation": "none", "sandbox": "off", "store": "fsync in every write" if durable else "memory",
            "version": number.group(0) if number else "unknown"}
    medians = {key: statistics.median(result[key] for result in results) for key in keys}
    return {"workload": workload, **medians, "runs": results, "settings": told}
