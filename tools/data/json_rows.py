"""Rows out of JSON: one object a line, an array of them, or an array under a key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing

from querist.memory.errors import InvalidInput
from querist.memory.records import Split
from querist.tools.data.encoding import TextFile
from querist.tools.data.table import Broken, NumberedRow, Remarks, Row
from querist.tools.wording import quoted, shorten

# The names under which published data sets keep what Querist calls a pool, and so on.
USUAL_SPLITS = {
    Split.POOL: ("train", "pool", "unlabeled", "unlabelled", "unsupervised"),
    Split.VALIDATION: ("validation", "valid", "dev", "val"),
    Split.TEST: ("test",),
}
_NOT_JSON = "not valid JSON"
_NO_OBJECT = "no object with named columns"
# A file beyond this is not read as a whole to see whether it is one value after all.
_MOST_WHOLE = 500_000_000


class _Unreadable(Exception):
    """Why a value is no row: the first argument in short, the second at length."""


def json_lines(
    file: TextFile, remarks: Remarks, *, split: Split = Split.POOL
) -> Iterator[NumberedRow]:
    """Read one object a line; blank lines are passed over, a few broken ones are counted.

    A file that holds one JSON value over several lines, whatever its name, is read as that.
    """
    if _begins_a_value(file) and (rows := _one_value(file, split)):
        yield from rows
        return
    broken, n_good = Broken(file.name, "line", remarks), 0
    for number, line in enumerate(file.lines(), start=1):
        if line.isspace():
            continue
        try:
            row = _as_row(_parse(line))
        except _Unreadable as why:
            broken.add(number, *why.args)
            if broken.is_hopeless(n_good):
                break
        else:
            n_good += 1
            yield number, row
    broken.check(n_good)


def json_array(
    file: TextFile, remarks: Remarks, *, split: Split = Split.POOL
) -> Iterator[NumberedRow]:
    """Read an array of objects, or one under a key; a `.json` file may be JSON Lines, too."""
    text = file.whole()
    try:
        value = _parse(text)
    except _Unreadable as why:
        if not _looks_like_lines(text):
            raise InvalidInput(f"{file.name}: {why.args[1]}") from why
        yield from json_lines(file, remarks, split=split)
        return
    values = _rows_of(value, file.name, split) if isinstance(value, dict) else value
    if not isinstance(values, list):
        raise InvalidInput(
            f"{file.name} holds {shorten(json.dumps(value))}, no rows. Write an array of objects: "
            '[{"text": "..."}, ...]'
        )
    broken, n_good = Broken(file.name, "row", remarks), 0
    for number, cells in enumerate(values, start=1):
        try:
            row = _as_row(cells)
        except _Unreadable as why:
            broken.add(number, *why.args)
        else:
            n_good += 1
            yield number, row
    broken.check(n_good)


def _parse(text: str) -> object:
    text = text.strip()
    try:
        # A line out of an array keeps its comma.
        return json.loads(text.removesuffix(",") if text.endswith("},") else text)
    # Besides JSONDecodeError, a number of thousands of digits is a ValueError.
    except (ValueError, RecursionError) as error:
        message = f"{_NOT_JSON} ({error}): {shorten(text)}. Correct or delete it."
        raise _Unreadable(_NOT_JSON, message) from error


def _as_row(value: object) -> Row:
    if isinstance(value, dict):
        return value
    if isinstance(value, str):
        return {"text": value}
    raise _Unreadable(
        _NO_OBJECT,
        f"expected an object with named columns, found {shorten(value)}. "
        'Write rows as {"text": "..."}; a JSON array belongs in a file that ends in .json.',
    )


def _begins_a_value(file: TextFile) -> bool:
    """Tell whether the first line with something on it is no whole row."""
    with closing(file.lines()) as lines:
        first = next((line for line in lines if not line.isspace()), "")
    try:
        return not isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return True


def _looks_like_lines(text: str) -> bool:
    """Tell whether most of the first lines are objects of their own."""
    lines = [line.strip() for line in text.lstrip()[:100_000].splitlines()[:20] if line.strip()]
    # The last one may be cut.
    whole = sum(line.startswith("{") and line.endswith("}") for line in lines)
    return 2 * whole > len(lines)


def _one_value(file: TextFile, split: Split) -> list[NumberedRow]:
    """Read the whole file as one value; nothing if it is none, or none with rows."""
    if file.path.stat().st_size > _MOST_WHOLE:
        return []
    try:
        value = json.loads(file.whole())
    except (ValueError, RecursionError):
        return []
    values = _rows_of(value, file.name, split) if isinstance(value, dict) else value
    if not isinstance(values, list) or not all(isinstance(row, dict) for row in values):
        return []
    return list(enumerate(values, start=1))


def _rows_of(value: dict[str, object], name: str, split: Split) -> list[object]:
    """Find the rows in an object: a list of objects under a key, or columns side by side."""
    lists = dict(_lists_of_rows(value))
    for key in lists if len(lists) == 1 else USUAL_SPLITS[split]:
        if key in lists:
            return lists[key]
    if lists:
        raise InvalidInput(
            f"{name} holds rows under several keys ({quoted(list(lists))}), and none of them is "
            f"called {USUAL_SPLITS[split][0]}. Save the one you mean as a file of its own."
        )
    if not value or list(value.values()) == [[]]:
        return []
    return _from_columns(value) or [value]


def _lists_of_rows(value: Mapping[str, object]) -> Iterator[tuple[str, list[object]]]:
    """Find lists of objects under keys; inside objects only where there is nothing else."""
    for key, member in value.items():
        if isinstance(member, list) and _is_rows(member):
            yield key, member
    inner = [member for member in value.values() if isinstance(member, dict)]
    if len(inner) == len(value) == 1:
        yield from _lists_of_rows(inner[0])


def _is_rows(values: list[object]) -> bool:
    return bool(values) and all(isinstance(value, dict) for value in values)


def _from_columns(value: Mapping[str, object]) -> list[object]:
    """Read what `pandas` writes by default, and its kin: columns, or rows under their ids."""
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list):
        rows = [row for row in data if isinstance(row, list) and len(row) == len(columns)]
        return [dict(zip(map(str, columns), row, strict=True)) for row in rows]
    lists = [column for column in value.values() if isinstance(column, list)]
    if len(lists) == len(value) and len({len(column) for column in lists}) == 1:
        return [dict(zip(value, row, strict=True)) for row in zip(*lists, strict=True)]
    members = {key: member for key, member in value.items() if isinstance(member, dict)}
    if not members or len(members) < len(value):
        return []
    indices = [list(member) for member in members.values()]
    if indices[0] and all(str(key).isdigit() for key in indices[0]):
        if any(index != indices[0] for index in indices):
            return []
        cells = zip(*(member.values() for member in members.values()), strict=True)
        return [dict(zip(members, row, strict=True)) for row in cells]
    return [{"id": key, **member} for key, member in members.items()] if len(members) > 1 else []
