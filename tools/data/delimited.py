"""Rows out of CSV and TSV: whatever spreadsheets, databases and people call so.

The header names the columns, unless the reader is told that there is none. A record that does not
fit is mended where that is safe (stray quotes, missing cells), else skipped; if most do not fit,
the delimiter or the header is not what it seems, which is an error.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from querist.memory.errors import InvalidInput
from querist.tools.data.annotation.annotation_tools import plain_rows
from querist.tools.data.encoding import LONGEST_LINE, TextFile
from querist.tools.data.table import Broken, NumberedRow, Remarks, Table, look_ahead
from querist.tools.wording import shorten

_MARKS = ",;\t|"
HEADLESS = "column"
"""What columns without a name are called, with their number."""
_SAMPLE = 30
_HEAD = 1_000
_SWALLOWED = 6
_SEP = re.compile(r'"?sep=([^\w\s"]|\t)"?\s*', re.IGNORECASE)
# A byte order mark that was read as text, or stands inside the quotes.
_NO_NAME = "\ufeff\u200b\u200c\u200d\u2060 \t\r\n"
_STRAY = "stray quotes, taken as they stand"
_BROKEN = "broken quoting"
_JOINED = "commas outside quotes, taken as part of the text"
_SHORT = "fewer cells than the header has; the rest is empty"
_LONG = "more cells than the header has"


def read_delimited(file: TextFile, remarks: Remarks, *, tab: bool, header: bool = True) -> Table:
    """Open a CSV (delimited by comma, semicolon, tab or bar) or, with `tab`, a TSV.

    Without a header the columns are called column1, column2 and so on.
    """
    # The limit is global to the csv module; the default would refuse a cell of 131,072 characters.
    csv.field_size_limit(LONGEST_LINE)
    lines = _Lines(file.lines())
    delimiter = _delimiter(lines, tab=tab)
    records = _Records(lines, delimiter, file.name, remarks)
    names = _names(next(records.cells(), [])) if header else []
    if records.broken.rows:
        raise InvalidInput(records.broken.first)
    columns = _columns(names, records.first_width() if not header else 0)
    repeated = {name for name, count in Counter(names).items() if name and count > 1}
    for name in sorted(repeated):
        remarks.note(
            f"The header of {file.name} names {shorten(name)} more than once: the later ones are "
            f"called {shorten(f'{name}.2')} and so on"
        )
    return look_ahead(
        file.name,
        "line",
        plain_rows(records.rows(columns), remarks),
        remarks,
        unnamed=[c for c, name in zip(columns, names, strict=False) if not name],
        repeated=repeated,
        has_header=header,
    )


def _delimiter(lines: _Lines, *, tab: bool) -> str:
    """Choose the mark that cuts the first lines into equally many cells."""
    first = next(lines, "")
    if sep := _SEP.fullmatch(first):
        return sep[1]
    lines.give_back([first])
    sample = list(islice(lines, _SAMPLE))
    lines.give_back(sample)
    widths = {mark: _widths(sample, mark) for mark in _MARKS}
    # A comma in a table without tabs may be a misnamed file's, or part of its only column.
    if tab and ("\t" in first or all(width[0] < 2 for width in widths.values())):
        return "\t"
    return max(
        _MARKS,
        key=lambda mark: (
            widths[mark][0] > 1 and widths[mark].count(widths[mark][0]) * 2 > len(widths[mark]),
            widths[mark][0],
        ),
    )


def _widths(sample: Sequence[str], mark: str) -> list[int]:
    return [len(cells) for cells in csv.reader(sample, delimiter=mark) if cells] or [0]


def _names(cells: Sequence[str]) -> list[str]:
    return [cell.removeprefix("ï»¿").strip(_NO_NAME).strip('"').strip(_NO_NAME) for cell in cells]


def _columns(names: Sequence[str], width: int) -> list[str]:
    """Give every column a name of its own."""
    columns: list[str] = []
    for place, name in enumerate(names or [""] * width, start=1):
        column, number = name or f"{HEADLESS}{place}", 1
        while column in columns:
            number += 1
            column = f"{name or HEADLESS}.{number}"
        columns.append(column)
    return columns


class _Lines:
    """Lines that can be given back; the csv module goes on asking after their end."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._back: deque[str] = deque()
        self.number = 0
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._lines)
        self.number += 1
        self.taken.append(line)
        return line

    def give_back(self, lines: Sequence[str]) -> None:
        """Put lines in front again."""
        self._back.extendleft(reversed(lines))
        self.number -= len(lines)


