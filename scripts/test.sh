#!/usr/bin/env bash
# Installs what the tests need, runs them, and ends with one line: N passed, N failed, N skipped.
# Usage: scripts/test.sh [TIER]
#   (none)   what CI runs: build (release, warnings are errors), unit tests and protocol vectors, Python tests,
#            end-to-end tests with real processes, the same under faults, and the checks of layers, format, Python and shell
#   quick    the same without those with real processes
#   asan     unit tests under the address and undefined-behaviour sanitizers (build/asan)
#   tsan     unit tests under the thread sanitizer (build/tsan; what it says of libzmq, which is built without it, is
#            left out by scripts/tsan.supp)
#   nightly  the default tier with more of everything, builds with deliberate faults that the tests must find, the tests of
#            sandboxes in a virtual machine (tests/vm/run.sh), then asan and tsan
# Environment:
#   RC_TEST_REPEAT=N  run each unit test and the end-to-end tests N times (1; nightly: 3)
#   SIM_RUNS=N        simulate the cluster from N seeds (200; nightly: 5000). SIM_SEED=S: only from this one.
#   RC_TEST_JOBS=N    unit tests at once (the number of processors)
#   RC_TEST_PYTEST=…  further arguments for the end-to-end tests, e.g. "-k priority"
# Exit status: 0 if nothing failed. Packages come by scripts/install-deps.sh --test, Python's from PyPI into build/venv;
# logs and JUnit files lie in build/test-results. A test that was skipped is listed with its reason.
set -euo pipefail
tier=${1:-default}
case $tier in
  -h | --help)
    sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"
    exit 0
    ;;
  default | quick | asan | tsan | nightly) ;;
  *)
    echo "test: unknown tier '$tier' (see --help)" >&2
    exit 2
    ;;
