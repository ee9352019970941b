"""The files of a run, in one place: whole or not at all, written only by who drives the run.

Keys are like those of an object store (`heads/round-0003.npz`), bodies are bytes. They are files in
the folder of the run, or objects under an address of `fsspec` (`put_place`), so that another
machine can go on with the run. What needs a real file or folder asks for its `path`, and is handed
from machine to machine with the run: a folder by `share` and `fetch`, a file by `lend`.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from querist.memory import schema
from querist.memory.errors import InvalidInput, QueristError, StoreError
from querist.memory.extras import need
from querist.memory.records import utc_now
from querist.memory.store import Lease, Store

Arrays = Mapping[str, NDArray[Any]]
_DRAFT = ".tmp"
"""How the names of files end that are not whole yet, or were left so by a killed process."""
_PLACE = "files"
_settings = schema.settings


def place_of(store: Store) -> str:
    """Tell the address of the workspace's run files; "" where they are in its folder."""
    query = sa.select(_settings.c.value).where(_settings.c.name == _PLACE)
    with store.read() as connection:
        return connection.execute(query).scalar() or ""


def put_place(store: Store, url: str, *, who: str) -> None:
    """Keep run files under an address of `fsspec` from now on; "" for the workspace's folder.

    Raises `InvalidInput` once there are runs, whose files would be missed, `StoreError` for an
    address that cannot be written, and `MissingExtra`.
    """
    if url:
        probe = _Objects(url, "probe")
        probe.put("probe", b"querist")
        probe.delete("probe")
    with store.write() as connection:
        if connection.execute(sa.select(schema.runs.c.id).limit(1)).first() is not None:
            raise InvalidInput(
                "This workspace has runs, whose files would be missed in another place. Say where "
                "files go before the first run, in a new workspace (--workspace)."
            )
        connection.execute(sa.delete(_settings).where(_settings.c.name == _PLACE))
        if url:
            row = {"name": _PLACE, "value": url, "who": who, "at": utc_now()}
            connection.execute(sa.insert(_settings), [row])


class _Objects:
    """The objects of one run under an address; every call raises `StoreError` where it fails."""

    def __init__(self, url: str, run: str) -> None:
        fsspec: Any = need("fsspec", extra="fsspec")
        self.words = re.sub(r"//[^/@]*@", "//", url)  # no passwords in messages
        with self._translated():
            self._system, root = fsspec.core.url_to_fs(url)
        self._root = f"{root.rstrip('/')}/runs/{run}"

    def get(self, key: str) -> bytes | None:
        with self._translated():
            try:
                body: bytes = self._system.cat_file(self._at(key))
            except FileNotFoundError:
                return None
        return body

    def put(self, key: str, body: bytes) -> None:
        path = self._at(key)
        with self._translated():
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(path, body)

    def move(self, key: str, to: str) -> None:
        """Put an object in the place of another, which readers see whole before and after."""
        with self._translated():
            self._system.mv(self._at(key), self._at(to))

    def delete(self, key: str) -> None:
        with self._translated(), contextlib.suppress(FileNotFoundError):
            self._system.rm_file(self._at(key))

    def keys(self, prefix: str) -> list[str]:
        folder = self._at(prefix).rpartition("/")[0]
        with self._translated():
            found = self._system.find(folder) if self._system.exists(folder) else []
        # Some systems name what they find with a slash before it.
        root = self._root.lstrip("/")
        return [str(path).lstrip("/").removeprefix(f"{root}/") for path in found]

    def _at(self, key: str) -> str:
        return f"{self._root}/{key}"

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, QueristError):
            raise
        except Exception as error:
            raise StoreError(
                f"The runs' files at {self.words} cannot be read or written ({error}). Check the "
                "address, its driver (pip install s3fs, for instance) and the credentials in this "
                "machine's environment; then: querist resume"
            ) from error


