# What quickstart.sh and test.sh share; sourced by them.
# shellcheck shell=bash

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Plugins that others could have changed are refused, so nothing here is built writable by a group.
umask 022

# The programs are told everything by flags: what the caller's environment says about another cluster stays out.
for name in "${!RETIRE_CLUSTER_@}"; do unset "$name"; done

# build PRESET LOG [CONFIGURE-FLAG ...] [-- TARGET ...]: configures and builds. On a terminal with its progress,
# elsewhere into LOG, which is shown when it fails.
build() {
  local preset=$1 log=$2 out=/dev/stdout
  shift 2
  local flags=() targets=()
  while [ $# -gt 0 ] && [ "$1" != -- ]; do flags+=("$1") && shift; done
  [ $# -eq 0 ] || shift
  while [ $# -gt 0 ]; do targets+=(--target "$1") && shift; done
  mkdir -p "$(dirname "$log")"
  if ! (cd "$top" && cmake --preset "$preset" "${flags[@]}") >"$log" 2>&1; then
    cat "$log" >&2
    return 1
  fi
  [ -t 1 ] || out=$log
  if ! (cd "$top" && cmake --build --preset "$preset" "${targets[@]}") >"$out" 2>&1; then
    [ "$out" != "$log" ] || grep -vE '^\[[0-9]+/[0-9]+\] Building' "$log" | tail -n 150 >&2
    return 1
  fi
}

# wait_for SECONDS PID WHAT COMMAND ...: until COMMAND succeeds; fails when PID has ended or the time is over.
wait_for() {
  local deadline=$((SECONDS + $1)) pid=$2 what=$3
  shift 3
  until "$@"; do
    if ! kill -0 "$pid" 2>/dev/null; then
      echo "waited for $what, but the process ended" >&2
      return 1
    fi
    if ((SECONDS >= deadline)); then
      echo "waited for $what in vain" >&2
      return 1
    fi
    sleep 0.05
  done
}

# stop SECONDS PID ...: asks these children to end, and kills those that have not after SECONDS.
stop() {
  local deadline=$((SECONDS + $1)) pid
  shift
  for pid; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid; do
    while kill -0 "$pid" 2>/dev/null; do
      if ((SECONDS >= deadline)); then
        kill -KILL "$pid" 2>/dev/null || true
        break
      fi
      sleep 0.05
    done
    wait "$pid" 2>/dev/null || true
  done
}
