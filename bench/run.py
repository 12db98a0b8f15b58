"""Starts main, a worker and a load client, measures, and prints one JSON object. See bench/run.sh."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import peers
from processes import BUILD, SECONDS_MIN, Processes, long_enough, program, run_client, wait_until

PAYLOAD_BYTES = 64
WINDOW = 10_000
QUEUED = int(os.environ.get("BENCH_QUEUED", "1000000"))
FINISHED = int(os.environ.get("BENCH_FINISHED", "2000000"))
RELAY_WINDOW = 1_000
SPAWN_WINDOW = 200


def start_main(processes: Processes, directory: Path, store: str, *flags: str) -> tuple[subprocess.Popen[str], str]:
    """Main and its address."""
    main = processes.start(
        [program("retire-cluster-main"), "--host", "127.0.0.1", "--port", "0", "--no-http", "--store", store,
         "--data-dir", str(directory / "main"), *flags],
        directory / "main.log",
    )
    line = main.stdout.readline()
    if "tcp://" not in line:
        sys.exit("bench: main did not start: " + (directory / "main.log").read_text())
    return main, line.split("tcp://", 1)[1].strip()


def start_cluster(processes: Processes, directory: Path, slots: int, store: str = "memory:",
                  *flags: str) -> tuple[str, dict]:
    """Main and one worker; returns main's address and the worker's record."""
    _, address = start_main(processes, directory, store)
    return address, start_worker(processes, directory, address, slots, *flags)


def start_worker(processes: Processes, directory: Path, address: str, slots: int, *flags: str) -> dict:
    processes.start(
        [program("retire-cluster-worker"), "--join", address, "--slots", str(slots), "--data-dir",
         str(directory / "worker"), *flags],
        directory / "worker.log",
    )
    devices: list[dict] = []

    def joined() -> bool:
        out = subprocess.run([program("retire-cluster-status"), address, "--devices", "--json"], capture_output=True,
                             text=True)
        if out.returncode == 0:
            devices[:] = json.loads(out.stdout)["devices"]
        return any(device["state"] == "online" for device in devices)

    wait_until("the worker's joining", joined)
    return devices[0]


def settings(device: dict, window: int, store: str = "memory:") -> dict:
    return {
        "payload_bytes": PAYLOAD_BYTES,
        "clients": 1,
        "window": window,
        "workers": 1,
        "slots": device["slots"],
        "isolation": "process",
        "sandbox": device.get("isolation", "off") or "off",
        "store": store,
    }


def throughput(runs: int, seconds: float) -> dict:
    return measure_throughput("throughput", "memory:", runs, seconds)


def throughput_durable(runs: int, seconds: float) -> dict:
    """Every task and every result is on the disk before anybody is told; the data directory is in the build tree."""
    return measure_throughput("throughput-durable", "embedded", runs, seconds)


def measure_throughput(workload: str, store: str, runs: int, seconds: float) -> dict:
    results = []
    with tempfile.TemporaryDirectory(dir=BUILD) as directory, Processes() as processes:
        address, device = start_cluster(processes, Path(directory), os.cpu_count() or 1, store)
        load = [program("rc_bench_load"), "throughput", address]
        run_client([*load, "1", str(WINDOW), str(PAYLOAD_BYTES)])  # warms hosts and estimates
        for _ in range(runs):
            before = processes.cpu_seconds()
            out, client_cpu = run_client([*load, str(seconds), str(WINDOW), str(PAYLOAD_BYTES)])
            cpu = processes.cpu_seconds() - before + client_cpu
            results.append({
                "tasks_per_second": round(out["tasks"] / out["seconds"]),
                "cpu_us_per_task": round(cpu * 1e6 / out["tasks"], 3),
                "tasks": out["tasks"],
                "seconds": round(out["seconds"], 3),
            })
        return report(workload, results, ("tasks_per_second", "cpu_us_per_task"), settings(device, WINDOW, store))


def resident_bytes(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def submit(address: str, task_type: str, count: int) -> None:
    """Tasks with a payload of PAYLOAD_BYTES each; all are accepted when this returns."""
    text = json.dumps("x" * (PAYLOAD_BYTES - 2))  # msgpack puts two bytes before it
    out = subprocess.run([program("retire-cluster-submit"), "--to", address, task_type, text, "--count", str(count)],
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if out.returncode != 0:
        sys.exit(f"bench: submitting failed: {out.stderr.strip()}")


def told_without_worker(store: str) -> dict:
    return {"payload_bytes": PAYLOAD_BYTES, "clients": 1, "window": 0, "workers": 0, "slots": 0, "isolation": "none",
            "sandbox": "off", "store": store}


def memory(runs: int, _seconds: float) -> dict:
    """Growth of main's resident memory for each queued task, payload included."""
    results = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as directory, Processes() as processes:
            main, address = start_main(processes, Path(directory), "memory:")
            submit(address, "echo", 1_000)
            before = resident_bytes(main.pid)
            submit(address, "echo", QUEUED)
            after = resident_bytes(main.pid)
            results.append({"bytes_per_task": round((after - before) / QUEUED, 1), "tasks": QUEUED, "rss_bytes": after})
    return report("memory", results, ("bytes_per_task", "tasks", "rss_bytes"), told_without_worker("memory:"))


