"""What a client did and saw, written down as it happens, and read again for judging.

A history is a file of JSON lines. Times are of the monotonic clock that all processes of a machine share.

    {"e": "invoke", "n": 7, "t": …, "tasks": [{"id", "key", "expect", "once"}, …]}   a submission begins
    {"e": "again", "n": 7, "t": …}                   it is sent once more, as it was
    {"e": "ok", "n": 7, "t": …, "known": [id, …]}    main has acknowledged it, and said which of its tasks it knew
    {"e": "failed", "n": 7, "t": …, "why": …}        it has certainly not taken place
    {"e": "unknown", "n": 7, "t": …, "why": …}       nobody can tell; so is one without an outcome
    {"e": "seen", "t": …, "since": …, "how": …, "id", "status", "key", "execution", "error", "reason"}
                                                     what main says of a task, when asked at `since` and told at `t`
    {"e": "listed", "t": …, "ids": [id, …]}          one whole list of main's tasks
    {"e": "end", "t": …, "left": N}                  the client ended in order; N results did not come

`key` is what a task was submitted with and what its result must hold; `expect` the final states it may have, each a
word or `word:text`, where the error message has to begin with the text; `once` that it may run once at most. A status
`missing` says that main does not know the task; `execution` names the run that made the result.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple

FINAL = ("success", "failed", "cancelled", "timeout")
MISSING = "missing"


@dataclass(frozen=True)
class Intended:
    """A task as its client meant it."""

    id: str
    key: str
    expect: Tuple[str, ...] = ("success",)
    once: bool = False


@dataclass
class Submission:
    client: str
    number: int
    tasks: List[Intended]
    begin: float
    end: Optional[float] = None
    outcome: str = "unknown"  # ok | failed | unknown
    known: Tuple[str, ...] = ()
    sent: int = 1


@dataclass(frozen=True)
class Sight:
    """What main said of a task at a moment between `since` and `time`."""

    client: str
    id: str
    status: str
    time: float
    since: float
    how: str
    key: Optional[str] = None
    execution: Optional[str] = None
    error: Optional[str] = None
    reason: Optional[str] = None  # only when main was asked

    @property
    def final(self) -> bool:
        return self.status in FINAL

    def end_state(self) -> Tuple[Any, ...]:
        """What must be the same whenever the task is looked at."""
        return (self.status, self.key, self.execution, self.error)


@dataclass
class History:
    client: str
    submissions: List[Submission] = field(default_factory=list)
    sights: List[Sight] = field(default_factory=list)
    lists: List[List[str]] = field(default_factory=list)
    left: Optional[int] = None  # None: the client did not end in order
    torn: bool = False  # its last line was cut off, as by kill -9


class Writer:
    """Appends to a history. Each line has left the process when the call returns, so kill -9 loses no outcome."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115
        self._number = 0

    def invoke(self, tasks: Iterable[Intended]) -> int:
        """Before anything is sent. The number of the submission."""
        self._number += 1
        listed = [{"id": t.id, "key": t.key, "expect": list(t.expect), "once": t.once} for t in tasks]
        self._write("invoke", n=self._number, tasks=listed)
        return self._number

    def again(self, number: int) -> None:
        self._write("again", n=number)

    def ok(self, number: int, known: Iterable[str] = ()) -> None:
        self._write("ok", n=number, known=list(known))

    def failed(self, number: int, why: str) -> None:
        self._write("failed", n=number, why=why)

    def unknown(self, number: int, why: str) -> None:
        self._write("unknown", n=number, why=why)

    def seen(self, since: float, how: str, task: str, status: str, **more: Any) -> None:
        self._write("seen", since=since, how=how, id=task, status=status, **more)

    def listed(self, ids: Iterable[str]) -> None:
        self._write("listed", ids=list(ids))

    def end(self, left: int) -> None:
        self._write("end", left=left)

    def _write(self, event: str, **fields: Any) -> None:
        line = json.dumps({"e": event, "t": time.monotonic(), **fields}, separators=(",", ":"))
        self._file.write(line.encode() + b"\n")


def read(path: Path) -> History:
    """Errors: ValueError for a line that is no event, but for a last one that was cut off."""
    history = History(path.stem)
    submissions: Dict[int, Submission] = {}
    text = path.read_bytes()
    lines = text.split(b"\n")
    history.torn = lines.pop() != b""
    for number, line in enumerate(lines, 1):
        try:
            _apply(history, submissions, json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}:{number}: no event of a history: {line[:200]!r} ({error!r})") from None
    return history


def _apply(history: History, submissions: Dict[int, Submission], event: Dict[str, Any]) -> None:
    kind = event["e"]
    if kind == "invoke":
        tasks = [Intended(t["id"], t["key"], tuple(t["expect"]), t["once"]) for t in event["tasks"]]
        made = Submission(history.client, event["n"], tasks, event["t"])
        submissions[made.number] = made
        history.submissions.append(made)
    elif kind in ("ok", "failed", "unknown"):
        submission = submissions[event["n"]]
        submission.outcome = kind
        submission.end = event["t"]
        submission.known = tuple(event.get("known", ()))
    elif kind == "again":
        submissions[event["n"]].sent += 1
    elif kind == "seen":
        more = {name: event.get(name) for name in ("key", "execution", "error", "reason")}
        history.sights.append(
            Sight(history.client, event["id"], event["status"], event["t"], event["since"], event["how"], **more)
        )
    elif kind == "listed":
        history.lists.append(event["ids"])
    elif kind == "end":
        history.left = event["left"]
    else:
        raise ValueError(f"unknown event {kind!r}")
