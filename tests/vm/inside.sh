#!/usr/bin/env bash
# What tests/vm/run.sh runs in its machine by default: everything that is about sandboxes, on a kernel with control groups
# of version 2 and Landlock 2. RC_VM_PYTHON: a Python with what scripts/requirements-test.txt names (build/venv/bin/python).
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
failed=0
echo "kernel $(uname -r), controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
build/release/tests/rc_worker_cgroup_test || failed=1
export RETIRE_CLUSTER_BIN_DIR=$PWD/build/release/bin RETIRE_CLUSTER_REQUIRE_PROGRAMS=1 PYTHONDONTWRITEBYTECODE=1
# Left out: one counts processes by looking in between, which the one emulated processor does not get to; the other expects
# a directory to be gone that, where a killed worker takes its time to die, is left for the next worker to remove.
"${RC_VM_PYTHON:-build/venv/bin/python}" -m pytest -q -p no:cacheprovider -rs \
  --deselect "tests/e2e/test_sandbox.py::test_at_strict_who_has_not_asked_starts_no_process[basic]" \
  --deselect tests/e2e/test_sandbox.py::test_what_ran_ends_with_a_worker_that_is_killed \
  tests/e2e/test_control_groups.py tests/e2e/test_sandbox.py || failed=1
tests/vm/plain_user.sh || failed=1
leaving=$(find /sys/fs/cgroup -mindepth 1 -type d)
[ -z "$leaving" ] || { echo "control groups are left: $leaving" && failed=1; }
exit $failed
