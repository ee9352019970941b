"""Combine arms: a committee of models by greedy selection, contexts by relevance and variety."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from querist.memory.errors import InvalidInput
from querist.tools.compute.arrays import FloatArray, IntArray, first_highest, unit_rows

Metric = Callable[[FloatArray, IntArray], float]


class Ensemble(NamedTuple):
    """Members with how often each counts, and their score together."""

    counts: dict[int, int]
    score: float


def _accuracy(probabilities: FloatArray, gold: IntArray) -> float:
    """Give the share of rows (N, C) whose likeliest class is right."""
    return float((probabilities.argmax(axis=1) == gold).mean())


def greedy_ensemble(
    probabilities: FloatArray, gold: IntArray, *, rounds: int = 20, metric: Metric = _accuracy
) -> Ensemble:
    """Add to the best model, with replacement, whichever improves the average most (Caruana, 2004).

    `probabilities` (K, N, C). The best committee on the way is returned, so it is never worse on
    these rows than the best single model. Equal scores go to the lower number.
    """
    if probabilities.ndim != 3 or probabilities.shape[1] != len(gold) or not len(gold):
        raise InvalidInput("An ensemble needs probabilities (K, N, C) and N gold classes.")
    singles = [metric(probability, gold) for probability in probabilities]
    members = [int(np.argmax(singles))]
    total = probabilities[members[0]].astype(np.float64)
    best, best_score = list(members), singles[members[0]]
    for size in range(2, rounds + 1):
        # With the running total a trial is O(N C), so it is O(rounds K N C) in all.
        scores = [metric((total + probability) / size, gold) for probability in probabilities]
        # The best addition even if it makes things worse: a later one may pay for it.
        members.append(int(np.argmax(scores)))
        total += probabilities[members[-1]]
        if scores[members[-1]] > best_score:
            best, best_score = list(members), scores[members[-1]]
    return Ensemble(dict(Counter(best)), best_score)


def relevant_and_varied(
    candidates: FloatArray, query: FloatArray, *, count: int, weight: float = 0.7
) -> NDArray[np.intp]:
    """Pick rows (N, d) near a query (d,) and unlike each other (MMR; Carbonell & Goldstein, 1998).

    Each pick has the highest weight * sim(query) - (1 - weight) * largest sim(picked), by cosine.
    """
    rows = unit_rows(candidates).astype(np.float64)
    near = rows @ unit_rows(query[None])[0].astype(np.float64)
    repeated = np.zeros(len(rows))
    open_rows = np.ones(len(rows), dtype=bool)
    picks: list[int] = []
    for _ in range(min(count, len(rows))):
        scores = np.where(open_rows, weight * near - (1 - weight) * repeated, -np.inf)
        pick = first_highest(scores)
        alike = rows @ rows[pick]
        repeated = alike if not picks else np.maximum(repeated, alike)
        picks.append(pick)
        open_rows[pick] = False
    return np.array(picks, dtype=np.intp)
