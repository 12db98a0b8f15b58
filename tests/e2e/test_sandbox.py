"""What handlers do to whoever runs them: bombs, and ways out of the sandbox; see docs/sandbox.md."""

from __future__ import annotations

import ctypes
import functools
import os
import re
import socket
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

import pytest

from harness.cluster import Cluster, Worker
from harness.plain_user import PlainUser
from harness.plugins import Workshop
from harness.process import run
from harness.programs import ROOT, bin_dir, program
from harness.waiting import eventually

# 100 of each, and 10 GB of output, are for the nightly run.
TIMES = int(os.environ.get("RETIRE_CLUSTER_TORTURE", "5"))
OUTPUT_MIB = 10 * 1024 if TIMES > 5 else 64
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="skipped: a user for each host needs root")


@pytest.fixture(scope="module")
def plugins() -> Path:
    program("retire-cluster-worker")
    built = bin_dir().parent / "tests" / "sandbox_plugins"
    if not built.exists():
        pytest.skip(f"skipped: {built} is missing; it is built with -DRC_BUILD_TESTS=ON")
    return built


def children_of(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in task.read_text().split()]
        except OSError:  # gone meanwhile
            continue
    return found


def family(pid: int) -> set[int]:
    """All descendants."""
    found: set[int] = set()
    pending = [pid]
    while pending:
        for child in children_of(pending.pop()):
            if child not in found:
                found.add(child)
                pending.append(child)
    return found


def landlock_version() -> int:
    """landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION); 0: none."""
    return max(ctypes.CDLL(None).syscall(444, None, 0, 1), 0)


