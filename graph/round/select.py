"""What a query strategy is shown of the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import cache

import numpy as np
from numpy.typing import NDArray

from querist.agents.mind import Agent
from querist.agents.selector.advice.advisor import Advisor
from querist.graph.config import RunConfig
from querist.graph.round.audit import audited, learnable
from querist.graph.round.knowledge import Knowledge
from querist.graph.round.model_files import current_model
from querist.graph.workplace.context import Context
from querist.graph.workplace.strategy_state import load_state
from querist.memory.errors import InvalidInput
from querist.memory.events import Unadvised
from querist.memory.records import Example, ExampleId, Split
from querist.tools.strategies import get as strategy
from querist.tools.strategies.favouring import Favouring
from querist.tools.strategies.querying import (
    Capability,
    Labelled,
    NamesOf,
    QueryContext,
    QueryStrategy,
    RowsOf,
    Targets,
)
from querist.tools.training.proxy import Committee, LinearModel, fit_committee
from querist.tools.wording import quoted

_MOST_TARGETS = 500
"""Inputs of the test file that a transductive strategy sees."""
SHARE_FOR_ADVICE = Decimal("0.25")
"""Of the money that is left, what one selection may spend on asking the language model."""


def query_context(context: Context, rows: NDArray[np.intp], *, number: int) -> QueryContext:
    """Show the pool's `rows`; everything is computed when a strategy asks for it."""
    view, model = context.view, current_model(context.files)
    sources: dict[Capability, Callable[[], object]] = {
        Capability.EMBEDDINGS: RowsOf(lambda: view.vectors, rows),
        Capability.TEXTS: lambda: lambda wanted: context.view.get(list(wanted)),
        Capability.LLM: _advisor(context, number),
    }
    if model is not None:
        # All rows and then some of them: copying the vectors would take longer than the product.
        sources[Capability.PROBS] = RowsOf(cache(lambda: model.predict_proba(view.vectors)), rows)
        sources[Capability.GRADIENTS] = lambda: model.gradients(view.vectors[rows])
        sources[Capability.POSTERIOR] = lambda: _committee(context, number).posterior(
            view.vectors[rows]
        )
    if context.pool.count(Split.TEST):
        sources[Capability.TARGETS] = lambda: _targets(context)
        if model is not None:
            sources[Capability.TARGET_POSTERIOR] = lambda: _committee(context, number).posterior(
                _targets(context).embeddings
            )
    return QueryContext(
        ids=NamesOf(view.ids, rows),
        rng=np.random.default_rng([context.config.loop.seed, number]),
        round=number,
        rounds=context.config.loop.rounds,
        sources=sources,
        state=load_state(context.files, number=number),
        labelled_so_far=lambda: _labelled(context, model),
    )


def strategy_for(context: Context, name: str, favour: Sequence[str] = ()) -> QueryStrategy:
    """Give the strategy of a name, with half of its batch reserved for classes to favour, if any.

    Raises `InvalidInput` for a name that no strategy has, and for one that no class has.
    """
    found = strategy(name)
    if not favour:
        return found
    places = {known: place for place, known in enumerate(context.answers.names)}
    unknown = [wanted for wanted in favour if wanted not in places]
    if unknown:
        raise InvalidInput(f"no class is called {quoted(unknown)}")
    return Favouring(found, tuple(places[wanted] for wanted in favour))


def expected(context: Context, rows: NDArray[np.intp]) -> dict[str, int]:
    """Count pool rows by the class that the current model gives them; {} without a model."""
    model = current_model(context.files)
    if model is None or not len(rows):
        return {}
    names = context.answers.names
    likeliest = model.predict_proba(context.view.vectors[rows]).argmax(axis=1)
    counts = np.bincount(likeliest, minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts, strict=True)}


def check_strategy(config: RunConfig) -> None:
    """Refuse a strategy that the run could never serve, before anything is spent."""
    if config.loop.strategy == "auto":
        return
    try:
        needed = strategy(config.loop.strategy).requires
    except InvalidInput as error:
        raise InvalidInput(f"loop.strategy = {config.loop.strategy!r}: {error}") from None
    if needed & {Capability.TARGETS, Capability.TARGET_POSTERIOR} and not config.data.test:
        raise InvalidInput(
            f"loop.strategy = {config.loop.strategy!r} chooses for the inputs that the model will "
            "be used on: name a file of them as data.test, or choose another strategy "
            "(querist strategies)."
        )


def most_for_advice(context: Context) -> Decimal:
    """Give what a whole run's selections may cost at most: nothing unless a paid model is asked."""
    name = context.config.loop.strategy
    if name == "auto" or Capability.LLM not in strategy(name).requires:
        return Decimal(0)
    if context.models.on(Agent.SELECTOR).is_free:
        return Decimal(0)
    return context.ledger.balance().cap * (1 - (1 - SHARE_FOR_ADVICE) ** context.config.loop.rounds)


def _advisor(context: Context, number: int) -> Callable[[], Advisor]:
    """Open the selector's model when a strategy asks for it, to answer on the loop of the run."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = None

    async def note(trouble: str) -> None:
        context.emit(Unadvised(number, reason=trouble))

    def tell(trouble: str) -> None:
        # Listeners are called on the loop, and strategies are not on it.
        if loop is not None:
            asyncio.run_coroutine_threadsafe(note(trouble), loop).result()

    @cache
    def make() -> Advisor:
        model = context.models.on(Agent.SELECTOR, number)
        # What the strategy does not spend is left for labels, and most of the money is.
        allowance = context.ledger.balance().remaining * SHARE_FOR_ADVICE
        return Advisor(model, task=context.task, loop=loop, allowance=allowance, notice=tell)

    return make


def _committee(context: Context, number: int) -> Committee:
    rows = Knowledge(context, model=None).training_set
    seed = context.config.loop.seed + number
    return fit_committee(rows.inputs, rows.targets, weights=rows.weights, seed=seed)


def _labelled(context: Context, model: LinearModel | None) -> Labelled:
    """All that was looked at: what has no label (dropped, or still with people) is unknown.

    In the order of the rounds that labelled, or at least chose, them; within a round as chosen.
    """
    view, places = context.view, context.labelling.worked_on()
    labels, hidden = learnable(context), audited(context)

    def when(example_id: ExampleId) -> tuple[int, int, ExampleId]:
        number, rank = places.get(example_id, (-1, 0))
        if example_id in labels:
            number = labels[example_id].round
        return number, rank, example_id

    seen = [name for name in context.labelling.touched() - hidden if name in view.rows]
    ids = tuple(sorted(seen, key=when))
    answers = [labels[example_id].answer if example_id in labels else None for example_id in ids]
    classes = context.answers.places(answers)
    vectors = view.of(list(ids))
    return Labelled(
        embeddings=vectors,
        classes=classes,
        probabilities=None if model is None or not ids else model.predict_proba(vectors),
        ids=ids,
    )


def _targets(context: Context) -> Targets:
    """Take the inputs of the test file, without their labels."""
    examples: Sequence[Example] = context.pool.all(Split.TEST)[:_MOST_TARGETS]
    hidden = tuple(replace(example, gold=None) for example in examples)
    return Targets(embeddings=context.view.embed(hidden), examples=hidden)
