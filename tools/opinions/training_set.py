"""What to train on: every label with the weight it deserves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from querist.memory.records import ExampleId, Label
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.kinds.answer_set import AnswerSet
from querist.tools.opinions.beliefs import certainty
from querist.tools.opinions.reliability import OWN_CALIBRATION, Reliability
from querist.tools.training.proxy import cross_fit

TRUSTS = (0.0, 0.1, 0.3, 1.0, 3.0)
"""How much a language model's label may count in training, beside 1 for a person's."""
FOLDS = 5

Vectors = Callable[[Sequence[ExampleId]], FloatArray]
"""Looks up the vectors (N, d) of examples."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """Rows to train on: ids, inputs (N, d), soft targets (N, C), weights (N,)."""

    ids: tuple[ExampleId, ...]
    inputs: FloatArray
    targets: FloatArray
    weights: FloatArray
    human: IntArray
    """Positions of the rows that people labelled."""
    trust: float

    @property
    def can_train(self) -> bool:
        """Tell whether there is a row with weight."""
        return bool((self.weights > 0).any())

    def held_out(self, examples: Sequence[ExampleId]) -> FloatArray:
        """Predict labelled examples with models that did not see their labels: (N, C)."""
        place = {example: row for row, example in enumerate(self.ids)}
        rows = np.array([place[example] for example in examples], dtype=np.intp)
        return cross_fit(
            self.inputs, self.targets, weights=self.weights, folds=FOLDS, score_rows=rows
        )


def soft_target(label: Label, answers: AnswerSet) -> FloatArray:
    """What a label says, with its doubt where a machine gave it: (C,)."""
    if label.source != "human" and label.probabilities:
        return answers.vector(label.probabilities)
    return answers.certain(label.answer)


def gather_training_set(
    labels: Mapping[ExampleId, Label],
    reliability: Reliability,
    *,
    answers: AnswerSet,
    vectors: Vectors,
    trust: float | None = None,
) -> TrainingSet:
    """Weigh all labels; `trust` in those by machines is measured if None."""
    # Sorted, so that folds do not depend on the order in which labels came.
    ids = tuple(sorted(labels))
    targets = [_target(labels[example], reliability, answers) for example in ids]
    soft = np.stack(targets) if ids else np.empty((0, 0))
    inputs = vectors(ids) if ids else np.empty((0, 0), dtype=np.float32)
    is_human = np.array([example in reliability.truth for example in ids], dtype=bool)
    sure = certainty(soft) if ids else np.empty(0)
    if trust is None:
        counts = [reliability.sampling_weight[example] for example in sorted(reliability.truth)]
        trust = _measure_trust(inputs, soft, sure, is_human=is_human, counts=np.array(counts))
    weights = np.where(is_human, 1.0, trust * sure)
    return TrainingSet(ids, inputs, soft, weights, np.flatnonzero(is_human), trust)


def _target(label: Label, reliability: Reliability, answers: AnswerSet) -> FloatArray:
    if label.source != "human":
        said = reliability.calibrated.get(label.example)
        if said is not None:
            return said
    return soft_target(label, answers)


def _measure_trust(
    inputs: FloatArray,
    targets: FloatArray,
    sure: FloatArray,
    *,
    is_human: NDArray[np.bool_],
    counts: FloatArray,
) -> float:
    """Choose how much machine labels count by how well people's labels are then predicted.

    `sure` (N,) is how certain each target is, `counts` (H,) how much each label by a person
    stands for. With too few of these, or nothing else, 1.
    """
    human = np.flatnonzero(is_human)
    if len(human) < OWN_CALIBRATION or is_human.all():
        return 1.0
    truth = targets[human].argmax(axis=1)
    losses = []
    for trust in TRUSTS:
        weights = np.where(is_human, 1.0, trust * sure)
        predicted = cross_fit(inputs, targets, weights=weights, folds=FOLDS, score_rows=human)
        lost = -np.log(predicted[np.arange(len(human)), truth] + 1e-9)
        # Else the hard examples, which are asked about on purpose, would decide for all.
        losses.append(np.average(lost, weights=counts))
    # A grid, because the loss is flat near its least and a fit takes a tenth of a second.
    return TRUSTS[int(np.argmin(losses))]
