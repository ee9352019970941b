"""Why texts that were looked at have no label."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from querist.app.views.troubles import lost_rows
from querist.memory.records import (
    Action,
    Annotation,
    ExampleId,
    LabelClass,
    RunId,
    Task,
    Verdict,
)
from querist.memory.run.labelling import Labelling
from querist.memory.run.runs import Runs
from querist.memory.store import open_store

_TASK = Task("t", "classification", (LabelClass("a"), LabelClass("b")))
_GUESS = "no better than guessing"


def _verdict(example: str, action: Action, reason: str, *, round_: int = 0) -> Verdict:
    return Verdict(ExampleId(example), round_, 0, None, 0.5, action, reason)


def test_what_the_verifier_dropped_is_told_with_why(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        runs = Runs(store)
        runs.create(RunId("run"), task=_TASK, dataset="d", config={}, cap=Decimal(1))
        labelling = Labelling(store, "run", lease=runs.take(RunId("run")))
        refused = Annotation(
            ExampleId("refused"), "llm:x", None, 0, status="refused", rationale="filter"
        )
        labelling.open_batch(0, [ExampleId(name) for name in ("a", "b", "c", "d", "refused")])
        labelling.annotated(0, [refused])
        dropped = [
            _verdict("a", Action.DROP, f"51% sure: {_GUESS}"),
            _verdict("b", Action.DROP, f"47% sure: {_GUESS}"),
            _verdict("c", Action.ESCALATE, "for people"),
            _verdict("d", Action.DROP, "51% sure: labelled later"),
            _verdict("refused", Action.DROP, "refused: filtered"),
        ]
        labelling.judged(0, dropped, [])
        found = lost_rows(labelling, {ExampleId("d")})
    # One that the provider refused is counted once.
    assert {row.word: (row.count, row.reason) for row in found} == {
        "Dropped": (2, _GUESS),
        "Refused": (1, "filter"),
    }
