"""The checker finds each fault that is planted, and only that one. Without processes."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List

import pytest

from checker import history, verdict, witness
from checker.history import Intended, Writer
from checker.verdict import Verdict, judge
from checker.witness import Execution

A = Intended("a", "key-a")
B = Intended("b", "key-b", expect=("failed:as it was told",))
ONCE = Intended("o", "key-o", expect=("success", "failed:device "), once=True)


class Run:
    """A run without a fault: three tasks that were acknowledged and ended as they should. Tests spoil it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.client = Writer(home / "client.jsonl")
        self.audit = Writer(home / "audit.jsonl")
        self.witness: Dict[str, List[Execution]] = {
            "a": [Execution("run-a", 1, True)],
            "b": [Execution("run-b", 1, True)],
            "o": [Execution("run-o", 1, True)],
        }

    def begin(self) -> None:
        self.client.ok(self.client.invoke([A, B, ONCE]))

    def result(self, to: Writer, task: str, **other: str) -> None:
        ends = {
            "a": {"status": "success", "key": "key-a", "execution": "run-a"},
            "b": {"status": "failed", "error": "as it was told"},
            "o": {"status": "success", "key": "key-o", "execution": "run-o"},
        }
        words = {**ends[task], **other}
        to.seen(_now(), "test", task, words.pop("status"), **words)

    def results(self, to: Writer, *tasks: str) -> None:
        for task in tasks or ("a", "b", "o"):
            self.result(to, task)

    def verdict(self) -> Verdict:
        read = [history.read(path) for path in sorted(self.home.glob("*.jsonl"))]
        return judge(read, self.witness)


def _now() -> float:
    return history.time.monotonic()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run(tmp_path)
    made.begin()
    return made


def test_a_run_without_a_fault_passes(run: Run) -> None:
    run.results(run.client)
    run.results(run.audit)
    run.audit.listed(["a", "b", "o"])
    found = run.verdict()
    found.check()
    assert (found.submitted, found.acknowledged, found.ended, found.executions, found.sights) == (3, 3, 3, 3, 6)
    assert found.reasons == {"success": 2, "failed": 1}
    assert (found.unknown, found.recovered, found.refused, found.resent, found.repeated) == (0, 0, 0, 0, [])


def _missing_in_the_audit(run: Run) -> None:
    run.results(run.audit, "a", "b")
    run.audit.seen(_now(), "audit", "o", "missing")


def _never_seen_again(run: Run) -> None:
    run.results(run.audit, "a", "b")


def _missing_after_its_result(run: Run) -> None:
    run.results(run.audit)
    run.client.seen(_now(), "get", "a", "missing")


def _new_when_submitted_again(run: Run) -> None:
    run.results(run.audit)
    run.client.ok(run.client.invoke([A]), known=[])


def _queued_for_ever(run: Run) -> None:
    run.results(run.audit, "a", "b")
    run.audit.seen(_now(), "audit", "o", "queued")


def _twice_in_the_list(run: Run) -> None:
    run.results(run.audit)
    run.audit.listed(["a", "b", "o", "b"])


def _listed_and_never_submitted(run: Run) -> None:
    run.results(run.audit)
    run.audit.listed(["a", "b", "o", "x"])


def _a_result_of_nobodys_task(run: Run) -> None:
    run.results(run.audit)
    run.client.seen(_now(), "push", "x", "success", key="x", execution="run-a")


def _refused_and_there(run: Run) -> None:
    run.results(run.audit)
    run.client.failed(run.client.invoke([Intended("x", "key-x")]), "busy")
    run.audit.seen(_now(), "audit", "x", "queued")


def _run_and_never_submitted(run: Run) -> None:
    run.results(run.audit)
    run.witness["x"] = [Execution("run-x", 1, True)]


def _the_result_of_another(run: Run) -> None:
    run.results(run.audit, "b", "o")
    run.result(run.audit, "a", key="key-b")


def _failed_instead_of_success(run: Run) -> None:
    run.results(run.audit, "b", "o")
    run.result(run.audit, "a", status="failed", error="no such file")


def _failed_with_another_message(run: Run) -> None:
    run.results(run.audit, "a", "o")
    run.result(run.audit, "b", error="its device was lost")


def _other_content_is_taken(run: Run) -> None:
    run.results(run.audit)
    run.client.ok(run.client.invoke([Intended("a", "another key")]), known=["a"])


def _two_results(run: Run) -> None:
    run.results(run.client)
    run.results(run.audit, "b", "o")
    run.result(run.audit, "a", execution="run-a2")
    run.witness["a"].append(Execution("run-a2", 2, True))


def _success_then_failure(run: Run) -> None:
    run.results(run.client)
    run.results(run.audit, "a", "b")
    run.result(run.audit, "o", status="failed", error="device d was lost with it")


def _queued_after_its_end(run: Run) -> None:
    run.results(run.client)
    run.client.seen(_now(), "get", "a", "queued")
    run.results(run.audit)