class RunFiles:
    """The files of one run. Anybody may read; with a lease that is stale nothing is written."""

    def __init__(self, store: Store, run: str, *, lease: Lease | None = None) -> None:
        """Write only with a lease."""
        self._store = store
        self._run = run
        self._root = store.folder / "runs" / run
        self._lease = lease

    @cached_property
    def _objects(self) -> _Objects | None:
        url = place_of(self._store)
        return _Objects(url, self._run) if url else None

    def path(self, key: str) -> Path:
        """Say where a key's file or folder is, or would be, on this machine."""
        return self._root / _checked(key)

    def fenced(self) -> AbstractContextManager[object]:
        """Keep the lease from changing hands in a `with` block; raises `LeaseLost` if it has."""
        return self._store.write(self._lease)

    def read(self, key: str) -> bytes | None:
        """Read a file; None if there is none."""
        path = self.path(key)
        if self._objects is not None:
            return self._objects.get(key)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def write(self, key: str, body: bytes) -> None:
        """Write a file; a reader sees what was there or all of the new. Raises `LeaseLost`."""
        path = self.path(key)
        if self._objects is not None:
            self._put(self._objects, key, body)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft_of(path)
        try:
            draft.write_bytes(body)
            # Whoever takes the run over waits for this, so what they write is never overwritten.
            with self.fenced():
                draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def _put(self, objects: _Objects, key: str, body: bytes) -> None:
        # Uploaded beside it first: the lease is held only while one takes the other's place.
        draft = f"{key}.{uuid.uuid4().hex[:12]}{_DRAFT}"
        objects.put(draft, body)
        try:
            with self.fenced():
                objects.move(draft, key)
        except BaseException:
            with contextlib.suppress(StoreError):
                objects.delete(draft)
            raise

    def delete(self, key: str) -> None:
        """Delete a file, if it is there. Raises `LeaseLost`."""
        path = self.path(key)
        if self._objects is not None:
            with self.fenced():
                self._objects.delete(key)
        elif path.exists():
            with self.fenced():
                path.unlink(missing_ok=True)

    def keys(self, prefix: str) -> list[str]:
        """List the whole files whose keys start with `prefix`, in their order."""
        folder = self.path(prefix).parent
        if self._objects is not None:
            keys = [key for key in self._objects.keys(prefix) if not key.endswith(_DRAFT)]
        else:
            files = (path for path in folder.rglob("*") if path.is_file())
            whole = (path for path in files if path.suffix != _DRAFT)
            keys = [path.relative_to(self._root).as_posix() for path in whole]
        return sorted(key for key in keys if key.startswith(prefix))

    # ------------------------------------------------------------ what needs a real place

    def share(self, key: str) -> None:
        """Hand a folder to other machines, as it is now. Raises `LeaseLost`."""
        if self._objects is not None:
            body, version = _zipped(self.path(key)), uuid.uuid4().hex
            self._put(self._objects, f"{key}.zip", body)
            self._put(self._objects, f"{key}.version", version.encode())
            self._mark(key).write_text(version)

    def fetch(self, key: str) -> Path:
        """Bring a folder here as it was shared last; tell where it is."""
        path = self.path(key)
        if self._objects is None:
            return path
        version = self._objects.get(f"{key}.version")
        mark = self._mark(key)
        known = mark.read_bytes() if mark.is_file() else None
        if version is not None and version != known:
            # The version was written after the folder: at worst it is fetched once more.
            body = self._objects.get(f"{key}.zip")
            if body is not None:
                _unzip(body, path)
                mark.write_bytes(version)
        return path

    @contextlib.contextmanager
    def lend(self, key: str) -> Iterator[Path]:
        """Give a file that is changed here for a while; other machines get it afterwards.

        Where a process dies in between nobody has it any more, rather than an old one: a file here
        that was not handed over is deleted, too.
        """
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        objects = self._objects
        if objects is None:
            yield path
            return
        body = objects.get(key)
        for old in path.parent.glob(f"{path.name}*"):
            old.unlink()
        if body is not None:
            path.write_bytes(body)
            self.delete(key)
        yield path
        if path.is_file():
            self._put(objects, key, path.read_bytes())

    def _mark(self, key: str) -> Path:
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.with_name(f".{path.name}.version")

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
        at = self.path(key) if self._objects is None else f"{self._objects.words}: {key}"
        return StoreError(
            f"{what} cannot be read ({error}). Delete {at} to {without}, then: querist resume"
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


def _checked(key: str) -> PurePosixPath:
    parts = PurePosixPath(key)
    if parts.is_absolute() or ".." in parts.parts:
        raise InvalidInput(f"{key!r} is no name of a file of a run.")
    return parts


def _zipped(folder: Path) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:  # weights hardly shrink
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != _DRAFT:
                archive.write(path, path.relative_to(folder).as_posix())
    return body.getvalue()


def _unzip(body: bytes, folder: Path) -> None:
    """Put a folder in the place of another."""
    draft = _draft_of(folder)
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            archive.extractall(draft)  # which keeps names inside
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _draft_of(path: Path) -> Path:
    # By chance and not by process id, which repeats where containers share a disk.
    return path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}{_DRAFT}")
