"""Retire-Cluster: run tasks on a cluster of whatever devices there are. See docs/python.md."""

from retire_cluster.log import get_logger
from retire_cluster.version import VERSION as __version__

__all__ = ["__version__", "get_logger"]
