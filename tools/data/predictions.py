"""Predict a file of texts: any format that can be imported, row by row, in bounded memory.

Every row of the input is a row of the output, in its order; one without a text gets no prediction
and is counted. The input's columns are kept as they are; a column of ours whose name is taken gets
the prefix `querist_`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, get_args

from querist.memory.errors import InvalidInput, MissingExtra
from querist.memory.records import Example, ExampleId, Label, Task, content_id
from querist.tools.data.annotation.label_studio import write_interface, write_tasks
from querist.tools.data.cells import as_text, clean
from querist.tools.data.columns import ColumnMap, choose_columns
from querist.tools.data.encoding import AUTO
from querist.tools.data.formats import open_table
from querist.tools.data.places import ExportFormat, refuse_target, replacing
from querist.tools.data.table import Row, Table, value_at
from querist.tools.kinds import kind_of
from querist.tools.kinds.names import is_blank
from querist.tools.training.model_folder import AT_ONCE, Model, Record
from querist.tools.wording import quoted

_PREDICTED, _CONFIDENCE = "predicted", "confidence"


@dataclass(frozen=True, slots=True)
class Predicted:
    """A row with what the model says about it; no class where it has no text."""

    row: Row
    text: str
    label: str | None
    confidence: float | None
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PredictedFile:
    """What became of a file."""

    rows: int
    empty: int
    """Rows without a text."""
    fields: tuple[str, ...]
    """The columns that were read as the text."""
    notes: tuple[str, ...] = ()


def predict_file(
    model: Model,
    source: str | Path,
    target: Path,
    *,
    format: ExportFormat,  # noqa: A002, the word the command line uses
    fields: Sequence[str] = (),
    encoding: str = AUTO,
    header: bool = True,
    force: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> PredictedFile:
    """Write `source` to `target` with the model's predictions; `progress` is told the rows so far.

    `fields` are the columns of the text; without them those that the task calls so, else the one
    text column. Raises `InvalidInput` and `StoreError` as import and export do; a former `target`
    is then as it was.
    """
    target = target.expanduser()
    refuse_target(target, is_folder=format == "hf", force=force)
    table = open_table(source, encoding=encoding, header=header)
    used = _fields(model, table, fields)
    opened = model.opened()
    rows = empty = 0
    with replacing(target) as draft, closing(_WRITERS[format](draft, table, model.task, used)) as w:
        for part in _predicted(opened, table, used):
            w.write(part)
            rows += len(part)
            empty += sum(row.label is None for row in part)
            progress(rows)
        if not rows:
            raise InvalidInput(f"{table.name} has no rows to predict.")
    if format == "label-studio":
        write_interface(model.task, target.with_suffix(".config.xml"), fields=used)
    return PredictedFile(rows, empty, used, tuple(table.remarks.notes))


def _fields(model: Model, table: Table, fields: Sequence[str]) -> tuple[str, ...]:
    wanted = tuple(fields) or model.task.fields
    if not fields and not all(name in table.columns for name in wanted):
        if len(wanted) > 1:
            raise InvalidInput(
                f"The model reads the columns {quoted(wanted)}, and {table.name} has "
                f"{quoted(table.columns)}. Name those that stand for them, in this order: "
                "--text A,B"
            )
        wanted = ()
    return choose_columns(table, ColumnMap(fields=wanted, id=None)).fields


def _predicted(model: Model, table: Table, fields: Sequence[str]) -> Iterator[list[Predicted]]:
    rows = (row for _, row in table.rows(table.columns))
    while batch := list(islice(rows, AT_ONCE)):
        texts = [_text(row, fields) for row in batch]
        known = [place for place, text in enumerate(texts) if text]
        said = model.predict([_record(batch[place], fields, model.task) for place in known])
        found: dict[int, tuple[str, Sequence[float]]] = {
            place: (said.labels[i], said.probabilities[i].tolist()) for i, place in enumerate(known)
        }
        yield [
            _row(row, texts[place], found.get(place), model.classes)
            for place, row in enumerate(batch)
        ]


def _row(
    row: Row, text: str, said: tuple[str, Sequence[float]] | None, classes: Sequence[str]
) -> Predicted:
    if said is None:
        return Predicted(row, text, None, None, {})
    label, chances = said
    # Four digits are more than any calibration supports.
    shares = {name: round(chance, 4) for name, chance in zip(classes, chances, strict=True)}
    return Predicted(row, text, label, shares[label], shares)


def _text(row: Row, fields: Sequence[str]) -> str:
    """Join the columns as examples do; "" where there is nothing to read."""
    values = [clean(as_text(value_at(row, name))) for name in fields]
    if all(is_blank(value) for value in values):
        return ""
    return "\n".join(values)


def _record(row: Row, fields: Sequence[str], task: Task) -> Record:
    """Read a row as the model does: by the task's own names, in their order."""
    values = [clean(as_text(value_at(row, name))) for name in fields]
    if len(values) != len(task.fields):
        return "\n".join(values)
    return dict(zip(task.fields, values, strict=True))


# ---------------------------------------------------------------- writers


