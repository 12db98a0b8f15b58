"""What this device can do: measured once, when a worker starts. Nothing is sent anywhere."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import socket
import sys
from pathlib import Path
from typing import Any, Dict, Optional

GIB = 2**30


def probe(data_dir: Path) -> Dict[str, Any]:
    """The measured part of a capability record. `data_dir` is on the disk whose size counts."""
    return {
        "platform": platform_name(),
        "arch": platform.machine().lower()[:64] or "unknown",
        "cpu_count": cpu_count(),
        "memory_total_gb": round(memory_bytes() / GIB, 2),
        "storage_total_gb": round(storage_bytes(data_dir) / GIB, 2),
        "has_gpu": has_gpu(),
        "has_internet": has_internet(),
    }


def platform_name() -> str:
    """`linux`, `windows`, `android` or `darwin`; else what Python calls it."""
    if is_android():
        return "android"
    return {"win32": "windows", "cygwin": "windows"}.get(sys.platform, sys.platform)


def is_android() -> bool:
    """Termux's Python says that it runs on Linux."""
    return (
        sys.platform == "android"
        or hasattr(sys, "getandroidapilevel")
        or "TERMUX_VERSION" in os.environ
        or ("ANDROID_ROOT" in os.environ and Path("/system/build.prop").exists())
    )


def cpu_count() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int:
    """Memory of the machine, or the limit that this process is held to if that is less; 0 if it cannot be
    told.
    """
    if sys.platform == "win32":
        return _windows_memory()
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 0
    limits = (
        _number_in(path)
        for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
    )
    return min([total, *(limit for limit in limits if limit)])


def _number_in(path: str) -> Optional[int]:
    try:
        return int(Path(path).read_text().strip())
    except (OSError, ValueError):
        return None


def _windows_memory() -> int:
    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong) for name in ("total", "free", "t1", "t2", "t3", "t4", "t5")
        ]

    status = Status()
    status.length = ctypes.sizeof(Status)
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined,unused-ignore]
    return int(status.total)


def storage_bytes(folder: Path) -> int:
    """Size of the file system that holds `folder`; 0 if it cannot be told."""
    try:
        return shutil.disk_usage(folder).total
    except OSError:
        return 0


def has_gpu() -> bool:
    """A GPU that programs can compute on, as far as its driver shows."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    marks = ["/dev/nvidia0", "/dev/kfd", "/dev/kgsl-3d0", "/dev/mali0", "/dev/dri/renderD128"]
    return any(os.path.exists(mark) for mark in marks) or shutil.which("nvidia-smi") is not None


def has_internet() -> bool:
    """There is a route to public addresses. Connecting a datagram socket sends nothing."""
    for family, address in ((socket.AF_INET, "1.1.1.1"), (socket.AF_INET6, "2606:4700:4700::1111")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe_socket:
                probe_socket.connect((address, 53))
                return True
        except OSError:
            continue
    return False


def system_load() -> float:
    """Processes that want to run, over the last minute; 0 where the system does not tell."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return 0.0
