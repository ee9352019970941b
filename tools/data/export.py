"""Write labelled data where other tools can read it, with where every label came from.

An export is written aside and put in place by a rename, so a full disk leaves the former export
as it was. Texts are never altered: a spreadsheet may take a text that begins with `=` in a CSV
for a formula, so open exports of untrusted texts there with care, or take another format.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import get_args

from querist.memory.answers import Answer, Choices, Number, Preference, Spans, name_of
from querist.memory.errors import InvalidInput, MissingExtra
from querist.memory.records import Example, ExampleId, Label, Task
from querist.tools.data.annotation.label_studio import write_interface, write_tasks
from querist.tools.data.places import ExportFormat, refuse_target, replacing
from querist.tools.kinds.interfaces import control_of
from querist.tools.wording import suggest


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One example with what stands for it and what it cost."""

    example: Example
    label: Label | None = None
    usd: Decimal = Decimal(0)
    annotators: tuple[str, ...] = ()
    rationale: str = ""
    more: Mapping[str, object] = field(default_factory=dict)
    """Further columns, the same in every row."""


def export_rows(
    rows: Iterable[ExportRow],
    path: Path,
    *,
    format: ExportFormat,  # noqa: A002, the word the command line uses
    task: Task,
    force: bool = True,
) -> int:
    """Write rows to `path` and tell how many; what stood there is replaced, or kept on failure.

    Without `force` nothing that is there is replaced.

    `hf` writes a folder for `datasets.load_from_disk`; `label-studio` writes the tasks and beside
    them `STEM.config.xml`, the labelling interface. The columns are those of `_flat`; lists and
    objects are JSON text everywhere but in JSON Lines. Raises `StoreError` when the disk will not
    take it, `InvalidInput` for a wrong format or target, `MissingExtra` for `hf` without the extra.
    """
    if format not in get_args(ExportFormat):
        known = ", ".join(get_args(ExportFormat))
        raise InvalidInput(
            f"There is no export format {format!r}.{suggest(format, get_args(ExportFormat))} "
            f"The formats are {known}."
        )
    kept = tuple(rows)
    path = path.expanduser()
    refuse_target(path, is_folder=format == "hf", force=force)
    if format == "label-studio":
        with replacing(path) as draft, replacing(path.with_suffix(".config.xml")) as interface:
            write_tasks(
                ((row.example, row.label, _provenance(row)) for row in kept), draft, task=task
            )
            write_interface(task, interface, fields=_fields(kept, task))
        return len(kept)
    with replacing(path) as draft:
        _WRITERS[format](kept, draft, task)
    return len(kept)


# ---------------------------------------------------------------- columns


def _flat(row: ExportRow, *, fields: Sequence[str]) -> dict[str, object]:
    """Lay a row out in columns: id, the fields, the label and its provenance.

    A field keeps its name; a column of ours with the same name gets the prefix `querist_`. `usd`
    is exact decimal text. `label` is a name or a text, a number, or a list (several labels,
    spans); `aspects` holds per-aspect scores, and a preference's strength.
    """
    texts = {name: _encodable(row.example.fields.get(name, "")) for name in fields}
    ours = {_free(name, fields): value for name, value in _provenance(row).items()}
    name = _free("id", fields)
    more = {_free(name, (*fields, *ours)): value for name, value in row.more.items()}
    return {name: ours.pop(name), **texts, **ours, **more}


def _free(name: str, fields: Sequence[str]) -> str:
    while name in fields:
        name = f"querist_{name}"
    return name


def _provenance(row: ExportRow) -> dict[str, object]:
    example, label = row.example, row.label
    return {
        "id": str(example.id),
        "label": _plain_answer(label.answer) if label else None,
        "source": label.source if label else None,
        "who": label.who if label else None,
        "weight": _finite(label.weight) if label else None,
        "p_correct": _finite(label.p_correct) if label else None,
        "round": label.round if label else None,
        "origin": str(example.origin),
        "parents": [str(parent) for parent in example.parents],
        "probabilities": _numbers(label.probabilities) if label else None,
        "aspects": _aspects(label.answer) if label else None,
        "usd": f"{row.usd:f}",
        "split": str(example.split),
        "annotators": list(row.annotators),
        "rationale": _encodable(row.rationale),
    }


