"""What the handlers did: the file that the witness plugin appends to."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List


@dataclass(frozen=True)
class Execution:
    """One run of a task's handler."""

    name: str
    attempt: int
    ended: bool  # it came to its end; False: it was killed, or runs


def read(path: Path) -> Dict[str, List[Execution]]:
    """Task ID → its executions in the order they began.

    Lines are `begin TASK-ID ATTEMPT NAME` and `end NAME`, each appended by one write. Errors: ValueError.
    """
    begun: Dict[str, List[List[str]]] = defaultdict(list)
    ended = set()
    if not path.exists():
        return {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split()
        if len(words) == 4 and words[0] == "begin":
            begun[words[1]].append(words)
        elif len(words) == 2 and words[0] == "end":
            ended.add(words[1])
        else:
            raise ValueError(f"{path}:{number}: not a line of the witness: {line[:200]!r}")
    return {
        task: [Execution(name, int(attempt), name in ended) for _, _, attempt, name in lines]
        for task, lines in begun.items()
    }
