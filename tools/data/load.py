"""Import a pool: map the rows of an untrusted file to examples and account for every row.

A row that cannot be used is skipped, counted by reason and reported; what would make the whole
import wrong (an unknown column, two texts under one id, an unknown label) is one `InvalidInput`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from querist.memory.errors import InvalidInput
from querist.memory.records import Example, ExampleId, Split, content_id
from querist.tools.data.formats import open_table
from querist.tools.data.text_rows import Row, Table, shorten, suggest

TEXT_COLUMNS = ("text", "sentence", "content", "body", "message")
LONGEST_ID = 200
SHOWN_ROWS = 5

# Control characters break terminals, spreadsheets and PostgreSQL; half a surrogate pair cannot be
# written as UTF-8 at all. Tab, newline and carriage return are text.
_UNCLEAN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Which columns of a file mean what."""

    fields: tuple[str, ...] = ()
    """Become `Example.fields` under their own names; empty: the one text column is found."""
    id: str | None = ""
    """None: ids are derived from the content; empty: the column `id` if the file has one."""
    gold: str | None = None
    """The file's own labels, for evaluation; None: there are none."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Rows that were left out for one reason."""

    reason: str
    count: int
    rows: tuple[int, ...]
    """The first few, numbered as in the file."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import gave, and what became of every row."""

    source: str
    examples: tuple[Example, ...]
    skipped: tuple[Skipped, ...]
    cleaned: tuple[int, ...]
    """The rows whose control characters were removed or replaced by what they stood for."""
    columns: ColumnMap
    n_rows: int
    unit: str = "row"

    def summary(self) -> str:
        """Tell in plain words what was imported, from which columns, and what was left out."""
        used = self.columns
        ids = f"column {used.id!r}" if used.id else "the content"
        gold = f"gold labels from {used.gold!r}" if used.gold else "no gold labels"
        lines = [
            f"{self.source}: {len(self.examples):,} of {self.n_rows:,} rows imported",
            f"Text from {', '.join(map(repr, used.fields))}; ids from {ids}; {gold}",
        ]
        lines += [f"Skipped {s.count:,}: {s.reason} {self._places(s.rows)}" for s in self.skipped]
        if self.cleaned:
            places = self._places(self.cleaned)
            lines.append(f"Cleaned {len(self.cleaned):,}: control characters {places}")
        return ".\n".join(lines) + "."

    def _places(self, rows: tuple[int, ...]) -> str:
        shown = ", ".join(map(str, rows[:SHOWN_ROWS]))
        return f"({self.unit}{'s' if len(rows) > 1 else ''} {shown})"


def load_examples(
    source: str | Path,
    *,
    columns: ColumnMap | None = None,
    split: Split = Split.POOL,
    labels: Collection[str] | None = None,
    encoding: str = "utf-8",
    max_chars: int = 100_000,
) -> Imported:
    """Read examples from a file, a `datasets` folder or the hub; see `formats.open_table`.

    `labels` are the names a gold label may have; None takes any. The first of equal texts wins.
    Texts over `max_chars` characters (all fields together) are skipped. Raises `InvalidInput`
    when nothing usable is left, too.
    """
    table = open_table(source, split=split, encoding=encoding)
    used = choose_columns(table, columns or ColumnMap())
    intake = _Intake(table, used, split=split, labels=labels, max_chars=max_chars)
    n_rows = 0
    wanted = [*used.fields, *(c for c in (used.id, used.gold) if c and c not in used.fields)]
    for number, row in table.rows(wanted):
        n_rows += 1
        intake.take(row, number)
    intake.check_labels()
    imported = Imported(
        source=table.name,
        examples=tuple(intake.examples.values()),
        skipped=tuple(
            Skipped(reason, len(rows), tuple(rows[:SHOWN_ROWS]))
            for reason, rows in intake.skipped.items()
        ),
        cleaned=tuple(intake.cleaned),
        columns=used,
        n_rows=n_rows,
        unit=table.unit,
    )
    if not imported.examples:
        raise InvalidInput(f"Nothing usable was found. {imported.summary()}")
    return imported


def dataset_id(examples: Iterable[Example]) -> str:
    """Name a data set by its content: SHA-256 over ids, fields and gold labels, in any order."""
    lines = sorted(content_id(e.id, dict(e.fields), e.gold, size=64) for e in examples)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# ---------------------------------------------------------------- columns


def choose_columns(table: Table, columns: ColumnMap) -> ColumnMap:
    """Fill in what `columns` leaves open and check that all of it exists."""
    for name in (*columns.fields, columns.id, columns.gold):
        if name and name not in table.columns:
            raise InvalidInput(
                f"{table.name} has no column {name!r}.{suggest(name, table.columns)} "
                f"Its columns: {_listed(table.columns)}. The first line of a CSV names them."
            )
    if len(set(columns.fields)) < len(columns.fields):
        raise InvalidInput(f"A text column is named twice: {_listed(columns.fields)}.")
    if columns.gold and columns.gold in columns.fields:
        raise InvalidInput(
            f"Column {columns.gold!r} cannot be both text and gold label: "
            "the agents would read the answer. Name another text column (--text)."
        )
    chosen = columns.id
    if chosen == "":
        chosen = "id" if "id" in table.columns and "id" not in columns.fields else None
    return replace(columns, id=chosen, fields=columns.fields or _text_column(table, columns))


