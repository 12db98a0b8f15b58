#!/usr/bin/env bash
# Installs the packages that building and running Retire-Cluster needs: Debian 12 and later, Ubuntu 24.04 and later.
# Usage: scripts/install-deps.sh [--test] [--dry-run]
#   --test     also what the tests need
#   --dry-run  only names what is missing; exit 1 if anything is
# Installs only what is missing, as root or by sudo. Changes nothing else.
set -euo pipefail

build=(
  g++ cmake ninja-build pkg-config # CMake 3.25 or later
  ccache                           # makes every later build of the same source quick
  libzmq3-dev                      # common/net
  libmsgpack-cxx-dev               # common/protocol, plugins/sdk
  libspdlog-dev libfmt-dev         # common/logging
  libcli11-dev libtomlplusplus-dev # common/config
  nlohmann-json3-dev               # common/json, client/cli
  libboost-dev                     # plugins/loader (Boost.DLL, headers only)
  libre2-dev                       # plugins/manifest
  libsodium-dev                    # plugins/signature, plugins/loader
  libcurl4-openssl-dev             # handlers/http_request
  librocksdb-dev libxxhash-dev     # broker/store
  libjemalloc-dev                  # main, worker and client
  libseccomp-dev                   # worker/sandbox
  python3                          # handlers/python_eval, scripts/quickstart.sh
)
test=(
  libgtest-dev libgmock-dev # tests/
  libbenchmark-dev          # bench/
  clang                     # tests/e2e/test_hot_plugins.py
  json-schema-test-suite    # tests/unit/plugins
  openssl                   # tests/e2e/test_https.py
  python3-venv              # pytest and the linters come from PyPI into build/venv
)

wanted=("${build[@]}")
dry_run=false
for argument; do
  case $argument in
    --test) wanted+=("${test[@]}") ;;
    --dry-run) dry_run=true ;;
    -h | --help)
      sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"
      exit 0
      ;;
    *)
      echo "install-deps: unknown argument '$argument' (see --help)" >&2
      exit 2
      ;;
  esac
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "install-deps: this is not Debian or Ubuntu; install by hand what these packages hold: ${wanted[*]}" >&2
  exit 1
fi

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "install-deps: nothing is missing"
  exit 0
fi
echo "install-deps: missing: ${missing[*]}"
if $dry_run; then exit 1; fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install-deps: run as root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q)

# The lists of packages are fetched only when they do not name what is wanted, or are too old to find it.
apt_log=$(mktemp)
trap 'rm -f "$apt_log"' EXIT
install() { "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >"$apt_log" 2>&1; }
update() {
  echo "install-deps: apt-get update"
  "${apt[@]}" update >"$apt_log" 2>&1
}
failed() {
  cat "$apt_log" >&2
  echo "install-deps: apt-get failed; its output is above" >&2
  exit 1
}

known=true
for package in "${missing[@]}"; do
  apt-cache show "$package" >/dev/null 2>&1 || known=false
done
$known || update || failed
echo "install-deps: apt-get install ${#missing[@]} packages and what they need"
install || { update && install; } || failed
echo "install-deps: done"
