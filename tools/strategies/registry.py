"""The registry of selection strategies: how one is declared, found by name and run.

A strategy is a function of a context and a count under the `strategy` decorator:

    @strategy("oldest", summary="Ask in the order of arrival.")
    def oldest(context: QueryContext, count: int) -> QueryResult:
        return context.result(np.arange(count))

A plug-in names such an object under the entry point group `querist.strategy`.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools.strategies.mixtures import parse
from querist.tools.strategies.querying import (
    Capability,
    QueryContext,
    QueryResult,
    QueryStrategy,
    check,
)
from querist.tools.wording import listed

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
    """Section of the survey (2502.11767); empty for a method that it does not name."""
    requires: frozenset[Capability] = frozenset()
    cost: str = ""
    """Per round, for N candidates, batch b, width d and C classes."""
    citation: str = ""
    explanation: str = ""
    """When to use it and when not, and what it computes, in plain words."""

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
    explanation: str = "",
) -> Callable[[Choose], Strategy]:
    """Register a function as the strategy `name`; a second one of that name is refused."""

    def register(choose: Choose) -> Strategy:
        if name in _REGISTERED:
            msg = f"There are two strategies called {name!r}; rename one."
            raise InvalidInput(msg)
        registered = Strategy(
            name=name,
            choose=choose,
            summary=summary,
            section=section,
            requires=frozenset(needs),
            cost=cost,
            citation=citation,
            explanation=" ".join(explanation.split()),
        )
        _REGISTERED[name] = registered
        return registered

    return register


def available() -> tuple[Strategy, ...]:
    """List every registered strategy by name, plug-ins included."""
    _load_plugins()
    return tuple(_REGISTERED[name] for name in sorted(_REGISTERED))


@functools.cache
def _load_plugins() -> None:
    """Register what is installed, once: looking it up reads the whole environment's metadata."""
    for entry in entry_points(group=_GROUP):
        if entry.name not in _REGISTERED:
            loaded = entry.load()
            if not isinstance(loaded, Strategy):
                msg = f"The plug-in {entry.value!r} is not made by querist's strategy decorator."
                raise InvalidInput(msg)
            _REGISTERED.setdefault(entry.name, loaded)


def get(text: str) -> QueryStrategy:
    """Find a strategy by name, or read a mixture or pipeline of them (see `mixtures`).

    Raises InvalidInput with the nearest names when one is unknown.
    """
    return parse(text, _find)


def _find(name: str) -> Strategy:
    """Look one name up."""
    if name in _REGISTERED:
        return _REGISTERED[name]
    known = {found.name: found for found in available()}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    msg = (
        f"No strategy is called {name!r}.{hint} There are: {listed(known)}. See: querist strategies"
    )
    raise InvalidInput(msg)
