"""Import a pool: map the rows of an untrusted file to examples and account for every row.

A row that cannot be used is skipped, counted by reason and reported; what would make the whole
import wrong (an unknown column, two texts under one id, an unknown label) is one `InvalidInput`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from querist.memory.answers import Answer, name_of
from querist.memory.errors import InvalidInput
from querist.memory.records import Example, ExampleId, Split, content_id
from querist.tools.data.cells import as_text, clean
from querist.tools.data.columns import ColumnMap, choose_columns, top_columns
from querist.tools.data.encoding import AUTO
from querist.tools.data.formats import open_table
from querist.tools.data.gold import GoldReader
from querist.tools.data.table import Remarks, Row, Table, value_at
from querist.tools.kinds import DEFAULT, Kind
from querist.tools.kinds.names import is_blank
from querist.tools.wording import MOST_PLACES, counted, places, quoted, shorten

__all__ = ["ColumnMap", "Imported", "RowNote", "dataset_id", "load_examples"]

_LONGEST_ID = 200
_CLEANED = "control characters cleaned"
_LATER = "no label, but a later row of the same text has one: taken from there"


@dataclass(frozen=True, slots=True)
class RowNote:
    """What was done with some rows, and which."""

    reason: str
    count: int
    rows: tuple[int, ...]
    """The first few, numbered as in the file."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import gave, and what became of every row."""

    source: str
    examples: tuple[Example, ...]
    skipped: tuple[RowNote, ...]
    cleaned: tuple[int, ...]
    """The rows whose control characters were removed or replaced by what they stood for."""
    columns: ColumnMap
    n_rows: int
    unit: str = "row"
    mended: tuple[RowNote, ...] = ()
    """Rows that were not taken quite as they stood."""
    notes: tuple[str, ...] = ()
    """What was assumed about the file."""

    @property
    def n_gold(self) -> int:
        """How many examples have a gold label."""
        return sum(example.gold is not None for example in self.examples)

    def summary(self) -> str:
        """Tell in plain words what was imported, from which columns, and what was left out."""
        used = self.columns
        ids = f"column {used.id!r}" if used.id else "the content"
        lines = [
            f"{self.source}: {len(self.examples):,} of {self.n_rows:,} rows imported",
            f"Text from {quoted(used.fields)}; ids from {ids}; {self._gold()}",
            *self.notes,
        ]
        lines += [f"Skipped {s.count:,}: {s.reason} {self._places(s)}" for s in self.skipped]
        lines += [f"{counted(m.count, 'row')}: {m.reason} {self._places(m)}" for m in self.mended]
        if self.cleaned:
            note = RowNote(_CLEANED, len(self.cleaned), self.cleaned[:MOST_PLACES])
            lines.append(f"Cleaned {note.count:,}: control characters {self._places(note)}")
        return ".\n".join(line.rstrip(".") for line in lines) + "."

    def _gold(self) -> str:
        if not self.columns.gold:
            return "no gold labels"
        missing = len(self.examples) - self.n_gold
        gaps = f" ({counted(missing, 'example')} without)" if missing else ""
        return f"gold labels from {self.columns.gold!r}{gaps}"

    def _places(self, note: RowNote) -> str:
        return f"({places(self.unit, note.rows, note.count)})"


def load_examples(
    source: str | Path,
    *,
    columns: ColumnMap | None = None,
    split: Split = Split.POOL,
    labels: Collection[str] | None = None,
    kind: Kind = DEFAULT,
    encoding: str = AUTO,
    header: bool = True,
    max_chars: int = 100_000,
) -> Imported:
    """Read examples from a file, a `datasets` folder or the hub; see `formats.open_table`.

    `labels` are the names a gold label may have; None takes any; `kind` makes
    answers of them. The first of equal texts wins.
    Texts over `max_chars` characters (all fields together) are skipped. Raises `InvalidInput`
    when nothing usable is left, too.
    """
    table = open_table(source, split=split, encoding=encoding, header=header)
    used = choose_columns(table, columns or ColumnMap(), labels=labels)
    intake = _Intake(table, used, split=split, labels=labels, kind=kind, max_chars=max_chars)
    n_rows = 0
    for number, row in table.rows(top_columns(table, used)):
        n_rows += 1
        intake.take(row, number)
    unread = sum(map(len, table.remarks.skipped.values()))
    if intake.gold is not None:
        intake.gold.check()
    remarks = table.remarks
    imported = Imported(
        source=table.name,
        examples=tuple(intake.examples.values()),
        skipped=_row_notes(remarks.skipped | intake.skipped),
        cleaned=tuple(intake.cleaned),
        columns=used,
        n_rows=n_rows + unread,
        unit=table.unit,
        mended=_row_notes(remarks.mended),
        notes=tuple(remarks.notes),
    )
    if not imported.examples:
        raise InvalidInput(f"Nothing usable was found. {imported.summary()}")
    return imported


