"""How alike tasks are: by the vectors of what they say, in an index that may be deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from querist.memory.records import Task, content_id
from querist.memory.workspace.embeddings import EmbeddingCache
from querist.memory.workspace.lessons import task_words
from querist.memory.workspace.vectors import VectorIndex
from querist.tools.embedding.embedders import Embedder, embed_all


class TaskLikeness:
    """Compares tasks by kind, name, instructions and labels with their descriptions."""

    def __init__(
        self,
        embedder: Callable[[], Embedder],
        cache: EmbeddingCache,
        index: Callable[[], VectorIndex],
    ) -> None:
        """Both are opened when they are first wanted: they take a second to load."""
        self._embedder = embedder
        self._cache = cache
        self._open = index

    @cached_property
    def _index(self) -> VectorIndex:
        return self._open()

    def of(self, task: Task, others: Sequence[Task]) -> list[float]:
        """Give the cosine similarity of each of the others; 1 for an equal one."""
        if not others:
            return []
        words = [task_words(other) for other in (task, *others)]
        own, *names = [content_id(text) for text in words]
        if set(names) == {own}:
            return [1.0] * len(names)
        # The same words are one vector; an index that was deleted is filled again.
        texts = dict(zip([own, *names], words, strict=True))
        vectors = embed_all(list(texts.values()), embedder=self._embedder(), cache=self._cache)
        self._index.put(list(texts), vectors)
        (near,) = self._index.nearest(vectors[:1], count=len(self._index))
        found = dict(near)
        return [1.0 if name == own else found.get(name, 0.0) for name in names]
