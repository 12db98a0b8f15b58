"""A worker that is not root: handlers run as the worker's user; what else docs/sandbox.md says of that.

Bombs and the table of ways out are tried as such a user in test_sandbox.py."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Callable

import pytest

from harness.cluster import Cluster, Worker
from harness.plain_user import PlainUser

KERNEL = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])


def start(user: PlainUser, cluster: Cluster, name: str, level: str, *flags: str, slots: int = 1) -> Worker:
    try:
        worker = user.worker(cluster, name, "--sandbox", level, "--allow", "command", *flags, slots=slots)
    except AssertionError as error:
        lacks = re.search(r"--sandbox strict cannot be had here: .*", str(error))
        if level == "strict" and lacks:
            pytest.skip(f"skipped: {lacks.group()}")
        raise
    lacks = re.search(r"sandbox lacks landlock: .*", worker.stderr)
    if lacks:
        pytest.skip(f"skipped: {lacks.group()}")
    return worker


def shell(cluster: Cluster, line: str) -> str:
    """What the line prints; a handler of the built-in type `command` runs it."""
    result = cluster.run("command", {"command": line}, max_retries=0)
    assert result.status.value == "success", result.error_message
    assert result.result_data["return_code"] == 0, result.result_data
    return str(result.result_data["stdout"])


@pytest.mark.parametrize("level", ["basic", "strict"])
def test_handlers_reach_none_of_the_users_files(
    own_cluster: Callable[..., Cluster], plain_user: PlainUser, level: str
) -> None:
    cluster = own_cluster()
    # Not below /tmp, which at strict is the scratch directory, and not where programs are.
    parent = Path("/srv") if os.geteuid() == 0 else Path.home()
    parent.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="retire-cluster-test-", dir=parent))
    try:
        look_at_files(cluster, plain_user, level, home)
    finally:
        shutil.rmtree(home)


def look_at_files(cluster: Cluster, plain_user: PlainUser, level: str, home: Path) -> None:
    os.chown(home, plain_user.id, -1)
    secret, allowed, plugins = home / "id_ed25519", home / "allowed", home / "plugins"
    secret.write_text("a key")
    for directory in (allowed, plugins):
        directory.mkdir(mode=0o755)
    for path in (secret, allowed, plugins):
        os.chown(path, plain_user.id, -1)
    flags = ("--allow-path", str(allowed), "--plugin-dir", str(plugins))
    worker = start(plain_user, cluster, f"files-{level}", level, *flags)
    (data,) = [flag.split("=")[1] for flag in worker.arguments if flag.startswith("--data-dir=")]
    said = shell(
        cluster,
        f"""id -u
        cat {secret} && echo read the key
        ls {home} | grep -c . && echo listed the home
        touch {plugins}/x.so && echo wrote a plugin
        ls {data} && echo listed the data; echo x >> {data}/worker.lock && echo wrote the data
        ls $(dirname $HOME) && echo listed the scratch directories
        cat /proc/{worker.pid}/environ && echo read the environment
        touch {allowed}/made && echo allowed""",
    )
    words = [line for line in said.splitlines() if line != "allowed"]
    assert words[0] == str(plain_user.id)
    assert set(words[1:]) <= {"0"}, said
    assert "allowed" in said.splitlines()
    assert (allowed / "made").stat().st_uid == plain_user.id
    assert not list(plugins.iterdir()) and secret.read_text() == "a key"
    assert Path(data).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("level", ["basic", "strict"])
def test_a_handler_does_nothing_to_that_of_another_slot(
    own_cluster: Callable[..., Cluster], plain_user: PlainUser, level: str
) -> None:
    if level == "basic" and KERNEL < (6, 12):
        pytest.skip("skipped: before Linux 6.12 a handler can signal what runs as the same user")
    cluster = own_cluster()
    worker = start(plain_user, cluster, f"slots-{level}", level, slots=2)
    other = cluster.submit("sleep", {"duration": 300})
    cluster.until(other, "running")
    try:
        said = shell(
            cluster,
            f"""for p in {worker.pid} $(ls /proc | grep -E '^[0-9]+$'); do
              [ $p = $PPID ] || [ $p = $$ ] && continue  # its own host and itself
              grep -q retire-cluster /proc/$p/cmdline || continue
              kill -9 $p && echo killed $p
              cat /proc/$p/environ && echo read $p
            done
            echo looked at $(ls /proc | grep -cE '^[0-9]+$')""",
        )
        (line,) = said.splitlines()
        assert line.startswith("looked at"), said
        assert cluster.status(other) == "running" and worker.alive
    finally:
        cluster.client.cancel_task(other)


def test_only_root_runs_handlers_as_somebody_else(
    own_cluster: Callable[..., Cluster], plain_user: PlainUser
) -> None:
    worker = plain_user.start(own_cluster(), "run-as", "--run-as", "nobody")
    assert worker.ended() == 3
    assert "--run-as nobody: only root can run handlers as somebody else" in worker.stderr


def test_strict_without_user_namespaces_says_what_forbids_them(
    own_cluster: Callable[..., Cluster], plain_user: PlainUser
) -> None:
    # The setting is of a user namespace: in one of its own it says no to nobody else.
    forbid = "echo 0 > /proc/sys/user/max_user_namespaces || exit 99; exec setpriv --ambient-caps=-all "
    through = ("unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c")
    through = (*through, forbid + '--inh-caps=-all "$@"', "sh")
    worker = plain_user.start(own_cluster(), "forbidden", "--sandbox", "strict", through=through)
    status = worker.ended()
    if "unshare failed" in worker.stderr or status == 99:
        pytest.skip(f"skipped: this test needs a user namespace: {worker.stderr.strip()[:200]}")
    assert status == 3, worker.stderr
    (line,) = [one for one in worker.stderr.splitlines() if "--sandbox strict cannot be had" in one]
    assert "user.max_user_namespaces is 0" in line and "--sandbox basic" in line, line
