"""Plugins that a test makes while it runs."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from harness.cluster import Cluster
from harness.programs import ROOT
from harness.waiting import eventually

SOURCE = ROOT / "tests" / "e2e" / "plugins" / "versioned.c"


class Workshop:
    """Makes plugins, puts them where the worker looks, and lets held attempts go."""

    def __init__(self, home: Path) -> None:
        self.drop = home / "drop"
        self.drop.mkdir(mode=0o755)
        self.made = home / "made"
        self.made.mkdir(mode=0o755)
        self.open = home / "open"  # where handlers may look, whoever they run as
        self.open.mkdir(mode=0o777)
        self.open.chmod(0o777)

    def build(self, version: str, *defines: str, compiler: str = "cc", source: Path = SOURCE) -> Path:
        name = hashlib.sha256("|".join([version, compiler, str(source), *defines]).encode()).hexdigest()[:16]
        out = self.made / f"{name}.so"
        if not out.exists():
            flags = [f'-DVERSION="{version}"', f'-DRELEASE_FILE="{self.open}/release"']
            command = [
                compiler,
                "-O1",
                "-shared",
                "-fPIC",
                "-fvisibility=hidden",
                f"-I{ROOT / 'plugins' / 'sdk'}",
            ]
            command += [*flags, *(f"-D{define}" for define in defines), str(source), "-o", str(out)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, f"{command}\n{done.stderr}"
            out.chmod(0o755)
        return out

    def put(self, plugin: Path, name: str = "versioned.so") -> Path:
        """At once and whole, as an installer does it."""
        hidden = self.drop / f".{name}"
        shutil.copy(plugin, hidden)
        hidden.rename(self.drop / name)
        return self.drop / name

    def release(self) -> None:
        (self.open / "release").touch()


def literal(text: str) -> str:
    """A text as C has it in its source."""
    return json.dumps(text)


def sha256_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def device(cluster: Cluster) -> dict[str, Any]:
    (found,) = cluster.client.get_devices()
    return found


def offers(cluster: Cluster, task_type: str = "versioned") -> bool:
    return task_type in device(cluster)["handlers"]


def until_offered(cluster: Cluster, task_type: str = "versioned") -> None:
    eventually(lambda: offers(cluster, task_type), f"{task_type} is offered")


def until_withdrawn(cluster: Cluster, task_type: str = "versioned") -> None:
    eventually(lambda: not offers(cluster, task_type), f"{task_type} is withdrawn")


def until_refused(cluster: Cluster, file: Path) -> str:
    def refusal() -> str | None:
        lines = [line for line in device(cluster).get("refused_plugins", []) if str(file) in line]
        return lines[0] if len(lines) == 1 else None

    return eventually(refusal, f"{file} is refused")
