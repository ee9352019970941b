"""The registry of selection strategies, and the classical ones of the survey's Section 3.1.

A strategy is a function of a context and a count under the `strategy` decorator:

    @strategy("oldest", summary="Ask in the order of arrival.")
    def oldest(context: QueryContext, count: int) -> QueryResult:
        return context.result(np.arange(count))

A plug-in names such an object under the entry point group `querist.strategy`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools import diversity, scoring
from querist.tools.arrays import FloatArray
from querist.tools.querying import (
    Capability,
    QueryContext,
    QueryResult,
    QueryStrategy,
    check,
)
from querist.tools.strategy_mixtures import parse

__all__ = [
    "Capability",
    "QueryContext",
    "QueryResult",
    "QueryStrategy",
    "Strategy",
    "available",
    "get",
    "strategy",
]

Choose = Callable[[QueryContext, int], QueryResult]

_GROUP = "querist.strategy"
_REGISTERED: dict[str, Strategy] = {}


@dataclass(frozen=True, slots=True)
class Strategy:
    """A registered strategy with its card: what it does, where it is from, what it costs."""

    name: str
    choose: Choose
    summary: str
    section: str = ""
    """Section of the survey (2502.11767)."""
    requires: frozenset[Capability] = frozenset()
    cost: str = ""
    """Per round, for N candidates, batch b, width d and C classes."""
    citation: str = ""

    def query(self, context: QueryContext, count: int, /) -> QueryResult:
        """Choose min(count, N) candidates, after checking that the context can serve it."""
        check(self, context)
        count = min(count, len(context.ids))
        if count <= 0:
            return context.result(np.empty(0, dtype=np.intp))
        result = self.choose(context, count)
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
) -> Callable[[Choose], Strategy]:
    """Register a function as the strategy `name`; a second one of that name is refused."""

    def register(choose: Choose) -> Strategy:
        if name in _REGISTERED:
            msg = f"There are two strategies called {name!r}; rename one."
            raise InvalidInput(msg)
        registered = Strategy(name, choose, summary, section, frozenset(needs), cost, citation)
        _REGISTERED[name] = registered
        return registered

    return register


def available() -> tuple[Strategy, ...]:
    """List every registered strategy by name, plug-ins included."""
    for entry in entry_points(group=_GROUP):
        if entry.name not in _REGISTERED:
            loaded = entry.load()
            if not isinstance(loaded, Strategy):
                msg = f"The plug-in {entry.value!r} is not made by querist's strategy decorator."
                raise InvalidInput(msg)
            _REGISTERED.setdefault(entry.name, loaded)
    return tuple(_REGISTERED[name] for name in sorted(_REGISTERED))


def get(text: str) -> QueryStrategy:
    """Find a strategy by name, or read a mixture or pipeline of them (see `strategy_mixtures`).

    Raises InvalidInput with the nearest names when one is unknown.
    """
    return parse(text, _find)


def _find(name: str) -> Strategy:
    """Look one name up."""
    known = {found.name: found for found in available()}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    msg = f"No strategy is called {name!r}.{hint} There are: {', '.join(known)}."
    raise InvalidInput(msg)


@strategy("random", summary="Draw evenly; the baseline to beat.", section="3.1", cost="O(b)")
def random(context: QueryContext, count: int) -> QueryResult:
    """Draw evenly without replacement."""
    return context.result(context.rng.choice(len(context.ids), size=count, replace=False))


def _top(context: QueryContext, count: int, *, scores: FloatArray) -> QueryResult:
    """Take the highest scores; ties, and so re-runs, go to the lower position."""
    best = np.argsort(-scores, kind="stable")[:count]
    return context.result(best, scores=scores[best])


@strategy(
    "least_confidence",
    summary="Ask where the best class convinces least.",
    section="3.1, B",
    needs=[Capability.PROBS],
    cost="N predictions, O(NC)",
    citation="Lewis & Gale 1994",
)
def least_confidence(context: QueryContext, count: int) -> QueryResult:
    """Rank by 1 - max p."""
    return _top(context, count, scores=scoring.least_confidence(context.probabilities()))


@strategy(
    "margin",
    summary="Ask where the runner-up comes closest to the best class.",
    section="3.1, B",
    needs=[Capability.PROBS],
    cost="N predictions, O(NC)",
    citation="Scheffer et al. 2001",
)
def margin(context: QueryContext, count: int) -> QueryResult:
    """Rank by -(p1 - p2)."""
    return _top(context, count, scores=scoring.margin(context.probabilities()))


@strategy(
    "breaking_ties",
    summary="Margin, with scores in [0, 1].",
    section="3.1",
    needs=[Capability.PROBS],
    cost="N predictions, O(NC)",
    citation="Luo et al. 2005",
)
def breaking_ties(context: QueryContext, count: int) -> QueryResult:
    """Rank by 1 - (p1 - p2)."""
    return _top(context, count, scores=scoring.breaking_ties(context.probabilities()))


@strategy(
    "entropy",
    summary="Ask where the prediction is spread over most classes.",
    section="3.1, B",
    needs=[Capability.PROBS],
    cost="N predictions, O(NC)",
    citation="Shannon 1948; Settles 2009",
)
def entropy(context: QueryContext, count: int) -> QueryResult:
    """Rank by -sum p log p."""
    return _top(context, count, scores=scoring.entropy(context.probabilities()))


@strategy(
    "k_center",
    summary="Ask about what lies farthest from all that is labelled (CoreSet).",
    section="3.1, B",
    needs=[Capability.EMBEDDINGS],
    cost="O((b + L) N d)",
    citation="Sener & Savarese 2018",
)
def k_center(context: QueryContext, count: int) -> QueryResult:
    """Cover the pool greedily."""
    picks = diversity.k_center(
        context.embeddings(),
        labelled=context.labelled().embeddings,
        count=count,
        rng=context.rng,
    )
    return context.result(picks)


@strategy(
    "k_means_pp",
    summary="Draw by squared distance from what is labelled and drawn.",
    section="B",
    needs=[Capability.EMBEDDINGS],
    cost="O((b + L) N d)",
    citation="Arthur & Vassilvitskii 2007",
)
def k_means_pp(context: QueryContext, count: int) -> QueryResult:
    """Spread at random over the pool."""
    picks = diversity.k_means_pp(
        context.embeddings(),
        labelled=context.labelled().embeddings,
        count=count,
        rng=context.rng,
    )
    return context.result(picks)
