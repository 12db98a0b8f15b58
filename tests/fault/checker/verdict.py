"""The verdict on a run: what was lost, duplicated, unexpected, wrong, or ended twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Dict, Iterable, List, Mapping, Sequence, Set

from checker.history import MISSING, History, Intended, Sight
from checker.witness import Execution

_SHOWN = 5


@dataclass
class Verdict:
    # Each list holds one line of text for every finding, beginning with the task's ID.
    lost: List[str] = field(default_factory=list)  # acknowledged, and main does not know it, or has never known it
    unended: List[str] = field(default_factory=list)  # acknowledged, and no final state by the end
    duplicated: List[str] = field(default_factory=list)  # one task twice in main's list
    unexpected: List[str] = field(default_factory=list)  # nobody submitted it, or the submission failed for certain
    wrong: List[str] = field(default_factory=list)  # a result, or an end, that is not this task's
    double_final: List[str] = field(default_factory=list)  # two different ends, or no end after one
    ran_twice: List[str] = field(default_factory=list)  # though it may run once at most
    not_run: List[str] = field(default_factory=list)  # a success without an execution that made it
    repeated: List[str] = field(default_factory=list)  # ran more than once, as it may: no fault of its own

    submitted: int = 0  # tasks whose submission began
    acknowledged: int = 0
    refused: int = 0
    unknown: int = 0  # of unknown outcome,
    recovered: int = 0  # of them, those that main turned out to have
    resent: int = 0  # submissions sent more than once
    ended: int = 0
    executions: int = 0
    sights: int = 0
    reasons: Dict[str, int] = field(default_factory=dict)  # of final tasks: main's reason, or the status without one

    def faults(self) -> Dict[str, List[str]]:
        """Everything that must not be, by name; empty when all is well."""
        names = ("lost", "unended", "duplicated", "unexpected", "wrong", "double_final", "ran_twice", "not_run")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def summary(self) -> str:
        counts = ("submitted", "acknowledged", "refused", "unknown", "recovered", "resent", "ended", "executions", "sights")
        lists = ("repeated", "lost", "unended", "duplicated", "unexpected", "wrong", "double_final", "ran_twice", "not_run")
        words = [f"{name}={getattr(self, name)}" for name in counts]
        return " ".join(words + [f"{name}={len(getattr(self, name))}" for name in lists])

    def check(self) -> None:
        """Errors: AssertionError with the counts and the first findings of each kind."""
        found = self.faults()
        shown = [f"{name}: {line}" for name, lines in found.items() for line in lines[:_SHOWN]]
        assert not found, "\n".join([self.summary(), *shown])


def judge(histories: Sequence[History], executions: Mapping[str, Sequence[Execution]]) -> Verdict:
    """To be called when the faults are over, everything has ended, and an audit has looked at every task."""
    verdict = Verdict()
    intended = _intended(histories, verdict)
    sights: Dict[str, List[Sight]] = defaultdict(list)
    for history in histories:
        for sight in history.sights:
            sights[sight.id].append(sight)
            verdict.sights += 1
    acknowledged = _acknowledged(histories)
    submitted = {task for task, tries in _tries(histories).items() if "ok" in tries or "unknown" in tries}

    _judge_submissions(histories, acknowledged, verdict)
    _judge_lists(histories, submitted, verdict)
    for task in acknowledged:
        _judge_acknowledged(task, acknowledged[task], sights.get(task, []), verdict)
    for task, seen in sights.items():
        if task not in submitted:
            if any(sight.status != MISSING for sight in seen):
                verdict.unexpected.append(f"{task} is known to main, and was never submitted")
            continue
        _judge_ends(intended[task], seen, verdict)
        if task not in acknowledged and any(sight.status != MISSING for sight in seen):
            verdict.recovered += 1
    _judge_executions(intended, submitted, sights, executions, verdict)

    verdict.reasons = _reasons(sights)
    verdict.acknowledged = len(acknowledged)
    verdict.unknown = len(submitted) - len(acknowledged)
    verdict.refused = verdict.submitted - len(submitted)
    return verdict


def _intended(histories: Iterable[History], verdict: Verdict) -> Dict[str, Intended]:
    """What each task was meant to be. An ID that is tried with other content, which main must refuse, keeps its first."""
    found: Dict[str, Intended] = {}
    for history in histories:
        for submission in history.submissions:
            verdict.resent += submission.sent > 1
            for task in submission.tasks:
                first = found.setdefault(task.id, task)
                if first != task and submission.outcome == "ok":
                    verdict.wrong.append(f"{task.id} was taken as {task.key} although it is {first.key}")
    verdict.submitted = len(found)
    return found


def _tries(histories: Iterable[History]) -> Dict[str, List[str]]:
    """The outcomes of each task's submissions."""
    found: Dict[str, List[str]] = defaultdict(list)
    for history in histories:
        for submission in history.submissions:
            for task in submission.tasks:
                found[task.id].append(submission.outcome)
    return found