def finished_tasks(address: str) -> int:
    out = subprocess.run([program("retire-cluster-status"), address, "--queue", "--json"], capture_output=True, text=True)
    return json.loads(out.stdout)["by_status"].get("success", 0) if out.returncode == 0 else 0


def recovery(runs: int, _seconds: float) -> dict:
    """Main is killed and started again behind a full queue; until a submission is accepted, and until all is loaded."""
    results = []
    with tempfile.TemporaryDirectory(dir=BUILD) as directory, Processes() as processes:
        flags = ("--history-count", str(4 * FINISHED), "--history-mib", "16384")
        main, address = start_main(processes, Path(directory), "embedded", *flags)
        start_worker(processes, Path(directory), address, os.cpu_count() or 1)
        worker = processes.children[-1]
        submit(address, "echo", FINISHED)
        wait_until("the end of what is to be finished", lambda: finished_tasks(address) >= FINISHED, 600)
        worker.terminate()
        worker.wait()
        submit(address, "waits_for_ever", QUEUED)
        for _ in range(runs):
            main.kill()
            main.wait()
            start = time.monotonic()
            main, address = start_main(processes, Path(directory), "embedded", *flags)
            submit(address, "waits_for_ever", 1)
            accepting = time.monotonic() - start
            log = Path(directory) / "main.log"
            wait_until("the loading", lambda log=log: "all loaded" in log.read_text(), 600)
            results.append({"accepting_seconds": round(accepting, 3), "seconds": round(time.monotonic() - start, 3),
                            "tasks": QUEUED + FINISHED, "said": log.read_text().split("all loaded", 1)[1].splitlines()[0]})
    return report("recovery", results, ("accepting_seconds", "seconds", "tasks"), told_without_worker("embedded"))


def latency(runs: int, seconds: float) -> dict:
    results = []
    with tempfile.TemporaryDirectory() as directory, Processes() as processes:
        address, device = start_cluster(processes, Path(directory), os.cpu_count() or 1)
        load = [program("rc_bench_load"), "latency", address]
        first, _ = run_client([*load, "500", str(PAYLOAD_BYTES)])
        count = max(1000, int(seconds * 1e6 / first["p50_us"]))
        for _ in range(runs):
            count, out, _ = long_enough(count, lambda n: run_client([*load, str(n), str(PAYLOAD_BYTES)]), seconds)
            results.append({key: out[key] for key in ("p50_us", "p99_us", "tasks", "seconds")})
        return report("latency", results, ("p50_us", "p99_us"), settings(device, 1))


def relay(runs: int, seconds: float) -> dict:
    results = []
    with Processes() as processes:
        broker = processes.start([program("rc_bench_relay"), "broker"])
        port = broker.stdout.readline().strip()
        processes.start([program("rc_bench_relay"), "worker", port])
        client = [program("rc_bench_relay"), "client", port]
        first, _ = run_client([*client, "100000", str(RELAY_WINDOW), "1"])
        count = int(100_000 / first["seconds"] * seconds)
        for _ in range(runs):
            count, out, _ = long_enough(count, lambda n: run_client([*client, str(n), str(RELAY_WINDOW), "1"]), seconds)
            ping, _ = run_client([program("rc_bench_relay"), "ping", port, "10000"])
            results.append({"messages_per_second": round(count / out["seconds"]), "p50_us": ping["p50_us"],
                            "seconds": round(out["seconds"], 3)})
    told = {"payload_bytes": 120, "clients": 1, "window": RELAY_WINDOW, "workers": 1, "slots": 1, "isolation": "none",
            "sandbox": "off", "store": "none"}
    return report("relay", results, ("messages_per_second", "p50_us"), told)


def report(workload: str, runs: list[dict], keys: tuple[str, ...], told: dict) -> dict:
    medians = {key: statistics.median(run[key] for run in runs) for key in keys}
    return {"workload": workload, **medians, "runs": runs, "settings": told, "peers": {}}


def spawn(runs: int, seconds: float) -> dict:
    """`command` running `true`, beside the same number at once of bare posix_spawn, in turns."""
    results = []
    slots = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as directory, Processes() as processes:
        address, device = start_cluster(processes, Path(directory), slots, "memory:", "--allow", "command")
        load = [program("rc_bench_load"), "spawn", address]
        run_client([*load, "1", str(SPAWN_WINDOW)])
        for _ in range(runs):
            floor, _ = run_client([program("rc_bench_spawn"), str(seconds), str(slots)])
            out, _ = run_client([*load, str(seconds), str(SPAWN_WINDOW)])
            results.append({
                "tasks_per_second": round(out["tasks"] / out["seconds"]),
                "floor_per_second": round(floor["processes"] / floor["seconds"]),
                "tasks": out["tasks"],
                "seconds": round(out["seconds"], 3),
            })
        told = {**settings(device, SPAWN_WINDOW), "payload_bytes": 15}
        return report("spawn", results, ("tasks_per_second", "floor_per_second"), told)


