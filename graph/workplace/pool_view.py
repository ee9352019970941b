"""The pool as a run sees it: examples with their vectors, in memory once they were asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from querist.memory.events import Embedded, EventBody
from querist.memory.records import Example, ExampleId, Split, Task
from querist.memory.run.pool import Pool
from querist.memory.store import Lease
from querist.memory.workspace.embeddings import EmbeddingCache
from querist.memory.workspace.vectors import VectorIndex
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.embedding.embedders import Embedder, embed_all
from querist.tools.kinds import answers_of, kind_of

_TOLD_EVERY = 512
"""Texts between two words about how far embedding is."""
_MOST_KEPT = 5_000
"""Examples that are kept once read: those that are labelled are shown in round after round."""
_SHORT = 4_000
"""Characters of the longest that is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class _Loaded:
    """Ids in their order, their vectors (N, d), and each one's row."""

    ids: tuple[ExampleId, ...]
    vectors: FloatArray
    rows: dict[ExampleId, int]
    imported: IntArray


class PoolView:
    """The examples of a run; row n of `vectors` belongs to `ids[n]`."""

    def __init__(
        self,
        pool: Pool,
        *,
        task: Task,
        embedder: Embedder,
        cache: EmbeddingCache,
        tell: Callable[[EventBody], None],
    ) -> None:
        """`cache` is the workspace's; `tell` hears how far embedding is."""
        self._pool = pool
        self._task = task
        self._kind = kind_of(task)
        self.embedder = embedder
        self._cache = cache
        self._tell = tell
        self._read: _Loaded | None = None
        self._kept: dict[ExampleId, Example] = {}

    def retask(self, task: Task) -> None:
        """Go on with another label set; vectors stay."""
        self._task = task
        self._kept.clear()  # what is known of them bears the names that labels had

    @property
    def ids(self) -> tuple[ExampleId, ...]:
        """The pool's ids in their order."""
        return self._loaded.ids

    @property
    def vectors(self) -> FloatArray:
        """The pool's vectors (N, d)."""
        return self._loaded.vectors

    @property
    def rows(self) -> dict[ExampleId, int]:
        """The row of each id."""
        return self._loaded.rows

    @property
    def imported(self) -> IntArray:
        """The rows that were imported, in their order; the others were written by agents."""
        return self._loaded.imported

    def of(self, examples: Sequence[ExampleId]) -> FloatArray:
        """Look up vectors (len, d)."""
        return np.asarray(self.vectors[[self.rows[example] for example in examples]])

    def get(self, ids: Sequence[ExampleId]) -> list[Example]:
        """Fetch examples by id; unknown ids are a `KeyError`."""
        known = {name: kept for name in ids if (kept := self._kept.get(name)) is not None}
        missing = [name for name in ids if name not in known]
        if missing:
            read = {example.id: example for example in self._pool.get(missing)}
            known |= read
            if len(self._kept) + len(read) > _MOST_KEPT:
                self._kept.clear()
            short = {name: example for name, example in read.items() if _is_short(example)}
            self._kept.update(short)
        return [known[name] for name in ids]

    def known(self, split: Split) -> list[Example]:
        """Fetch the examples of a split whose answer the file gives."""
        answers = answers_of(self._task)
        examples = self._pool.all(split)
        return [example for example in examples if answers.place(example.gold) >= 0]

    def grow(self, examples: Sequence[Example], *, lease: Lease) -> None:
        """Add generated examples."""
        self._pool.add(examples, lease=lease)
        self._read = None

    def embed(self, examples: Sequence[Example]) -> FloatArray:
        """Give examples their vectors (N, d), made of their parts as the kind of task wants it."""
        parts = [self._kind.parts(example) for example in examples]
        if not parts:
            count = len(self._kind.parts(Example(ExampleId(""), {})))
            empty = np.empty((0, self.embedder.dimensions), dtype=np.float32)
            return self._kind.join([empty] * count)
        return self._kind.join(
            [self.embed_texts(list(texts)) for texts in zip(*parts, strict=True)]
        )

    def embed_texts(self, texts: list[str]) -> FloatArray:
        """Embed texts through the workspace's cache, telling how far it is."""
        told = 0

        def progress(done: int, total: int) -> None:
            nonlocal told
            if done == total or done - told >= _TOLD_EVERY:
                told = done
                self._tell(Embedded(done, total))

        return embed_all(texts, embedder=self.embedder, cache=self._cache, progress=progress)

    @property
    def _loaded(self) -> _Loaded:
        if self._read is None:
            ids = tuple(self._pool.ids(Split.POOL))
            vectors = self.embed(self._pool.all(Split.POOL))
            rows = {name: row for row, name in enumerate(ids)}
            imported = np.flatnonzero([not name.startswith("gen-") for name in ids])
            self._read = _Loaded(ids, vectors, rows, imported)
        return self._read


def _is_short(example: Example) -> bool:
    return sum(map(len, example.fields.values())) <= _SHORT


class Bank:
    """The labelled examples that demonstrations are retrieved from, in an index."""

    def __init__(self, view: PoolView, index: Callable[[], VectorIndex]) -> None:
        """`index` opens the index when it is first wanted."""
        self._view = view
        self._open = index
        self._put: set[ExampleId] = set()

    @cached_property
    def _index(self) -> VectorIndex:
        return self._open()

    def put(self, examples: Sequence[ExampleId]) -> None:
        """Put examples of the pool in, those that are not there yet."""
        news = [example for example in examples if example not in self._put]
        if news:
            self._index.put(news, self._view.of(news))
            self._put.update(news)

    def nearest(self, vectors: FloatArray, *, count: int) -> list[list[tuple[str, float]]]:
        """Find the ids that are nearest to vectors (N, d), with their cosine similarity."""
        return self._index.nearest(vectors, count=count)
