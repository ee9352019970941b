"""Rows out of text files: JSON Lines, JSON, CSV and TSV, gzipped or not.

Every file is untrusted: whatever is wrong with it ends in one `InvalidInput` that names the file,
the place and the remedy. Rows are streamed; only a `.json` array is read as a whole.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, TextIO

from querist.memory.errors import InvalidInput

Row = Mapping[str, object]
NumberedRow = tuple[int, Row]

# A line beyond this is a file of another kind; reading it whole would only fill the memory.
LONGEST_LINE = 50_000_000
# JSON has no header, so the columns are learnt from this many rows; gold labels may be sparse.
LOOK_AHEAD = 10_000


@dataclass(frozen=True, slots=True)
class Table:
    """A source of rows that can be read once, with what is known of its columns beforehand."""

    name: str
    unit: Literal["line", "row"]
    """What a row's number counts: lines of the file, or rows of data; both from one."""
    columns: tuple[str, ...]
    text_columns: tuple[str, ...]
    """The columns that hold words rather than numbers, as far as looked ahead."""
    rows: Callable[[Sequence[str]], Iterator[NumberedRow]]
    """Yields at least the columns asked for."""


def shorten(value: object, limit: int = 60) -> str:
    """Quote a value for a message, cut to `limit` characters."""
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def suggest(wrong: str, known: Iterable[str]) -> str:
    """Say ` Did you mean 'x'?` when one of `known` is near, else nothing."""
    by_folded = {name.casefold(): name for name in known}
    near = get_close_matches(wrong.casefold(), by_folded, n=1)
    return f" Did you mean {by_folded[near[0]]!r}?" if near else ""


def look_ahead(name: str, unit: Literal["line", "row"], rows: Iterator[NumberedRow]) -> Table:
    """Learn the columns of rows that have no schema from the first of them."""
    head = list(islice(rows, LOOK_AHEAD))
    if not head:
        raise InvalidInput(f"{name} has no rows: there is nothing to import.")
    columns = tuple(dict.fromkeys(column for _, row in head for column in row))
    return Table(
        name=name,
        unit=unit,
        columns=columns,
        text_columns=tuple(c for c in columns if _is_wordy(row.get(c) for _, row in head)),
        rows=lambda _: chain(head, rows),
    )


def _is_wordy(values: Iterable[object]) -> bool:
    """Tell whether all values are texts and at least one is not a number."""
    given = [value for value in values if value is not None and value != ""]
    texts = [value for value in given if isinstance(value, str)]
    return len(texts) == len(given) and not all(map(_is_number, texts))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@contextmanager
def _text(path: Path, encoding: str) -> Iterator[TextIO]:
    """Open a text file, gzipped or not, and explain what goes wrong while it is read."""
    name = path.name
    try:
        # The -sig codec drops the byte order mark that spreadsheets put in front.
        codec = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
        opener: Any = gzip.open if name.lower().endswith(".gz") else open
        with opener(path, "rt", encoding=codec, newline="") as stream:
            yield stream
    except LookupError as error:
        raise InvalidInput(
            f"There is no text encoding {encoding!r}. Try --encoding utf-8, latin-1 or utf-16."
        ) from error
    except UnicodeError as error:
        raise InvalidInput(_undecodable(path, encoding)) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidInput(
            f"{name} is not a whole gzip file ({error}). Copy or download it again."
        ) from error
    except OSError as error:
        raise InvalidInput(f"{name} cannot be read: {error.strerror or error}.") from error


def _undecodable(path: Path, encoding: str) -> str:
    """Find the first byte that is not in `encoding`; reads the file once more, as a whole."""
    data = path.read_bytes()
    if path.name.lower().endswith(".gz"):
        data = gzip.decompress(data)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return f"{path.name} is UTF-16, not {encoding}. Pass --encoding utf-16."
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        place = f"byte 0x{data[error.start]:02x} at offset {error.start} (line {line})"
    except UnicodeError as error:
        place = str(error)
    else:
        place = "its end"
    return (
        f"{path.name} is not {encoding}: see {place}. Save it as UTF-8, "
        "or say what it is, for example --encoding latin-1."
    )


def _lines(stream: TextIO, name: str) -> Iterator[str]:
    number = 0
    while line := stream.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise InvalidInput(
                f"{name}, line {number} has over {LONGEST_LINE:,} characters. "
                "Is it the right file, with one row a line?"
            )
        yield line


def _json(text: str, where: str) -> object:
    try:
        return json.loads(text)
    # Besides JSONDecodeError, a number of thousands of digits is a ValueError.
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{where}: not valid JSON ({error}): {shorten(text.strip())}. Correct or delete it."
        ) from error


def _object(value: object, where: str) -> Row:
    if isinstance(value, dict):
        return value
    raise InvalidInput(
        f"{where}: expected an object with named columns, found {shorten(value)}. "
        'Write rows as {"text": "..."}; a JSON array belongs in a file that ends in .json.'
    )


def json_lines(path: Path, encoding: str) -> Iterator[NumberedRow]:
    """Read one object a line; blank lines are passed over."""
    with _text(path, encoding) as stream:
        for number, line in enumerate(_lines(stream, path.name), start=1):
            if not line.isspace():
                where = f"{path.name}, line {number}"
                yield number, _object(_json(line, where), where)


def json_array(path: Path, encoding: str) -> Iterator[NumberedRow]:
    """Read an array of objects; many a `.json` file is really JSON Lines, so take that too."""
    with _text(path, encoding) as stream:
        text = stream.read()
    if not text.lstrip().startswith("["):
        yield from json_lines(path, encoding)
        return
    values = _json(text, path.name)
    for number, value in enumerate(values if isinstance(values, list) else (), start=1):
        yield number, _object(value, f"{path.name}, row {number}")


def csv_rows(path: Path, encoding: str, *, tab: bool) -> Iterator[NumberedRow]:
    """Read cells under a header; without `tab` the delimiter is a comma, semicolon or tab."""
    # The limit is global to the csv module; the default would refuse a cell of 131,072 characters.
    csv.field_size_limit(LONGEST_LINE)
    with _text(path, encoding) as stream:
        lines = _lines(stream, path.name)
        first = next(lines, "")
        delimiter = "\t" if tab else _delimiter(first)
        reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
        try:
            yield from _records(reader, path.name, delimiter)
        except csv.Error as error:
            raise InvalidInput(
                f"{path.name}, line {reader.line_num}: broken quoting ({error}). Put a cell that "
                "holds the delimiter, a quote or a line break in double quotes, and double "
                "the quotes inside it."
            ) from error


def _delimiter(header: str) -> str:
    return max(",;\t", key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))


def _records(reader: Any, name: str, delimiter: str) -> Iterator[NumberedRow]:
    """Pair cells with the header. A record's number is the line where it begins."""
    header = [cell.strip() for cell in next(reader, [])]
    twice = sorted({cell for cell in header if header.count(cell) > 1})
    if twice:
        raise InvalidInput(
            f"{name}: the header names {shorten(twice[0])} more than once. Rename one of them."
        )
    begins = reader.line_num + 1
    for cells in reader:
        if cells and len(cells) != len(header):
            raise InvalidInput(
                f"{name}, line {begins}: {len(cells)} cells where the header has {len(header)} "
                f"(delimiter {delimiter!r}): {shorten(delimiter.join(cells))}. "
                "Put cells that hold the delimiter in double quotes."
            )
        if cells:
            yield begins, dict(zip(header, cells, strict=True))
        begins = reader.line_num + 1
