"""Files as people hand them in, and what an import says about them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from querist.memory.answers import name_of
from querist.memory.errors import InvalidInput
from querist.tools.data.load import ColumnMap, Imported, load_examples

LABELS = ("billing", "bug", "praise")


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_jsonl(path: Path, rows: Sequence[object]) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def write_json(path: Path, value: object) -> Path:
    return write(path, json.dumps(value))


def load(source: Path | str, *fields: str, gold: str | None = None, **options) -> Imported:
    options.setdefault("labels", LABELS)
    return load_examples(source, columns=ColumnMap(fields, gold=gold), **options)


def complaint(source: Path | str, *fields: str, gold: str | None = None, **options) -> str:
    with pytest.raises(InvalidInput) as caught:
        load(source, *fields, gold=gold, **options)
    return str(caught.value)


def texts(imported: Imported) -> list[str]:
    return [example.text for example in imported.examples]


def golds(imported: Imported) -> list[str | None]:
    return [example.gold and name_of(example.gold) for example in imported.examples]


def mended(imported: Imported) -> dict[str, tuple[int, ...]]:
    return {note.reason: note.rows for note in imported.mended}


def skipped(imported: Imported) -> dict[str, tuple[int, ...]]:
    return {note.reason: note.rows for note in imported.skipped}
