"""Embedders that an endpoint serves, for money: what is wanted, and the seam to whoever pays.

Tools know no language models and no ledger. So an entry only says what is wanted, and a run
connects it: `connected(embedder, connect)` gives the metered one in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from querist.memory.errors import InvalidInput
from querist.memory.records import content_id
from querist.tools.embedding.embedders import Embedder, embedder

_NATIVE = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
_SHORTENED = frozenset({"text-embedding-3-small", "text-embedding-3-large"})
"""Models that give fewer numbers on request."""


class ServedEmbedder:
    """What is wanted of an endpoint; it embeds nothing before it is connected."""

    def __init__(self, model: str, *, base_url: str = "", dimensions: int = 0) -> None:
        """`base_url` is OpenAI's own if empty; `dimensions` the width of the vectors."""
        native = _NATIVE.get(model)
        if not dimensions and native is None:
            raise InvalidInput(
                f"openai: how many numbers a vector of {model!r} has is not known. Say it: "
                f'openai(model="{model}", dimensions=768)'
            )
        if native is not None and dimensions != native and dimensions:
            if model not in _SHORTENED or dimensions > native:
                raise InvalidInput(f"openai: vectors of {model} have {native} numbers.")
            self.asked: int | None = dimensions
        else:
            self.asked = None
        self.model, self.base_url = model, base_url or None
        self.dimensions = dimensions or native or 0
        where = f"-{content_id(base_url, size=8)}" if base_url else ""
        self.name = f"openai-{model}-{self.dimensions}{where}"

    @property
    def priced_as(self) -> str:
        """What the price list calls it."""
        return f"openai:{self.model}"

    def embed(self, _: Sequence[str], /) -> NDArray[np.float32]:
        """Refuse: without a run nobody pays."""
        raise InvalidInput(
            f"The vectors of {self.model} cost money, and only a run has a budget to pay them "
            "from. Predict with the run that trained the model (querist predict RUN FILE), or give "
            "Model.load an embedder of your own."
        )

    def connected(self, connect: Connect) -> Embedder:
        """Give the one that pays."""
        return connect(self)


Connect = Callable[[ServedEmbedder], Embedder]
"""Makes what is wanted into an embedder that reserves, pays and keeps."""


def connected(embedder: Embedder, connect: Connect) -> Embedder:
    """Connect an embedder that is served, or has a part that is; others stay what they are."""
    own = getattr(embedder, "connected", None)
    found: Embedder = embedder if own is None else own(connect)
    return found


def served_parts(embedder: Embedder) -> list[ServedEmbedder]:
    """Find what waits to be connected in an embedder."""
    if isinstance(embedder, ServedEmbedder):
        return [embedder]
    parts = getattr(embedder, "parts", ())
    return [found for part in parts for found in served_parts(part)]


@embedder(
    "openai",
    summary="An OpenAI-compatible embeddings endpoint, paid for from the budget.",
    cost="the texts' tokens, once a text",
)
def openai(
    *,
    model: str = "text-embedding-3-small",
    base_url: str = "",
    dimensions: Annotated[int, Field(ge=0, le=100_000)] = 0,
) -> Embedder:
    """Say what is wanted; a run connects it."""
    return ServedEmbedder(model, base_url=base_url, dimensions=dimensions)
