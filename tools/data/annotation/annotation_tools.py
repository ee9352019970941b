"""Exports of annotation tools, told by the keys of their rows and read as plain rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from querist.tools.data.annotation import label_studio_tasks as label_studio
from querist.tools.data.annotation import prodigy
from querist.tools.data.table import NumberedRow, Remarks

_SAMPLE = 20
_READERS = (
    (label_studio.is_task, label_studio.read_tasks),
    (label_studio.is_annotation, label_studio.read_annotations),
    (prodigy.is_answer, prodigy.read_answers),
)


def plain_rows(rows: Iterator[NumberedRow], remarks: Remarks) -> Iterator[NumberedRow]:
    """Give rows as they are, or what they say where an annotation tool wrote them."""
    first = list(islice(rows, _SAMPLE))
    rows = chain(first, rows)
    for is_written_by, read in _READERS:
        if first and 2 * sum(is_written_by(row) for _, row in first) > len(first):
            return read(rows, remarks)
    return rows
