#!/usr/bin/env bash
# In the machine of run.sh: a worker that is not root, in a group that it owns, at basic and strict. Says what was wrong, and
# exits with 1.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
programs=$PWD/build/release/bin
plugins=$PWD/build/release/tests/sandbox_plugins
place=$(mktemp -d)
chown 65534:65534 "$place"
failed=0
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$place" "$@"; }
submit() { as_nobody "$programs/retire-cluster-submit" --to "$address" --max-retries 0 --wait "$@" 2>&1; }
wait_for() { # TEXT FILE
  for _ in $(seq 300); do
    grep -q "$1" "$2" && return
    sleep 0.2
  done
  echo "not within 60 s: $1 in $2:" && cat "$2" && exit 1
}
expect() { # WHAT IT IS; WORDS; WHAT WAS SAID
  [[ $3 == *"$2"* ]] || { echo "$level: $1: expected '$2' in: $3" && failed=1; }
}

as_nobody "$programs/retire-cluster-main" --host 127.0.0.1 --port 0 --no-http --data-dir "$place/main" >"$place/main.log" 2>&1 &
main=$!
wait_for "listening on tcp" "$place/main.log"
address=$(sed -n 's|^listening on tcp://||p' "$place/main.log")
echo "+memory +pids" >/sys/fs/cgroup/cgroup.subtree_control
for level in basic strict; do
  group=/sys/fs/cgroup/of-nobody-$level
  mkdir "$group"
  chown 65534:65534 "$group" "$group/cgroup.procs" "$group/cgroup.subtree_control"
  (
    echo "$BASHPID" >"$group/cgroup.procs"
    exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$place" "$programs/retire-cluster-worker" \
      --join "$address" --device-id "$level" --data-dir "$place/$level" --sandbox "$level" --slots 1 \
      --handler-memory-gb 0.29296875 --handler-processes 64 --plugin-dir "$plugins" --allow command >"$place/$level.log" 2>&1
  ) &
  worker=$!
  wait_for joined "$place/$level.log"
  expect "start line" "control groups (memory, pids)" "$(cat "$place/$level.log")"
  expect "memory" "the memory limit of 300 MiB of all its processes together was hit" "$(submit bomb '"memory_together"')"
  expect "processes" "processes beyond the limit of 64" "$(submit bomb '"forks"' --timeout 1)"
  expect "the next task" null "$(submit bomb '"ok"')"
  for file in "$group/cgroup.procs" "$group/retire-cluster-$worker/cgroup.procs"; do
    expect "leaving its group" '"return_code":2' "$(submit command "{\"command\": \"echo 0 > $file\"}")"
  done
  kill "$worker"
  wait "$worker"
  [ "$(find "$group" -type d | wc -l)" = 1 ] || { echo "$level: groups are left: $(find "$group" -type d)" && failed=1; }
  rmdir "$group"
done
echo "-memory -pids" >/sys/fs/cgroup/cgroup.subtree_control
kill "$main"
wait "$main"
[ $failed = 0 ] && echo "a plain user's groups: as they should be"
exit $failed
