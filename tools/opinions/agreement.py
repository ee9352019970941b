"""How far people agree, how often they err by that, and what it means for a model's accuracy.

Opinions are a table (N, R) of class numbers, a row an item and a column a person; a negative
number is no opinion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from querist.memory.asking.checks import Opinions
from querist.tools.arms.protocol import wilson
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.kinds.port import Kind
from querist.tools.opinions.votes import count_votes

__all__ = [
    "Corrected",
    "Doubled",
    "Share",
    "Standing",
    "alpha_interval",
    "corrected_accuracy",
    "error_rate",
    "krippendorff_alpha",
    "label_error",
    "share_of",
    "standing",
]

_LEVEL = 0.90
_DRAWS = 1_000
_GRID = 64
_FEWEST_PAIRS = 10
"""Pairs of answers below which nothing is said of people's errors."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of n, with its 90 % interval."""

    value: float
    low: float
    high: float
    n: int


def share_of(hits: int, n: int) -> Share | None:
    """Give a share its interval (Wilson, 1927); None of nothing."""
    return Share(hits / n, *wilson(hits / n, n), n) if n else None


# ---------------------------------------------------------------- agreement beyond chance


def krippendorff_alpha(opinions: IntArray) -> float | None:
    """Agreement beyond chance for nominal data, 1 for perfect and 0 for chance.

    Krippendorff (2011), Computing Krippendorff's Alpha-Reliability: any number of people, missing
    opinions, no smallest number of items. Items with one opinion say nothing of agreement and are
    left out. None where nothing can differ: without pairs, or where all gave one and the same
    answer, since then there is no chance to be better than.
    """
    counts, apart = _pairs(opinions)
    if not len(counts):
        return None
    value = float(_alpha(counts.sum(axis=0), np.asarray(apart.sum())))
    return None if np.isnan(value) else value


def alpha_interval(opinions: IntArray, *, seed: int = 0) -> tuple[float, float] | None:
    """Interval at 90 % of alpha, by drawing the items anew (percentiles; Efron, 1979).

    With fewer than some twenty items it is too narrow. Draws on which alpha is not defined are
    left out; None where it is on none.
    """
    counts, apart = _pairs(opinions)
    n = len(counts)
    if not n:
        return None
    # A fixed seed: the same opinions always have the same interval.
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=_DRAWS)
    values = _alpha(drawn @ counts, drawn @ apart)
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


def _pairs(opinions: IntArray) -> tuple[FloatArray, FloatArray]:
    """Count answers by item and class (M, C), and each item's share of unequal pairs (M,)."""
    if not opinions.size:
        return np.zeros((0, 1)), np.zeros(0)
    counts = count_votes(opinions, classes=max(1, int(opinions.max()) + 1)).astype(np.float64)
    given = counts.sum(axis=1)
    counts, given = counts[given >= 2], given[given >= 2]
    # Ordered pairs within an item, each item weighing as many as it has opinions.
    apart = (given**2 - np.square(counts).sum(axis=1)) / np.maximum(given - 1, 1)
    return counts, apart


def _alpha(totals: FloatArray, apart: FloatArray) -> FloatArray:
    """Alpha of answers by class (..., C) and unequal pairs (...); NaN where it is not defined."""
    n = totals.sum(axis=-1)
    by_chance = n**2 - np.square(totals).sum(axis=-1)
    ratio = (n - 1) * apart / np.where(by_chance > 0, by_chance, 1)
    return np.asarray(np.where(by_chance > 0, 1 - ratio, np.nan))


# ---------------------------------------------------------------- people's errors, and a model's


@dataclass(frozen=True, slots=True)
class Doubled:
    """How many of a sample's labels rest on what; they are those that a model is measured on."""

    single: int = 0
    """One person's word."""
    agreed: int = 0
    """Two people's, who said the same."""
    disputed: int = 0
    """The first of two that differ, not settled yet."""
    settled: int = 0
    """A third one's word on two that differ."""

    @property
    def pairs(self) -> int:
        """How many were answered twice."""
        return self.agreed + self.disputed + self.settled

    @property
    def labels(self) -> int:
        """All of them."""
        return self.single + self.pairs