esac
[ $# -le 1 ] || { echo "test: one argument at most (see --help)" >&2 && exit 2; }
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$top"

repeat=${RC_TEST_REPEAT:-1}
if [ "$tier" = nightly ]; then
  repeat=${RC_TEST_REPEAT:-3}
  export SIM_RUNS=${SIM_RUNS:-5000}
  export RETIRE_CLUSTER_TORTURE=${RETIRE_CLUSTER_TORTURE:-100} # of each bomb, in tests/e2e/test_sandbox.py
  export RETIRE_CLUSTER_KILL_CYCLES=${RETIRE_CLUSTER_KILL_CYCLES:-1000} # of main, and of the others, in tests/fault
  export RETIRE_CLUSTER_WORKER_KILLS=${RETIRE_CLUSTER_WORKER_KILLS:-100}
  export RETIRE_CLUSTER_HOST_KILLS=${RETIRE_CLUSTER_HOST_KILLS:-300}
  export RETIRE_CLUSTER_ONCE_KILLS=${RETIRE_CLUSTER_ONCE_KILLS:-150}
  export RETIRE_CLUSTER_RECOVERY_KILLS=${RETIRE_CLUSTER_RECOVERY_KILLS:-100}
  export RETIRE_CLUSTER_PROXY_FAULTS=${RETIRE_CLUSTER_PROXY_FAULTS:-200}
  export RETIRE_CLUSTER_WORKER_FREEZES=${RETIRE_CLUSTER_WORKER_FREEZES:-200}
  export RETIRE_CLUSTER_MAIN_FREEZES=${RETIRE_CLUSTER_MAIN_FREEZES:-50}
  export RETIRE_CLUSTER_BROKEN_NODE_TASKS=${RETIRE_CLUSTER_BROKEN_NODE_TASKS:-10000}
  export RETIRE_CLUSTER_SOAK_MINUTES=${RETIRE_CLUSTER_SOAK_MINUTES:-60}
  export RETIRE_CLUSTER_STALLED_MINUTES=${RETIRE_CLUSTER_STALLED_MINUTES:-60}
  export RETIRE_CLUSTER_OUTBOX_ROUNDS=${RETIRE_CLUSTER_OUTBOX_ROUNDS:-30}
fi
jobs=${RC_TEST_JOBS:-$(nproc)}
results=$top/build/test-results
venv=$top/build/venv
rm -rf "$results"
mkdir -p "$results"

background=()
clean_up() {
  local pid
  for pid in "${background[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# stage NAME COMMAND …: runs it, says how long it took, and shows its output if it fails. NAME.status tells the summary.
stage() {
  local name=$1 begin=$SECONDS status=0
  shift
  echo 254 >"$results/$name.status" # as long as it runs: one that is killed has failed
  "$@" >"$results/$name.log" 2>&1 </dev/null || status=$?
  echo "$status" >"$results/$name.status"
  if [ $status -eq 0 ]; then
    echo "ok      $name, $((SECONDS - begin)) s"
  else
    {
      echo "-- $name:"
      grep -vE ' Passed +[0-9.]+ sec$|^ +Start +[0-9]+: ' "$results/$name.log" | tail -n 300
      echo "FAILED  $name, $((SECONDS - begin)) s, exit status $status"
    } >&2
  fi
  return $status
}

# left_out NAME REASON: a stage that cannot run.
left_out() {
  echo "$2" >"$results/$1.skipped"
  echo "skipped $1: $2"
}

# in_background COMMAND …: with a process group of its own, so that all of it can be ended.
in_background() {
  set -m
  "$@" &
  background+=($!)
  set +m
}

make_venv() {
  local stamp
  stamp=$(python3 --version && cat scripts/requirements-test.txt)
  if [ "$(cat "$venv/stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
  rm -rf "$venv"
  python3 -m venv "$venv" || return
  # This runs where -e has no effect: without the stamp an incomplete one is made anew.
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r scripts/requirements-test.txt || return
  echo "$stamp" >"$venv/stamp"
}

py_test() { # NAME ARGUMENTS …
  local name=$1
  shift
  "$venv/bin/python" -m pytest -q -p no:cacheprovider --junit-xml "$results/$name.xml" "$@"
}

check_layers() { python3 scripts/check_layers.py; }
check_format() {
  git ls-files -z --cached --others --exclude-standard '*.cpp' '*.hpp' '*.c' '*.h' |
    while IFS= read -rd '' file; do if [ -e "$file" ]; then printf '%s\0' "$file"; fi; done |
    xargs -0 "$venv/bin/clang-format" --dry-run -Werror
}
# Mistakes, not taste, and the same rules on every machine; python/pyproject.toml has the stricter ones for the package.
check_python() {
  "$venv/bin/ruff" check --no-cache --isolated --target-version py39 --select E4,E7,E9,F,W,B --ignore E402 \
    python tests scripts examples bench
}
check_shell() { "$venv/bin/shellcheck" -x .ci/run scripts/*.sh tests/vm/*.sh; }
# The package as pip makes it, from a copy, so that nothing is left in the tree.
check_pip_install() {
  rm -rf build/pip && mkdir -p build/pip
  cp -r python build/pip/source && rm -rf build/pip/source/build
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --target build/pip/site build/pip/source
  PYTHONPATH=build/pip/site "$venv/bin/python" -P -c 'import retire_cluster.tasks as t; t.TaskScheduler, t.TaskExecutor' 2>/dev/null ||
    PYTHONPATH=build/pip/site "$venv/bin/python" -c 'import retire_cluster.tasks as t; t.TaskScheduler, t.TaskExecutor'
}

checks() {
  local failed=0
  stage layers check_layers || failed=1
  if [ -e "$results/venv.status" ] && [ "$(cat "$results/venv.status")" = 0 ]; then
    stage format check_format || failed=1
    stage python-lint check_python || failed=1
    stage shell-lint check_shell || failed=1
    stage python-install check_pip_install || failed=1
    stage tools py_test tools tests/tools || failed=1
  fi
  return $failed
}

store_faults='^(PowerCut|DiskErrors)\.'

unit_tests() { # PRESET
  local again=()
  if [ "$repeat" -gt 1 ]; then again=(--repeat "until-fail:$repeat"); fi
  ctest --test-dir "build/$1" -j "$jobs" -E "$store_faults" --output-on-failure --no-tests=error \
    --output-junit "$results/unit-$1.xml" "${again[@]}"
}

store_fault_tests() {
  ctest --test-dir build/release -j "$jobs" -R "$store_faults" --output-on-failure --no-tests=error \
    --output-junit "$results/store-faults.xml"
}

end_to_end() { # NAME
  local more=()
  read -ra more <<<"${RC_TEST_PYTEST:-}"
  RETIRE_CLUSTER_BIN_DIR=$top/build/release/bin RETIRE_CLUSTER_REQUIRE_PROGRAMS=1 \
    py_test "$1" tests/e2e --durations=5 "${more[@]}"
}

# Real processes, killed and frozen under load (docs/reliability.md says by which variables the counts are raised).
fault_tests() {
  RETIRE_CLUSTER_BIN_DIR=$top/build/release/bin RETIRE_CLUSTER_REQUIRE_PROGRAMS=1 \
    py_test faults tests/fault --durations=10 -rP
}

# Whether the tests bite: one guard of the product removed at a time (tests/teeth). The copy is kept: the next
# run compiles only what has changed. SIM_RUNS is each set's own.
teeth() { env -u SIM_RUNS "$venv/bin/python" tests/teeth/run.py --work build/teeth --jobs "$jobs"; }

python_tests() {
  RETIRE_CLUSTER_BIN_DIR=$top/build/release/bin RETIRE_CLUSTER_REQUIRE_PROGRAMS=1 \
    py_test python -c python/pyproject.toml --rootdir python python/tests
}

release_tests() {
  stage venv make_venv || true
  in_background checks
  local lacking checking=${background[-1]} python=""
  stage build build release "$results/build-release.log" -DRC_BUILD_TESTS=ON -DRC_BUILD_BENCH=ON -DRC_WERROR=ON || true
  if [ "$(cat "$results/build.status")" = 0 ]; then
    if [ "$(cat "$results/venv.status")" = 0 ]; then
      in_background stage python python_tests
      python=${background[-1]}
    fi
    stage unit-release unit_tests release || true
    stage store-faults store_fault_tests || true
    [ -z "$python" ] || wait "$python" || true
    wait "$checking" || true
    if [ "$tier" != quick ] && [ "$(cat "$results/venv.status")" = 0 ]; then
      local run
      for ((run = 1; run <= repeat; run++)); do stage "e2e-$run" end_to_end "e2e-$run" || true; done
      stage faults fault_tests || true
      if [ "$tier" = nightly ]; then
        stage teeth teeth || true
        if lacking=$(tests/vm/run.sh --check); then
          stage vm tests/vm/run.sh || true
        else
          left_out vm "${lacking#skipped: }"
        fi
      fi
    fi
  else
    wait "$checking" || true
    left_out unit-release "the build failed"
    left_out store-faults "the build failed"
    left_out python "the build failed"
    [ "$tier" = quick ] || left_out e2e "the build failed"
    [ "$tier" = quick ] || left_out faults "the build failed"
  fi
}

sanitizer_tests() { # PRESET
  stage "build-$1" build "$1" "$results/build-$1.log" -DRC_BUILD_TESTS=ON -DRC_BUILD_BENCH=OFF || {
    left_out "unit-$1" "the build failed"
    return 0
  }
  export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1
  export TSAN_OPTIONS=suppressions=$top/scripts/tsan.supp:history_size=4
  stage "unit-$1" unit_tests "$1" || true
}

begin=$SECONDS
stage packages scripts/install-deps.sh --test || { cat "$results/packages.log" && exit 1; }
case $tier in
  default | quick) release_tests ;;
  asan | tsan) sanitizer_tests "$tier" ;;
  nightly)
    release_tests
    sanitizer_tests asan
    sanitizer_tests tsan
    ;;
esac
background=()
echo "all of it took $((SECONDS - begin)) s"
exec python3 scripts/test_summary.py "$results"
