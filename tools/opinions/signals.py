"""The port of verification signals: what else speaks for an answer, besides the annotator.

A signal gives each example a distribution over the answers. The verifier pools it with what the
annotator says, by a weight that is learnt from what people labelled; so a signal that knows nothing
is found out, and costs little.

    @signal("keywords", summary="What a list of words says.", start=0.3)
    class Keywords:
        name, words = "keywords", "the list of words"

        def opinions(self, view: SignalView, ids: Sequence[ExampleId], /) -> FloatArray | None: ...

A plug-in names it under the entry point group `querist.signal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from querist.memory.records import Example, ExampleId, Label
from querist.tools.compute.arrays import FloatArray
from querist.tools.embedding.retrieval import nearest
from querist.tools.kinds.answer_set import AnswerSet
from querist.tools.opinions.training_set import Vectors, soft_target
from querist.tools.registry import Count, Declaration, Registry

__all__ = [
    "SIGNALS",
    "Signal",
    "SignalView",
    "signal",
]

_GROUP = "querist.signal"


@dataclass(frozen=True, slots=True, eq=False)
class SignalView:
    """What a signal may look at."""

    labels: Mapping[ExampleId, Label]
    """Those that stand. No signal may tell of an example what its own label says."""
    answers: AnswerSet
    vectors: Vectors
    """(N, d), of length 1."""
    examples: Callable[[Sequence[ExampleId]], Sequence[Example]]
    model: Vectors | None
    """What the current model says: (N, C). None while there is none.

    Where weights are learnt, these are predictions of models that did not see the labels.
    """


class Signal(Protocol):
    """One more opinion about examples."""

    @property
    def name(self) -> str:
        """What task files and verdicts call it: an identifier."""

    @property
    def words(self) -> str:
        """What people read: `its labelled neighbours`."""

    @property
    def start(self) -> float:
        """What it counts before anything was measured, where the annotator counts 1."""

    def opinions(self, view: SignalView, ids: Sequence[ExampleId], /) -> FloatArray | None:
        """Give distributions over `view.answers` (N, C); None where it has nothing to say yet."""


signal = Declaration[Signal](_GROUP)
"""Declare what makes a signal."""

SIGNALS = Registry[Signal]("signal", group=_GROUP, modules=("querist.tools.opinions.signals",))
"""The signals there are."""


@signal("neighbours", summary="What the labelled examples nearest to it say.", cost="O(N n d)")
class Neighbours:
    """A vote of the k nearest labelled examples, by similarity and by what their labels weigh."""

    name, words, start = "neighbours", "its labelled neighbours", 0.3

    def __init__(self, *, k: Count = 10) -> None:
        """`k` neighbours vote; fewer labels than that say nothing."""
        self._k = k

    def opinions(self, view: SignalView, ids: Sequence[ExampleId], /) -> FloatArray | None:
        """Give the vote, each example's own label left out."""
        bank = [label for label in view.labels.values() if label.weight > 0]
        if len(bank) <= self._k or not ids:
            return None
        known = [label.example for label in bank]
        says = np.stack([soft_target(label, view.answers) * label.weight for label in bank])
        # One more than k, since an example that is labelled is its own nearest neighbour.
        close, similarity = nearest(view.vectors(ids), view.vectors(known), self._k + 1)
        place = {example: row for row, example in enumerate(known)}
        own = close == np.array([place.get(example, -1) for example in ids])[:, None]
        # Squared, so that what is only a little alike has little to say.
        strength = np.where(own, 0.0, np.maximum(similarity, 0.0) ** 2)
        # One vote in all for the even distribution: no answer is impossible, and a vote far from
        # every label is no vote.
        mass = np.einsum("nk,nkc->nc", strength, says[close]) + 1.0 / says.shape[1]
        return np.asarray(mass / mass.sum(axis=1, keepdims=True))


@signal("model", summary="What the trained model says.", cost="O(N d C)")
class ModelSays:
    """The loop's own head."""

    name, words, start = "model", "the trained model", 0.5

    def opinions(self, view: SignalView, ids: Sequence[ExampleId], /) -> FloatArray | None:
        """Give the model's chances."""
        return None if view.model is None else view.model(ids)
