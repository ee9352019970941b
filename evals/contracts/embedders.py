"""The contract of `Embedder`."""

from __future__ import annotations

import numpy as np

from querist.tools.embedding.embedders import Embedder

TEXTS = (
    "The heating is broken again.",
    "The radiator does not work any more.",
    "",
    "  \t\n ",
    "Größe, naïveté, 東京, Привет, مرحبا",
    "👩‍🔧🔥 e\u0301 \u200b",
    "long " * 3_000,
    "The heating is broken again.",
)
_SAME = 5e-3
"""Components that differ by less are taken to be the same: quantised weights round by batch."""


def check_embedder(embedder: Embedder) -> None:
    """Check what every embedder promises.

    Vectors are float32 of length 1 (or 0, of a text without content), one a text and in their
    order; equal texts have equal vectors; what else is in the batch does not matter; and no text
    is too odd.
    """
    assert embedder.name, "An embedder has a name, of its weights and settings."
    assert "\n" not in embedder.name, "An embedder's name is one line: it is part of file names."
    vectors = embedder.embed(TEXTS)
    wanted = (len(TEXTS), embedder.dimensions)
    assert vectors.shape == wanted, f"{len(TEXTS)} texts came as {vectors.shape}, not {wanted}."
    assert vectors.dtype == np.float32, f"Vectors are float32, and not {vectors.dtype}."
    assert np.isfinite(vectors).all(), "Vectors are numbers, for odd texts as well."
    lengths = np.linalg.norm(vectors, axis=1)
    fits = np.isclose(lengths, 1, atol=1e-2) | (lengths == 0)
    assert fits.all(), f"Vectors have length 1, and not {lengths[~fits].round(3).tolist()}."
    assert np.abs(vectors[0] - vectors[-1]).max() < _SAME, "Equal texts have equal vectors."
    assert np.abs(vectors[0] - vectors[1]).max() > _SAME, "Different texts have different vectors."
    empty = embedder.embed([])
    assert empty.shape == (0, embedder.dimensions), f"No texts came as {empty.shape}."
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    assert np.abs(alone - vectors).max() < _SAME, "What else is in a batch must not matter."
    turned = embedder.embed(TEXTS[::-1])[::-1]
    assert np.abs(turned - vectors).max() < _SAME, "Vectors come in the order of their texts."