@dataclass(slots=True)
class _Records:
    """Records of a delimited file, made to fit its header."""

    lines: _Lines
    delimiter: str
    name: str
    remarks: Remarks
    width: int = 0
    n_good: int = 0
    n_long: int = 0
    n_mended: int = 0
    long: str = ""
    broken: Broken = field(init=False)

    def __post_init__(self) -> None:
        self.broken = Broken(self.name, "line", self.remarks)

    def cells(self) -> Iterator[list[str]]:
        """Give the cells of the next records; blank lines are none."""
        for _, cells in self._numbered():
            if any(cells):
                yield cells

    def first_width(self) -> int:
        """Count the cells of the first record, and leave it where it is."""
        self.lines.taken = []
        cells = next(self.cells(), [])
        self.lines.give_back(self.lines.taken)
        return len(cells)

    def rows(self, columns: Sequence[str]) -> Iterator[NumberedRow]:
        """Pair cells with columns. A record's number is the line where it begins."""
        self.width = len(columns)
        records = self._numbered()
        head = list(islice(records, _HEAD))
        self._check_width(head)
        for part in (head, records):
            for number, cells in part:
                fitted = self._fit(number, cells)
                if fitted is not None:
                    self.n_good += 1
                    yield number, dict(zip(columns, fitted, strict=True))
        self._check()

    def _numbered(self) -> Iterator[tuple[int, list[str]]]:
        """Read record by record; one that breaks the rules costs its first line only."""
        reader = csv.reader(self.lines, delimiter=self.delimiter, strict=True)
        while not self.broken.is_hopeless(self.n_good + self.n_long):
            self.lines.taken = []
            begins = self.lines.number + 1
            try:
                cells: list[str] | None = next(reader)
                if self._swallows(cells or []):
                    cells = self._reread(begins, "a quote that is closed lines later")
            except StopIteration:
                return
            except csv.Error as error:
                cells = self._reread(begins, str(error))
            if cells:
                yield begins, cells

    def _swallows(self, cells: Sequence[str]) -> bool:
        """Tell whether a record of several lines is really as many records with stray quotes."""
        taken = [line for line in self.lines.taken if not line.isspace()]
        if self.width < 2 or len(taken) < 2:
            return False
        plain = [len(self._plain(line)) for line in taken]
        if len(cells) == self.width:
            # A text of two lines with a comma each is no accident, one of six is no text.
            is_long = len(taken) * (self.width - 1) >= _SWALLOWED
            return is_long and all(width == self.width for width in plain)
        return plain[0] == self.width

    def _reread(self, begins: int, why: str) -> list[str] | None:
        """Take the first line of a broken record as it stands, and begin anew after it."""
        first, *others = self.lines.taken
        self.lines.give_back(others)
        cells = self._plain(first)
        if len(cells) == self.width and self.width > 1:
            self.n_mended += 1
            self.remarks.mend(_STRAY, begins)
            return cells
        self.broken.add(
            begins,
            _BROKEN,
            f"broken quoting ({why}). Put a cell that holds the delimiter, a quote or a line "
            "break in double quotes, and double the quotes inside it.",
        )
        return None

    def _plain(self, line: str) -> list[str]:
        cells = line.rstrip("\r\n").split(self.delimiter)
        return [c[1:-1] if len(c) > 1 and c[0] == c[-1] == '"' else c for c in cells]

    def _fit(self, number: int, cells: list[str]) -> list[str] | None:
        """Make a record as wide as the header, or None if that cannot be done safely."""
        if not any(cell.strip() for cell in cells[self.width :]):
            cells = cells[: self.width]
        if len(cells) > self.width == 1:
            self.remarks.mend(_JOINED, number)
            return [self.delimiter.join(cells)]
        if len(cells) > self.width:
            self.n_long += 1
            self.long = self.long or self._too_long(number, cells)
            self.remarks.skip(_LONG, number)
            return None
        if len(cells) < self.width:
            self.remarks.mend(_SHORT, number)
        return cells + [""] * (self.width - len(cells))

    def _too_long(self, number: int, cells: Sequence[str]) -> str:
        return (
            f"{self.name}, line {number}: {len(cells)} cells where the header has {self.width} "
            f"(delimiter {self.delimiter!r}): {shorten(self.delimiter.join(cells))}. "
            "Put cells that hold the delimiter in double quotes"
        )

    def _check_width(self, head: Sequence[tuple[int, list[str]]]) -> None:
        """A header of one cell over a table of many is a title, not a header."""
        widths = Counter(len(cells) for _, cells in head)
        width, count = widths.most_common(1)[0] if widths else (0, 0)
        if self.width == 1 and width > 1 and len(head) > 2 and count > 0.8 * len(head):
            number, cells = next(record for record in head if len(record[1]) == width)
            raise InvalidInput(
                f"{self._too_long(number, cells)}; if the first line is a title, delete it."
            )

    def _check(self) -> None:
        """Refuse a file whose records mostly do not fit."""
        self.broken.check(self.n_good + self.n_long)
        if 2 * self.n_long >= self.n_good + self.n_long > 0:
            raise InvalidInput(f"{self.long}, or name the delimiter in a first line sep=;.")
        if 2 * self.n_mended >= self.n_good > 0 and self.delimiter != "\t":
            raise InvalidInput(
                f"{self.name}: broken quoting in {self.n_mended:,} of {self.n_good:,} rows. Double "
                "the quotes inside quoted cells, or save the table as tab-separated .tsv."
            )
