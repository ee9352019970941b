"""What Label Studio exports, read as rows: JSON (whole tasks), JSON_MIN and CSV (annotations).

Labels come from annotations that were not cancelled, by majority where there are several; those
marked as ground truth count alone. Predictions are models' guesses and never taken for labels.
Each choice of the labelling interface becomes a column under its own name, as in JSON_MIN.
https://labelstud.io/guide/export
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from querist.tools.data.annotation.opinions import majority, merge_opinions
from querist.tools.data.table import NumberedRow, Remarks, Row

_PARTS = {"annotations", "completions", "predictions"}
_WITHOUT = {"id", "data", "meta"}
_MIN = {"annotation_id", "annotator", "lead_time"}
_KEPT_APART = {"annotation_id", "annotator", "created_at", "updated_at", "lead_time", "id"}
_CANCELLED = "cancelled annotations, not counted"
_PREDICTED = "predictions of models, not taken for labels"


def is_task(row: Row) -> bool:
    """Tell whether a row is a whole task, with annotations or without."""
    return isinstance(row.get("data"), dict) and (
        not _PARTS.isdisjoint(row) or row.keys() <= _WITHOUT
    )


def is_annotation(row: Row) -> bool:
    """Tell whether a row is one annotation of a task (JSON_MIN, CSV)."""
    return row.keys() >= _MIN and "id" in row


def read_tasks(rows: Iterator[NumberedRow], remarks: Remarks) -> Iterator[NumberedRow]:
    """Make a row of each task: its data, a column for each choice, its id."""
    for number, task in rows:
        data = task.get("data")
        if not isinstance(data, dict):
            remarks.skip("a task without data", number)
            continue
        row: dict[str, object] = dict(data)
        for name, votes in _votes(task, number, remarks).items():
            row[name], said = majority(votes)
            if said:
                remarks.mend(said, number)
        if "id" in task:
            row.setdefault("id", task["id"])
        # What an annotation took the name of is still found as data.NAME.
        row.setdefault("data", data)
        yield number, row


def read_annotations(rows: Iterator[NumberedRow], remarks: Remarks) -> Iterator[NumberedRow]:
    """Make one row of all annotations of a task."""
    return merge_opinions(
        rows, remarks, same=lambda numbered: str(numbered[1].get("id")), voted=_differing
    )


def _differing(members: Sequence[NumberedRow]) -> list[str]:
    columns = dict.fromkeys(column for _, row in members for column in row)
    return [
        column
        for column in columns
        if column not in _KEPT_APART and len({str(row.get(column)) for _, row in members}) > 1
    ]


def _votes(task: Row, number: int, remarks: Remarks) -> dict[str, list[object]]:
    """Collect what annotators chose, by the name of the choice; nobody's choice is no vote."""
    annotations = _objects(task.get("annotations")) or _objects(task.get("completions"))
    kept = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    if len(kept) < len(annotations):
        remarks.mend(_CANCELLED, number)
    if task.get("predictions"):
        remarks.mend(_PREDICTED, number)
    kept = [answer for answer in kept if answer.get("ground_truth")] or kept
    votes: dict[str, list[object]] = {}
    for annotation in kept:
        chosen: dict[str, list[object]] = {}
        for result in _objects(annotation.get("result")):
            values = _values(result)
            if values:
                name = str(result.get("from_name") or "label")
                chosen.setdefault(name, []).extend(values)
        for name, values in chosen.items():
            votes.setdefault(name, []).append(values[0] if len(values) == 1 else values)
    return votes


def _values(result: Mapping[str, object]) -> list[object]:
    """Read what was chosen in one control; a stretch of the text stays an object that says so."""
    value = result.get("value")
    if not isinstance(value, Mapping):
        return []
    if "start" in value and "end" in value:
        return [dict(value)]
    for kind in ("choices", "taxonomy", "labels", "rating", "number", "text"):
        given = value.get(kind)
        if kind == "taxonomy" and isinstance(given, list):
            # A path from the root; the class is its last step.
            return [path[-1] for path in given if isinstance(path, list) and path]
        if given is not None:
            return list(given) if isinstance(given, list) else [given]
    return []


def _objects(value: object) -> list[Mapping[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
