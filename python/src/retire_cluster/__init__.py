"""Retire-Cluster: run tasks on a cluster of whatever devices there are. See docs/python.md."""

from retire_cluster.local_cluster import LocalCluster
from retire_cluster.log import get_logger
from retire_cluster.version import VERSION as __version__

__all__ = ["LocalCluster", "__version__", "get_logger"]
