"""Who a device is: an ID that is made once and kept in the data directory."""

from __future__ import annotations

import os
import re
import socket
import uuid
from pathlib import Path
from typing import IO, Optional

from retire_cluster.errors import ProgramError
from retire_cluster.wire.messages import DEVICE_ID
from retire_cluster.wire.refused import Refused


def check_device_id(device_id: str) -> str:
    """Errors: ValueError."""
    try:
        return DEVICE_ID.read(device_id)
    except Refused as refused:
        raise ValueError(f"device_id {refused.detail}") from None


def make_device_id() -> str:
    """The host's name and something random."""
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:100] or "device"
    return f"{host}-py-{uuid.uuid4().hex[:8]}"


def kept_device_id(data_dir: Path) -> str:
    """The ID in `data_dir`, made on first use. Errors: ValueError if the file holds no ID; OSError."""
    path = data_dir / "device_id"
    if not path.exists():
        path.write_text(make_device_id() + "\n", "utf-8")
    try:
        return check_device_id(path.read_text("utf-8").strip())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


class DataDirLock:
    """Keeps a second worker out of a data directory, for as long as this process holds it. Where the platform
    has no such lock, main still tells the older of two that it was replaced."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "lock"
        self._file: Optional[IO[str]] = None

    def acquire(self) -> None:
        """Errors: ProgramError if another worker has it."""
        try:
            import fcntl
        except ImportError:
            return
        self._file = open(self._path, "a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.release()
            raise ProgramError(
                f"{self._path.parent} is in use by another worker: give this one a data_dir of its own"
            ) from None

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def ensure_dir(data_dir: str) -> Path:
    """The directory, made if it is not there. Errors: OSError."""
    path = Path(data_dir).expanduser()
    os.makedirs(path, exist_ok=True)
    return path
