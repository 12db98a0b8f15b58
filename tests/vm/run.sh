#!/usr/bin/env bash
# Runs a command in a virtual machine with Debian's kernel, where this machine lacks what a test needs: control groups of
# version 2 with their controllers, another version of Landlock. By hand, and in the nightly tier of scripts/test.sh. The
# processor is emulated, so it needs nothing but time: it is up in about 10 s, and the default command takes 3 to 5 minutes.
# Usage: tests/vm/run.sh [--check | COMMAND …]
#   COMMAND   by default tests/vm/inside.sh, which says what it checks
#   --check   only whether such a machine can be had here
# The machine sees this one's files (9p, read-only) below a layer of its own that is lost at its end; it is root there,
# in the top group of the hierarchy, without systemd. Build the release preset with -DRC_BUILD_TESTS=ON first.
# Environment:
#   RC_VM_KERNEL=FILE    a kernel; its modules lie in RC_VM_MODULES. Left out: Debian's, fetched by apt-get download
#   RC_VM_MEMORY=MIB     of the machine (3072)
#   RC_VM_ACCEL=HOW      as qemu's -accel (tcg,thread=single); kvm where that works
#   RC_VM_SECONDS=N      it is ended after so long (1500)
# Needs qemu-system-x86 and busybox-static. Exit status: the command's; 77: skipped, with the reason on stdout.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0" && exit 0 ;; esac
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$top/build/vm
mkdir -p "$work"
skip() { echo "skipped: $1" && exit 77; }

[ "$(uname -m)" = x86_64 ] || skip "tests/vm is for x86_64"
qemu=$(command -v qemu-system-x86_64) || skip "no qemu-system-x86_64 (package qemu-system-x86)"
busybox=$(command -v busybox) || skip "no busybox (package busybox-static)"
if ldd "$busybox" >/dev/null 2>&1; then skip "$busybox is not static (package busybox-static)"; fi

kernel=${RC_VM_KERNEL:-}
modules=${RC_VM_MODULES:-}
if [ -z "$kernel" ]; then
  if ! compgen -G "$work/kernel/boot/vmlinuz-*" >/dev/null; then
    package=$(apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends: linux-image/ { print $2; exit }')
    [ -n "$package" ] || skip "no package linux-image-amd64 is known here; give RC_VM_KERNEL and RC_VM_MODULES"
    (cd "$work" && apt-get download -q "$package" >download.log 2>&1) || skip "$package cannot be fetched: $work/download.log"
    dpkg -x "$work/$package"_*.deb "$work/kernel"
    rm "$work/$package"_*.deb
  fi
  kernel=$(compgen -G "$work/kernel/boot/vmlinuz-*" | head -n 1)
  modules=$work/kernel/lib/modules/${kernel##*/vmlinuz-}
fi
if [ "${1:-}" = --check ]; then exit 0; fi

# What it starts from: loads the modules, puts the layer over this machine's files, and goes there.
first=$work/first
rm -rf "$first" && mkdir -p "$first"/{bin,modules,proc,sys,dev,lower,layer,new}
cp "$busybox" "$first/bin/busybox"
wanted=(virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci netfs fscache 9pnet 9pnet_virtio 9p overlay)
for module in "${wanted[@]}"; do
  file=$(find "$modules" -name "$module.ko*" | head -n 1)
  if [ -n "$file" ]; then cp "$file" "$first/modules/"; fi # else it is built in, or of another version of the kernel
done
{
  echo '#!/bin/busybox sh'
  echo 'busybox=/bin/busybox'
  for module in "${wanted[@]}"; do echo "[ ! -e /modules/$module.ko ] || \$busybox insmod /modules/$module.ko"; done
  cat <<'INIT'
$busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro host /lower
$busybox mount -t tmpfs -o mode=0755,size=600m none /layer
$busybox mkdir /layer/upper /layer/work
$busybox mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work none /new
$busybox cp /run-in-vm /new/run-in-vm
exec $busybox switch_root /new /bin/bash /run-in-vm
INIT
} >"$first/init"
chmod +x "$first/init"
[ $# -gt 0 ] || set -- "$top/tests/vm/inside.sh"
{
  echo 'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb'
  echo 'mount -t proc none /proc && mount -t sysfs none /sys && mount -t devtmpfs none /dev'
  # shellcheck disable=SC2016 # it is for the shell in there
  echo 'mkdir -p /dev/shm && for at in /dev/shm /tmp /run; do mount -t tmpfs -o mode=1777,size=90% none $at; done'
  echo 'mount -t cgroup2 none /sys/fs/cgroup && ip link set lo up 2>/dev/null || ifconfig lo up'
  printf 'cd %q\n' "$top"
  printf '%q ' "$@"
  echo '</dev/null; echo "vm: status $?"'
  echo 'sync; echo o >/proc/sysrq-trigger; while :; do :; done'
} >"$first/run-in-vm"
(cd "$first" && find . | "$busybox" cpio -o -H newc 2>/dev/null | gzip -1) >"$work/first.gz"

log=$work/console.log
timeout "${RC_VM_SECONDS:-1500}" "$qemu" -accel "${RC_VM_ACCEL:-tcg,thread=single}" -m "${RC_VM_MEMORY:-3072}" -smp 1 -cpu max,arch-capabilities=off \
  -nodefaults -display none -no-reboot -serial stdio \
  -kernel "$kernel" -initrd "$work/first.gz" -append "console=ttyS0 loglevel=1 panic=-1 oops=panic" \
  -fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap -device virtio-9p-pci,fsdev=host,mount_tag=host \
  </dev/null 2>"$work/qemu.log" | stdbuf -o0 tr -d '\r' | tee "$log" || true
status=$(sed -n 's/.*vm: status \([0-9]*\)$/\1/p' "$log" | tail -n 1)
[ -n "$status" ] || { echo "the machine ended early or was ended; see $log and $work/qemu.log" >&2 && exit 1; }
exit "$status"
