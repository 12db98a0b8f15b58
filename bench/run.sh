#!/usr/bin/env bash
# Runs one benchmark against real processes and prints one JSON object.
#   bench/run.sh WORKLOAD --json [--peers] [--runs N] [--seconds S]
# Workloads: relay, throughput, throughput-durable, latency, memory, recovery, spawn, isolation, scheduler.
# scheduler: us_per_task is a list of {devices, queued, classes, us_per_task}; why_ms and bytes_per_task are the largest of
# the rows in `why` and `memory`.
# --peers measures the installed ones of bench/peers.py in the same run. See docs/performance.md for what they measure.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 bench/run.py "$@"
