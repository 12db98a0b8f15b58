"""TaskQueue: a look at main's queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

if TYPE_CHECKING:
    from retire_cluster.tasks.scheduler import TaskScheduler


class TaskQueue:
    """Main's queue, seen through a scheduler. Thread-safe as that is."""

    def __init__(self, scheduler: TaskScheduler) -> None:
        self._scheduler = scheduler

    def get_queue_statistics(self) -> Dict[str, Any]:
        """A dict of total_tasks, by_status, by_priority, by_device and by_type: numbers of all tasks that
        main keeps, finished ones included."""
        statistics: Dict[str, Any] = self._scheduler.get_cluster_statistics()["queue_stats"]
        return statistics
