"""The version of this package, and how it calls itself to main."""

from __future__ import annotations

import platform

VERSION = "0.1.0"
PROGRAM = f"retire-cluster-python {VERSION} ({platform.python_implementation()} {platform.python_version()})"
