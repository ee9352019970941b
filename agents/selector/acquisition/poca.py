"""POCA: buy features or labels of rows that are only partly known (Astorga et al., 2024).

Not a query strategy: an action is a row, some of its missing features, perhaps its label, and a
price. The missing entries are drawn several times (`imputation`); a Bayesian score is taken for
each draw and averaged. Of the best rows, features are left out one by one while that costs little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from querist.agents.selector.acquisition.imputation import Imputer
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.engines.information import po_eig

Predict = Callable[[FloatArray], FloatArray]
"""Complete rows (M, F) in, class probabilities under K models (M, K, C) out."""
Score = Callable[[FloatArray], FloatArray]
"""Probabilities prob[n, s, k, c] in, a score for each of N rows out."""

_BEST = 10
_SAMPLES = 8
_MOST_LOST = 0.2
_BINS = 4


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Something to buy: features of a row, and perhaps its label."""

    row: int
    features: tuple[int, ...]
    label: bool
    price: float
    score: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PartialBuyer:
    """Buys the features that matter of the rows that matter, and their labels."""

    predict: Predict
    imputer: Imputer
    rng: np.random.Generator
    feature_prices: FloatArray
    """(F,)."""
    label_price: float = 1.0
    buys_label: bool = True
    score: Score = po_eig
    samples: int = _SAMPLES
    best: int = _BEST
    most_lost: float = _MOST_LOST
    """Share of a row's score that leaving features out may cost."""
    price_limit: float | None = None
    """Stop leaving features out as soon as an action costs no more than this."""
    per_price: bool = False
    """Rank by score per price instead of by score."""

    def choose(self, rows: FloatArray, budget: float, /) -> list[Acquisition]:
        """Trim the best rows' features, and take actions in order while they fit."""
        imputed = self.imputer.impute(rows, self.samples, self.rng)
        size, samples, features = imputed.shape
        drawn = self.predict(imputed.reshape(size * samples, features))
        probabilities = drawn.reshape(size, samples, *drawn.shape[1:])
        scores = self.score(probabilities)
        top = np.argsort(-scores, kind="stable")[: self.best]
        actions = [self._trim(int(row), rows, imputed, probabilities) for row in top]
        actions.sort(key=self._rank)
        taken, left = [], budget
        for action in actions:
            if action.price <= left and (action.features or action.label):
                taken.append(action)
                left -= action.price
        return taken

    def _rank(self, action: Acquisition) -> float:
        price = max(action.price, 1e-12)
        return -(action.score / price if self.per_price else action.score)

    def _trim(
        self, row: int, rows: FloatArray, imputed: FloatArray, probabilities: FloatArray
    ) -> Acquisition:
        missing = [int(column) for column in np.flatnonzero(np.isnan(rows[row]))]
        kept, score = keep_features(
            probabilities[row],
            discretise(imputed[row]),
            missing,
            score=self.score,
            most_lost=self.most_lost,
            is_cheap=lambda some: (
                self.price_limit is not None and self.price(some) <= self.price_limit
            ),
        )
        return Acquisition(row, tuple(kept), self.buys_label, self.price(kept), score)

    def price(self, features: Iterable[int]) -> float:
        """Add up the prices of features, and of the label if it is bought."""
        label = self.label_price if self.buys_label else 0.0
        return float(sum(self.feature_prices[feature] for feature in features)) + label


def keep_features(
    probabilities: FloatArray,
    codes: IntArray,
    features: Sequence[int],
    *,
    score: Score = po_eig,
    most_lost: float = _MOST_LOST,
    is_cheap: Callable[[Sequence[int]], bool] = lambda _: False,
) -> tuple[list[int], float]:
    """Leave features out one by one, always the one whose loss costs the score least.

    `probabilities` (S, K, C) are one row's, `codes` (S, F) its imputed values as numbers of bins.
    Ends when the features are cheap enough, or when one more would lose over `most_lost` of the
    full score. Returns what is kept, in order, and its score.
    """
    kept = list(features)
    full = now = _score_of(score, probabilities)
    while kept and not is_cheap(kept):
        trials = []
        for feature in kept:
            some = [other for other in kept if other != feature]
            trials.append(_score_of(score, marginalise(probabilities, codes[:, some])))
        place = int(np.argmax(trials))
        if full - trials[place] > most_lost * full + 1e-12:
            break
        now = trials[place]
        del kept[place]
    return kept, now


def marginalise(probabilities: FloatArray, codes: IntArray) -> FloatArray:
    """Average over imputations that agree in what is kept: (S, K, C) by codes (S, F') likewise.

    With no column kept, all imputations are averaged.
    """
    if codes.shape[1] == 0:
        return np.broadcast_to(probabilities.mean(axis=0), probabilities.shape)
    _, groups = np.unique(codes, axis=0, return_inverse=True)
    groups = groups.reshape(-1)
    merged = np.empty_like(probabilities, dtype=np.float64)
    for group in np.unique(groups):
        merged[groups == group] = probabilities[groups == group].mean(axis=0)
    return merged


def discretise(imputed: FloatArray, *, bins: int = _BINS) -> IntArray:
    """Number the values of each column (S, F): as they are if few differ, else by quantile."""
    codes = np.empty(imputed.shape, dtype=np.intp)
    for column in range(imputed.shape[1]):
        values, places = np.unique(imputed[:, column], return_inverse=True)
        if len(values) > bins:
            edges = np.quantile(imputed[:, column], np.linspace(0, 1, bins + 1)[1:-1])
            places = np.searchsorted(edges, imputed[:, column], side="right")
        codes[:, column] = places.reshape(-1)
    return codes


def _score_of(score: Score, probabilities: FloatArray) -> float:
    return float(score(np.asarray(probabilities)[None])[0])
