"""A strategy of which a part of the batch is reserved for texts of some classes, as predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from querist.tools.strategies.querying import (
    Capability,
    QueryContext,
    QueryResult,
    QueryStrategy,
    check,
    complement,
)


@dataclass(frozen=True, slots=True)
class Favouring:
    """Let `strategy` choose half of the batch among candidates of `classes`, the rest among all.

    A candidate is of the class that the model gives the highest probability; `classes` are class
    numbers. Where the model expects fewer of them than half of the batch, all of those are taken.
    What a strategy tells beside its choice is lost, as in a mixture.
    """

    strategy: QueryStrategy
    classes: tuple[int, ...]

    @property
    def name(self) -> str:
        """The strategy's own."""
        return self.strategy.name

    @property
    def requires(self) -> frozenset[Capability]:
        """What the strategy needs, and the model's probabilities."""
        return self.strategy.requires | {Capability.PROBS}

    def query(self, context: QueryContext, count: int, /) -> QueryResult:
        """Choose among the favoured first, then among what is left; their picks come in turn."""
        check(self, context)
        # Read once in the whole: the narrower contexts take their rows of it.
        likeliest = context.probabilities().argmax(axis=1)
        favoured = np.flatnonzero(np.isin(likeliest, self.classes))
        half = min(count // 2, len(favoured))
        if not half:
            return self.strategy.query(context, count)
        first = favoured[self.strategy.query(context.narrow(favoured), half).indices]
        left = complement(first, len(context.ids))
        wanted = min(count, len(context.ids)) - len(first)
        rest = left[self.strategy.query(context.after(first), wanted).indices]
        # In turn: people are asked about the first of a batch, which must be neither kind alone.
        ranks = [(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in (first, rest)]
        order = np.argsort(np.concatenate(ranks), kind="stable")
        return context.result(np.concatenate([first, rest])[order])
