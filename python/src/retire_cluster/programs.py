"""Finding the programs of the cluster, and running them as children that are always ended again."""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Dict, Iterator, List, Optional

from retire_cluster.errors import ProgramError

BIN_DIR_VARIABLE = "RETIRE_CLUSTER_BIN_DIR"
_LAST_LINES = 15
_SUFFIX = ".exe" if sys.platform == "win32" else ""


def find_program(name: str) -> str:
    """The path of `name`: in $RETIRE_CLUSTER_BIN_DIR, on PATH, then in build/*/bin of the checkout around
    this file or the current directory, the newest first.

    Errors: ProgramError that says where it was looked for.
    """
    given = os.environ.get(BIN_DIR_VARIABLE)
    if given:
        # Who names a directory means it: a program from elsewhere would be a surprise.
        found = shutil.which(name, path=given)
        if found is None:
            raise ProgramError(f"no {name} in ${BIN_DIR_VARIABLE}, which is {given}")
        return found
    on_path = shutil.which(name)
    if on_path is not None:
        return on_path
    built = [path for folder in _checkouts() for path in folder.glob(f"build/*/bin/{name}{_SUFFIX}")]
    if not built:
        raise ProgramError(
            f"no {name} in ${BIN_DIR_VARIABLE} (not set), on PATH, or in build/*/bin of a checkout: "
            "build it (cmake --preset release && cmake --build --preset release) or install it"
        )
    return str(max(built, key=lambda path: path.stat().st_mtime))


def _checkouts() -> Iterator[Path]:
    for start in (Path(__file__).resolve(), Path.cwd()):
        for folder in (start, *start.parents):
            if (folder / "CMakeLists.txt").exists() and (folder / "CMakePresets.json").exists():
                yield folder
                break


class Program:
    """One child process. Its stderr goes to a file, so that it never waits for a reader. Only this very child
    is ever signalled.
    """

    def __init__(self, name: str, arguments: List[str], environment: Optional[Dict[str, str]] = None) -> None:
        """Errors: ProgramError if it cannot be started."""
        self.name = name
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        try:
            self._child = subprocess.Popen(
                [find_program(name), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**os.environ, **(environment or {})},
                start_new_session=True,  # a Ctrl-C at the terminal is for us, who then end it in order
            )
        except (OSError, ProgramError) as error:
            self._errors.close()
            if isinstance(error, ProgramError):
                raise
            raise ProgramError(f"{name} cannot be started: {error}") from None
        self._lines: queue.SimpleQueue[Optional[str]] = queue.SimpleQueue()
        threading.Thread(target=self._read, name=f"output of {name}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def wait_for_line(self, pattern: str, deadline: float) -> re.Match[str]:
        """The first line of stdout from now on that `pattern` matches. deadline: of time.monotonic().

        Errors: ProgramError with the last lines of stderr if it ends, or says nothing of the kind in time.
        """
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise self.failed("did not say that it is ready in time") from None
            if line is None:
                self._await_exit()
                raise self.failed("ended")
            found = re.search(pattern, line)
            if found:
                return found

    def failed(self, what: str) -> ProgramError:
        """The error that says `what` this program did, with its status and the last lines it said."""
        status = self._child.poll()
        ended = "" if status is None else f" (exit status {status})"
        lines = self.last_lines()
        said = ":\n  " + "\n  ".join(lines) if lines else "; it said nothing"
        return ProgramError(f"{self.name} {what}{ended}{said}")

    def last_lines(self) -> List[str]:
        """Of stderr."""
        if self._errors.closed:
            return []
        # By its own offset: the child shares the file's position.
        size = os.fstat(self._errors.fileno()).st_size
        data = os.pread(self._errors.fileno(), 16_384, max(0, size - 16_384))
        return data.decode("utf-8", "replace").splitlines()[-_LAST_LINES:]

    def stop(self, timeout: float = 10.0) -> None:
        """Asks it to end, and kills it after `timeout` seconds. May be called twice."""
        if self.running:
            self._child.terminate()
            try:
                self._child.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        self._close()

    def kill(self) -> None:
        """Ends it at once, as a power cut would."""
        if self.running:
            self._child.kill()
        self._child.wait()

    def _await_exit(self) -> None:
        try:
            self._child.wait(2.0)  # stdout is closed a moment before the status is there
        except subprocess.TimeoutExpired:
            pass

    def _close(self) -> None:
        self._errors.close()

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                self._lines.put(line.decode("utf-8", "replace").rstrip("\n"))
        self._lines.put(None)