def dataset_id(examples: Iterable[Example]) -> str:
    """Name a data set by its content: SHA-256 over ids, fields and gold labels, in any order."""
    lines = sorted(
        content_id(e.id, dict(e.fields), None if e.gold is None else name_of(e.gold), size=64)
        for e in examples
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _row_notes(rows: Mapping[str, list[int]]) -> tuple[RowNote, ...]:
    return tuple(
        RowNote(reason, len(numbers), tuple(numbers[:MOST_PLACES]))
        for reason, numbers in rows.items()
    )


class _Unusable(Exception):
    """Why one row is skipped."""


@dataclass(slots=True)
class _Intake:
    """What has been seen so far while a file is read."""

    table: Table
    columns: ColumnMap
    split: Split = field(kw_only=True)
    labels: Collection[str] | None = field(kw_only=True)
    kind: Kind = field(kw_only=True)
    max_chars: int = field(kw_only=True)
    examples: dict[str, Example] = field(default_factory=dict)
    skipped: dict[str, list[int]] = field(default_factory=dict)
    cleaned: list[int] = field(default_factory=list)
    first_rows: dict[str, int] = field(default_factory=dict)
    by_text: dict[tuple[str, ...], str] = field(default_factory=dict)
    """Ids."""
    gold: GoldReader | None = None

    def __post_init__(self) -> None:
        if self.columns.gold:
            table, column = self.table, self.columns.gold
            self.gold = GoldReader(table.name, table.unit, column, self.labels, self.remarks)

    @property
    def remarks(self) -> Remarks:
        """Where the reader of the file notes things, too."""
        return self.table.remarks

    def take(self, row: Row, number: int) -> None:
        """Keep a row as an example, or note why not."""
        try:
            self._keep(row, number)
        except _Unusable as reason:
            self.skipped.setdefault(str(reason), []).append(number)

    def _keep(self, row: Row, number: int) -> None:
        raw = {name: _text_at(row, name) for name in self.columns.fields}
        fields = {name: clean(text) for name, text in raw.items()}
        if all(map(is_blank, fields.values())):
            raise _Unusable("empty text")
        if sum(map(len, fields.values())) > self.max_chars:
            raise _Unusable(f"text over {self.max_chars:,} characters")
        name = self._id(row, fields)
        gold = self._gold(row, number)
        self._refuse_repeats(name, fields, gold=gold, number=number)
        self.examples[name] = Example(ExampleId(name), fields, split=self.split, gold=gold)
        self.first_rows[name] = number
        self.by_text[tuple(fields.values())] = name
        if fields != raw:
            self.cleaned.append(number)

    def _gold(self, row: Row, number: int) -> Answer | None:
        if self.gold is None or self.columns.gold is None:
            return None
        name = self.gold.read(value_at(row, self.columns.gold), number)
        return None if name is None else self.kind.answer_of(name)

    def _id(self, row: Row, fields: Mapping[str, str]) -> str:
        if self.columns.id is None:
            return content_id(fields)
        name = clean(_text_at(row, self.columns.id)).strip()
        if is_blank(name):
            raise _Unusable(f"nothing in the id column {self.columns.id!r}")
        if len(name) > _LONGEST_ID:
            raise _Unusable(f"id over {_LONGEST_ID} characters")
        return name

    def _refuse_repeats(
        self, name: str, fields: Mapping[str, str], *, gold: Answer | None, number: int
    ) -> None:
        known = self.examples.get(name)
        if known and known.fields != fields:
            unit, first = self.table.unit, self.first_rows[name]
            raise InvalidInput(
                f"{self.table.name}: id {shorten(name)} stands for different texts in {unit} "
                f"{first} ({shorten(known.text)}) and {unit} {number} "
                f"({shorten(' '.join(fields.values()))}). Make the ids unique, or do without "
                'them, so that ids are derived from the content: --id none (data.id = "none" in '
                "a task file)."
            )
        other = name if known else self.by_text.get(tuple(fields.values()))
        if other is None:
            return
        twin = self.examples[other]
        if gold and twin.gold is None:
            self.examples[other] = replace(twin, gold=gold)
            self.remarks.mend(_LATER, self.first_rows[other])
        elif gold and gold != twin.gold:
            raise _Unusable("same text as an earlier row but another gold label")
        raise _Unusable("duplicate of an earlier row" if known else "same text as an earlier row")


def _text_at(row: Row, path: str) -> str:
    value = value_at(row, path)
    if isinstance(value, bytes):
        raise _Unusable("bytes instead of text")
    return as_text(value)
