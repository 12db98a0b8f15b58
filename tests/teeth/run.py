#!/usr/bin/env python3
"""Whether the tests bite: applies small deliberate faults to a copy of the tree, one at a time, and runs the tests.

    tests/teeth/run.py [SET …] [--only NAME] [--work DIR] [--jobs N]

A set is a file SET.toml beside this script (all of them if none is named): the tests, each with its `targets` (or those
of the set), and the faults: `name`, `file`, `find` (text that stands there exactly once) and `replace`, and where it
matters which test bites, `tests`, the names of those that are run. In what a test runs, and in its environment,
{build}, {tree} and {python} stand for the copy's two directories and for this Python. For each fault the tests are built
and run in their order until one fails: a test that is not needed is not built, so cheap ones stand first.
Prints for each fault which test caught it. A fault whose text is not found once, or that does not compile, is an error
of the set and no catch; the others are tried before it is told. Exit status: 0 if every fault was caught, 1 if one was
not, 2 for an error.

The copy lies in a temporary directory, or in DIR, where a second run finds what it has built; the tree is left alone.
With ccache, what the tree itself has built in build/release is not compiled again for the copy.
"""

import argparse
import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

try:
    import tomllib
except ModuleNotFoundError:  # Python before 3.11
    import tomli as tomllib  # type: ignore[no-redef]

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# A test that takes so much longer than without a fault hangs.
SLOWER_MAX = 10
TEST_SECONDS_MIN = 60


def fail(message: str) -> None:
    sys.exit(print(f"teeth: {message}", file=sys.stderr) or 2)


def copy_tree(work: pathlib.Path) -> pathlib.Path:
    """The files git knows, or would: not what was built."""
    tree = work / "tree"
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.split(b"\0")
    for name in filter(None, names):
        source, target = ROOT / os.fsdecode(name), tree / os.fsdecode(name)
        if not source.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != source.read_bytes():
            shutil.copyfile(source, target)
            shutil.copymode(source, target)
    return tree


def adopt_orphans() -> None:
    """What a test's processes leave behind becomes a child of this one, so that it can be found and ended."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def descendants() -> list:
    """The processes below this one that run, in whatever session they are."""
    children: dict = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = (
                stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
            )
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(stat.parent.name))
    found, parents = [], [os.getpid()]
    while parents:
        below = children.get(parents.pop(), [])
        found += below
        parents += below
    return found


def run_to_end(
    command: list, folder: pathlib.Path, environment: dict, seconds_max: float
) -> tuple:
    """The exit status, None if it took too long, and what it said. A test that hangs ends with all that it has started:
    its programs are in sessions of their own and would outlive it."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as test:
        try:
            said = test.communicate(timeout=seconds_max)[0]
            return test.returncode, said
        except subprocess.TimeoutExpired:
            end_descendants()
            return None, test.communicate()[0]
        except BaseException:
            end_descendants()
            raise


def end_descendants() -> None:
    while found := descendants():
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


