"""Which columns of a file mean what: those that were named, and the text's if it can be told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from querist.memory.errors import InvalidInput
from querist.tools.data.delimited import HEADLESS
from querist.tools.data.table import Row, Table, has_path, is_number, top_column, value_at
from querist.tools.kinds.names import match_spelling
from querist.tools.wording import quoted, shorten, suggest

_TEXT_COLUMNS = ("text", "sentence", "content", "body", "message", "data")
_HEADLESS_REMEDY = (
    "If the first line is a row and no header, say so: --set data.header=false; the columns are "
    f"then called {HEADLESS}1, {HEADLESS}2 and so on."
)
_LONG_NAME = 40
_SEQUENCES = {"entities", "relations", "spans"}


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Which columns of a file mean what; a dotted path leads into columns that hold objects."""

    fields: tuple[str, ...] = ()
    """Become `Example.fields` under their own names; empty: the one text column is found."""
    id: str | None = ""
    """None: ids are derived from the content; empty: the column `id` if the file has one."""
    gold: str | None = None
    """The file's own labels, for evaluation; None: there are none."""


def choose_columns(
    table: Table, columns: ColumnMap, *, labels: Collection[str] | None = None
) -> ColumnMap:
    """Fill in what `columns` leaves open and check that all of it exists."""
    for name in (*columns.fields, columns.id, columns.gold):
        if name:
            _check_column(table, name, labels, is_gold=name == columns.gold)
    if len(set(columns.fields)) < len(columns.fields):
        raise InvalidInput(f"A text column is named twice: {quoted(columns.fields)}.")
    if columns.gold and columns.gold in columns.fields:
        raise InvalidInput(
            f"Column {columns.gold!r} cannot be both text and gold label: the agents would read "
            "the answer. Name another text column (--text, or data.text in a task file)."
        )
    chosen = columns.id
    if chosen == "":
        chosen = "id" if "id" in table.columns and "id" not in columns.fields else None
    fields = columns.fields or (_text_column(table, columns, labels),)
    if not columns.fields and table.has_header and _reads_like_data(fields[0], labels):
        table.remarks.note(f"The text's column is called {shorten(fields[0])}. {_HEADLESS_REMEDY}")
    return replace(columns, id=chosen, fields=fields)


def top_columns(table: Table, columns: ColumnMap) -> list[str]:
    """List the columns that have to be read."""
    paths = [*columns.fields, *(path for path in (columns.id, columns.gold) if path)]
    return list(dict.fromkeys(top_column(table.columns, path) for path in paths))


def _check_column(
    table: Table, name: str, labels: Collection[str] | None, *, is_gold: bool
) -> None:
    _refuse_repeated(table, name)
    if name in table.columns:
        return
    top = top_column(table.columns, name)
    inside = [value_at(row, top) for row in table.sample([top])] if top != name else []
    if any(has_path(row, name) for row in (table.sample([top]) if inside else ())):
        return
    keys = dict.fromkeys(
        f"{top}.{key}" for cell in inside if isinstance(cell, dict) for key in cell
    )
    known = list(keys) or table.columns
    raise InvalidInput(
        f"{table.name} has no column {name!r}.{suggest(name, known)} "
        f"Its columns: {quoted(known)}.{_header_hint(table, labels)}"
        f"{_gold_hint(table, name) if is_gold else ''}"
    )


def _header_hint(table: Table, labels: Collection[str] | None) -> str:
    if not table.has_header:
        return ""
    if any(_reads_like_data(name, labels) for name in table.columns):
        return f" {_HEADLESS_REMEDY}"
    return " The first line of a CSV names them."


def _gold_hint(table: Table, name: str) -> str:
    if spans := _SEQUENCES & set(table.columns):
        return (
            f" {quoted(sorted(spans))} hold stretches of text or relations between them, and only "
            "classification runs in this release: one class a row."
        )
    return (
        f" {shorten(name)} was to hold the known labels: name the column that does with --gold "
        "(data.gold in a task file)."
    )


