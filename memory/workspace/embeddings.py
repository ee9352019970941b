"""Embeddings on disk: computed once per text and embedder, opened at once, read by many.

Each embedder has a folder with two files that only grow. `vectors` holds float32 rows; `keys` the
SHA-256 of each row's text, 32 bytes apiece. Vectors are written before their keys, and a row
counts only when both are whole, so a process killed in mid-append costs the rows it was writing
and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from querist.memory.errors import InvalidInput, StoreError

Float32 = NDArray[np.float32]

_KEY = 32


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a lookup found: `vectors` (N, d), and which of the N rows are `missing` (and zero)."""

    vectors: Float32
    missing: NDArray[np.intp]


class EmbeddingCache:
    """Vectors by embedder and text. Any number of processes may read and append."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shelves: dict[tuple[str, int], _Shelf] = {}

    def lookup(self, embedder: str, texts: Sequence[str], *, dimensions: int) -> Found:
        """Fetch what is known of `texts`, including what other processes have added."""
        with _explained(self._folder):
            return self._shelf(embedder, dimensions).lookup(_keys(texts))

    def add(self, embedder: str, texts: Sequence[str], *, vectors: Float32) -> None:
        """Append one vector (N, d) per text. A text added twice keeps its first vector.

        Raises InvalidInput for vectors of the wrong shape or not finite, which would otherwise
        spoil every later run, and StoreError when the disk does not take them.
        """
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise InvalidInput(f"{len(texts)} texts came with vectors of shape {vectors.shape}.")
        if not np.isfinite(vectors).all():
            raise InvalidInput(f"The embedder {embedder} returned numbers that are not finite.")
        with _explained(self._folder):
            self._shelf(embedder, vectors.shape[1]).append(_keys(texts), vectors)

    def count(self, embedder: str, *, dimensions: int) -> int:
        """Count the vectors of an embedder."""
        with _explained(self._folder):
            return self._shelf(embedder, dimensions).count()

    def _shelf(self, embedder: str, dimensions: int) -> _Shelf:
        if (embedder, dimensions) not in self._shelves:
            folder = self._folder / f"{quote(embedder, safe='')}-{dimensions}"
            self._shelves[embedder, dimensions] = _Shelf(folder, dimensions)
        return self._shelves[embedder, dimensions]


class _Shelf:
    """The two files of one embedder, and a sorted index of the keys they held when last read."""

    def __init__(self, folder: Path, dimensions: int) -> None:
        self._folder = folder
        self._vectors = folder / "vectors"
        self._keys = folder / "keys"
        self._dimensions = dimensions
        self._row_bytes = 4 * dimensions
        self._known = np.empty((0, _KEY), dtype=np.uint8)
        self._order = np.empty(0, dtype=np.intp)
        self._sorted = np.empty(0, dtype=np.uint64)

    def count(self) -> int:
        """Count the rows of which both halves are whole."""
        return min(_size(self._vectors) // self._row_bytes, _size(self._keys) // _KEY)

    def lookup(self, keys: NDArray[np.uint8]) -> Found:
        """Find rows by the first eight bytes of their keys, and check all 32."""
        self._refresh()
        vectors = np.zeros((len(keys), self._dimensions), dtype=np.float32)
        if not len(self._known) or not len(keys):
            return Found(vectors, np.arange(len(keys)))
        places = np.searchsorted(self._sorted, _prefixes(keys))
        rows = self._order[np.minimum(places, len(self._order) - 1)]
        here = (self._known[rows] == keys).all(axis=1)
        stored = np.memmap(
            self._vectors, np.float32, "r", shape=(len(self._known), self._dimensions)
        )
        vectors[here] = stored[rows[here]]
        return Found(vectors, np.flatnonzero(~here))

    def append(self, keys: NDArray[np.uint8], vectors: Float32) -> None:
        """Cut off what a killed process left half written, then write vectors, then keys."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with _locked(self._folder / "lock"):
            whole = self.count()
            for path, size, data in (
                (self._vectors, self._row_bytes, np.ascontiguousarray(vectors, dtype="<f4")),
                (self._keys, _KEY, keys),
            ):
                with path.open("ab") as file:
                    file.truncate(whole * size)
                    file.write(data.tobytes())
                    file.flush()
                    os.fsync(file.fileno())

    def _refresh(self) -> None:
        """Index the keys again if there are new ones."""
        count = self.count()
        if count == len(self._known):
            return
        data = np.fromfile(self._keys, dtype=np.uint8, count=count * _KEY)
        self._known = data.reshape(count, _KEY)
        prefixes = _prefixes(self._known)
        # Stable, so that of two rows for one text the first one is found.
        self._order = np.argsort(prefixes, kind="stable")
        self._sorted = prefixes[self._order]


def _keys(texts: Sequence[str]) -> NDArray[np.uint8]:
    """Hash texts to (N, 32) bytes."""
    digests = b"".join(
        hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts
    )
    return np.frombuffer(digests, dtype=np.uint8).reshape(len(texts), _KEY)


def _prefixes(keys: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Read the first eight bytes of keys (N, 32) as numbers (N,)."""
    return np.ascontiguousarray(keys[:, :8]).view("<u8")[:, 0]


def _size(path: Path) -> int:
    """Measure a file; one that does not exist is empty."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process append at a time; the lock dies with its holder."""
    with path.open("ab") as file:
        # Windows has no fcntl: there, one process at a time must append.
        with contextlib.suppress(ImportError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Raise what the disk refuses as StoreError."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"The embeddings in {folder} cannot be read or written: {error}. "
            "Check space and permissions; the folder may be deleted, it is only a cache."
        ) from error
