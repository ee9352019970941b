"""Chroma as an index over vectors that may be deleted: nothing in it is the only copy of anything.

Only vectors and ids go in. Text never does, because Chroma would fetch a model from the network
to embed it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from querist.memory.records import content_id

FloatArray = NDArray[np.float32]
BATCH = 2_000  # Chroma refuses more than about 5,400 at once


class VectorIndex:
    """One collection of unit vectors, searched by cosine."""

    def __init__(self, folder: Path, *, name: str) -> None:
        """Open or make the collection `name` in a Chroma database under `folder`."""
        import chromadb
        from chromadb.config import Settings

        folder.mkdir(parents=True, exist_ok=True)
        settings = Settings(anonymized_telemetry=False, allow_reset=True)
        # Kept, because Chroma may close a database whose client nobody holds.
        self._client = chromadb.PersistentClient(path=str(folder), settings=settings)
        name = f"{re.sub('[^a-z0-9]+', '-', name.lower())[:40].strip('-')}-{content_id(name)}"
        self._collection: Any = self._client.get_or_create_collection(
            name, embedding_function=None, metadata={"hnsw:space": "cosine"}
        )

    def put(self, ids: Sequence[str], vectors: FloatArray) -> None:
        """Add vectors (N, d); ids that are known already are left alone."""
        known = set(self._collection.get(ids=list(ids), include=[])["ids"]) if ids else set()
        rows = [i for i, example_id in enumerate(ids) if example_id not in known]
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            self._collection.add(
                ids=[ids[i] for i in part],
                embeddings=np.asarray(vectors[part], dtype=np.float32),
            )

    def nearest(self, vectors: FloatArray, *, count: int) -> list[list[tuple[str, float]]]:
        """For each query (M, d), list (id, cosine similarity) of the closest, best first."""
        count = min(count, len(self))
        if count == 0 or len(vectors) == 0:
            return [[] for _ in vectors]
        found = self._collection.query(
            query_embeddings=np.asarray(vectors, dtype=np.float32),
            n_results=count,
            include=["distances"],
        )
        distances = found["distances"] or []
        return [
            [(example_id, 1.0 - float(far)) for example_id, far in zip(ids, fars, strict=True)]
            for ids, fars in zip(found["ids"], distances, strict=True)
        ]

    def __len__(self) -> int:
        """Count the vectors."""
        return int(self._collection.count())
