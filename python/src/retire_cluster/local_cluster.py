"""LocalCluster: main and workers as child processes, for notebooks and tests."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Iterable, List, Optional, Sequence, Type

from retire_cluster.errors import ProgramError
from retire_cluster.programs import Program
from retire_cluster.tasks.scheduler import TaskScheduler

MAIN = "retire-cluster-main"
WORKER = "retire-cluster-worker"
_LOOK_SECONDS = 0.02


class LocalCluster:
    """A cluster on this machine, on free ports of the loopback interface, with data of its own that is
    deleted at the end.

    workers: how many retire-cluster-worker processes, 0 or more. slots: of each; None is the number of
    processors. allow: task types that are off by default and are switched on, as `["command"]`. main_args,
    worker_args: further flags. timeout: seconds until all of it is up.

    Use it as a context manager, or start() and stop() it. Errors: ValueError; ProgramError if a program is
    missing, or ends, or is not ready in time, with what it said last. Thread-safe but for start() and stop().
    """

    def __init__(
        self,
        workers: int = 2,
        *,
        slots: Optional[int] = None,
        allow: Iterable[str] = (),
        main_args: Sequence[str] = (),
        worker_args: Sequence[str] = (),
        timeout: float = 30.0,
    ) -> None:
        if not isinstance(workers, int) or isinstance(workers, bool) or workers < 0:
            raise ValueError(f"workers is {workers!r}: must be a number from 0")
        self._count = workers
        self._main_args = list(main_args)
        self._worker_args = [*(f"--slots={slots}" for _ in range(slots is not None)), *worker_args]
        self._worker_args += [f"--allow={task_type}" for task_type in allow]
        self._timeout = timeout
        self._folder: Optional[Path] = None
        self._main: Optional[Program] = None
        self._workers: List[Program] = []
        self._scheduler: Optional[TaskScheduler] = None
        self.address = ""

    # -- life

    def start(self) -> LocalCluster:
        """Starts everything, and waits until main answers and every worker is online."""
        if self._main is not None:
            raise ProgramError("the cluster is running already")
        deadline = time.monotonic() + self._timeout
        atexit.register(self.stop)  # for those who forget: no process outlives this one
        self._folder = Path(tempfile.mkdtemp(prefix="retire-cluster-"))
        try:
            self._start_main(deadline)
            self._scheduler = TaskScheduler(
                self.address, connect_timeout=max(0.1, deadline - time.monotonic())
            )
            for _ in range(self._count):
                self._start_worker()
            self.wait_for_workers(self._count, max(0.1, deadline - time.monotonic()))
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Ends what was started, workers first, and deletes its data. May be called twice."""
        atexit.unregister(self.stop)
        if self._scheduler is not None:
            self._scheduler.close()
            self._scheduler = None
        # All are asked before any is waited for.
        asking = [threading.Thread(target=worker.stop) for worker in self._workers]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        self._workers.clear()
        if self._main is not None:
            self._main.stop()
            self._main = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> LocalCluster:
        return self.start()

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.stop()

    # -- what it is for

    @property
    def scheduler(self) -> TaskScheduler:
        """A client of this cluster. Errors: ProgramError if it does not run."""
        if self._scheduler is None:
            raise ProgramError("the cluster is not running: use it in a with statement, or call start()")
        return self._scheduler

    @property
    def main(self) -> Program:
        """The process of main. Errors: ProgramError if it does not run."""
        if self._main is None:
            raise ProgramError("the cluster is not running: use it in a with statement, or call start()")
        return self._main

    @property
    def workers(self) -> List[Program]:
        """The processes of the workers, in the order they were started."""
        return list(self._workers)

    def add_worker(self, *arguments: str, timeout: float = 30.0) -> Program:
        """One more worker, with further flags, as `"--tag=fast"`; waits until it is online."""
        before = len(self.scheduler.get_online_devices())
        worker = self._start_worker(*arguments)
        self.wait_for_workers(before + 1, timeout)
        return worker

    def wait_for_workers(self, count: int, timeout: float = 30.0) -> List[str]:
        """Waits until `count` devices are online, and returns their IDs. Errors: ProgramError."""
        deadline = time.monotonic() + timeout
        pause = threading.Event()
        while True:
            online = self.scheduler.get_online_devices()
            if len(online) >= count:
                return online
            self._look_for_dead()
            if time.monotonic() >= deadline:
                late = self._workers[-1].failed if self._workers else self.main.failed
                raise late(f"is late: {len(online)} of {count} workers are online after {timeout:g} s")
            pause.wait(_LOOK_SECONDS)

    # -- inside

    def _start_main(self, deadline: float) -> None:
        assert self._folder is not None
        arguments = ["--host=127.0.0.1", "--port=0", "--http-port=0", "--no-http"]
        arguments.append(f"--data-dir={self._folder / 'main'}")
        self._main = Program(MAIN, [*arguments, *self._main_args])
        self.address = self._main.wait_for_line(r"listening on tcp://(\S+)", deadline)[1]

    def _start_worker(self, *arguments: str) -> Program:
        assert self._folder is not None
        number = len(self._workers) + 1
        data = self._folder / f"worker{number}"
        worker = Program(
            WORKER, [f"--join={self.address}", f"--data-dir={data}", *self._worker_args, *arguments]
        )
        self._workers.append(worker)
        return worker

    def _look_for_dead(self) -> None:
        for program in (self.main, *self._workers):
            if not program.running:
                raise program.failed("ended")
