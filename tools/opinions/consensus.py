"""What is thought of examples: the annotator, labelled neighbours and the model, pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from querist.memory.records import ExampleId, Label
from querist.tools.compute.arrays import FloatArray
from querist.tools.embedding.retrieval import nearest
from querist.tools.kinds.answer_set import AnswerSet
from querist.tools.opinions.pooling import OpinionPool
from querist.tools.opinions.reliability import OWN_CALIBRATION, Reliability
from querist.tools.opinions.training_set import Vectors, soft_target

START_WEIGHTS = (1.0, 0.3, 0.5)
"""What annotator, neighbours and model count before anything was measured."""
_NEIGHBOURS = 10


class Predictor(Protocol):
    """Whatever predicts answers from vectors."""

    def predict_proba(self, inputs: FloatArray, /) -> FloatArray:
        """Give probabilities (N, C) for inputs (N, d)."""


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What each source says of N examples, probabilities (N, C); None where it says nothing."""

    annotator: Sequence[FloatArray | None]
    neighbours: FloatArray | None
    model: FloatArray | None
    pooled: FloatArray | None


# Not slotted: the weights are learnt once, when they are first wanted.
@dataclass(frozen=True, eq=False)
class Consensus:
    """The opinions about examples, and how much each source counts."""

    labels: Mapping[ExampleId, Label]
    reliability: Reliability
    answers: AnswerSet
    vectors: Vectors
    model: Predictor | None
    held_out: Vectors
    """What models say of labelled examples that did not see their labels: (N, C)."""

    def neighbours(self, examples: Sequence[ExampleId]) -> FloatArray | None:
        """What the closest labelled examples say, themselves left out: (N, C)."""
        bank = [label for label in self.labels.values() if label.weight > 0]
        if len(bank) <= _NEIGHBOURS or not examples:
            return None
        ids = [label.example for label in bank]
        says = np.stack([soft_target(label, self.answers) * label.weight for label in bank])
        # One more than wanted: an example in the bank finds itself.
        close, similarity = nearest(self.vectors(examples), self.vectors(ids), _NEIGHBOURS + 1)
        place = {example: row for row, example in enumerate(ids)}
        own = close == np.array([place.get(example, -1) for example in examples])[:, None]
        # Squared, so that what is only a little alike has little to say.
        strength = np.where(own, 0.0, np.maximum(similarity, 0.0) ** 2)
        # One vote spread evenly over the answers: where all neighbours are far, nothing is claimed.
        mass = np.einsum("nk,nkc->nc", strength, says[close]) + 1.0 / says.shape[1]
        return np.asarray(mass / mass.sum(axis=1, keepdims=True))

    @cached_property
    def pool_weights(self) -> OpinionPool:
        """How much annotator, neighbours and model count, learnt from what people labelled."""
        known = self.reliability
        rows = [example for example in known.truth if example in known.raw]
        around = self.neighbours(rows)
        if around is None or self.model is None or len(rows) < OWN_CALIBRATION:
            return OpinionPool(np.array(START_WEIGHTS))
        annotator = np.stack([known.calibrated[example] for example in rows])
        places = np.array([known.truth[example] for example in rows], dtype=np.intp)
        # The model saw these labels; what it would say without them is what counts.
        sides = (annotator, around, self.held_out(rows))
        counts = np.array([known.sampling_weight[example] for example in rows])
        return OpinionPool.fit(sides, places, start=START_WEIGHTS, weights=counts)

    def about(self, examples: Sequence[ExampleId]) -> Sources:
        """Gather and pool what the sources say of examples."""
        around = self.neighbours(examples)
        model = None if self.model is None else self.model.predict_proba(self.vectors(examples))
        says = [self.reliability.calibrated.get(example) for example in examples]
        return Sources(says, around, model, self._pool(says, around, model))

    def _pool(
        self,
        says: Sequence[FloatArray | None],
        around: FloatArray | None,
        model: FloatArray | None,
    ) -> FloatArray | None:
        """Pool what is there; a source that is silent about an example counts as undecided."""
        if around is None and model is None and all(vector is None for vector in says):
            return None
        # Even shares add the same to every log-probability, so they move nothing.
        even = np.full((len(says), len(self.answers)), 1.0 / len(self.answers))
        annotator = np.stack([even[0] if vector is None else vector for vector in says])
        sides = (annotator, even if around is None else around, even if model is None else model)
        return np.asarray(self.pool_weights.pool(sides))
