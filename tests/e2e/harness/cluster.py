"""main, workers, and a client of them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Sequence

from retire_cluster.tasks import Task, TaskResult, TaskScheduler

from harness.process import Process, Ran, run
from harness.waiting import DEADLINE_SECONDS, eventually

# What decides that a worker is lost, for tests that wait for it. Not shorter: a busy machine is silent for
# seconds, too.
QUICK_LOSS = ("--heartbeat-interval", "0.3", "--offline-after", "2", "--lease", "3")


class Main(Process):
    """retire-cluster-main on a free port of 127.0.0.1; it listens when this returns, unless `listen` says not
    to wait for that."""

    def __init__(self, home: Path, *flags: str, port: int = 0, listen: bool = True, **env: str) -> None:
        arguments = [
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--data-dir",
            str(home / "data"),
            "--no-http",
            *flags,
        ]
        super().__init__("retire-cluster-main", arguments, home, **env)
        self.port = port
        self.address = f"127.0.0.1:{port}"
        if not listen:
            return
        try:
            found = self.line(r"^listening on tcp://(\S+:(\d+))$", "stdout")
        except AssertionError:
            self.kill()
            raise
        self.address = found[1]
        self.port = int(found[2])


class Worker(Process):
    """retire-cluster-worker with capabilities that do not depend on the machine, unless `flags` say so."""

    def __init__(
        self,
        home: Path,
        address: str,
        device_id: str,
        *flags: str,
        slots: int = 1,
        path: Path | None = None,
        through: Sequence[str] = (),
        **env: str,
    ) -> None:
        self.device_id = device_id
        named = {flag.split("=")[0] for flag in flags}
        arguments = ["--join", address, "--device-id", device_id, "--slots", str(slots)]
        for flag, value in (
            ("--data-dir", str(home / "data")),
            ("--role", "worker"),
            ("--platform", "linux"),
        ):
            if flag not in named:
                arguments += [flag, value]
        if not named & {"--internet", "--no-internet"}:
            arguments.append("--no-internet")  # what is measured asks the network, and waits for it
        if not named & {"--gpu", "--no-gpu"}:
            arguments.append("--no-gpu")
        super().__init__("retire-cluster-worker", [*arguments, *flags], home, path, through, **env)


class Cluster:
    """A main, its workers and one client. Everything that was started through it is stopped by close()."""

    def __init__(self, home: Path, *main_flags: str) -> None:
        self.home = home
        self._numbers = itertools.count(1)
        self.main = Main(home / "main", *main_flags)
        self.workers: list[Worker] = []
        self._clients: list[TaskScheduler] = []
        self.client = self.new_client()

    @property
    def address(self) -> str:
        return self.main.address

    def new_client(self) -> TaskScheduler:
        client = TaskScheduler(
            self.address, connect_timeout=DEADLINE_SECONDS, request_timeout=DEADLINE_SECONDS
        )
        self._clients.append(client)
        return client

    def start_worker(
        self, device_id: str = "", *flags: str, slots: int = 1, home: Path | None = None, **more: Any
    ) -> Worker:
        """Started, and perhaps not joined yet: several start at the same time. `more`: as Worker takes it."""
        number = next(self._numbers)
        device_id = device_id or f"device-{number}"
        home = home or self.home / f"worker-{number}"
        worker = Worker(home, self.address, device_id, *flags, slots=slots, **more)
        self.workers.append(worker)
        return worker

    def worker(
        self, device_id: str = "", *flags: str, slots: int = 1, home: Path | None = None, **more: Any
    ) -> Worker:
        """Started and joined."""
        worker = self.start_worker(device_id, *flags, slots=slots, home=home, **more)
        self.joined(worker)
        return worker

    def joined(self, *workers: Worker) -> None:
        """Waits until main counts them among the devices that are online."""
        for worker in workers:

            def online(worker: Worker = worker) -> bool:
                assert worker.alive, f"{worker.device_id} ended with {worker.status}: {worker.stderr}"
                return worker.device_id in self.client.get_online_devices()

            eventually(online, f"{worker.device_id} is online")

    def remove(self, worker: Worker) -> None:
        """Stopped, and gone from main's list of devices that are online."""
        worker.stop()
        self.workers.remove(worker)
        eventually(
            lambda: worker.device_id not in self.client.get_online_devices(), f"{worker.device_id} left"
        )

    def submit(self, task_type: str, payload: Any = None, **fields: Any) -> str:
        """`fields`: of the task; what a task has not is a requirement."""
        return self.client.submit_task(make_task(task_type, payload, **fields))

    def run(self, task_type: str, payload: Any = None, **fields: Any) -> TaskResult:
        """Submits one task and waits for its end."""
        return self.wait(self.submit(task_type, payload, **fields))

    def wait(self, task_id: str, timeout: float = DEADLINE_SECONDS) -> TaskResult:
        return self.client.wait(task_id, timeout)

    def status(self, task_id: str) -> str | None:
        status = self.client.get_task_status(task_id)
        return None if status is None else status.value

    def until(self, task_id: str, *statuses: str) -> str:
        """Waits until the task has one of these statuses."""

        def look() -> str | None:
            status = self.status(task_id)
            return status if status in statuses else None

        return eventually(look, f"task {task_id} is {' or '.join(statuses)}")

    def load(self, device_id: str) -> int:
        """Slots in use."""
        return self.client.get_cluster_statistics()["device_stats"][device_id]["load"]

    def cli(
        self, name: str, *arguments: str, stdin: str | bytes = "", address: str | None = None, **env: str
    ) -> Ran:
        """Runs a program with this main's address in its environment."""
        home = self.home / "cli"
        home.mkdir(exist_ok=True)
        return run(
            name, *arguments, home=home, stdin=stdin, RETIRE_CLUSTER_ADDRESS=address or self.address, **env
        )

    def close(self) -> None:
        problems = []
        for client in self._clients:
            client.close()
        for process in [*self.workers, self.main]:
            try:
                process.stop()
            except AssertionError as error:
                problems.append(str(error))
        assert not problems, problems


_TASK_FIELDS = ("priority", "metadata", "group", "task_id")


def make_task(task_type: str, payload: Any = None, **fields: Any) -> Task:
    requirements = {k: v for k, v in fields.items() if k not in _TASK_FIELDS}
    own = {k: v for k, v in fields.items() if k in _TASK_FIELDS}
    return Task(task_type, payload, requirements=requirements, **own)
