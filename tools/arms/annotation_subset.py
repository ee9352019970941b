"""Which examples to have annotated for a sum of money: budgeted facility location.

Bhatt et al. (2024) choose so for instruction tuning; with prices by gain per price, or the best
single example if that is better (Khuller et al., 1999).
"""

from __future__ import annotations

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools.compute.arrays import TIE, FloatArray, unit_rows
from querist.tools.engines.greedy_cover import Cover, Similarities, cover_within, greedy_cover
from querist.tools.engines.neighbours import nearest_neighbours, similarities

# 16 kB of float32 similarities for each candidate.
_MOST_ITEMS = 4_000


def choose_for_annotation(
    embeddings: FloatArray,
    *,
    budget: float,
    prices: FloatArray | None = None,
    weights: FloatArray | None = None,
    labelled: FloatArray | None = None,
) -> Cover:
    """Pick rows of embeddings (N, d) that stand for all others, within a budget.

    Without `prices` (N,) a row costs 1. `weights` (N,) say how much each row matters (uncertainty);
    `labelled` (L, d) rows serve their neighbours already. Similarity is the cosine, at least 0.
    Above 4,000 rows the cover is measured on an evenly spaced 4,000 of them.
    """
    rows = unit_rows(embeddings)
    # Evenly spaced and not drawn: the same examples and sum give the same choice.
    step = -(-len(rows) // _MOST_ITEMS)
    similar = similarities(rows, rows[::step])
    covered = None
    if labelled is not None and len(labelled):
        covered = nearest_neighbours(rows[::step], 1, among=labelled)[1][:, 0]
    shares = None if weights is None else np.asarray(weights)[::step]

    def make_oracle() -> Similarities:
        return Similarities(similar, weights=shares, covered=covered)

    if prices is None:
        candidates = np.arange(len(rows))
        return greedy_cover(make_oracle(), candidates=candidates, count=int(budget), tie=TIE)
    prices = np.asarray(prices, dtype=np.float64)
    if prices.shape != (len(rows),) or not (np.isfinite(prices) & (prices > 0)).all():
        raise InvalidInput("Every example needs a price above 0.")
    if prices.min() > budget:
        raise InvalidInput(
            f"A budget of {budget:g} pays for no example; the cheapest costs {prices.min():g}."
        )
    return cover_within(make_oracle, prices=prices, budget=budget)
