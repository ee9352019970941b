"""What every reader gives: rows under named columns, and what was noticed while reading."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Literal

from querist.memory.errors import InvalidInput
from querist.tools.wording import counted, places

Row = Mapping[str, object]
NumberedRow = tuple[int, Row]
Unit = Literal["line", "row"]

# Without a schema the columns are learnt from this many rows; gold labels may be sparse.
_LOOK_AHEAD = 10_000
SAMPLE = 200
_MOSTLY = 0.9
"""The share of a column's values that makes it one of texts: odd ones do not change its kind."""


@dataclass(slots=True)
class Remarks:
    """What a reader assumed, mended and could not read; it grows until the last row is read."""

    notes: list[str] = field(default_factory=list)
    mended: dict[str, list[int]] = field(default_factory=dict)
    """What was done to rows, with their numbers."""
    skipped: dict[str, list[int]] = field(default_factory=dict)
    """Why rows could not be read, with their numbers."""

    def note(self, text: str) -> None:
        """Say something about the file as a whole, once."""
        if text not in self.notes:
            self.notes.append(text)

    def mend(self, what: str, number: int) -> None:
        """Note that a row was read, but not quite as it stood."""
        self.mended.setdefault(what, []).append(number)

    def skip(self, why: str, number: int) -> None:
        """Note that a row could not be read."""
        self.skipped.setdefault(why, []).append(number)


@dataclass(frozen=True, slots=True)
class Table:
    """A source of rows that can be read once, with what is known of its columns beforehand."""

    name: str
    unit: Unit
    """What a row's number counts: lines of the file, or rows of data; both from one."""
    columns: tuple[str, ...]
    text_columns: tuple[str, ...]
    """The columns that hold words rather than numbers, as far as looked ahead."""
    rows: Callable[[Sequence[str]], Iterator[NumberedRow]]
    """Yields at least the columns asked for."""
    sample: Callable[[Sequence[str]], Sequence[Row]]
    """The first rows, with at least the columns asked for; may be read again and again."""
    remarks: Remarks = field(default_factory=Remarks)
    repeated: frozenset[str] = frozenset()
    """Names that the header has more than once."""
    has_header: bool = False
    """Its first line was taken for the columns' names, which may be wrong."""


def is_few(broken: int, total: int) -> bool:
    """Tell whether so many broken rows are accidents: at most 1 % (one is), and not the half."""
    return broken <= max(1, total // 100) and 2 * broken < total


@dataclass(slots=True)
class Broken:
    """Rows that cannot be read. A few are skipped and counted; many are an error about the file."""

    name: str
    unit: Unit
    remarks: Remarks
    rows: list[int] = field(default_factory=list)
    first: str = ""
    """The first of them, explained."""

    def add(self, number: int, why: str, message: str) -> None:
        """Note a broken row: in a few words for the summary, at length in case of many."""
        self.rows.append(number)
        self.first = self.first or f"{self.name}, {self.unit} {number}: {message}"
        self.remarks.skip(why, number)

    def check(self, n_good: int) -> None:
        """Raise when they are too many to be accidents; call it when all are read, or before."""
        total = n_good + len(self.rows)
        if not self.rows or is_few(len(self.rows), total):
            return
        more = ""
        if len(self.rows) > 1:
            where = places(self.unit, self.rows)
            more = f" In all {len(self.rows):,} of {counted(total, 'row')} are broken ({where})."
        raise InvalidInput(self.first + more)

    def is_hopeless(self, n_good: int) -> bool:
        """Tell whether there is no point in reading on."""
        return len(self.rows) >= 100 and len(self.rows) > n_good


def look_ahead(
    name: str,
    unit: Unit,
    rows: Iterator[NumberedRow],
    remarks: Remarks,
    *,
    unnamed: Iterable[str] = (),
    repeated: Iterable[str] = (),
    has_header: bool = False,
) -> Table:
    """Learn the columns of rows that have no schema from the first of them.

    `unnamed` columns had no name in the header; where they hold nothing they are no columns.
    """
    head = list(islice(rows, _LOOK_AHEAD))
    if not head:
        raise InvalidInput(f"{name} has no rows: there is nothing to import.")
    columns = dict.fromkeys(column for _, row in head for column in row)
    for column in unnamed:
        if all(row.get(column) in (None, "") for _, row in head):
            columns.pop(column, None)
    return Table(
        name=name,
        unit=unit,
        columns=tuple(columns),
        text_columns=tuple(c for c in columns if _is_wordy(row.get(c) for _, row in head)),
        rows=lambda _: chain(head, rows),
        sample=lambda _: [row for _, row in head[:SAMPLE]],
        remarks=remarks,
        repeated=frozenset(repeated),
        has_header=has_header,
    )


def value_at(row: Row, path: str) -> object:
    """Look up a column, or a dotted path into columns that hold objects: `doc.body`, `tags.0`."""
    if path in row:
        return row[path]
    head, dot, rest = path.partition(".")
    while dot:
        if head in row:
            return _inside(row[head], rest)
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
    return None


def has_path(row: Row, path: str) -> bool:
    """Tell whether a row has something at a dotted path."""
    return value_at(row, path) is not None


def top_column(columns: Sequence[str], path: str) -> str:
    """Name the column that a dotted path begins with."""
    head, dot, rest = path.partition(".")
    while dot and head not in columns:
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
    return head if head in columns else path


def _inside(value: object, path: str) -> object:
    if isinstance(value, Mapping):
        return value_at({str(key): cell for key, cell in value.items()}, path)
    if isinstance(value, list):
        index, _, rest = path.partition(".")
        if not index.isdigit() or int(index) >= len(value):
            return None
        return _inside(value[int(index)], rest) if rest else value[int(index)]
    return None


def _is_wordy(values: Iterable[object]) -> bool:
    """Tell whether nearly all values are texts, and not nearly all numbers."""
    given = [value for value in values if value is not None and value != ""]
    texts = [value for value in given if isinstance(value, str)]
    numbers = sum(map(is_number, texts))
    return bool(texts) and len(texts) >= _MOSTLY * len(given) and numbers <= _MOSTLY * len(texts)


def is_number(text: str) -> bool:
    """Tell whether a cell holds a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
