"""Where files are written: the format by their name, never over others, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

from querist.memory.errors import InvalidInput, StoreError
from querist.tools.wording import listed

ExportFormat = Literal["jsonl", "csv", "parquet", "hf", "label-studio"]
_BY_ENDING: dict[str, ExportFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".json": "label-studio",
}


def format_of(path: Path, given: ExportFormat | None) -> ExportFormat:
    """Tell the format of a file by its name, unless one is given.

    Raises `InvalidInput` for a name that says nothing, or something else than what is given.
    """
    named = _BY_ENDING.get(path.suffix.lower())
    if given is None:
        if named is None:
            raise InvalidInput(
                f"{path.name} does not say in which format to write. Let it end in "
                f"{listed(list(_BY_ENDING))}, or give --format ({listed(get_args(ExportFormat))})."
            )
        return named
    if named is not None and named != given:
        raise InvalidInput(
            f"{path.name} is named as {named}, but {given} was asked for. Leave out --format, or "
            "name the file otherwise."
        )
    return given


def refuse_target(path: Path, *, is_folder: bool, force: bool = True) -> None:
    """Never replace what an export of this format did not write; without `force` nothing at all."""
    if not path.exists():
        return
    if not is_folder and path.is_dir():
        raise InvalidInput(f"{path} is a folder. Name a file in it.")
    if is_folder and not path.is_dir():
        raise InvalidInput(f"{path} is a file, but hf writes a folder. Give another name.")
    is_other = is_folder and not (path / "dataset_info.json").is_file() and any(path.iterdir())
    if is_other:
        raise InvalidInput(
            f"{path} holds other things than a former export. Give a new or an empty folder."
        )
    if not force and not (is_folder and not any(path.iterdir())):
        raise InvalidInput(f"{path} is there already. Name another, or replace it with --force.")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a place to write to, and move it to `path` once all is written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=".querist-export-") as aside:
            draft, former = Path(aside, "new"), Path(aside, "former")
            yield draft
            # A file is replaced in one step; a folder has to make room first.
            if path.is_dir():
                path.rename(former)
            try:
                draft.replace(path)
            except OSError:
                if former.exists():
                    former.rename(path)
                raise
    except OSError as error:
        raise StoreError(
            f"The export to {path} failed: {error.strerror or error}. A former export is as it "
            "was. Free some space there, or choose another place."
        ) from error
