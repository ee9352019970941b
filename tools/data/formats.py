"""Open whatever people hand in as rows: text files, Parquet, Arrow, `datasets` folders, the hub."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from querist.memory.errors import InvalidInput, MissingExtra
from querist.memory.records import Split
from querist.tools.data.annotation.annotation_tools import plain_rows
from querist.tools.data.delimited import read_delimited
from querist.tools.data.encoding import AUTO, TextFile
from querist.tools.data.json_rows import USUAL_SPLITS, json_array, json_lines
from querist.tools.data.table import SAMPLE, NumberedRow, Remarks, Row, Table, look_ahead
from querist.tools.wording import listed, shorten, suggest

_ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".parquet", ".arrow")
_HUB = "hf://"
_PATH = 300
"""Characters of a path that a message shows."""
_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
_ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".zst")
# What files begin with whose names may say something else.
_PARQUET = b"PAR1"
_PACKED = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


def open_table(
    source: str | Path,
    *,
    split: Split = Split.POOL,
    encoding: str = AUTO,
    header: bool = True,
) -> Table:
    """Open a file, a `datasets` folder (`FOLDER` or `FOLDER:SPLIT`) or `hf://NAME[/CONFIG][:SPLIT]`.

    Where a data set has several splits and none is named, `split` picks the usual one for it
    (`train` for the pool). Raises `InvalidInput`, and `MissingExtra` without the `hub` extra.
    """
    if str(source).startswith(_HUB):
        return _open_hub(str(source), split=split)
    path, wanted = _find(str(source))
    name = path.name
    if path.is_dir():
        return _open_folder(path, wanted=wanted, split=split)
    if not path.is_file():
        raise InvalidInput(f"{name} is not a regular file. Save the data to a file first.")
    if path.stat().st_size == 0:
        raise InvalidInput(f"{name} is empty: there is nothing to import. Is it the right file?")
    ending = Path(name.lower().removesuffix(".gz")).suffix
    if ending in _SPREADSHEETS or ending in _ARCHIVES or ending not in _ENDINGS:
        raise InvalidInput(_say_unknown(name, ending))
    if ending in {".parquet", ".arrow"} and not name.lower().endswith(".gz"):
        return _open_parquet(path) if ending == ".parquet" else _open_arrow(path)
    with path.open("rb") as stream:
        start = stream.read(4)
    if start == _PARQUET:
        return _open_parquet(path)
    if start in _PACKED:
        raise InvalidInput(_say_unknown(name, _SPREADSHEETS[0]))
    return _open_text(path, ending, split=split, encoding=encoding, header=header)


def _open_text(path: Path, ending: str, *, split: Split, encoding: str, header: bool) -> Table:
    remarks = Remarks()
    file = TextFile.open(path, encoding, remarks)
    if ending in {".csv", ".tsv"}:
        return read_delimited(file, remarks, tab=ending == ".tsv", header=header)
    if ending == ".json":
        return look_ahead(
            path.name, "row", plain_rows(json_array(file, remarks, split=split), remarks), remarks
        )
    rows = _texts(file) if ending == ".txt" else json_lines(file, remarks, split=split)
    return look_ahead(path.name, "line", plain_rows(rows, remarks), remarks)


def _texts(file: TextFile) -> Iterator[NumberedRow]:
    """Read one text a line."""
    for number, line in enumerate(file.lines(), start=1):
        if not line.isspace():
            yield number, {"text": line.strip("\r\n")}


def _say_unknown(name: str, ending: str) -> str:
    if ending in _SPREADSHEETS:
        return (
            f"{name} is a spreadsheet, and Querist does not read those. Open it there and save "
            "the sheet as CSV (in UTF-8, where it asks)."
        )
    if ending in _ARCHIVES:
        return f"{name} is an archive. Unpack it, and name a file in it (or compress that as .gz)."
    return (
        f"{name}: cannot tell its format from its name. Expected {', '.join(_ENDINGS)} "
        "(the text formats also with .gz), a datasets folder, or hf://NAME."
    )


def _find(source: str) -> tuple[Path, str]:
    """Split `FOLDER:SPLIT`, unless the whole is a path that exists."""
    path = Path(source).expanduser()
    head, _, tail = source.rpartition(":")
    try:
        if path.exists():
            return path, ""
        if head and (folder := Path(head).expanduser()).is_dir():
            return folder, tail
        parent = path.parent
        names = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{shorten(source, _PATH)} cannot be opened: {error}.") from error
    if not parent.is_dir():
        raise InvalidInput(f"There is no folder {shorten(str(parent), _PATH)}. Check the path.")
    raise InvalidInput(
        f"There is no file {shorten(path.name, _PATH)}.{suggest(path.name, names)} "
        f"Check the name and the folder ({parent.resolve()})."
    )


def _open_parquet(path: Path) -> Table:
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    with _arrow_errors(path.name):
        file = pq.ParquetFile(path)
        return _arrow_table(
            path.name,
            file.schema_arrow,
            lambda columns: file.iter_batches(batch_size=4096, columns=list(columns)),
        )


def _open_arrow(path: Path) -> Table:
    datasets = _datasets()
    with _arrow_errors(path.name):
        return _dataset_table(path.name, datasets.Dataset.from_file(str(path)))


def _open_folder(path: Path, *, wanted: str, split: Split) -> Table:
    if not any((path / mark).is_file() for mark in ("dataset_dict.json", "dataset_info.json")):
        files = sorted(e.name for e in path.iterdir() if e.suffix in {*_ENDINGS, ".gz"})
        found = f"It holds {', '.join(files[:8])}: name one of them." if files else ""
        raise InvalidInput(
            f"{path} is a folder that datasets' save_to_disk did not write. "
            f"{found or 'Give the path of a data file.'}"
        )
    datasets = _datasets()
    with _arrow_errors(path.name):
        loaded = datasets.load_from_disk(str(path))
    return _dataset_table(path.name, _pick(loaded, path.name, wanted=wanted, split=split))


def _open_hub(source: str, *, split: Split) -> Table:
    """Load from the hub. `a/b` is tried as owner and name first, then as name and config."""
    datasets = _datasets()
    repository, _, wanted = source.removeprefix(_HUB).partition(":")
    parts = repository.strip("/").split("/")
    tries = [("/".join(parts[:2]), "/".join(parts[2:]) or None)]
    if len(parts) == 2:
        tries.append((parts[0], parts[1]))
    for last, (name, config) in enumerate(tries, start=1):
        try:
            loaded = datasets.load_dataset(name, config, split=wanted or None)
        except datasets.exceptions.DatasetNotFoundError as error:
            if last == len(tries):
                raise InvalidInput(
                    f"{source}: the Hugging Face hub has no such data set, or it needs a login. "
                    "Write hf://OWNER/NAME[/CONFIG][:SPLIT]."
                ) from error
        except ConnectionError as error:
            raise InvalidInput(
                f"{source} cannot be reached ({error}). It needs a network; without one, save "
                "the data set elsewhere (save_to_disk) and give its folder."
            ) from error
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            raise InvalidInput(f"{source} cannot be loaded: {error}") from error
        else:
            return _dataset_table(source, _pick(loaded, source, wanted=wanted, split=split))
    raise AssertionError(source)


def _datasets() -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise MissingExtra(
            "Hugging Face data sets need the datasets package: pip install 'querist[hub]'"
        ) from error


def _pick(loaded: Any, name: str, *, wanted: str, split: Split) -> Any:
    """Take one split of a data set that may have several."""
    if not isinstance(loaded, Mapping):
        if wanted and not name.startswith(_HUB) and str(loaded.split or "") != wanted:
            raise InvalidInput(f"{name} has no splits. Give the folder without :{wanted}.")
        return loaded
    choices = (
        [wanted] if wanted else [*USUAL_SPLITS[split], *([*loaded] if len(loaded) == 1 else [])]
    )
    for choice in choices:
        if choice in loaded:
            return loaded[choice]
    raise InvalidInput(
        f"{name} has no split {choices[0]!r}; it has {listed([*loaded])}."
        f"{suggest(choices[0], loaded)} Name one, as in {name}:{next(iter(loaded), 'train')}."
    )


def _dataset_table(name: str, dataset: Any) -> Table:
    def batches(columns: Sequence[str]) -> Iterator[Any]:
        # The arrow view hands out stored values, so pictures and sounds are not decoded.
        return iter(dataset.select_columns(list(columns)).with_format("arrow").iter(4096))

    return _arrow_table(name, dataset.features.arrow_schema, batches)


def _arrow_table(
    name: str, schema: Any, batches: Callable[[Sequence[str]], Iterable[Any]]
) -> Table:
    from pyarrow import types

    classes = _class_names(schema)

    def is_wordy(kind: Any) -> bool:
        kind = kind.value_type if types.is_dictionary(kind) else kind
        return bool(types.is_string(kind) or types.is_large_string(kind))

    def rows(columns: Sequence[str]) -> Iterator[NumberedRow]:
        number = 0
        with _arrow_errors(name):
            for batch in batches(columns):
                # Offsets in a damaged file point anywhere; reading them unchecked can crash.
                batch.validate(full=True)
                for row in batch.to_pylist():
                    number += 1
                    yield number, _with_names(row, classes)

    return Table(
        name=name,
        unit="row",
        columns=tuple(schema.names),
        text_columns=tuple(column.name for column in schema if is_wordy(column.type)),
        rows=rows,
        sample=lambda columns: [row for _, row in islice(rows(columns), SAMPLE)],
    )


@contextmanager
def _arrow_errors(name: str) -> Iterator[None]:
    try:
        yield
    # The readers of pyarrow and datasets meet damaged files with errors of every kind.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInput(
            f"{name} is damaged or not what its name says ({reason}). Write or copy it again."
        ) from error


def _class_names(schema: Any) -> dict[str, list[str]]:
    """Read the names behind integer labels, which `datasets` keeps in the schema's metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        leaves = {column: value.get("feature", value) for column, value in features.items()}
        return {c: list(leaf["names"]) for c, leaf in leaves.items() if "names" in leaf}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _with_names(row: dict[str, object], classes: Mapping[str, Sequence[str]]) -> Row:
    """Put names for integer labels; -1, which stands for no label, becomes None."""
    for column, names in classes.items():
        value = row.get(column)
        if isinstance(value, int):
            row[column] = names[value] if 0 <= value < len(names) else None
        elif isinstance(value, list):
            row[column] = [names[i] if 0 <= i < len(names) else None for i in value]
    return row
