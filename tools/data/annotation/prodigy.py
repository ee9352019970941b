"""What Prodigy exports (`db-out`): one answer a line, taken as a label only where it is one.

`accept` holds the options chosen; a `label` is one only where the answer is "accept". Rejected and
ignored examples stay in the pool without a label. https://prodi.gy/docs/api-interfaces
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from querist.tools.data.annotation.opinions import merge_opinions
from querist.tools.data.table import NumberedRow, Remarks, Row

_ANSWERS = {"accept", "reject", "ignore"}
_MARKS = {"_input_hash", "_task_hash", "_view_id", "accept", "options"}


def is_answer(row: Row) -> bool:
    """Tell whether a row is an answer of Prodigy's."""
    return row.get("answer") in _ANSWERS and not _MARKS.isdisjoint(row)


def read_answers(rows: Iterator[NumberedRow], remarks: Remarks) -> Iterator[NumberedRow]:
    """Make one row of all answers about a text, with what was accepted as its `label`."""
    labelled = ((number, _labelled(number, row, remarks)) for number, row in rows)
    return merge_opinions(labelled, remarks, same=_input, voted=_label_only)


def _input(numbered: NumberedRow) -> tuple[str, str]:
    number, row = numbered
    mark, text = row.get("_input_hash"), row.get("text")
    return (str(mark), str(text)) if mark is not None else ("", str(number))


def _label_only(_: Sequence[NumberedRow]) -> list[str]:
    return ["label"]


def _labelled(number: int, row: Row, remarks: Remarks) -> Row:
    if row.get("answer") in {"reject", "ignore"}:
        remarks.mend(f"answered with {row['answer']}: left without a label", number)
        return {**row, "label": None}
    accepted = row.get("accept")
    if not isinstance(accepted, list):
        return {**row, "label": row.get("label") or row.get("spans")}
    options = row.get("options")
    texts = {
        str(option.get("id")): option.get("text")
        for option in (options if isinstance(options, list) else [])
        if isinstance(option, Mapping)
    }
    # Numbered options say nothing by themselves.
    chosen = [
        texts.get(str(choice), choice) if isinstance(choice, int) else choice for choice in accepted
    ]
    return {**row, "label": chosen[0] if len(chosen) == 1 else chosen}
