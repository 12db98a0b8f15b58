"""Tasks: what they are, how they are submitted, and how they are run."""

from retire_cluster.tasks.queue import TaskQueue
from retire_cluster.tasks.requirements import TaskRequirements
from retire_cluster.tasks.result import TaskResult
from retire_cluster.tasks.scheduler import TaskScheduler
from retire_cluster.tasks.task import Task
from retire_cluster.tasks.words import TaskPriority, TaskStatus

__all__ = [
    "Task",
    "TaskPriority",
    "TaskQueue",
    "TaskRequirements",
    "TaskResult",
    "TaskScheduler",
    "TaskStatus",
]
