"""A worker that is not root, also where the tests are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Sequence

import pytest

from harness.cluster import Cluster, Worker
from harness.programs import bin_dir, program

# Nobody's, and of each run of the tests another: what runs as it is of these tests, and so is its limit.
_FIRST_USER = 61_000
_USERS = 3_000


class PlainUser:
    """Who the worker runs as: as root, a number that is nobody's; else whoever runs the tests."""

    def __init__(self, home: Path) -> None:
        """`home`: a directory that everybody may enter."""
        program("retire-cluster-worker")
        self.home = home
        self.id = os.geteuid()
        self.become: Sequence[str] = ()
        if self.id == 0:
            if shutil.which("setpriv") is None:
                pytest.skip("skipped: to become a plain user needs setpriv")
            self.id = _FIRST_USER + os.getpid() % _USERS
            self.become = ("setpriv", f"--reuid={self.id}", f"--regid={self.id}", "--clear-groups")
        # A copy, as the tree may lie in a home that is closed to others.
        built, self.prefix = bin_dir().parent, home / "prefix"
        for part in ("libexec", "lib/retire-cluster/plugins", "tests/sandbox_plugins"):
            shutil.copytree(built / part, self.prefix / part)
        (self.prefix / "bin").mkdir()
        self.program = self.prefix / "bin" / "retire-cluster-worker"
        shutil.copy(bin_dir() / "retire-cluster-worker", self.program)
        self.plugins = self.prefix / "tests" / "sandbox_plugins"

    def directory(self, name: str) -> Path:
        """A new one that is the user's and closed to others."""
        made = self.home / name
        made.mkdir(mode=0o700)
        os.chown(made, self.id, self.id if self.become else -1)
        return made

    def start(self, cluster: Cluster, device_id: str, *flags: str, **more: Any) -> Worker:
        """Started, and perhaps not joined yet."""
        through = [*self.become, *more.pop("through", ())]
        data = f"--data-dir={self.directory(device_id)}"
        return cluster.start_worker(device_id, data, *flags, path=self.program, through=through, **more)

    def worker(self, cluster: Cluster, device_id: str, *flags: str, **more: Any) -> Worker:
        """Started and joined."""
        worker = self.start(cluster, device_id, *flags, **more)
        cluster.joined(worker)
        return worker
