"""Questions and examples that read like another one, by the vectors that the run has left on disk.

Neither a model nor an index is loaded: a text's vector is found by its hash in a file that is
mapped into memory. A text that nobody embedded has no look-alikes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from querist.memory.asking.inbox import Inbox
from querist.memory.records import Example, ExampleId
from querist.memory.store import Store
from querist.memory.workspace.embeddings import EmbeddingCache
from querist.tools.kinds import find_kind

_AMONG = 3_000
"""Open questions that are compared, the most valuable first."""
_LEAST = 0.5
"""Cosine similarity below which nobody would call two texts alike."""


@dataclass(frozen=True, slots=True)
class Alike:
    """A question and its cosine similarity."""

    question: str
    similarity: float


def look_alikes(
    store: Store, run: str, question: str, *, kind: str, who: str, limit: int
) -> list[Alike]:
    """Find open questions like one, the likest first; none where nothing was embedded.

    `kind` is the task's, which says what of an example was embedded.
    """
    inbox = Inbox(store, run)
    asked = inbox.get(question)
    others = [
        (name, fields)
        for name, fields in inbox.texts(free_for=who, limit=_AMONG)
        if name != question
    ]
    found = nearest(store, dict(asked.payload.fields), others, kind=kind, limit=limit)
    return [Alike(name, similarity) for name, similarity in found]


def nearest(
    store: Store,
    fields: Mapping[str, str],
    others: Sequence[tuple[str, Mapping[str, str]]],
    *,
    kind: str,
    limit: int,
) -> list[tuple[str, float]]:
    """Find which of `others` (name, fields) are like `fields`, the likest first.

    Gives names with cosine similarities; none where nothing was embedded.
    """
    parts_of = find_kind(kind).parts
    texts = [
        parts_of(Example(ExampleId(""), parts))
        for parts in (fields, *(other_parts for _, other_parts in others))
    ]
    for name, dimensions in _shelves(store.folder / "embeddings"):
        vectors, is_known = _vectors(store.folder, name, dimensions, texts)
        if is_known[0]:
            near = vectors[1:] @ vectors[0]
            near[~is_known[1:]] = -1
            best = np.argsort(-near, kind="stable")[:limit]
            return [
                (others[place][0], float(near[place]))
                for place in best.tolist()
                if near[place] >= _LEAST
            ]
    return []


def _shelves(folder: Path) -> list[tuple[str, int]]:
    """List the embedders that left vectors, the one used last first."""
    found = sorted(folder.glob("*-*/vectors"), key=lambda path: -path.stat().st_mtime)
    names = [path.parent.name.rpartition("-") for path in found]
    return [(unquote(name), int(size)) for name, _, size in names if size.isdigit()]


def _vectors(
    folder: Path, embedder: str, dimensions: int, texts: Sequence[tuple[str, ...]]
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Look up vectors (N, parts * d) of unit length, and which of them are known (N,)."""
    cache = EmbeddingCache(folder / "embeddings")
    flat = [part for parts in texts for part in parts]
    found = cache.lookup(embedder, flat, dimensions=dimensions)
    is_known: NDArray[Any] = np.ones(len(flat), dtype=bool)
    is_known[found.missing] = False
    vectors = found.vectors.reshape(len(texts), -1)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-9), np.all(is_known.reshape(len(texts), -1), axis=1)
