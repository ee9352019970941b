"""The port of stopping rules: what a run's rounds showed goes in, whether to stop comes out.

    @stopping_rule("patience", summary="Stop after so many rounds, whatever they brought.")
    class Patience:
        name = "patience"

        def __init__(self, *, rounds: Count = 5) -> None:
            self._rounds = rounds

        def judge(self, history: History, /) -> Plateau:
            done = len(history.metrics)
            return Plateau(done >= self._rounds, f"{done} of {self._rounds} rounds are done")

A plug-in names it under the entry point group `querist.stopping_rule`. A rule only says that the
curve has flattened; budget, rounds and people are the budget controller's own affair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.opinions.plateau import Plateau, plateau
from querist.tools.registry import Count, Declaration, Registry, Share

__all__ = [
    "STOPPING_RULES",
    "History",
    "StoppingRule",
    "agreement",
    "stopping_rule",
]


_GROUP = "querist.stopping_rule"


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What R rounds showed, the oldest first."""

    metrics: tuple[float, ...]
    standard_errors: tuple[float, ...] | None = None
    """Of the metrics; None where one is not known."""
    hits: FloatArray | None = None
    """Which of S held-out rows the models of the last rounds got right, 1 or 0: (at most R, S)."""
    predictions: Callable[[int], IntArray] | None = None
    """The classes that the models of the last n rounds give a fixed sample: (at most n, S)."""


class StoppingRule(Protocol):
    """Tell from a run's history whether more rounds are worth their money."""

    @property
    def name(self) -> str:
        """What it is called in settings and logs."""

    def judge(self, history: History, /) -> Plateau:
        """Say whether to stop, and why; a history that is too short never stops."""


stopping_rule = Declaration[StoppingRule](_GROUP)
"""Declare what makes a stopping rule."""

STOPPING_RULES = Registry[StoppingRule](
    "stopping rule", group=_GROUP, modules=("querist.tools.opinions.stopping",)
)
"""The stopping rules there are."""


@dataclass(frozen=True, slots=True)
class _Plateau:
    window: int
    delta: float
    confidence: float
    name: str = "plateau"

    def judge(self, history: History, /) -> Plateau:
        """Compare the last rounds with those before."""
        return plateau(
            history.metrics,
            window=self.window,
            delta=self.delta,
            standard_errors=history.standard_errors,
            hits=history.hits,
            confidence=self.confidence,
        )


@stopping_rule(
    "plateau",
    summary="Stop when the metric of the last rounds is no better than before.",
    citation="Settles 2009",
    explanation="""
    Compares the last `window` rounds with as many before, row by row on what is held out: the gain
    must be below `delta` at the upper end of its interval. That takes twice `window` rounds. A
    higher `confidence` stops later, and less often while the curve still rises slowly; what that
    means with how many rows was simulated (docs/stopping.md).
    """,
)
def plateau_rule(
    *, window: Count = 3, delta: Share = 0.01, confidence: Share = 0.8
) -> StoppingRule:
    """Watch the measured quality."""
    return _Plateau(window, delta, confidence)


@dataclass(frozen=True, slots=True)
class _Stabilizing:
    threshold: float
    window: int
    name: str = "stabilizing"

    def judge(self, history: History, /) -> Plateau:
        """Average the agreement of each model with the one before it."""
        if history.predictions is None:
            return Plateau(False, "no predictions of earlier rounds are known")
        known = history.predictions(self.window + 1)
        if len(known) <= self.window:
            return Plateau(False, f"{len(known)} of the {self.window + 1} models it needs")
        if len(np.unique(known[-1])) < 2:
            # A model that has collapsed to one class is as stable as can be.
            return Plateau(False, "the newest model knows one class only")
        kappas = [agreement(old, new) for old, new in pairwise(known)]
        mean = float(np.mean(kappas))
        reached = mean >= self.threshold
        verb = "have settled" if reached else "still change"
        reason = (
            f"predictions of the last {self.window + 1} models {verb}: their mean agreement is "
            f"{mean:.3f} (kappa; threshold {self.threshold:g})"
        )
        return Plateau(reached, reason, 1 - mean)


@stopping_rule(
    "stabilizing",
    summary="Stop when one round's model predicts what the last one did.",
    citation="Bloodgood & Vijay-Shanker 2009",
    explanation="""
    Cohen's kappa between the predictions of consecutive models on a fixed sample of the pool, on
    average over the last `window` comparisons. It needs no labels to measure on. On a sample of a
    hundred one changed prediction costs two hundredths, so small pools hardly reach 0.99.
    """,
)
def stabilizing(*, threshold: Share = 0.99, window: Count = 3) -> StoppingRule:
    """Watch the predictions."""
    return _Stabilizing(threshold, window)


def agreement(first: IntArray, second: IntArray) -> float:
    """Give Cohen's kappa of two vectors of classes (S,); 1 where they are the same."""
    if first.shape != second.shape or first.size == 0:
        raise InvalidInput("Two vectors of predictions must be of one length, and not empty.")
    if np.array_equal(first, second):
        # Undefined where both know one class only; equal is equal.
        return 1.0
    classes = int(max(first.max(), second.max())) + 1
    # What two models would agree on by chance is taken out: naming the frequent class alone agrees.
    shares = [
        np.bincount(predictions, minlength=classes) / len(predictions)
        for predictions in (first, second)
    ]
    observed, expected = float(np.mean(first == second)), float(shares[0] @ shares[1])
    return (observed - expected) / (1 - expected)
