"""A program that was started here, and one that ran to its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from harness.programs import environment, program
from harness.waiting import DEADLINE_SECONDS, eventually

running: list[Process] = []  # whose logs are shown when a test fails
_LOG_LINES = 60


class Process:
    """Started at once. stdout and stderr go to files, so that nothing ever blocks on a full pipe."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        home: Path,
        path: Path | None = None,
        through: Sequence[str] = (),
        **env: str,
    ) -> None:
        """`path`: of a program that is none of ours. `through`: a command that becomes it, as setpriv
        does. `env`: beside what the caller's has."""
        home.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.arguments = list(arguments)
        self.home = home
        count = len(list(home.glob("*.out")))
        self._out = home / f"{name}-{count}.out"
        self._err = home / f"{name}-{count}.err"
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            self._popen = subprocess.Popen(
                [*through, str(path or program(name)), *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment(home, **env),
                cwd=home,
                start_new_session=True,
            )
        running.append(self)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def stdout(self) -> str:
        return self._out.read_text("utf-8", "replace")

    @property
    def stderr(self) -> str:
        return self._err.read_text("utf-8", "replace")

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs, minus the signal's number if one ended it."""
        return self._popen.poll()

    @property
    def alive(self) -> bool:
        return self.status is None

    def line(self, pattern: str, stream: str = "stderr", deadline: float = DEADLINE_SECONDS) -> re.Match[str]:
        """Waits for a line that matches; fails at once if the program ends without it."""

        def look() -> re.Match[str] | None:
            ended = not self.alive  # before the read: what it wrote last is seen then
            found = re.search(pattern, getattr(self, stream), re.MULTILINE)
            if found is None and ended:
                raise AssertionError(
                    f"{self.name} ended with {self.status} without /{pattern}/: {self.stderr}"
                )
            return found

        return eventually(look, f"{self.name} writes /{pattern}/ to {stream}", deadline)

    def signal(self, number: int) -> None:
        """To this process only."""
        if self.alive:
            os.kill(self.pid, number)

    def ended(self, deadline: float = DEADLINE_SECONDS) -> int:
        """Waits for its end; the exit status."""
        try:
            return self._popen.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {deadline:g} s") from None

    def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        self.ended()

    def stop(self) -> int:
        """SIGTERM, and SIGKILL for what does not heed it (which is a failure)."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.ended(30)
        except AssertionError:
            self.kill()
            raise
        finally:
            if self in running:
                running.remove(self)

    def children(self) -> list[int]:
        """The PIDs of its children, oldest first."""
        found = []
        for task in Path(f"/proc/{self.pid}/task").glob("*/children"):
            try:
                found += [int(word) for word in task.read_text().split()]
            except OSError:  # the thread has just ended
                continue
        return sorted(found)

    def log(self) -> str:
        lines = self.stderr.splitlines()
        state = "runs" if self.alive else f"ended with {self.status}"
        head = f"[{state}] {' '.join([self.name, *self.arguments])}"
        return "\n".join([head, *self.stdout.splitlines()[-5:], *lines[-_LOG_LINES:]])


@dataclass
class Ran:
    """How a program ended that runs to an end."""

    status: int
    stdout: str
    stderr: str
    seconds: float

    def error_line(self) -> str:
        """The only line on stderr; fails if there is another, or none."""
        lines = self.stderr.splitlines()
        assert len(lines) == 1, f"one line is expected on stderr, got {len(lines)}:\n{self.stderr}"
        return lines[0]


def run(
    name: str,
    *arguments: str,
    home: Path,
    stdin: str | bytes = "",
    deadline: float = DEADLINE_SECONDS,
    **env: str,
) -> Ran:
    """Runs a program to its end; fails if it does not come within the deadline."""
    start = time.monotonic()
    data = stdin.encode("utf-8") if isinstance(stdin, str) else stdin
    try:
        done = subprocess.run(
            [str(program(name)), *arguments],
            input=data,
            capture_output=True,
            timeout=deadline,
            env=environment(home, **env),
            cwd=home,
        )
    except subprocess.TimeoutExpired as late:
        raise AssertionError(
            f"{name} {' '.join(arguments)[:200]} hung: {late.stdout!r} {late.stderr!r}"
        ) from None
    return Ran(
        done.returncode,
        done.stdout.decode("utf-8", "replace"),
        done.stderr.decode("utf-8", "replace"),
        time.monotonic() - start,
    )


def exists(pid: int) -> bool:
    """A process that runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False
