"""What is thought of examples: the annotator and the signals, pooled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from querist.memory.records import Example, ExampleId, Label
from querist.tools.compute.arrays import FloatArray
from querist.tools.kinds.answer_set import AnswerSet
from querist.tools.opinions.pooling import OpinionPool
from querist.tools.opinions.reliability import OWN_CALIBRATION, Reliability
from querist.tools.opinions.signals import Signal, SignalView
from querist.tools.opinions.training_set import Vectors


class Predictor(Protocol):
    """Whatever predicts answers from vectors."""

    def predict_proba(self, inputs: FloatArray, /) -> FloatArray:
        """Give probabilities (N, C) for inputs (N, d)."""


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What each source says of N examples, probabilities (N, C); None where it says nothing."""

    annotator: Sequence[FloatArray | None]
    signals: Mapping[str, FloatArray | None]
    pooled: FloatArray | None


# Not slotted: the weights are learnt once, when they are first wanted.
@dataclass(frozen=True, eq=False, kw_only=True)
class Consensus:
    """The opinions about examples, and how much each source counts."""

    labels: Mapping[ExampleId, Label]
    reliability: Reliability
    answers: AnswerSet
    vectors: Vectors
    examples: Callable[[Sequence[ExampleId]], Sequence[Example]]
    model: Predictor | None
    held_out: Vectors
    """What models say of labelled examples that did not see their labels: (N, C)."""
    signals: Sequence[Signal]

    @property
    def source_words(self) -> tuple[str, ...]:
        """What people call the sources, in the order of the weights."""
        return ("the annotator", *(signal.words for signal in self.signals))

    @property
    def start_weights(self) -> tuple[float, ...]:
        """What the annotator and each signal count before anything was measured."""
        return (1.0, *(signal.start for signal in self.signals))

    @cached_property
    def pool_weights(self) -> OpinionPool:
        """How much the annotator and each signal count, learnt from what people labelled."""
        known = self.reliability
        rows = [example for example in known.truth if example in known.raw]
        start = OpinionPool(np.array(self.start_weights))
        if len(rows) < OWN_CALIBRATION:
            return start
        # The model saw these labels; what it would say without them is what counts.
        view = self._view(None if self.model is None else self.held_out)
        around = [signal.opinions(view, rows) for signal in self.signals]
        says = [vectors for vectors in around if vectors is not None]
        if len(says) < len(around):
            return start
        annotator = known.held_out(rows)
        places = np.array([known.truth[example] for example in rows], dtype=np.intp)
        counts = np.array([known.sampling_weight[example] for example in rows])
        sides = (annotator, *says)
        return OpinionPool.fit(sides, places, start=self.start_weights, weights=counts)

    def about(self, examples: Sequence[ExampleId]) -> Sources:
        """Gather and pool what the sources say of examples."""
        view = self._view(None if self.model is None else self._predicted)
        around = {signal.name: signal.opinions(view, examples) for signal in self.signals}
        says = [self.reliability.calibrated.get(example) for example in examples]
        return Sources(says, around, self._pool(says, tuple(around.values())))

    def _predicted(self, examples: Sequence[ExampleId]) -> FloatArray:
        assert self.model is not None
        return self.model.predict_proba(self.vectors(examples))

    def _view(self, model: Vectors | None) -> SignalView:
        return SignalView(self.labels, self.answers, self.vectors, self.examples, model)

    def _pool(
        self, says: Sequence[FloatArray | None], around: Sequence[FloatArray | None]
    ) -> FloatArray | None:
        """Pool what is there; a source that is silent about an example counts as undecided."""
        if all(vector is None for vector in (*says, *around)):
            return None
        # Even shares add the same to every log-probability, so they move nothing.
        even = np.full((len(says), len(self.answers)), 1.0 / len(self.answers))
        annotator = np.stack([even[0] if vector is None else vector for vector in says])
        sides = (annotator, *(even if vectors is None else vectors for vectors in around))
        return np.asarray(self.pool_weights.pool(sides))
