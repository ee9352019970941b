"""Gold labels out of the cells of a file: one class a row, or a word about what else is there.

A cell may be a name (also in another case, or with blanks), a list of one name, a number. Several
names, stretches of text and objects are other kinds of labelling: a few such rows are left without
a label and counted, more are an error with the remedy. Names that the task does not know always
are.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from querist.memory.errors import InvalidInput
from querist.tools.data.cells import as_text, clean
from querist.tools.data.table import Remarks, Unit, is_few, is_number
from querist.tools.kinds.names import is_blank, match_spelling
from querist.tools.wording import counted, listed, places, quoted, shorten, suggest

# How files write that there is no label, where it is not a label of the task.
_MISSING = {"nan", "none", "null", "na", "n/a", "#n/a", "<na>", "<null>", "nat", "\\n"}
_SEPARATORS = re.compile(r"[|;,#\n]")
_WHOLE = re.compile(r"([+-]?\d+)\.0+")
_START = {"start", "start_offset"}
_END = {"end", "end_offset"}
_ONLY = "The kinds of task that run want one answer a row."


@dataclass(slots=True)
class GoldReader:
    """Reads one column's cells; `check` says afterwards what was wrong with it as a whole."""

    name: str
    """The file's, for messages."""
    unit: Unit
    column: str
    labels: Collection[str] | None
    """What the task knows; None takes any name."""
    remarks: Remarks
    n_rows: int = 0
    unknown: dict[str, list[int]] = field(default_factory=dict)
    ambiguous: dict[str, list[int]] = field(default_factory=dict)
    several: list[int] = field(default_factory=list)
    spans: list[int] = field(default_factory=list)
    objects: list[int] = field(default_factory=list)
    respelt: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    """The first cell of each trouble."""
    key: str = ""
    """The first key of an object that stands for a label."""
    _meant: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def read(self, cell: object, number: int) -> str | None:
        """Read a cell; None where it has no label that can be used."""
        self.n_rows += 1
        value = _unpacked(cell, self.labels)
        if isinstance(value, list | dict) and _is_spans(value):
            self._trouble(self.spans, "spans", cell, number)
            return None
        if isinstance(value, dict):
            value = self._from_weights(value)
        while isinstance(value, list):
            names = {str(item): item for item in value if not _is_missing(item)}
            if len(names) > 1:
                self._trouble(self.several, "several", cell, number)
                return None
            value = next(iter(names.values()), None)
        if isinstance(value, dict):
            self.key = self.key or str(next(iter(value), ""))
            self._trouble(self.objects, "objects", cell, number)
            return None
        return self._named(clean(as_text(value)), number)

    def _named(self, text: str, number: int) -> str | None:
        if self.labels is None:
            return None if _is_missing(text) else text.strip()
        if text not in self._meant:
            self._meant[text] = _find_names(text, tuple(self.labels))
        meant = self._meant[text]
        if len(meant) == 1:
            if meant[0] != text.strip():
                self.respelt[text, meant[0]] += 1
            return meant[0]
        if len(meant) > 1:
            self.ambiguous.setdefault(text, []).append(number)
        elif not _is_missing(text):
            parts = [part.strip() for part in _SEPARATORS.split(text) if part.strip()]
            if len(parts) > 1 and all(_find_names(part, tuple(self.labels)) for part in parts):
                self._trouble(self.several, "several", text, number)
                return None
            self.unknown.setdefault(text, []).append(number)
        return None

    def _trouble(self, rows: list[int], kind: str, cell: object, number: int) -> None:
        rows.append(number)
        self.examples.setdefault(kind, shorten(cell))

    def _from_weights(self, value: Mapping[str, object]) -> object:
        """Read `{"billing": 1, "bug": 0}` as the class that holds, `{"choices": [...]}` as them."""
        if list(value) == ["choices"]:
            return value["choices"]
        if self.labels is None or not set(value) <= set(self.labels):
            return value
        held = [name for name, weight in value.items() if weight is True or weight == 1]
        rest = [weight for weight in value.values() if weight not in (0, 1)]
        return value if rest else held

    def check(self) -> None:
        """Raise `InvalidInput` for what is no classification, or not this task's; note the rest."""
        for rows, why in (
            (self.spans, self._say_spans()),
            (self.several, self._say_several()),
            (self.objects, self._say_objects()),
        ):
            if rows and not is_few(len(rows), self.n_rows):
                raise InvalidInput(f"{self.name}: column {self.column!r} holds {why}")
        if self.ambiguous:
            raise InvalidInput(self._say_ambiguous())
        if self.unknown:
            raise InvalidInput(self._say_unknown())
        for rows, what in (
            (self.spans, "stretches of text for a label: left without one"),
            (self.several, "several labels where one is meant: left without one"),
            (self.objects, "an object for a label: left without one"),
        ):
            if rows:
                self.remarks.mended[what] = rows
        if self.respelt:
            pairs = [f"{given!r} as {name!r}" for (given, name), _ in self.respelt.most_common()]
            total = self.respelt.total()
            self.remarks.note(
                f"{counted(total, 'label')} spelt otherwise than in the task: read {listed(pairs)}"
            )

    def _say_spans(self) -> str:
        return (
            f"stretches of text with their labels in {counted(len(self.spans), 'row')} "
            f"({places(self.unit, self.spans)}: {self.examples.get('spans')}), which is span "
            f"labelling. {_ONLY} Name a column that holds one (--gold, or data.gold in a task "
            "file), or cut the texts into pieces with a class each."
        )

    def _say_several(self) -> str:
        return (
            f"several labels in {len(self.several):,} of {counted(self.n_rows, 'row')} "
            f"({places(self.unit, self.several)}: {self.examples.get('several')}), which is "
            f"multi-label. {_ONLY} Keep one label a row, make a task of each label (yes or no), "
            "or name another column (--gold, or data.gold in a task file)."
        )

    def _say_objects(self) -> str:
        return (
            f"objects in {counted(len(self.objects), 'row')} "
            f"({places(self.unit, self.objects)}: {self.examples.get('objects')}). Name the key "
            f"that holds the class, as --gold {self.column}.{self.key or 'KEY'} (data.gold in a "
            "task file)."
        )

    def _say_ambiguous(self) -> str:
        text, rows = next(iter(self.ambiguous.items()))
        meant = match_spelling(text, tuple(self.labels or ()))
        return (
            f"{self.name}: {shorten(text)} in column {self.column!r} "
            f"({places(self.unit, rows)}) may be {' or '.join(map(repr, meant))}: these labels "
            "differ only in case. Write it as one of them."
        )

    def _say_unknown(self) -> str:
        known = self.labels or ()
        ranked = sorted(self.unknown.items(), key=lambda item: -len(item[1]))
        said = [f"{shorten(label)} ({counted(len(rows), 'row')})" for label, rows in ranked]
        near = next(filter(None, (suggest(label, known) for label, _ in ranked[:8])), "")
        rows = sorted(row for numbers in self.unknown.values() for row in numbers)
        hint = ""
        if all(is_number(label) for label in self.unknown):
            hint = " Numbers that stand for labels have to be replaced by their names."
        elif len(said) > max(20, self.n_rows // 4):
            hint = " Is it the right column? Name another with --gold (data.gold in a task file)."
        return (
            f"{self.name}: column {self.column!r} holds {counted(len(said), 'label')} "
            f"that the task does not know, in {counted(len(rows), 'row')} "
            f"({places(self.unit, rows)}): {'; '.join(said[:8])}"
            f"{f' and {len(said) - 8:,} more' if len(said) > 8 else ''}.{near} "
            f"Known: {quoted(known)}.{hint} Correct the file, or add the labels to the task."
        )


def _unpacked(cell: object, labels: Collection[str] | None) -> object:
    """Read a list that a CSV holds as text (JSON, or as Python prints it)."""
    if not isinstance(cell, str) or (labels is not None and cell.strip() in labels):
        return cell
    text = cell.strip()
    if (text[:1], text[-1:]) not in {("[", "]"), ("{", "}")}:
        return cell
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, list | dict):
            return value
    return cell


def _is_spans(value: list[object] | dict[str, object]) -> bool:
    """Tell whether a value is of the form [[0, 4, "PER"]] or [{"start": 0, "end": 4}]."""
    parts = value if isinstance(value, list) else [value]
    return bool(parts) and all(_is_span(part) for part in parts)


def _is_span(part: object) -> bool:
    if isinstance(part, dict):
        return not _START.isdisjoint(part) and not _END.isdisjoint(part)
    if not isinstance(part, list | tuple) or len(part) < 3:
        return False
    return all(isinstance(place, int) and not isinstance(place, bool) for place in part[:2])


def _is_missing(value: object) -> bool:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, str) and (is_blank(value) or value.strip().casefold() in _MISSING)


def _find_names(text: str, names: tuple[str, ...]) -> tuple[str, ...]:
    # 1.0 is how a table with gaps writes the class 1.
    whole = _WHOLE.fullmatch(text.strip())
    return match_spelling(text, names) or (match_spelling(whole[1], names) if whole else ())
