"""Two embedders as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from querist.memory.errors import InvalidInput
from querist.tools.calls import read_call
from querist.tools.embedding.embedders import EMBEDDERS, Embedder, embedder
from querist.tools.embedding.served import Connect, connected

_BETWEEN = "+"


class JoinedEmbedder:
    """Both vectors side by side, each scaled by 1/sqrt(2): cosines are the mean of the two."""

    def __init__(self, first: Embedder, second: Embedder) -> None:
        """Join two; neither is a joined one itself."""
        self.parts = first, second
        if any(isinstance(part, JoinedEmbedder) for part in self.parts):
            raise InvalidInput("joined takes two embedders that are not joined themselves.")
        self.name = _BETWEEN.join(part.name for part in self.parts)
        self.dimensions = first.dimensions + second.dimensions
        sums = [str(getattr(part, "checksum", "")) for part in self.parts]
        self.checksum = _BETWEEN.join(sums) if any(sums) else ""
        """SHA-256 of the weights of each."""

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Embed texts as (N, d) vectors of length 1 (0 of what neither has a vector of)."""
        both = np.hstack([part.embed(texts) for part in self.parts])
        # Not by the root of two: a text that is zero to one of them keeps its length.
        lengths = np.linalg.norm(both, axis=1, keepdims=True)
        return np.asarray(both / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)

    def connected(self, connect: Connect) -> JoinedEmbedder:
        """Give the same with those parts connected that are served."""
        first, second = (connected(part, connect) for part in self.parts)
        return JoinedEmbedder(first, second)


@embedder("joined", summary="The vectors of two embedders side by side, with equal weight.")
def joined(*, first: str = "minilm", second: str = "hashing") -> Embedder:
    """Open both, named as task files name them."""
    return JoinedEmbedder(EMBEDDERS.read(first), EMBEDDERS.read(second))


def may_cost(call: str) -> bool:
    """Tell whether what a task file names has vectors that cost money, without opening it."""
    name, values = read_call(call)
    parts = values.values() if name == joined.name else ()
    return bool(EMBEDDERS.find(name).card.cost) or any(may_cost(str(part)) for part in parts)