def _acknowledged(histories: Iterable[History]) -> Dict[str, float]:
    """Task → when its first acknowledgement came."""
    found: Dict[str, float] = {}
    for history in histories:
        for submission in history.submissions:
            if submission.outcome == "ok" and submission.end is not None:
                for task in submission.tasks:
                    found[task.id] = min(found.get(task.id, submission.end), submission.end)
    return found


def _judge_submissions(histories: Iterable[History], acknowledged: Mapping[str, float], verdict: Verdict) -> None:
    """A task that was acknowledged before is known to main when it is submitted again."""
    for history in histories:
        for submission in history.submissions:
            if submission.outcome != "ok":
                continue
            known = set(submission.known)
            for task in submission.tasks:
                if acknowledged[task.id] < submission.begin and task.id not in known:
                    verdict.lost.append(f"{task.id} was acknowledged, and new to main when it was submitted again")


def _judge_lists(histories: Iterable[History], submitted: Set[str], verdict: Verdict) -> None:
    for history in histories:
        for listed in history.lists:
            for task, count in Counter(listed).items():
                if count > 1:
                    verdict.duplicated.append(f"{task} stands {count} times in main's list")
                if task not in submitted:
                    verdict.unexpected.append(f"{task} stands in main's list, and was never submitted")


def _judge_acknowledged(task: str, since: float, seen: Sequence[Sight], verdict: Verdict) -> None:
    missing = [sight for sight in seen if sight.status == MISSING and sight.since >= since]
    if missing:
        verdict.lost.append(f"{task} was acknowledged at {since:.3f}, and unknown to main at {missing[0].time:.3f}")
    elif not seen:
        verdict.lost.append(f"{task} was acknowledged, and nobody has seen it since")
    elif not any(sight.final for sight in seen):
        verdict.unended.append(f"{task} is {max(seen, key=lambda sight: sight.time).status}")


def _judge_ends(task: Intended, seen: Sequence[Sight], verdict: Verdict) -> None:
    ends = sorted((sight for sight in seen if sight.final), key=lambda sight: sight.time)
    if not ends:
        return
    verdict.ended += 1
    states = {sight.end_state() for sight in ends}
    if len(states) > 1:
        verdict.double_final.append(f"{task.id} has ended as {' and as '.join(map(str, sorted(states, key=str)))}")
    # What was asked after an end was seen, and was no end.
    undone = [s for s in seen if not s.final and s.status != MISSING and s.since > ends[0].time]
    if undone:
        verdict.double_final.append(f"{task.id} was {undone[0].status} after it had been {ends[0].status}")
    for sight in ends:
        if not any(_meets(sight, expected) for expected in task.expect):
            verdict.wrong.append(f"{task.id} ended as {sight.status} ({sight.error}), expected {task.expect}")
            break
        if sight.status == "success" and sight.key != task.key:
            verdict.wrong.append(f"{task.id} has the result of {sight.key}, not of {task.key}")
            break


def _reasons(sights: Mapping[str, Sequence[Sight]]) -> Dict[str, int]:
    found: Counter[str] = Counter()
    for seen in sights.values():
        ends = [sight for sight in seen if sight.final]
        if ends:
            found[next((sight.reason for sight in ends if sight.reason), ends[0].status)] += 1
    return dict(found)


def _meets(sight: Sight, expected: str) -> bool:
    status, _, message = expected.partition(":")
    return sight.status == status and (not message or (sight.error or "").startswith(message))


def _judge_executions(
    intended: Mapping[str, Intended],
    submitted: Set[str],
    sights: Mapping[str, Sequence[Sight]],
    executions: Mapping[str, Sequence[Execution]],
    verdict: Verdict,
) -> None:
    for task, runs in executions.items():
        verdict.executions += len(runs)
        if task not in submitted:
            verdict.unexpected.append(f"{task} was run, and never submitted")
        elif len(runs) > 1:
            line = f"{task} was run {len(runs)} times, as attempts {[run.attempt for run in runs]}"
            (verdict.ran_twice if intended[task].once else verdict.repeated).append(line)
    for task in submitted & sights.keys():
        seen = sights[task]
        made = {sight.execution for sight in seen if sight.status == "success"}
        names = {run.name for run in executions.get(task, ())}
        if made - names:
            verdict.not_run.append(f"{task} has a result of {sorted(map(str, made - names))}, which never began")
