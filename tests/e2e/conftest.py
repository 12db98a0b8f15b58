"""Fixtures of the end-to-end tests; see README.md."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parents[1] / "python" / "src"))

from harness import process  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.endings import nothing_is_left, pytest_runtest_makereport  # noqa: E402, F401
from harness.plain_user import PlainUser  # noqa: E402
from harness.plugins import Workshop  # noqa: E402
from harness.process import Ran  # noqa: E402


@pytest.fixture(scope="module")
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for the data of this module's processes."""
    return tmp_path_factory.mktemp(re.sub(r"\W", "_", request.module.__name__))


@pytest.fixture(scope="module")
def clusters(home: Path) -> Iterator[Callable[..., Cluster]]:
    """Makes clusters for all tests of a module: clusters("name", *flags of main)."""
    made: list[Cluster] = []

    def make(name: str, *main_flags: str) -> Cluster:
        made.append(Cluster(home / name, *main_flags))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """The same, for one test: own_cluster(*flags of main)."""
    made: list[Cluster] = []

    def make(*main_flags: str) -> Cluster:
        made.append(Cluster(tmp_path / f"cluster-{len(made)}", *main_flags))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture(scope="module")
def plain_user() -> Iterator[PlainUser]:
    with tempfile.TemporaryDirectory(prefix="plain-user-") as home:
        os.chmod(home, 0o755)
        yield PlainUser(Path(home))


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    """Where plugins are made; not below pytest's directory, which only its owner may enter."""
    with tempfile.TemporaryDirectory(prefix="plugins-") as home:
        os.chmod(home, 0o755)
        yield Workshop(Path(home))


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Ran]:
    """Runs a program to its end: program("retire-cluster-main", "--port", "x")."""

    def run(name: str, *arguments: str, **more: Any) -> Ran:
        return process.run(name, *arguments, home=more.pop("home", tmp_path), **more)

    return run