def _text_column(table: Table, columns: ColumnMap) -> tuple[str, ...]:
    usable = [c for c in table.columns if c not in {"id", columns.id, columns.gold}]
    usual = [c for c in usable if c.casefold() in TEXT_COLUMNS]
    wordy = [c for c in usable if c in table.text_columns]
    for found in (usual, wordy):
        if len(found) == 1:
            return (found[0],)
    raise InvalidInput(
        f"{table.name}: cannot tell which column holds the text. "
        f"Name it, for example --text {(usual or wordy or usable or ['COLUMN'])[0]}. "
        f"Its columns: {_listed(table.columns)}."
    )


def _listed(names: Collection[str], limit: int = 20) -> str:
    shown = ", ".join(shorten(name) for name in [*names][:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


# ---------------------------------------------------------------- rows


class _Unusable(Exception):
    """Why one row is skipped."""


@dataclass(slots=True)
class _Intake:
    """What has been seen so far while a file is read."""

    table: Table
    columns: ColumnMap
    split: Split = field(kw_only=True)
    labels: Collection[str] | None = field(kw_only=True)
    max_chars: int = field(kw_only=True)
    examples: dict[str, Example] = field(default_factory=dict)
    skipped: dict[str, list[int]] = field(default_factory=dict)
    cleaned: list[int] = field(default_factory=list)
    first_rows: dict[str, int] = field(default_factory=dict)
    by_text: dict[tuple[str, ...], Example] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)

    def take(self, row: Row, number: int) -> None:
        """Keep a row as an example, or note why not."""
        try:
            self._keep(row, number)
        except _Unusable as reason:
            self.skipped.setdefault(str(reason), []).append(number)

    def _keep(self, row: Row, number: int) -> None:
        raw = {name: _as_text(row.get(name)) for name in self.columns.fields}
        fields = {name: _clean(text) for name, text in raw.items()}
        if not any(text.strip() for text in fields.values()):
            raise _Unusable("empty text")
        if sum(map(len, fields.values())) > self.max_chars:
            raise _Unusable(f"text over {self.max_chars:,} characters")
        name = self._id(row, fields)
        given = row.get(self.columns.gold) if self.columns.gold else None
        gold = _label(given)
        self._refuse_repeats(name, fields, gold=gold, number=number)
        example = Example(ExampleId(name), fields, split=self.split, gold=gold)
        self.examples[name] = example
        self.first_rows[name] = number
        self.by_text[tuple(fields.values())] = example
        if fields != raw:
            self.cleaned.append(number)
        self._note_unknown(given)

    def _id(self, row: Row, fields: Mapping[str, str]) -> str:
        if self.columns.id is None:
            return content_id(fields)
        name = _clean(_as_text(row.get(self.columns.id))).strip()
        if not name:
            raise _Unusable(f"nothing in the id column {self.columns.id!r}")
        if len(name) > LONGEST_ID:
            raise _Unusable(f"id over {LONGEST_ID} characters")
        return name

    def _refuse_repeats(
        self, name: str, fields: Mapping[str, str], *, gold: str | None, number: int
    ) -> None:
        known = self.examples.get(name)
        if known and known.fields != fields:
            unit, first = self.table.unit, self.first_rows[name]
            raise InvalidInput(
                f"{self.table.name}: id {shorten(name)} stands for different texts in {unit} "
                f"{first} ({shorten(known.text)}) and {unit} {number} "
                f"({shorten(' '.join(fields.values()))}). Make the ids unique, or drop the id "
                "column so that ids are derived from the content: --id none."
            )
        twin = known or self.by_text.get(tuple(fields.values()))
        if twin and gold and twin.gold and gold != twin.gold:
            raise _Unusable("same text as an earlier row but another gold label")
        if known:
            raise _Unusable("duplicate of an earlier row")
        if twin:
            raise _Unusable("same text as an earlier row")

    def _note_unknown(self, given: object) -> None:
        """Count labels outside the task; a row may have several, and spans name theirs inside."""
        if self.labels is None:
            return
        for value in given if isinstance(given, list) else [given]:
            label = None if isinstance(value, dict) else _label(value)
            if label is not None and label not in self.labels:
                self.unknown[label] += 1

    def check_labels(self) -> None:
        """Raise for gold labels outside the task, all of them at once."""
        if not self.unknown or self.labels is None:
            return
        listed = "; ".join(
            f"{shorten(label)} ({count:,} rows).{suggest(label, self.labels)}".rstrip(".")
            for label, count in self.unknown.most_common(10)
        )
        raise InvalidInput(
            f"{self.table.name}: column {self.columns.gold!r} holds {len(self.unknown)} labels "
            f"that the task does not know: {listed}. Known: {_listed(self.labels)}. "
            "Correct the file, or add the labels to the task."
        )


def _as_text(value: object) -> str:
    """Write a cell as text: whole floats without a point, structures as JSON, missing as ''."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        raise _Unusable("bytes instead of text")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _label(value: object) -> str | None:
    return _clean(_as_text(value)).strip() or None


def _clean(text: str) -> str:
    return _UNCLEAN.sub(_cleaned, text) if _UNCLEAN.search(text) else text


def _cleaned(match: re.Match[str]) -> str:
    found = match.group()
    if found in "\x0b\x0c":
        return " "
    if found >= "\ud800":
        return "\N{REPLACEMENT CHARACTER}"
    # U+0080 to U+009F in a text is nearly always Windows' quotes and dashes, read as Latin-1.
    return found.encode("latin-1").decode("cp1252", "ignore") if found >= "\x80" else ""
