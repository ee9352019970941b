"""Turn texts into vectors: the port, the shipped embedders, and one cached way to run them.

An embedder is a class (or a function that makes one) under the `embedder` decorator; a plug-in
names it under the entry point group `querist.embedder`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from querist.memory.workspace.embeddings import EmbeddingCache
from querist.tools.embedding.minilm import MiniLM
from querist.tools.registry import Declaration, Registry

__all__ = [
    "EMBEDDERS",
    "Embedder",
    "HashingEmbedder",
    "MiniLM",
    "embed_all",
    "embedder",
    "open_embedder",
    "shared_embedder",
    "weights_of",
]
_GROUP = "querist.embedder"
_PRECISIONS = {"int8", "float32", "float16"}

_BATCH = 256


class Embedder(Protocol):
    """Give texts vectors in which nearness means likeness."""

    @property
    def name(self) -> str:
        """Identify weights and settings: equal names must mean equal vectors."""

    @property
    def dimensions(self) -> int:
        """The width d of the vectors."""

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Embed texts as (N, d) float32 vectors of length 1."""


embedder = Declaration[Embedder](_GROUP)
"""Declare what makes an embedder."""

EMBEDDERS = Registry[Embedder](
    "embedder",
    group=_GROUP,
    modules=tuple(
        f"querist.tools.embedding.{name}" for name in ("embedders", "joined", "sentences", "served")
    ),
)
"""The embedders there are."""


class HashingEmbedder:
    """Count hashed 2- to 4-character pieces in 384 bins: spelling, not meaning.

    Needs no weights. For tests, and for texts that are no natural language (codes, part numbers).
    An empty text is the zero vector.
    """

    name = "hashed-characters-2-4"
    dimensions = 384

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Embed texts as (N, 384) vectors of length 1."""
        counts = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            padded = f" {text.lower()} ".encode("utf-8", "replace") if text else b""
            pieces = [
                # Not hash(), which differs from process to process.
                zlib.crc32(padded[start : start + size])
                for size in (2, 3, 4)
                for start in range(len(padded) - size + 1)
            ]
            bins = np.array(pieces, dtype=np.int64) % self.dimensions
            # Roots: a piece that is repeated counts more, but does not drown the others.
            counts[row] = np.sqrt(np.bincount(bins, minlength=self.dimensions))
        lengths = np.linalg.norm(counts, axis=1, keepdims=True)
        counts /= np.maximum(lengths, np.finfo(np.float32).tiny)
        return counts


@embedder("minilm", summary="all-MiniLM-L6-v2: sentences by meaning, English above all.")
def minilm() -> Embedder:
    """Open the weights of the extra `local`."""
    return MiniLM()


@embedder("hashing", summary="Hashed pieces of 2 to 4 characters: spelling, not meaning.")
def hashing() -> Embedder:
    """Open what needs no weights."""
    return HashingEmbedder()


@cache
def shared_embedder(text: str) -> Embedder:
    """Open an embedder as task files name it, once a process: weights take seconds to load."""
    return EMBEDDERS.read(text)


def open_embedder(text: str) -> Embedder:
    """Open an embedder as task files name it, or by the name of its weights.

    Model folders written before embedders were registered tell the weights only. Raises
    `InvalidInput` if there is none.
    """
    if text == HashingEmbedder.name:
        return HashingEmbedder()
    if text.startswith("minilm-"):
        return MiniLM()
    return shared_embedder(text)


def weights_of(name: str) -> str:
    """Name an embedder's weights alone: how precisely it computes differs from machine to machine.

    Vectors of one MiniLM in 8-bit integers and in floats are 0.997 alike.
    """
    if "+" in name:  # two of them, joined
        return "+".join(weights_of(part) for part in name.split("+"))
    stem, _, precision = name.rpartition("-")
    return stem if precision in _PRECISIONS else name


def embed_all(
    texts: Sequence[str],
    *,
    embedder: Embedder,
    cache: EmbeddingCache,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Embed texts as (N, d), computing each different text once and keeping it for ever.

    Batches go to the cache as they finish, so an interrupted job loses at most 256 texts.
    `progress` is told (done, total) in different texts. An embedder with `at_once` gets so many
    texts at a time, and one with `keeps` puts what it paid for into the cache itself.
    """
    size = int(getattr(embedder, "at_once", _BATCH))
    is_kept = bool(getattr(embedder, "keeps", False))
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    unique = list(places)
    found = cache.lookup(embedder.name, unique, dimensions=embedder.dimensions)
    # Texts of like length share a batch; the longest first, so that the estimate only improves.
    missing = sorted(found.missing.tolist(), key=lambda place: -len(unique[place]))
    done = len(unique) - len(missing)
    for start in range(0, len(missing), size):
        if progress:
            progress(done + start, len(unique))
        batch = missing[start : start + size]
        batch_texts = [unique[place] for place in batch]
        vectors = embedder.embed(batch_texts)
        if not is_kept:
            cache.add(embedder.name, batch_texts, vectors=vectors)
        found.vectors[batch] = vectors
    if progress:
        progress(len(unique), len(unique))
    return found.vectors[[places[text] for text in texts]]