Standing = Literal["single", "agreed", "disputed", "settled"]
"""What a person's label rests on, as the fields of `Doubled` say it."""


def standing(kind: Kind, said: Opinions) -> Standing:
    """Tell what the label of an example rests on; answers are alike as the kind says."""
    answers = [asked.answer for asked in said.pair or () if asked.answer is not None]
    if len(answers) < 2:
        return "single"
    if kind.likeness(*answers) >= 1:
        return "agreed"
    third = said.adjudication
    return "settled" if third is not None and third.status == "answered" else "disputed"


def error_rate(agreement: FloatArray | float, *, classes: int) -> FloatArray:
    """How often one person errs where two of them agree so often (0 to 1).

    Assumes that people err independently of each other, all equally often, and give any of the
    other K - 1 answers alike: agreement = (1 - e)^2 + e^2 / (K - 1), solved for e. Where texts are
    hard for everybody people err on the same ones, agree in their errors, and e is too low. Less
    agreement than by chance tells no more than a guess: (K - 1) / K.
    """
    beyond = (classes * np.asarray(agreement) - 1) / (classes - 1)
    return np.asarray((1 - 1 / classes) * (1 - np.sqrt(np.clip(beyond, 0, 1))))


def label_error(error: FloatArray | float, checked: Doubled, *, classes: int) -> FloatArray:
    """How many of a sample's labels are wrong where each person errs so often, as `error_rate` has.

    Whoever settles a dispute is taken to err as often as anybody.
    """
    error = np.asarray(error)
    same = error**2 / (classes - 1)
    agree = (1 - error) ** 2 + same
    # Which of the labels that stand is wrong, given that both said the same, or not.
    if_agreed = same / agree
    if_disputed = error * (1 - error / (classes - 1)) / np.maximum(1 - agree, 1e-12)
    if_disputed = np.where(agree < 1, if_disputed, 0.5)
    wrong = (checked.single + checked.settled) * error
    wrong = wrong + checked.agreed * if_agreed + checked.disputed * if_disputed
    return np.asarray(wrong / max(1, checked.labels))


@dataclass(frozen=True, slots=True)
class Corrected:
    """A model's accuracy without people's errors, and what it was derived from."""

    accuracy: Share
    agreement: Share
    """Of two people on the texts that were answered twice."""
    error: float
    """How often one person errs, by that."""


def corrected_accuracy(hits: int, checked: Doubled, *, classes: int) -> Corrected | None:
    """Estimate a model's accuracy from how often it agrees with people's labels, and they err.

    The model says what `hits` of the labels say. Where a share w of labels is wrong, and which
    wrong one it is has nothing to do with the model, it agrees with a(1 - w) + (1 - a) w / (K - 1)
    of them, which is solved for a (the estimator of Rogan and Gladen, 1978, for a test that errs).
    The interval holds what both shares may be: each end is a quantile over all pairs of their
    Jeffreys posteriors. None with fewer than 10 answers given twice. A model that errs
    as people do is told too good, and any where people err on the same texts too bad.
    """
    from scipy.stats import beta

    n, pairs = checked.labels, checked.pairs
    if pairs < _FEWEST_PAIRS or classes < 2:
        return None

    def accuracy(measured: FloatArray, agreement: FloatArray) -> FloatArray:
        wrong = label_error(error_rate(agreement, classes=classes), checked, classes=classes)
        by_chance = wrong / (classes - 1)
        left = np.maximum(1 - wrong - by_chance, 1e-9)
        return np.clip((measured - by_chance) / left, 0, 1)

    def spread(count: int, of: int) -> FloatArray:
        quantiles = (np.arange(_GRID) + 0.5) / _GRID
        return np.asarray(beta.ppf(quantiles, count + 0.5, of - count + 0.5))

    value = accuracy(np.asarray(hits / n), np.asarray(checked.agreed / pairs))
    every = accuracy(spread(hits, n)[:, None], spread(checked.agreed, pairs)[None, :])
    low, high = np.quantile(every, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    share = checked.agreed / pairs
    return Corrected(
        # At the border of what there can be, the point may be outside of the quantiles.
        Share(float(value), float(min(low, value)), float(max(high, value)), n),
        Share(share, *wilson(share, pairs), pairs),
        float(error_rate(share, classes=classes)),
    )