def _plain_answer(answer: Answer) -> str | float | list[object] | None:
    """Give an answer as JSON would have it, without its aspects."""
    if isinstance(answer, Choices):
        return list(answer.values)
    if isinstance(answer, Spans):
        return [{"start": s.start, "end": s.end, "label": s.label} for s in answer.values]
    return _finite(answer.value) if isinstance(answer, Number) else _encodable(answer.value)


def _aspects(answer: Answer) -> dict[str, float | None] | None:
    scores = dict(answer.aspects or {})
    if isinstance(answer, Preference) and answer.strength is not None:
        scores["strength"] = answer.strength
    return _numbers(scores or None)


def _numbers(values: Mapping[str, float] | None) -> dict[str, float | None] | None:
    return None if values is None else {name: _finite(value) for name, value in values.items()}


def _finite(value: float) -> float | None:
    # JSON has no NaN, and readers disagree about it.
    return float(value) if math.isfinite(value) else None


def _encodable(text: str) -> str:
    # A model's reply may hold half a surrogate pair, which no file format can store.
    return text.encode("utf-8", "replace").decode("utf-8")


def _fields(rows: Sequence[ExportRow], task: Task) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for row in rows for name in row.example.fields)) or task.fields


def _as_cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


# ---------------------------------------------------------------- formats


def _write_jsonl(rows: Sequence[ExportRow], path: Path, task: Task) -> None:
    fields = _fields(rows, task)
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for row in rows:
            stream.write(json.dumps(_flat(row, fields=fields), ensure_ascii=False) + "\n")


def _write_csv(rows: Sequence[ExportRow], path: Path, task: Task) -> None:
    columns = _columns(rows, task)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _write_parquet(rows: Sequence[ExportRow], path: Path, task: Task) -> None:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    columns, numbers = _columns(rows, task), _number_columns(rows, task)
    kinds = {"float64": pa.float64(), "int64": pa.int64(), "string": pa.string()}
    schema = pa.schema([(name, kinds[numbers.get(name, "string")]) for name in columns])
    pq.write_table(pa.table(columns, schema=schema), path)


def _write_hf(rows: Sequence[ExportRow], path: Path, task: Task) -> None:
    try:
        from datasets import (  # type: ignore[import-untyped]
            ClassLabel,
            Dataset,
            Features,
            Value,
        )
    except ImportError as error:
        raise MissingExtra(
            "The hf format needs the datasets package: pip install 'querist[hub]'"
        ) from error
    columns, numbers = _columns(rows, task), _number_columns(rows, task)
    features = {name: Value(numbers.get(name, "string")) for name in columns}
    if _has_class_labels(rows, task):
        features[_free("label", _fields(rows, task))] = ClassLabel(names=list(task.names))
    dataset = Dataset.from_dict(columns, features=Features(features))
    # Left to itself, datasets writes no file at all for no rows and cannot load that again.
    dataset.save_to_disk(str(path), num_shards=None if rows else 1)


def _has_class_labels(rows: Sequence[ExportRow], task: Task) -> bool:
    """Tell whether every label is one class of the task; a label it lost stays readable as text."""
    answers = [row.label.answer for row in rows if row.label]
    return (
        control_of(task.kind) == "single"
        and bool(task.names)
        and all(name_of(answer) in task.names for answer in answers)
    )


def _columns(rows: Sequence[ExportRow], task: Task) -> dict[str, list[object]]:
    """Turn the rows into columns; answers that are not texts become JSON text."""
    fields = _fields(rows, task)
    # A row without anything names the columns of an export without rows.
    more = dict.fromkeys(rows[0].more) if rows else {}
    names = _flat(ExportRow(Example(ExampleId(""), {}), more=more), fields=fields)
    columns: dict[str, list[object]] = {name: [] for name in names}
    label = _free("label", fields)
    for row in rows:
        for name, value in _flat(row, fields=fields).items():
            cell = str(value) if name == label and isinstance(value, float) else _as_cell(value)
            columns[name].append(cell)
    return columns


def _number_columns(rows: Sequence[ExportRow], task: Task) -> dict[str, str]:
    fields = _fields(rows, task)
    kinds = {"weight": "float64", "p_correct": "float64", "round": "int64"}
    return {_free(name, fields): kind for name, kind in kinds.items()}


_WRITERS: Mapping[str, Callable[[Sequence[ExportRow], Path, Task], None]] = {
    "jsonl": _write_jsonl,
    "csv": _write_csv,
    "parquet": _write_parquet,
    "hf": _write_hf,
}