class Writer(Protocol):
    """Takes rows, a part at a time."""

    def write(self, rows: Sequence[Predicted]) -> None:
        """Append rows."""

    def close(self) -> None:
        """Write what is left."""


def _free(name: str, columns: Sequence[str]) -> str:
    while name in columns:
        name = f"querist_{name}"
    return name


class _JsonLines:
    def __init__(self, path: Path, table: Table) -> None:
        self._stream = path.open("w", encoding="utf-8", errors="replace", newline="\n")
        self._names = [_free(n, table.columns) for n in (_PREDICTED, _CONFIDENCE, "probabilities")]

    def write(self, rows: Sequence[Predicted]) -> None:
        for row in rows:
            ours = zip(self._names, (row.label, row.confidence, row.probabilities), strict=True)
            body = {**row.row, **dict(ours)}
            self._stream.write(json.dumps(body, ensure_ascii=False, default=str) + "\n")

    def close(self) -> None:
        self._stream.close()


class _Csv:
    def __init__(self, path: Path, table: Table, task: Task) -> None:
        self._stream = path.open("w", encoding="utf-8", errors="replace", newline="")
        self._columns, self._classes = table.columns, task.names
        names = (_PREDICTED, _CONFIDENCE, *(f"p({name})" for name in task.names))
        self._writer = csv.writer(self._stream)
        ours = [_free(name, table.columns) for name in names]
        self._writer.writerow([*table.columns, *ours])

    def write(self, rows: Sequence[Predicted]) -> None:
        self._writer.writerows(_cells(row, self._columns, self._classes) for row in rows)

    def close(self) -> None:
        self._stream.close()


class _Parquet:
    def __init__(self, path: Path, table: Table, task: Task) -> None:
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        self._columns, self._classes = table.columns, task.names
        ours = [(_PREDICTED, pa.string()), (_CONFIDENCE, pa.float32())]
        ours += [(f"p({name})", pa.float32()) for name in task.names]
        self._schema = pa.schema(
            [(name, pa.string()) for name in table.columns]
            + [(_free(name, table.columns), kind) for name, kind in ours]
        )
        self._arrow: Any = pa
        self._writer: Any = pq.ParquetWriter(path, self._schema)

    def write(self, rows: Sequence[Predicted]) -> None:
        cells = [_cells(row, self._columns, self._classes) for row in rows]
        columns = [list(column) for column in zip(*cells, strict=True)]
        arrays = [
            self._arrow.array(column, type=field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(self._arrow.table(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


class _Folder(_Parquet):
    """A folder for `datasets.load_from_disk`, made of a Parquet file beside it."""

    def __init__(self, path: Path, table: Table, task: Task) -> None:
        try:
            import datasets  # type: ignore[import-untyped]
        except ImportError as error:
            raise MissingExtra(
                "The hf format needs the datasets package: pip install 'querist[hub]'"
            ) from error
        self._datasets: Any = datasets
        self._target, self._aside = path, path.with_name("rows.parquet")
        super().__init__(self._aside, table, task)

    def close(self) -> None:
        super().close()
        cache = str(self._aside.with_name("cache"))
        dataset = self._datasets.Dataset.from_parquet(str(self._aside), cache_dir=cache)
        dataset.save_to_disk(str(self._target))


class _LabelStudio:
    """Tasks with predictions, gathered: the format is one JSON array."""

    def __init__(self, path: Path, task: Task, fields: Sequence[str]) -> None:
        self._path, self._task, self._fields = path, task, fields
        self._rows: list[Predicted] = []

    def write(self, rows: Sequence[Predicted]) -> None:
        self._rows += rows

    def close(self) -> None:
        write_tasks(map(self._entry, self._rows), self._path, task=self._task)

    def _entry(self, row: Predicted) -> tuple[Example, Label | None, Mapping[str, object]]:
        texts = {name: clean(as_text(value_at(row.row, name))) for name in self._fields}
        example = Example(ExampleId(content_id(texts)), texts)
        if row.label is None or row.confidence is None:
            return example, None, {"p_correct": None}
        label = Label(
            example=example.id,
            answer=kind_of(self._task).answer_of(row.label),
            source="model",
            who="model:querist",
            weight=row.confidence,
            p_correct=row.confidence,
            round=0,
            probabilities=row.probabilities,
        )
        return example, label, {"p_correct": row.confidence}


def _cells(row: Predicted, columns: Sequence[str], classes: Sequence[str]) -> list[object]:
    given: list[object] = [_cell(row.row.get(name)) for name in columns]
    return [*given, row.label, row.confidence, *(row.probabilities.get(name) for name in classes)]


def _cell(value: object) -> str | None:
    return None if value is None else as_text(value)


_Make = Callable[[Path, Table, Task, Sequence[str]], Writer]
_WRITERS: Mapping[str, _Make] = {
    "jsonl": lambda path, table, *_: _JsonLines(path, table),
    "csv": lambda path, table, task, _: _Csv(path, table, task),
    "parquet": lambda path, table, task, _: _Parquet(path, table, task),
    "hf": lambda path, table, task, _: _Folder(path, table, task),
    "label-studio": lambda path, _, task, fields: _LabelStudio(path, task, fields),
}
assert set(_WRITERS) == set(get_args(ExportFormat))