def running(plugin: Path) -> set[int]:
    """Processes that a host of this plugin is or has forked: they carry its command line."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if str(plugin).encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def scratch_root(worker: Worker) -> Path:
    """It keeps the directory of its scratch directories open."""
    for link in Path(f"/proc/{worker.pid}/fd").iterdir():
        target = os.readlink(link)
        if "/retire-cluster-scratch-" in target:
            return Path(target)
    raise AssertionError("the worker has no scratch directory")


# ---------------------------------------------------------------- bombs

# What becomes of the attempt, and what its error says.
BOMBS = {
    "segfault": ("failed", r"signal 11 \(SIGSEGV\).*peak memory \d+ MiB"),
    "abort": ("failed", r"signal 6 \(SIGABRT\)"),
    "exit": ("failed", "exit status 0"),
    "throw": ("failed", r"signal 6 \(SIGABRT\)"),
    "stack": ("failed", r"signal 11 \(SIGSEGV\)"),
    "loop": ("timeout", "killed"),
    "daemon": ("success", ""),
    "daemon_crash": ("failed", r"signal 6 \(SIGABRT\)"),
    "memory": ("failed", r"at the limit of 300 MiB of memory"),
    "threads": ("success", ""),
    "descriptors": ("success", ""),
    "forks": ("timeout", "killed"),
    "forks_return": ("success", ""),
    f"output:{OUTPUT_MIB}": ("success", ""),
    "files": ("success", ""),
    "deep": ("success", ""),
    "locked": ("success", ""),
    "names": ("success", ""),
    "garbage": ("failed", "the handler's result claims"),
}


def level_flags(level: str) -> list[str]:
    return ["--sandbox", level, "--handler-memory-gb", str(300 / 1024), "--handler-processes", "64"]


LEVELS = ("basic", "strict")
# Whom the worker runs as.
WAYS = [(level, who) for who in ("root", "plain") for level in LEVELS]


class Locked(NamedTuple):
    """A worker that locks handlers in, and the plugins that it has."""

    level: str
    who: str
    cluster: Cluster
    worker: Worker
    plugins: Path


def start_locked(name: str, request: Any, slots: int = 1) -> Locked:
    """Of the level and user that the fixture's parameter says; skips, with the worker's own reason, where the
    machine lacks what `strict` needs."""
    level, who = request.param
    if who == "root" and os.geteuid() != 0:
        pytest.skip("skipped: a worker that is root needs root")
    cluster = request.getfixturevalue("clusters")(f"{name}-{level}-{who}")
    try:
        if who == "root":
            plugins = request.getfixturevalue("plugins")
            worker = cluster.worker(name, *level_flags(level), "--plugin-dir", str(plugins), slots=slots)
        else:
            user = request.getfixturevalue("plain_user")
            plugins, name = user.plugins, f"{name}-{level}"
            flags = (*level_flags(level), "--plugin-dir", str(plugins))
            worker = user.worker(cluster, name, *flags, slots=slots)
    except AssertionError as error:
        lacks = re.search(r"--sandbox strict cannot be had here: .*", str(error))
        if level == "strict" and lacks:
            pytest.skip(f"skipped: {lacks.group(0)}")
        raise
    return Locked(level, who, cluster, worker, plugins)


@pytest.fixture(scope="module", params=WAYS, ids="-".join)
def bombed(request: Any) -> Iterator[Locked]:
    if os.geteuid() != 0:
        pytest.skip("skipped: a fork bomb is only tried as a user that has nothing else, which needs root")
    made = start_locked("bombed", request, slots=2)
    yield made
    root = scratch_root(made.worker)
    made.cluster.remove(made.worker)
    assert not root.exists(), "no file is left"
    assert not running(made.plugins / "bombs.so"), "no process is left"


@pytest.mark.parametrize("how", BOMBS)
def test_a_bomb_costs_its_attempt_and_no_more(bombed: Locked, how: str) -> None:
    _, _, cluster, worker, plugins = bombed
    status, message = BOMBS[how]
    others = [cluster.submit("echo", n) for n in range(20)]
    # An attempt that is to be killed has no need to last; any other may take as long as a busy machine makes
    # it. What is killed takes its grace, so these go two at a time, as there are slots.
    timeout, at_once = (0.3, 2) if status == "timeout" else (300, 1)
    results = []
    for first in range(0, TIMES, at_once):
        count = min(at_once, TIMES - first)
        tasks = [cluster.submit("bomb", how, max_retries=0, timeout_seconds=timeout) for _ in range(count)]
        results += [cluster.wait(task) for task in tasks]
        assert cluster.run("bomb", "ok").status.value == "success", "the next task runs"
    assert len(results) == TIMES
    for result in results:
        assert result.status.value == status, result.error_message
        assert re.search(message, result.error_message or ""), result.error_message
    assert {r.status.value for r in cluster.client.wait_many(others, 60)} == {"success"}
    assert worker.alive

    def nothing_is_left() -> bool:
        ours = family(worker.pid)
        hosts = running(plugins / "bombs.so")
        return hosts <= ours and len(hosts) <= 3 * (2 + 4) and not any(scratch_root(worker).glob("*/*"))

    eventually(nothing_is_left, "only hosts are left, and their scratch directories are empty")


def test_threads_that_an_attempt_leaves_do_not_fail_the_next(bombed: Locked) -> None:
    """Their stacks are most of what a host may have, untouched as they are: two of these do not fit into one."""
    cluster = bombed.cluster
    for _ in range(4):
        result = cluster.run("bomb", "threads:30", max_retries=0)
        assert result.success, result.error_message


def test_a_death_is_told_with_what_the_attempt_itself_printed(bombed: Locked) -> None:
    cluster = bombed.cluster
    for _ in range(2 * 3):  # each of the hosts that may be warm
        assert cluster.run("bomb", "print").success
    died = cluster.run("bomb", "abort", max_retries=0)
    assert not died.success
    assert "what another attempt printed" not in (died.error_traceback or "")


def test_a_constructor_that_crashes_costs_its_attempt(bombed: Locked) -> None:
    _, _, cluster, worker, _ = bombed
    for _ in range(TIMES):
        result = cluster.run("dies_at_start", None, max_retries=0)
        assert (result.status.value, "SIGSEGV" in result.error_message) == ("failed", True), (
            result.error_message
        )
    assert cluster.run("echo", 1).status.value == "success"
    assert worker.alive


def test_at_strict_who_has_not_asked_starts_no_process(bombed: Locked) -> None:
    level, _, cluster, _, plugins = bombed
    task = cluster.submit("quiet_bomb", "forks", max_retries=0, timeout_seconds=1)
    most = 0

    def over() -> bool:
        nonlocal most
        most = max(most, len(running(plugins / "quiet_bombs.so")))
        return cluster.status(task) == "timeout"

    eventually(over, "the bomb has been ended")
    # A host and its supervisors, or what it forked too.
    assert 0 < most <= 3 if level == "strict" else most > 3
    for how in ("threads", "forks_return", "daemon"):
        assert cluster.run("quiet_bomb", how, max_retries=0).status.value == "success"


@pytest.mark.parametrize("who", ["root", "plain"])
@ROOT_ONLY
def test_what_ran_ends_with_a_worker_that_is_killed(
    own_cluster: Callable[..., Cluster], plugins: Path, plain_user: PlainUser, who: str
) -> None:
    cluster = own_cluster()
    if who == "plain":
        plugins = plain_user.plugins
    before = running(plugins / "bombs.so")  # of the tests above
    start = cluster.worker if who == "root" else functools.partial(plain_user.worker, cluster)
    worker = start("killed", *level_flags("basic"), "--plugin-dir", str(plugins))
    task = cluster.submit("bomb", "forks", max_retries=0, timeout_seconds=600)
    cluster.until(task, "running")
    eventually(lambda: len(running(plugins / "bombs.so") - before) > 10, "it forks")
    root = scratch_root(worker)
    worker.kill()
    eventually(lambda: not running(plugins / "bombs.so") - before, "nothing runs any more")
    eventually(lambda: not root.exists(), f"{root} is gone")


# ---------------------------------------------------------------- ways out


def table() -> dict[str, dict[str, str]]:
    """What docs/sandbox.md says of each way out, by level."""
    text = (ROOT / "docs" / "sandbox.md").read_text()
    body = text.split("<!-- escapes: begin -->")[1].split("<!-- escapes: end -->")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (\w+) \| (\w+) \|$", body, re.M)
    return {name: dict(zip(LEVELS, verdicts)) for name, *verdicts in rows}


def data_dir(worker: Worker) -> Path:
    named = [flag.split("=")[1] for flag in worker.arguments if flag.startswith("--data-dir=")]
    return Path(named[0]) if named else worker.home / "data"


@pytest.fixture(scope="module", params=WAYS, ids="-".join)
def tried(request: Any) -> tuple[Locked, dict[str, str]]:
    """What came of each way out."""
    made = start_locked("locked", request)
    level, who, cluster, worker, plugins = made
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket() as listening:
        name = f"retire-cluster-test-{os.getpid()}-{level}-{who}"
        abstract.bind("\0" + name)
        abstract.listen()
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        data = data_dir(worker) / "worker.lock"
        assert data.is_file()
        payload = {
            "agent": worker.pid,
            "data": str(data),
            "plugin": str(plugins / "escapes.so"),
            "socket": name,
            "port": listening.getsockname()[1],
        }
        result = cluster.run("escape", payload, max_retries=0)
        assert result.status.value == "success", result.error_message
        return made, result.result_data


# The kernel's answer where a rule of ours refuses. Not found and not reachable count where things are out of
# sight.
REFUSALS = {"EPERM", "EACCES"}
OUT_OF_SIGHT = {"ENOENT", "ESRCH", "EROFS", "ENETUNREACH", "ECONNREFUSED"}
PLACES = {
    "open_kernel_memory": "/dev/mem",
    "open_kernel_log": "/dev/kmsg",
    "open_sysrq": "/proc/sysrq-trigger",
}
NEEDS_LANDLOCK = {"list_root", "escape_oom_killer"}
# Where handlers and the worker are the same user; at strict too, its files can be read without.
PLAIN_NEEDS_LANDLOCK = {
    "basic": {"open_agent_memory", "read_agent_environment", "read_worker_data", "write_worker_data"},
    "strict": {"read_worker_data"},
}
NEEDS_LANDLOCK_6 = {"root": {"abstract_socket"}, "plain": {"abstract_socket", "signal_agent"}}
# Where a worker that is not root has another answer than the table: by level.
PLAIN_OPEN = {"basic": {"chmod_worker_data"}, "strict": set()}


@pytest.mark.parametrize("name", sorted(table()))
def test_a_way_out_is_as_documented(tried: tuple[Locked, dict[str, str]], name: str) -> None:
    (level, who, _, worker, _), outcomes = tried
    documented = table()[name][level]
    lacking = re.search(r"sandbox lacks landlock: (.*)", worker.stderr)
    newest = NEEDS_LANDLOCK_6[who] if level == "basic" else set()
    if lacking and name in NEEDS_LANDLOCK | newest | (
        PLAIN_NEEDS_LANDLOCK[level] if who == "plain" else set()
    ):
        pytest.skip(f"skipped: {lacking[1]}")
    if name in newest and landlock_version() < 6:
        pytest.skip(f"skipped: that needs Landlock 6, and this kernel has {landlock_version()}")
    if level == "basic" and name in PLACES and not Path(PLACES[name]).exists():
        pytest.skip(f"skipped: this machine has no {PLACES[name]}")
    if who == "plain" and name in PLAIN_OPEN[level]:
        documented = "open"
    verdict, _, error = outcomes[name].partition(": ")
    assert verdict == documented, outcomes[name]
    if verdict == "refused":
        allowed = REFUSALS | (OUT_OF_SIGHT if level == "strict" else set())
        if (level, who) == ("strict", "plain") and name in ("become_root", "become_group_root"):
            allowed = {"EINVAL"}  # its user namespace has no root
        assert error in allowed, outcomes[name]


def test_every_way_out_is_documented(tried: tuple[Locked, dict[str, str]]) -> None:
    (level, *_), outcomes = tried
    documented = table()
    assert set(outcomes) == set(documented)
    assert len(documented) >= 25
    assert sum(row[level] == "refused" for row in documented.values()) >= 25


def test_what_is_open_to_a_plain_user_alone_is_named(plugins: Path) -> None:
    text = (ROOT / "docs" / "sandbox.md").read_text().split("<!-- plain: begin -->")[1]
    said = set(re.findall(r"`(\w+)` is open at `(\w+)`", text.split("<!-- plain: end -->")[0]))
    assert said == {(name, level) for level, names in PLAIN_OPEN.items() for name in names}


# ---------------------------------------------------------------- flags


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--run-as", "nobody-of-this-name"], ["--run-as", "no such user"]),
        (["--run-as", "root"], ["--run-as root", "--sandbox off"]),
        (["--allow-path", "/nonexistent/place"], ["--allow-path", "/nonexistent/place"]),
        (["--allow-path", "/etc/passwd"], ["--allow-path", "not a directory"]),
        (["--sandbox", "strict", "--allow-path", "/var/tmp"], ["--allow-path /var/tmp", "scratch directory"]),
    ],
)
@ROOT_ONLY
def test_flags_that_make_no_sense(tmp_path: Path, flags: list[str], words: list[str]) -> None:
    ran = run("retire-cluster-worker", "--test", "127.0.0.1:1", *flags, home=tmp_path)
    assert ran.status == 3
    assert len(ran.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in ran.stderr


@ROOT_ONLY
def test_a_named_user_serves_all_slots_and_allowed_paths_can_be_written(
    own_cluster: Callable[..., Cluster],
) -> None:
    cluster = own_cluster()
    shared = Path("/var/tmp") / f"retire-cluster-test-{os.getpid()}"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    try:
        worker = cluster.worker(
            "named", "--allow", "command", "--run-as", "nobody", "--allow-path", str(shared), slots=2
        )
        assert "can signal" in worker.stderr
        command = f"id -un; echo kept > {shared}/file; echo lost > /var/tmp/other || echo no"
        result = cluster.run("command", {"command": command})
        assert result.result_data["stdout"].split() == ["nobody", "no"], result.result_data
        assert (shared / "file").read_text() == "kept\n"
        assert cluster.client.get_device_capabilities("named")["isolation"] == "basic"
        strict = cluster.submit("echo", 1, min_isolation="strict")
        assert cluster.run("echo", 1, min_isolation="basic").status.value == "success"
        assert cluster.client.explain(strict)["devices"][0]["unmet"][0]["requirement"] == "min_isolation"
    finally:
        for file in shared.iterdir():
            file.unlink()
        shared.rmdir()


@ROOT_ONLY
def test_scratch_lies_where_handlers_can_reach_it_whatever_tmpdir_says(
    own_cluster: Callable[..., Cluster], plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "inner").mkdir(mode=0o777)
    monkeypatch.setenv("TMPDIR", str(closed / "inner"))
    cluster = own_cluster()
    worker = cluster.worker("w", "--plugin-dir", str(plugins))
    assert worker.line("TMPDIR .* is closed to the users that handlers run as")
    assert cluster.run("bomb", "files", min_isolation="basic").status.value == "success"
    assert scratch_root(worker).parent == Path("/tmp")


def test_a_file_of_any_name_is_refused_and_no_more(
    own_cluster: Callable[..., Cluster], workshop: Workshop
) -> None:
    (workshop.drop / os.fsdecode(b"\xff.so")).write_text("not a library")
    cluster = own_cluster()
    worker = cluster.worker("w", "--plugin-dir", str(workshop.drop))
    (workshop.drop / os.fsdecode(b"\xfe\xfe.so")).write_text("nor this")
    eventually(lambda: len(cluster.client.get_devices()[0]["refused_plugins"]) == 2, "both are refused")
    assert cluster.run("echo", 1).status.value == "success"
    assert worker.alive