class Tree:
    def __init__(self, work: pathlib.Path, jobs: int) -> None:
        self.path = copy_tree(work)
        self.build_dir = self.path / "build" / "release"
        self.jobs = str(jobs)
        # Paths in it do not count, so that the cache knows what was compiled elsewhere.
        self.environment = {
            **os.environ,
            "CCACHE_BASEDIR": str(self.path.resolve()),
            "CCACHE_NOHASHDIR": "1",
        }

    def configure(self, folders: str) -> None:
        command = [
            "cmake",
            "--preset",
            "release",
            "-DRC_BUILD_TESTS=ON",
            "-DRC_BUILD_BENCH=OFF",
            f"-DRC_FOLDERS={folders}",
        ]
        wrong = self.shell(command)
        if wrong:
            fail("the copy cannot be configured:\n" + wrong)

    def build(self, targets: list) -> str:
        """Empty, or what the compiler said."""
        return self.shell(
            [
                "cmake",
                "--build",
                str(self.build_dir),
                "-j",
                self.jobs,
                "--target",
                *targets,
            ]
        )

    def shell(self, command: list) -> str:
        done = subprocess.run(
            command,
            check=False,
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return "" if done.returncode == 0 else done.stdout[-3000:]

    def fill(self, word: str) -> str:
        for name, value in (
            ("build", self.build_dir),
            ("tree", self.path),
            ("python", sys.executable),
        ):
            word = word.replace("{" + name + "}", str(value))
        return word

    def test(self, test: dict) -> str:
        """Empty if it passed, else what failed."""
        command = [self.fill(word) for word in test["run"]]
        command[0] = str(self.build_dir / command[0])  # unless it is absolute
        environment = {
            **os.environ,
            **{
                name: self.fill(text)
                for name, text in test.get("environment", {}).items()
            },
        }
        status, said = run_to_end(
            command, self.path, environment, test.get("seconds_max")
        )
        if status == 0:
            return ""
        running = re.findall(r"^\[ RUN      \] (\S+)", said, re.MULTILINE)
        if status is None:
            return f"{running[-1] if running else test['name']} (hangs)"
        failed = re.findall(r"^\[  FAILED  \] ([\w.]+/?[\w.]*)", said, re.MULTILINE)
        failed += re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", said, re.MULTILINE)
        asserted = re.search(r"assertion failed: .*", said)
        if asserted:
            return (
                f"{running[-1] if running else test['name']} ({asserted.group()[:90]})"
            )
        return failed[0] if failed else f"{test['name']} (exit status {status})"


def bites(test: dict, fault: dict) -> bool:
    """Whether this test has to catch this fault."""
    return test["name"] in fault.get("tests", [test["name"]])


def run_set(name: str, only: str, tree: Tree) -> int:
    """The number of faults that were not caught."""
    path = HERE / f"{name}.toml"
    if not path.exists():
        fail(f"no set {name}; there is no {path.name} beside this script")
    with open(path, "rb") as file:
        content = tomllib.load(file)
    tree.configure(content["folders"])
    faults = [fault for fault in content["faults"] if only in fault["name"]]
    for test in content["tests"]:
        if not any(bites(test, fault) for fault in faults):
            continue
        wrong = tree.build(test.setdefault("targets", content.get("targets", [])))
        if wrong:
            fail(f"{name}: the tree does not build without a fault:\n{wrong}")
        begin = time.monotonic()
        failed = tree.test(test)
        if failed:
            fail(f"{name}: {failed} fails without a fault")
        test["seconds_max"] = max(
            TEST_SECONDS_MIN, SLOWER_MAX * (time.monotonic() - begin)
        )

    missed, errors = 0, []
    for number, fault in enumerate(faults, 1):
        begin = time.monotonic()
        source = tree.path / fault["file"]
        text = source.read_text()
        if text.count(fault["find"]) != 1:
            errors.append(
                f"{name}: {fault['name']}: its text stands {text.count(fault['find'])} times in {fault['file']}; "
                "it must stand there once"
            )
            continue
        source.write_text(text.replace(fault["find"], fault["replace"]))
        try:
            caught, wrong = "", ""
            for test in (test for test in content["tests"] if bites(test, fault)):
                wrong = tree.build(test["targets"])
                caught = "" if wrong else tree.test(test)
                if wrong or caught:
                    break
        finally:
            source.write_text(text)
        if wrong:
            errors.append(f"{name}: {fault['name']} does not compile:\n{wrong}")
            continue
        missed += not caught
        print(
            f"{'caught' if caught else 'MISSED'}  {number}/{len(faults)}  {fault['name']}"
            f"{'  by ' + caught if caught else ''}  ({time.monotonic() - begin:.0f} s)",
            flush=True,
        )
    print(
        f"{name}: {len(faults) - missed - len(errors)} of {len(faults)} faults caught",
        flush=True,
    )
    if errors:
        fail("\n".join(errors))
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", help="all if none is named")
    parser.add_argument("--only", default="", help="only faults whose name holds this")
    parser.add_argument(
        "--work", type=pathlib.Path, help="keep the copy and what is built there"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    adopt_orphans()
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # by way of what ends a test
    sets = arguments.sets or sorted(path.stem for path in HERE.glob("*.toml"))
    with tempfile.TemporaryDirectory() as temporary:
        tree = Tree(
            (arguments.work or pathlib.Path(temporary)).resolve(), arguments.jobs
        )
        missed = sum(run_set(name, arguments.only, tree) for name in sets)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