def _reads_like_data(name: str, labels: Collection[str] | None) -> bool:
    """Tell whether a column's name could be a cell: a label, a number, a sentence."""
    if labels and match_spelling(name, tuple(labels)):
        return True
    return is_number(name) or len(name) > _LONG_NAME or len(name.split()) > 3


def _text_column(table: Table, columns: ColumnMap, labels: Collection[str] | None) -> str:
    """Find the one column that can be the text, by its name or by its words."""
    usable = [c for c in table.columns if c not in {"id", columns.id, columns.gold}]
    sample = table.sample(usable)
    wordy = [c for c in usable if c in table.text_columns and not _holds_labels(sample, c, labels)]
    empty = [c for c in usable if all(row.get(c) in (None, "") for row in sample)]
    usual = [c for c in usable if c.casefold() in _TEXT_COLUMNS and (c in wordy or c in empty)]
    for candidates in (usual, wordy):
        if len(candidates) == 1:
            return _checked(table, candidates[0], labels)
    raise InvalidInput(_say_unclear(table, usual or wordy, usable, labels))


def _checked(table: Table, name: str, labels: Collection[str] | None) -> str:
    """Refuse to take the first of the rows for a header where a label in it gives it away."""
    _refuse_repeated(table, name)
    cells = [c for c in table.columns if labels and c in labels] if table.has_header else []
    sample = table.sample(cells) if cells else []
    if any(_holds_labels(sample, cell, labels) for cell in cells):
        raise InvalidInput(
            f"{table.name}: the first line ({quoted(table.columns)}) looks like a row, not like "
            f"the columns' names. {_HEADLESS_REMEDY} If it is a header, name the text's column "
            f"(--text {shorten(name)}, or data.text in a task file)."
        )
    return name


def _refuse_repeated(table: Table, name: str) -> None:
    if name in table.repeated:
        raise InvalidInput(
            f"{table.name}: the header names {shorten(name)} more than once. Rename one of them, "
            f"or name the later one: {shorten(f'{name}.2')}."
        )


def _holds_labels(sample: Sequence[Row], name: str, labels: Collection[str] | None) -> bool:
    """Tell whether a column holds nothing but labels of the task."""
    cells = {str(row[name]) for row in sample if row.get(name) not in (None, "")}
    names = tuple(labels or ())
    return bool(cells) and all(match_spelling(cell, names) for cell in cells)


def _say_unclear(
    table: Table, candidates: Sequence[str], usable: Sequence[str], labels: Collection[str] | None
) -> str:
    hint = _header_hint(table, labels)
    hint = hint if "data.header" in hint else ""
    nested = _nested(table, usable)
    if not candidates and not nested:
        return (
            f"{table.name} has no column of words (its columns: {quoted(table.columns)}), and "
            "Querist labels texts: messages, reviews, documents. If one of them is a text after "
            "all, name it (--text, or data.text in a task file). To choose columns of a table "
            f"of numbers, there is: querist choose features {table.name} --target COLUMN.{hint}"
        )
    first = (*candidates, *nested, *usable)[0]
    several = ""
    if len(candidates) > 1:
        joined = ",".join(candidates[:2])
        several = f"; several are joined with commas: --text {joined}"
    return (
        f"{table.name}: cannot tell which column holds the text. "
        f"Name it, for example --text {first} (data.text in a task file){several}. "
        f"Its columns: {quoted([*table.columns, *nested])}.{hint}"
    )


def _nested(table: Table, usable: Sequence[str]) -> list[str]:
    """List texts inside columns that hold objects, as dotted paths."""
    objects = [c for c in usable if c not in table.text_columns]
    paths: dict[str, None] = {}
    for row in table.sample(objects)[:20]:
        for column in objects:
            value = row.get(column)
            for key, inner in value.items() if isinstance(value, dict) else ():
                if isinstance(inner, str):
                    paths[f"{column}.{key}"] = None
    return list(paths)
