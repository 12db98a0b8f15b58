"""A worker whose root is a directory and no mount: a plain chroot."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

import pytest

from harness.cluster import Cluster, Worker
from harness.programs import bin_dir

PROGRAM = Path("/opt/retire-cluster/bin/retire-cluster-worker")

# In a mount namespace of its own, so that all of it goes with the worker. The directory stays no mount;
# what is mounted is shared, so that a mount which gets out of a sandbox shows.
ENTER = """
set -e
mount --make-rshared /
root=$1 built=$2; shift 2
for name in usr bin sbin lib lib32 lib64 libx32 etc; do
  [ ! -e /$name ] || [ -e "$root/$name" ] || {
    if [ -L /$name ]; then cp -P /$name "$root/"; continue; fi
    mkdir "$root/$name"; mount --bind /$name "$root/$name"
  }
done
for name in proc sys dev; do mkdir -p "$root/$name"; mount --rbind /$name "$root/$name"; done
mkdir -p "$root/opt/retire-cluster"; mount --bind "$built" "$root/opt/retire-cluster"
exec %s "$@"
"""


def may_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(
    not may_mount(), reason="skipped: a chroot needs root, and the right to mount in a namespace of its own"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("tmp", "data", "home", "root"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "data").chmod(0o777)
    (root / "home" / "secret").write_text("of the machine")
    return root


def through(root: Path, become: str = 'chroot "$root"') -> Sequence[str]:
    return (
        *("unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER % become, "enter"),
        *(str(root), str(bin_dir().parent)),
    )


def start(cluster: Cluster, root: Path, *flags: str, become: str = 'chroot "$root"') -> Worker:
    return cluster.start_worker(
        "caged", "--data-dir=/data", *flags, path=PROGRAM, through=through(root, become)
    )


def test_strict_is_had_in_a_chroot(own_cluster: Callable[..., Cluster], root: Path) -> None:
    cluster = own_cluster()
    mounts_before = Path("/proc/self/mountinfo").read_text()
    worker = start(cluster, root, "--sandbox", "strict", "--allow", "command", "--no-internet")
    cluster.joined(worker)
    assert cluster.client.get_device_capabilities("caged")["isolation"] == "strict"
    look = (
        "for d in / /usr /opt/retire-cluster /home /data; do touch $d/x 2>/dev/null && echo wrote $d; done;"
        "ls /home | wc -l; ls -d /proc/[0-9]* | wc -l; touch /tmp/x /var/tmp/x 2>/dev/null; ls /tmp;"
        'grep -c ":" /proc/net/dev'
    )
    result = cluster.run("command", {"command": look}, max_retries=0).result_data
    homes, processes, scratch, interfaces = result["stdout"].split()
    assert (homes, scratch, interfaces) == ("0", "x", "1"), result
    assert int(processes) < 10, result
    assert cluster.run("echo", 1).status.value == "success"
    # Nothing of it shows outside, neither here nor where the worker is.
    assert Path("/proc/self/mountinfo").read_text() == mounts_before
    points = [line.split()[4] for line in Path(f"/proc/{worker.pid}/mountinfo").read_text().splitlines()]
    assert points.count("/proc") == 1 and "/tmp" not in points, points
    cluster.remove(worker)
    assert not list((root / "tmp").glob("retire-cluster-scratch-*")), "the scratch directories are gone"


def test_basic_is_had_in_a_chroot(own_cluster: Callable[..., Cluster], root: Path) -> None:
    cluster = own_cluster()
    worker = start(cluster, root, "--allow", "command")
    cluster.joined(worker)
    assert cluster.client.get_device_capabilities("caged")["isolation"] == "basic"
    assert cluster.run("command", {"command": "id -u"}).status.value == "success"


def test_a_plain_user_in_a_chroot_is_told_why_strict_cannot_be_had(
    own_cluster: Callable[..., Cluster], root: Path
) -> None:
    worker = start(
        own_cluster(),
        root,
        *("--sandbox", "strict"),
        become='chroot --userspec=65534:65534 "$root"',
    )
    assert worker.ended() == 3
    (line,) = [line for line in worker.stderr.splitlines() if "--sandbox strict cannot be had" in line]
    assert "chroot" in line and "user namespaces" in line and "root" in line, line
