#!/usr/bin/env bash
# Shows Retire-Cluster at work on this machine: installs what packages are missing, builds, starts main and two workers
# on free ports of loopback, submits five tasks, prints and checks each result, and stops everything it started.
# Usage: scripts/quickstart.sh
# Leaves behind the packages (scripts/install-deps.sh) and build/release; all other data lies in a temporary directory.
# Exit status: 0 if every result was right, else 1.
set -euo pipefail
case ${1-} in
  -h | --help)
    sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"
    exit 0
    ;;
  ?*)
    echo "quickstart: unknown argument '$1' (see --help)" >&2
    exit 2
    ;;
esac
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

say() { printf '\n== %s\n' "$*"; }

work=$(mktemp -d)
clients=() workers=() main=() server=()
clean_up() {
  status=$?
  trap - EXIT
  trap '' INT TERM
  stop 10 "${clients[@]}" "${workers[@]}"
  stop 10 "${main[@]}" "${server[@]}"
  if [ $status -ne 0 ]; then
    for log in "$work"/*.log; do
      [ -s "$log" ] && printf '\n-- %s\n' "$(basename "$log")" && tail -n 40 "$log"
    done >&2
    echo "quickstart: FAILED" >&2
  fi
  rm -rf "$work"
  exit $status
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "1. Packages"
"$top/scripts/install-deps.sh"

say "2. Build (build/release; the first time takes some minutes)"
flags=()
if [ ! -e "$top/build/release/CMakeCache.txt" ]; then
  flags+=(-DRC_BUILD_TESTS=OFF -DRC_BUILD_BENCH=OFF)
  # The tests hold the source to having no warnings with g++ 12; what another compiler thinks must not stop a newcomer.
  case $(c++ -dumpversion) in 12 | 12.*) ;; *) flags+=(-DRC_WERROR=OFF) ;; esac
fi
begin=$SECONDS
build release "$top/build/quickstart.log" "${flags[@]}" -- {common,plugins,handlers,broker,worker,client}/all
echo "built in $((SECONDS - begin)) s"
bin=$top/build/release/bin

say "3. A cluster: main and two workers on 127.0.0.1"
mkdir "$work/files"
touch "$work/main.out" "$work/files.log" # looked into before those that write them have begun
echo "Hello from a file" >"$work/files/hello.txt"
python3 -u -m http.server 0 --bind 127.0.0.1 --directory "$work/files" >"$work/files.log" 2>&1 &
server=($!)
"$bin/retire-cluster-main" --host 127.0.0.1 --port 0 --data-dir "$work/main" --no-http --store memory: \
  >"$work/main.out" 2>"$work/main.log" &
main=($!)
wait_for 20 "${main[0]}" "main to listen" grep -q '^listening on tcp://' "$work/main.out"
address=$(sed -n 's,^listening on tcp://,,p' "$work/main.out")
wait_for 20 "${server[0]}" "the file server to listen" grep -q ' port ' "$work/files.log"
port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$work/files.log" | head -n 1)
for device in old-laptop spare-desktop; do
  "$bin/retire-cluster-worker" --join "$address" --device-id "$device" --data-dir "$work/$device" --slots 2 \
    --allow python_eval --http-allow 127.0.0.0/8 >"$work/$device.log" 2>&1 &
  workers+=($!)
done
both_online() {
  "$bin/retire-cluster-status" "$address" --json 2>"$work/status.log" |
    python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)["cluster_stats"]["online_devices"] != 2)' 2>>"$work/status.log"
}
wait_for 30 "${main[0]}" "both workers to join" both_online
"$bin/retire-cluster-status" "$address" --devices

say "4. Five tasks at once; their results as they come"
# submit NAME TYPE PAYLOAD CHECK: in the background. CHECK is a Python expression over the TaskResult `r` and its data `d`.
declare -A names checks
submit() {
  "$bin/retire-cluster-submit" --to "$address" "$2" "$3" --wait --wait-timeout 60 --json \
    >"$work/$1.json" 2>"$work/$1.log" &
  clients+=($!)
  names[$!]=$1
  checks[$!]=$4
  echo "   retire-cluster-submit $2 '$3' --wait"
}
submit sleep sleep '{"duration": 1.0}' 'd["slept_for"] >= 1.0 and r["execution_time_seconds"] >= 1.0'
submit http_request http_request '{"url": "http://127.0.0.1:'"$port"'/hello.txt"}' \
  'd["status_code"] == 200 and d["content"] == "Hello from a file\n"'
submit python_eval python_eval '{"expression": "sum(range(1000000))"}' 'd["result"] == 499999500000'
submit system_info system_info '{}' 'd["device_id"] in ("old-laptop", "spare-desktop") and d["cpu_count"] >= 1'
submit echo echo '{"message": "Hello World!"}' 'd == {"echo": {"message": "Hello World!"}}'
echo

show='
import json, sys
name, check = sys.argv[1:]
r = json.load(sys.stdin)
d = r["result_data"]
if r["status"] != "success" or not eval(check):
    sys.exit("  WRONG %s: %s" % (name, json.dumps(r)))
if name == "system_info":
    d = {key: d[key] for key in d if key in ("device_id", "platform", "arch", "cpu_count", "memory_total_gb")}
if name == "http_request":
    d = {key: d[key] for key in ("status_code", "content")}
print("  %-13s %s\n  %13s on %s, %.3f s" % (name, json.dumps(d), "", r["worker_device_id"], r["execution_time_seconds"]))
'
wrong=0
waiting=("${clients[@]}")
while [ ${#waiting[@]} -gt 0 ]; do
  ended=0
  wait -n -p ended "${waiting[@]}" || true
  python3 -c "$show" "${names[$ended]}" "${checks[$ended]}" <"$work/${names[$ended]}.json" || wrong=$((wrong + 1))
  for i in "${!waiting[@]}"; do
    if [ "${waiting[$i]}" = "$ended" ]; then unset "waiting[$i]"; fi
  done
done
clients=()
if [ $wrong -gt 0 ]; then
  echo "quickstart: $wrong of 5 results are wrong" >&2
  exit 1
fi

say "5. Stopping what was started"
stop 10 "${workers[@]}"
stop 10 "${main[@]}" "${server[@]}"
workers=() main=() server=()

cat <<TEXT
All five results are right.

What to try next, each in a terminal of its own (the programs are in build/release/bin):
  build/release/bin/retire-cluster-main --host 127.0.0.1
  build/release/bin/retire-cluster-worker --allow python_eval
  build/release/bin/retire-cluster-submit python_eval '{"expression": "6 * 7"}' --wait
  build/release/bin/retire-cluster-status --watch
README.md goes on from there: several machines, Python, plugins of your own. scripts/test.sh runs the tests.
TEXT
