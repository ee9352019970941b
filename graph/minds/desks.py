"""What minds look up and try, over a run's store: the pool, the ledger, opinions on the batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from querist.agents.selector.tools import Batch, PoolSummary
from querist.agents.verifier.tools import Judged, Source
from querist.graph.round.audit import selectable
from querist.graph.round.evidence import counts_of_labels
from querist.graph.round.knowledge import Knowledge, judged_before
from querist.graph.round.model_files import current_model
from querist.graph.round.select import query_context, strategy_for
from querist.graph.workplace.context import Context
from querist.memory.answers import name_of
from querist.memory.errors import InvalidInput, QueristError
from querist.memory.records import Example, ExampleId
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.engines.neighbours import nearest_neighbours
from querist.tools.strategies import Capability

_NEAREST = 10
"""Texts of the pool that a text's typicality is measured on."""
_SAMPLE = 300
"""Texts that stand for the pool."""


class PoolDesk:
    """The selector's: strategies on the pool as it is."""

    def __init__(self, context: Context, *, number: int) -> None:
        """In round `number`."""
        self._context = context
        self._number = number

    @cached_property
    def _rows(self) -> NDArray[np.intp]:
        """Rows of the pool that nobody looked at."""
        return selectable(self._context)

    @cached_property
    def _chances(self) -> FloatArray | None:
        """What the model says of every text of the pool: (N, C)."""
        model = current_model(self._context.files)
        return None if model is None else model.predict_proba(self._context.view.vectors)

    def summary(self) -> PoolSummary:
        """Count and measure what is left."""
        rng = np.random.default_rng(self._number)
        sample = np.sort(rng.permutation(self._rows)[:_SAMPLE])
        return PoolSummary(
            left=len(self._rows),
            labels=counts_of_labels(self._context),
            predicted=self._predicted(self._rows),
            doubt=self._doubt(self._rows),
            typicality=self._typicality(sample),
        )

    def choose(self, name: str, count: int, favour: Sequence[str] = ()) -> Batch:
        """Let a strategy choose as it would in this round; what it remembers is not kept."""
        asked = query_context(self._context, self._rows, number=self._number)
        found = strategy_for(self._context, name, favour)
        if Capability.LLM in found.requires:
            raise InvalidInput("it asks a language model, which costs money to try")
        missing = found.requires - set(asked.sources)
        if missing:
            raise InvalidInput(f"it needs {', '.join(sorted(missing))}, which is not there yet")
        ids = tuple(found.query(asked, min(count, len(self._rows))).ids)
        rows = np.array([self._context.view.rows[ExampleId(name)] for name in ids], dtype=np.intp)
        return Batch(
            name,
            ids,
            doubt=self._doubt(rows),
            typicality=self._typicality(rows),
            repeats=self._repeats(rows),
            predicted=self._predicted(rows),
        )

    def texts(self, ids: Sequence[str]) -> list[str]:
        """Read texts."""
        return [_read(example) for example in self._context.view.get([ExampleId(i) for i in ids])]

    def _doubt(self, rows: IntArray) -> float | None:
        if self._chances is None or not len(rows):
            return None
        return float((1.0 - self._chances[rows].max(axis=1)).mean())

    def _predicted(self, rows: IntArray) -> Mapping[str, int]:
        if self._chances is None:
            return {}
        names = self._context.answers.names
        return Counter(names[place] for place in self._chances[rows].argmax(axis=1))

    def _typicality(self, rows: IntArray) -> float:
        if not len(rows):
            return 0.0
        vectors = self._context.view.vectors
        # Each text is its own nearest, so the first is left out.
        _, near = nearest_neighbours(vectors[rows], _NEAREST + 1, among=vectors)
        return float(near[:, 1:].mean())

    def _repeats(self, rows: IntArray) -> float:
        if len(rows) < 2:
            return 0.0
        return float(nearest_neighbours(self._context.view.vectors[rows], 1)[1].mean())


class LedgerDesk:
    """The budget controller's."""

    def __init__(self, context: Context) -> None:
        """Read the run's ledger."""
        self._context = context

    def spent(self) -> Mapping[str, Decimal]:
        """Sum what was spent, by what for."""
        found = self._context.ledger.by_agent()
        return {f"{agent.replace('_', ' ')}, {kind}": usd for (agent, kind), usd in found.items()}


class OpinionDesk:
    """The verifier's: opinions about the batch, and what came of such opinions before."""

    def __init__(self, context: Context, *, number: int) -> None:
        """On the batch of round `number`."""
        self._context = context
        self._number = number

    @cached_property
    def _knowledge(self) -> Knowledge:
        return Knowledge(self._context, model=current_model(self._context.files))

    @cached_property
    def _pooled(self) -> list[tuple[str, str, float]]:
        """Text, likeliest label and its chance, of the texts that there is an opinion about."""
        items = self._context.labelling.batch(self._number, status="annotated")
        examples = self._context.view.get([item.example for item in items])
        opinions = self._knowledge.opinions(examples, [item.attempt for item in items])
        return [
            (_read(said.example), name_of(said.pooled.best), said.pooled.p_correct)
            for said in opinions
            if said.pooled is not None
        ]

    def judged(self) -> list[Judged]:
        """List the texts that were judged before people labelled them."""
        return judged_before(self._context)

    def batch(self) -> list[tuple[str, float]]:
        """Best label, and how sure the pooled opinion is of it, of each text of the batch."""
        return [(label, chance) for _, label, chance in self._pooled]

    def sources(self) -> list[Source]:
        """How right each source was on what people labelled, by models that did not see it."""
        knowledge = self._knowledge
        truth = knowledge.reliability.truth
        told = [example for example in truth if example in knowledge.reliability.raw]
        raw = knowledge.reliability.raw
        right = sum(int(raw[example].argmax()) == truth[example] for example in told)
        found = [Source("the language model", right, len(told))]
        people = [example for example in knowledge.people.ids if example in truth]
        try:
            chances = knowledge.people.held_out(people)
        except QueristError:  # too few to hold any out
            return found
        places = np.array([truth[example] for example in people], dtype=np.intp)
        hits = int((chances.argmax(axis=1) == places).sum())
        return [*found, Source("the trained model, held out", hits, len(people))]

    def doubtful(self, count: int) -> list[tuple[str, str, float]]:
        """Text, best label and chance of the batch's most doubtful texts."""
        return sorted(self._pooled, key=lambda row: row[2])[:count]


def _read(example: Example) -> str:
    return " | ".join(example.fields.values())
