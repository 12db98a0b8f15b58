"""Tasks: what they are, how they are submitted, and how they are run."""

from retire_cluster.tasks.executor import TaskExecutor
from retire_cluster.tasks.queue import TaskQueue
from retire_cluster.tasks.requirements import TaskRequirements
from retire_cluster.tasks.result import TaskResult
from retire_cluster.tasks.scheduler import TaskScheduler
from retire_cluster.tasks.task import Task
from retire_cluster.tasks.words import TaskPriority, TaskStatus
from retire_cluster.worker.context import PermanentError, TaskContext

__all__ = [
    "PermanentError",
    "Task",
    "TaskContext",
    "TaskExecutor",
    "TaskPriority",
    "TaskQueue",
    "TaskRequirements",
    "TaskResult",
    "TaskScheduler",
    "TaskStatus",
]
