"""How a selection strategy is declared, found by name and run.

A strategy is a function of a context and a count under the `strategy` decorator; what it can be
told are its keyword-only parameters:

    @strategy("oldest", summary="Ask in the order of arrival.")
    def oldest(context: QueryContext, count: int, *, newest_first: bool = False) -> QueryResult:
        rows = np.arange(count)
        return context.result(len(context.ids) - 1 - rows if newest_first else rows)

Called with parameters, what it makes is a strategy to query: `oldest(newest_first=True)`.
A plug-in names it, or its module, under the entry point group `querist.strategy`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools.calls import Scalar, write_call
from querist.tools.registry import Card, Entry, Registry, declare, make_card
from querist.tools.strategies.mixtures import parse
from querist.tools.strategies.querying import (
    Capability,
    QueryContext,
    QueryResult,
    QueryStrategy,
    check,
)

Choose = Callable[..., QueryResult]
"""A function of a context and a count, with parameters behind them."""

_GROUP = "querist.strategy"
_MODULES = (
    "clustering",
    "committee",
    "contrast",
    "coverage",
    "designs",
    "gradients",
    "spread",
    "uncertainty",
)


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy with its parameters settled."""

    name: str
    """With the parameters that were given: `contrastive(neighbours=5)`."""
    choose: Callable[[QueryContext, int], QueryResult]
    requires: frozenset[Capability] = frozenset()

    def query(self, context: QueryContext, count: int, /) -> QueryResult:
        """Choose min(count, N) candidates, after checking that the context can serve it."""
        check(self, context)
        count = min(count, len(context.ids))
        if count <= 0:
            return context.result(np.empty(0, dtype=np.intp))
        result = self.choose(context, count)
        # A repeated candidate would be paid for twice, a missing one leave the batch short.
        if len(set(result.ids)) != count:
            msg = (
                f"The strategy {self.name!r} returned {len(set(result.ids))} different candidates "
                f"where {count} were asked for; tell its author."
            )
            raise InvalidInput(msg)
        return result


def strategy(
    name: str,
    *,
    summary: str,
    section: str = "",
    needs: Iterable[Capability] = (),
    cost: str = "",
    citation: str = "",
    explanation: str = "",
) -> Callable[[Choose], Entry[Strategy]]:
    """Declare a function as the strategy `name`. `cost` is per round.

    In it N are the candidates, b is the batch, d the width and C the number of classes.
    """
    card = make_card(
        summary, section=section, cost=cost, citation=citation, explanation=explanation
    )
    needed = frozenset(needs)
    return functools.partial(_declare, name, card, needed)


STRATEGIES = Registry[Strategy](
    "strategy",
    group=_GROUP,
    modules=tuple(f"querist.tools.strategies.{name}" for name in _MODULES),
    listing="querist strategies",
)
"""Those of `tools/`; those that ask a language model come by an entry point of our own."""


def available() -> tuple[Entry[Strategy], ...]:
    """List every strategy by name, plug-ins included."""
    return STRATEGIES.entries()


def get(text: str) -> QueryStrategy:
    """Find a strategy by name, or read a mixture or pipeline of them (see `mixtures`).

    Raises InvalidInput with the nearest names when one is unknown.
    """
    return parse(text, STRATEGIES.make)


def _declare(
    name: str, card: Card, needs: frozenset[Capability], choose: Choose
) -> Entry[Strategy]:
    def make(**values: Scalar) -> Strategy:
        named = {key: value for key, value in values.items() if value is not None}
        return Strategy(write_call(name, named), functools.partial(choose, **values), needs)

    return declare(_GROUP, name, factory=make, card=card, signature=choose, needs=needs)
