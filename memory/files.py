"""The files of a run, in one place: whole or not at all, written only by who drives the run.

Keys are like those of an object store (`heads/round-0003.npz`), bodies are bytes. Here they are
files in the folder of the run; what needs a real file or folder (SQLite, the model that people take
home, the report) asks for its `path`.
"""

from __future__ import annotations

import io
import uuid
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from querist.memory.errors import InvalidInput, StoreError
from querist.memory.store import Lease, Store

Arrays = Mapping[str, NDArray[Any]]
_DRAFT = ".tmp"
"""How the names of files end that are not whole yet, or were left so by a killed process."""


class RunFiles:
    """The files of one run. Anybody may read; with a lease that is stale nothing is written."""

    def __init__(self, store: Store, run: str, *, lease: Lease | None = None) -> None:
        """Write only with a lease."""
        self._store = store
        self._root = store.folder / "runs" / run
        self._lease = lease

    def path(self, key: str) -> Path:
        """Say where a key's file or folder is, or would be, on this machine."""
        parts = PurePosixPath(key)
        if parts.is_absolute() or ".." in parts.parts:
            raise InvalidInput(f"{key!r} is no name of a file of a run.")
        return self._root / parts

    def fenced(self) -> AbstractContextManager[object]:
        """Keep the lease from changing hands in a `with` block; raises `LeaseLost` if it has."""
        return self._store.write(self._lease)

    def read(self, key: str) -> bytes | None:
        """Read a file; None if there is none."""
        try:
            return self.path(key).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, key: str, body: bytes) -> None:
        """Write a file; a reader sees what was there or all of the new. Raises `LeaseLost`."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft_of(path)
        try:
            draft.write_bytes(body)
            # Whoever takes the run over waits for this, so what they write is never overwritten.
            with self.fenced():
                draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def delete(self, key: str) -> None:
        """Delete a file, if it is there. Raises `LeaseLost`."""
        path = self.path(key)
        if path.exists():
            with self.fenced():
                path.unlink(missing_ok=True)

    def keys(self, prefix: str) -> list[str]:
        """List the whole files whose keys start with `prefix`, in their order."""
        folder = self.path(prefix).parent
        files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != _DRAFT)
        keys = (path.relative_to(self._root).as_posix() for path in files)
        return sorted(key for key in keys if key.startswith(prefix))

    def write_arrays(self, key: str, arrays: Arrays, *, what: str) -> None:
        """Write named arrays; raises `StoreError` about `what` when the disk does not take them."""
        try:
            self.write(key, pack(arrays))
        except OSError as error:
            raise StoreError(
                f"{what} cannot be written ({error}). Free some disk space, then: querist resume"
            ) from error

    def read_arrays(self, key: str, *, what: str, without: str) -> dict[str, NDArray[Any]] | None:
        """Read named arrays; None if there are none.

        Raises `StoreError` about `what` when they are damaged, with what it means to go on
        `without` them.
        """
        try:
            body = self.read(key)
            return None if body is None else unpack(body)
        except (OSError, ValueError) as error:
            raise self.damaged(key, error, what=what, without=without) from error

    def damaged(self, key: str, error: Exception, *, what: str, without: str) -> StoreError:
        """Make the error about a file that cannot be used, with the remedy."""
        return StoreError(
            f"{what} cannot be read ({error}). Delete {self.path(key)} to {without}, then: "
            "querist resume"
        )


def write_whole(path: Path, body: bytes) -> None:
    """Write a file that belongs to no run; a reader sees what was there or all of the new."""
    draft = _draft_of(path)
    try:
        draft.write_bytes(body)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def pack(arrays: Arrays) -> bytes:
    """Turn named arrays into the bytes of an `.npz` file."""
    whole: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in whole.items():
        if array.dtype.hasobject:
            raise InvalidInput(f"The array {name!r} holds Python objects; keep numbers or texts.")
    body = io.BytesIO()
    np.savez(body, **whole)
    return body.getvalue()


def unpack(body: bytes) -> dict[str, NDArray[Any]]:
    """Read what `pack` made; raises `ValueError` for anything else. Nothing is ever unpickled."""
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (AttributeError, TypeError) as error:  # one array, without a name
        raise ValueError("it is no file of named arrays") from error
    except (KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(str(error) or "it is not whole") from error


def _draft_of(path: Path) -> Path:
    # By chance and not by process id, which repeats where containers share a disk.
    return path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}{_DRAFT}")