def isolation(runs: int, seconds: float) -> dict:
    """No-op tasks through a worker's core without its network: in its own process, in a warm host, in a process for each."""
    results = []
    worker = str(Path(program("rc_bench_spawn")).parent.parent / "tests" / "rc_worker_throughput")
    for _ in range(runs):
        by_mode = {}
        for mode in ("in-process", "basic"):
            out, _ = run_client([worker, str(seconds), "1", str(WINDOW), mode])
            if out["wrong"]:
                sys.exit(f"bench: {out['wrong']} wrong results")
            by_mode[mode] = out
        spawned, _ = run_client([program("rc_bench_spawn"), str(seconds), "1"])
        results.append({
            "in_process_per_second": by_mode["in-process"]["tasks_per_second"],
            "tasks_per_second": by_mode["basic"]["tasks_per_second"],
            "spawned_per_second": round(spawned["processes"] / spawned["seconds"]),
        })
    told = {"payload_bytes": PAYLOAD_BYTES, "clients": 0, "window": WINDOW, "workers": 1, "slots": 1,
            "isolation": "process", "sandbox": "basic", "store": "none"}
    return report("isolation", results, ("in_process_per_second", "tasks_per_second", "spawned_per_second"), told)


# What rc_bench_scheduler prints of each of its benchmarks: the workload's key, the counter, and what a row is named by.
SCHEDULER_ROWS = {"us_per_task": ("task", ("devices", "queued", "classes")),
                  "why_ms": ("why", ("devices", "queued", "classes")),
                  "bytes_per_task": ("memory", ("queued", "classes"))}


def scheduler_rows(name: str) -> list[dict]:
    """One run of the benchmarks of that name, in a process of their own."""
    out = subprocess.run([program("rc_bench_scheduler"), f"--benchmark_filter=^{name}/", "--benchmark_format=json"],
                         capture_output=True, text=True)
    if out.returncode != 0:
        sys.exit(f"bench: rc_bench_scheduler failed: {out.stderr.strip()}")
    rows = []
    for line in json.loads(out.stdout)["benchmarks"]:
        row = {key: int(value) for key, value in (part.split(":") for part in line["name"].split("/") if ":" in part)
               if key in ("devices", "queued", "classes")}
        if name == "task":
            row["us_per_task"] = round(line["us_per_task"], 3)
        elif name == "why":
            row.update(why_ms=round(line["cpu_time"], 3), worst_ms=round(line["worst_ms"], 3))
        else:
            row["bytes_per_task"] = round(line["bytes_per_task"], 1)
        rows.append(row)
    return rows


def scheduler(runs: int, _seconds: float) -> dict:
    """The scheduler alone, without sockets, store and processes. `us_per_task` is a list of rows; of why_ms and
    bytes_per_task the rows stand in `why` and `memory`, and the key itself is the largest of them."""
    results = [{key: scheduler_rows(name) for key, (name, _) in SCHEDULER_ROWS.items()} for _ in range(runs)]
    medians = {}
    for key, (_, named_by) in SCHEDULER_ROWS.items():
        medians[key] = [
            {**{name: row[name] for name in named_by}, key: statistics.median(run[key][i][key] for run in results)}
            for i, row in enumerate(results[0][key])
        ]
    told = {"payload_bytes": PAYLOAD_BYTES, "clients": 0, "window": 0, "workers": 0, "slots": 2, "isolation": "none",
            "sandbox": "off", "store": "none"}
    return {"workload": "scheduler", "us_per_task": medians["us_per_task"],
            "why_ms": max(row["why_ms"] for row in medians["why_ms"]),
            "bytes_per_task": max(row["bytes_per_task"] for row in medians["bytes_per_task"]),
            "why": medians["why_ms"], "memory": medians["bytes_per_task"], "runs": results, "settings": told, "peers": {}}


WORKLOADS = {"spawn": spawn, "scheduler": scheduler, "isolation": isolation, "relay": relay, "throughput": throughput,
             "throughput-durable": throughput_durable, "latency": latency, "memory": memory, "recovery": recovery}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__)
    parser.add_argument("workload", choices=sorted(WORKLOADS))
    parser.add_argument("--json", action="store_true", help="print JSON (it always does)")
    parser.add_argument("--peers", action="store_true", help="measure the installed peers in the same run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=SECONDS_MIN, help="of each run, at least 3")
    arguments = parser.parse_args()
    out = WORKLOADS[arguments.workload](arguments.runs, max(SECONDS_MIN, arguments.seconds))
    if arguments.peers:
        out["peers"] = peers.measure(arguments.workload, arguments.runs, max(SECONDS_MIN, arguments.seconds), PAYLOAD_BYTES, WINDOW)
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()