def _twice_though_once(run: Run) -> None:
    run.results(run.audit)
    run.witness["o"].append(Execution("run-o2", 2, False))


def _a_result_out_of_nothing(run: Run) -> None:
    run.results(run.audit)
    run.witness["a"] = []


PLANTED: Dict[Callable[[Run], None], str] = {
    _missing_in_the_audit: "lost",
    _never_seen_again: "lost",
    _missing_after_its_result: "lost",
    _new_when_submitted_again: "lost",
    _queued_for_ever: "unended",
    _twice_in_the_list: "duplicated",
    _listed_and_never_submitted: "unexpected",
    _a_result_of_nobodys_task: "unexpected",
    _refused_and_there: "unexpected",
    _run_and_never_submitted: "unexpected",
    _the_result_of_another: "wrong",
    _failed_instead_of_success: "wrong",
    _failed_with_another_message: "wrong",
    _other_content_is_taken: "wrong",
    _two_results: "double_final",
    _success_then_failure: "double_final",
    _queued_after_its_end: "double_final",
    _twice_though_once: "ran_twice",
    _a_result_out_of_nothing: "not_run",
}


@pytest.mark.parametrize("spoil", PLANTED, ids=lambda spoil: spoil.__name__.strip("_"))
def test_a_planted_fault_is_found(run: Run, spoil: Callable[[Run], None]) -> None:
    spoil(run)
    found = run.verdict()
    assert {name: len(lines) for name, lines in found.faults().items()} == {PLANTED[spoil]: 1}
    with pytest.raises(AssertionError, match=PLANTED[spoil]):
        found.check()


def test_every_kind_of_fault_has_been_planted() -> None:
    every = Verdict(**{name: ["x"] for name, value in vars(Verdict()).items() if isinstance(value, list)})
    assert set(every.faults()) == set(PLANTED.values())


def test_an_unknown_outcome_is_no_fault_whatever_became_of_it(run: Run) -> None:
    run.results(run.audit)
    run.client.unknown(run.client.invoke([Intended("c", "key-c")]), "no answer")
    run.client.invoke([Intended("d", "key-d")])  # killed before it was told
    run.audit.seen(_now(), "audit", "c", "success", key="key-c", execution="run-c")
    run.audit.seen(_now(), "audit", "d", "missing")
    run.witness["c"] = [Execution("run-c", 1, True)]
    found = run.verdict()
    found.check()
    assert (found.acknowledged, found.unknown, found.recovered) == (3, 2, 1)


def test_what_was_asked_before_it_was_acknowledged_says_nothing(run: Run) -> None:
    number = run.client.invoke([Intended("c", "key-c")])
    asked = _now()
    run.client.ok(number)
    run.client.seen(asked, "get", "c", "missing")
    run.audit.seen(_now(), "audit", "c", "success", key="key-c", execution="run-c")
    run.witness["c"] = [Execution("run-c", 1, True)]
    run.results(run.audit)
    run.verdict().check()


def test_a_task_that_may_run_again_is_counted_and_no_fault(run: Run) -> None:
    run.results(run.audit)
    run.witness["a"].insert(0, Execution("run-a0", 1, False))
    found = run.verdict()
    found.check()
    assert len(found.repeated) == 1 and found.executions == 4


def test_other_content_that_is_refused_is_no_fault(run: Run) -> None:
    run.results(run.audit)
    run.client.failed(run.client.invoke([Intended("a", "another key")]), "conflict")
    run.verdict().check()


def test_a_history_that_was_cut_off_is_read_and_one_that_is_damaged_is_not(run: Run, tmp_path: Path) -> None:
    run.results(run.audit)
    path = tmp_path / "client.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"e":"inv')
    read = history.read(path)
    assert read.torn and len(read.submissions) == 1 and read.left is None
    path.write_bytes(whole + b'{"e":"inv\n' + whole)
    with pytest.raises(ValueError, match="client.jsonl:3: no event of a history"):
        history.read(path)
    path.write_bytes(b'{"e":"ok","n":9,"t":1}\n')
    with pytest.raises(ValueError, match="client.jsonl:1"):
        history.read(path)


def test_the_witness_is_read(tmp_path: Path) -> None:
    path = tmp_path / "witness.log"
    assert witness.read(path) == {}
    path.write_text("begin t 1 x\nbegin t 2 y\nend y\n")
    assert witness.read(path) == {"t": [Execution("x", 1, False), Execution("y", 2, True)]}
    path.write_text("begin t\n")
    with pytest.raises(ValueError, match="witness.log:1"):
        witness.read(path)


def test_the_verdict_imports_nothing_of_the_system() -> None:
    for module in (history, verdict, witness):
        assert module.__file__ is not None
        for line in Path(module.__file__).read_text().splitlines():
            if line.startswith(("import ", "from ")):
                assert line.split()[1].split(".")[0] in {
                    "__future__", "checker", "collections", "dataclasses", "json", "pathlib", "time", "typing",
                }, line  # fmt: skip
