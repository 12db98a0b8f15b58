"""python -m load: one load client. It submits until SIGTERM, waits for what is left, and ends with 0 if all came."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checker.history import Writer  # noqa: E402
from load import cli_client, package_client, raw_client  # noqa: E402
from load.plan import Mix, plan  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=("raw", "package", "cli"), required=True)
    parser.add_argument("--address", required=True, help="of main")
    parser.add_argument("--history", type=Path, required=True, help="the file to write")
    parser.add_argument("--witness", required=True, help="the file that handlers write")
    parser.add_argument("--mix", type=Mix.parse, default=Mix())
    parser.add_argument("--program", help="retire-cluster-submit, for the kind cli")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=10, help="tasks of a submission, on the average")
    parser.add_argument("--window", type=int, default=100, help="no submission while so many results are awaited")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between submissions, on the average")
    parser.add_argument("--drain-seconds", type=float, default=120.0, help="the longest wait for results at the end")
    given = parser.parse_args()

    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    history = Writer(given.history)
    tasks = plan(given.history.stem, given.seed, given.witness, given.mix)
    options = {
        "seed": given.seed,
        "batch_size": given.batch_size,
        "window": given.window,
        "pause": given.pause,
        "drain_seconds": given.drain_seconds,
    }
    if given.kind == "cli":
        options["program"] = given.program
    run = {"raw": raw_client.run, "package": package_client.run, "cli": cli_client.run}[given.kind]
    left = run(given.address, history, tasks, lambda: bool(stopped), **options)
    history.end(left)
    return 0 if left == 0 else 3


if __name__ == "__main__":
    sys.exit(main())
