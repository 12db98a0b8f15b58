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
import os
import pathlib
import re
import shutil
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
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, stdout=subprocess.PIPE, check=True
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


class Tree:
    def __init__(self, work: pathlib.Path, jobs: int) -> None:
        self.path = copy_tree(work)
        self.build_dir = self.path / "build" / "release"
        self.jobs = str(jobs)
        # Paths in it do not count, so that the cache knows what was compiled elsewhere.
        self.environment = {**os.environ, "CCACHE_BASEDIR": str(self.path.resolve()), "CCACHE_NOHASHDIR": "1"}

    def configure(self, folders: str) -> None:
        command = ["cmake", "--preset", "release", "-DRC_BUILD_TESTS=ON", "-DRC_BUILD_BENCH=OFF", f"-DRC_FOLDERS={folders}"]
        wrong = self.shell(command)
        if wrong:
            fail("the copy cannot be configured:\n" + wrong)

    def build(self, targets: list) -> str:
        """Empty, or what the compiler said."""
        return self.shell(["cmake", "--build", str(self.build_dir), "-j", self.jobs, "--target", *targets])

    def shell(self, command: list) -> str:
        done = subprocess.run(command, cwd=self.path, env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        return "" if done.returncode == 0 else done.stdout[-3000:]

    def fill(self, word: str) -> str:
        for name, value in (("build", self.build_dir), ("tree", self.path), ("python", sys.executable)):
            word = word.replace("{" + name + "}", str(value))
        return word

    def test(self, test: dict) -> str:
        """Empty if it passed, else what failed."""
        command = [self.fill(word) for word in test["run"]]
        command[0] = str(self.build_dir / command[0])  # unless it is absolute
        environment = {**os.environ, **{name: self.fill(text) for name, text in test.get("environment", {}).items()}}
        try:
            done = subprocess.run(command, cwd=self.path, env=environment, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, errors="replace", timeout=test.get("seconds_max"))
        except subprocess.TimeoutExpired as late:
            running = re.findall(rb"^\[ RUN      \] (\S+)", late.stdout or b"", re.M)
            return f"{running[-1].decode() if running else test['name']} (hangs)"
        if done.returncode == 0:
            return ""
        failed = re.findall(r"^\[  FAILED  \] ([\w.]+/?[\w.]*)", done.stdout, re.M)
        failed += re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", done.stdout, re.M)
        asserted = re.search(r"assertion failed: .*", done.stdout)
        if asserted:
            running = re.findall(r"^\[ RUN      \] (\S+)", done.stdout, re.M)
            return f"{running[-1] if running else test['name']} ({asserted.group()[:90]})"
        return failed[0] if failed else f"{test['name']} (exit status {done.returncode})"


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
        test["seconds_max"] = max(TEST_SECONDS_MIN, SLOWER_MAX * (time.monotonic() - begin))

    missed, errors = 0, []
    for number, fault in enumerate(faults, 1):
        begin = time.monotonic()
        source = tree.path / fault["file"]
        text = source.read_text()
        if text.count(fault["find"]) != 1:
            errors.append(f"{name}: {fault['name']}: its text stands {text.count(fault['find'])} times in {fault['file']}; "
                          "it must stand there once")
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
        print(f"{'caught' if caught else 'MISSED'}  {number}/{len(faults)}  {fault['name']}"
              f"{'  by ' + caught if caught else ''}  ({time.monotonic() - begin:.0f} s)", flush=True)
    print(f"{name}: {len(faults) - missed - len(errors)} of {len(faults)} faults caught", flush=True)
    if errors:
        fail("\n".join(errors))
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", help="all if none is named")
    parser.add_argument("--only", default="", help="only faults whose name holds this")
    parser.add_argument("--work", type=pathlib.Path, help="keep the copy and what is built there")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    sets = arguments.sets or sorted(path.stem for path in HERE.glob("*.toml"))
    with tempfile.TemporaryDirectory() as temporary:
        tree = Tree((arguments.work or pathlib.Path(temporary)).resolve(), arguments.jobs)
        missed = sum(run_set(name, arguments.only, tree) for name in sets)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
