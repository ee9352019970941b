"""What the strategies of this package share: reading candidates, ranking, filling up, recall."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from querist.agents.annotator.prompt import Demonstration
from querist.agents.selector.advice.advisor import Advisor
from querist.memory.records import Example, ExampleId, Task
from querist.tools.compute.arrays import FloatArray
from querist.tools.kinds import answers_of
from querist.tools.strategies.querying import UNKNOWN, Capability, QueryContext, QueryResult

Rows = NDArray[np.intp]


def rank_of(example: ExampleId) -> float:
    """Give an id a number in [0, 1) that looks random and is the same in every round and run."""
    return int(hashlib.sha256(example.encode()).hexdigest()[:13], 16) / 16**13


def shuffled(context: QueryContext) -> Rows:
    """Order all candidates by `rank_of`: a shuffle that later rounds continue."""
    return np.argsort([rank_of(example_id) for example_id in context.ids], kind="stable")


def sample(context: QueryContext, most: int) -> Rows:
    """Take at most `most` candidates, in their order: those that come first in the shuffle.

    A later round finds most of them again, so what was asked about them is replayed, not paid.
    """
    return np.sort(shuffled(context)[:most])


def labelled_examples(context: QueryContext, ids: Sequence[ExampleId]) -> tuple[Example, ...]:
    """Read examples that are not candidates any more."""
    fetch: Any = context.sources[Capability.TEXTS]()
    return tuple(fetch(list(ids))) if ids else ()


def demonstrations(context: QueryContext, task: Task) -> tuple[list[Demonstration], FloatArray]:
    """Read the labelled examples as demonstrations, with their vectors (L, d)."""
    known = context.labelled()
    rows = [row for row in range(len(known.ids)) if known.classes[row] != UNKNOWN]
    examples = labelled_examples(context, [known.ids[row] for row in rows])
    answers = answers_of(task).answers
    shown = [
        Demonstration(example, answers[int(known.classes[row])])
        for example, row in zip(examples, rows, strict=True)
    ]
    return shown, known.embeddings[rows]


def clip(text: str, longest: int) -> str:
    """Cut a text, and show that it was cut."""
    return text if len(text) <= longest else text[: max(1, longest - 1)] + "…"


def highest(scores: FloatArray, *others: FloatArray) -> Rows:
    """Order by the highest score, then the highest of each other; what is not a number is last."""
    keys = [np.where(np.isnan(score), -np.inf, score) for score in (scores, *others)]
    return np.asarray(np.lexsort([-key for key in reversed(keys)]))


def conclude(
    context: QueryContext,
    picks: Iterable[int],
    count: int,
    *,
    advisor: Advisor | None = None,
    scores: FloatArray | None = None,
    **diagnostics: Any,
) -> QueryResult:
    """Return picks in their order, filled up at random to `count`, with what was spent on them.

    `scores` are of all candidates. `n_filled` counts the random ones, `fell_back` says why answers
    of the model are missing.
    """
    kept = np.array(list(dict.fromkeys(int(pick) for pick in picks))[:count], dtype=np.intp)
    rest = np.setdiff1d(np.arange(len(context.ids)), kept)
    missing = count - len(kept)
    if missing > 0:
        kept = np.concatenate([kept, context.rng.choice(rest, size=missing, replace=False)])
        diagnostics["n_filled"] = missing
    if advisor is not None:
        tally = advisor.tally
        diagnostics |= {
            "llm_calls": tally.asked - tally.failed,
            "llm_replayed": tally.replayed,
            "llm_failed": tally.failed,
            "llm_usd": str(tally.usd),
            "fell_back": advisor.close(),
        }
    return context.result(kept, scores=None if scores is None else scores[kept], **diagnostics)


class Recall:
    """Numbers by example that a strategy keeps in its state from round to round."""

    def __init__(self, state: MutableMapping[str, FloatArray], name: str) -> None:
        """Read what is kept under `name`."""
        self._state, self._name = state, name
        keys = state.get(f"{name}.keys", np.empty(0))
        self._rows = {float(key): row for row, key in enumerate(keys)}
        self._values: FloatArray | None = state.get(f"{name}.values")

    def get(self, ids: Sequence[ExampleId], default: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Look up ids: values shaped like `default` where unknown, and which are known (bool)."""
        rows = [self._rows.get(rank_of(example_id), -1) for example_id in ids]
        known = np.array([row >= 0 for row in rows], dtype=bool)
        values = np.array(default, dtype=np.float64)
        fits = self._values is not None and self._values.shape[1:] == values.shape[1:]
        if not fits or self._values is None:
            return values, np.zeros(len(rows), dtype=bool)
        values[known] = self._values[[row for row in rows if row >= 0]]
        return values, known

    def put(self, ids: Sequence[ExampleId], values: FloatArray) -> None:
        """Keep values of these ids, and of no others."""
        self._state[f"{self._name}.keys"] = np.array([rank_of(example_id) for example_id in ids])
        self._state[f"{self._name}.values"] = np.asarray(values, dtype=np.float64)
