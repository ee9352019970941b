"""What to train on: every label with the weight it deserves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from querist.memory.records import ExampleId, Label
from querist.tools.compute.arrays import FloatArray, IntArray, log_softmax
from querist.tools.kinds.answer_set import AnswerSet
from querist.tools.opinions.beliefs import LEAST, certainty
from querist.tools.opinions.reliability import OWN_CALIBRATION, Reliability
from querist.tools.training.proxy import LinearHead, LinearModel, cross_fit

FOLDS = 5
_ENOUGH = 2.0
"""Who tells half of what there is to know counts in full (of 1, 2 and 4, 2 lost least at worst)."""

Vectors = Callable[[Sequence[ExampleId]], FloatArray]
"""Looks up the vectors (N, d) of examples."""


# Not slotted: the head is trained once, when it is first wanted.
@dataclass(frozen=True, eq=False)
class PeoplesRows:
    """What people labelled and nothing else: ids, inputs (H, d), targets (H, C).

    Whatever is judged by people's answers is taught by this alone. What machines said is worked out
    from all of people's answers, so a model that learnt from it has seen those it is judged by.
    """

    ids: tuple[ExampleId, ...]
    inputs: FloatArray
    targets: FloatArray

    @classmethod
    def of(
        cls, labels: Mapping[ExampleId, Label], *, answers: AnswerSet, vectors: Vectors
    ) -> PeoplesRows:
        """Gather the labels by people, those of the answers that there are."""
        ids = tuple(
            sorted(
                example
                for example, label in labels.items()
                if label.source == "human" and answers.place(label.answer) >= 0
            )
        )
        width = len(answers)
        if not ids:
            return cls(ids, np.empty((0, 0), dtype=np.float32), np.empty((0, width)))
        targets = np.stack([answers.certain(labels[example].answer) for example in ids])
        return cls(ids, vectors(ids), targets)

    def held_out(self, examples: Sequence[ExampleId]) -> FloatArray:
        """Predict some of them by models that did not see their labels: (N, C)."""
        place = {example: row for row, example in enumerate(self.ids)}
        rows = np.array([place[example] for example in examples], dtype=np.intp)
        return cross_fit(self.inputs, self.targets, folds=FOLDS, score_rows=rows)

    @cached_property
    def head(self) -> LinearModel:
        """A linear head that they taught."""
        return LinearHead().fit(self.inputs, self.targets)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """Rows to train on: ids, inputs (N, d), soft targets (N, C), weights (N,)."""

    ids: tuple[ExampleId, ...]
    inputs: FloatArray
    targets: FloatArray
    weights: FloatArray
    human: IntArray
    """Positions of the rows that people labelled."""

    @property
    def trust(self) -> float | None:
        """What a machine's label counts on average, beside 1 for a person's; None without any."""
        machine = np.delete(self.weights, self.human)
        return round(float(machine.mean()), 4) if len(machine) else None

    @property
    def can_train(self) -> bool:
        """Tell whether there is a row with weight."""
        return bool((self.weights > 0).any())


def soft_target(label: Label, answers: AnswerSet) -> FloatArray:
    """What a label says, with its doubt where a machine gave it: (C,)."""
    if label.source != "human" and label.probabilities:
        return answers.vector(label.probabilities)
    return answers.certain(label.answer)


def gather_training_set(
    labels: Mapping[ExampleId, Label],
    reliability: Reliability,
    *,
    people: PeoplesRows,
    answers: AnswerSet,
    vectors: Vectors,
) -> TrainingSet:
    """Give each label the target and the weight that it deserves.

    A person's label is taken as it is. What a machine said goes through a label model: its word,
    calibrated on what people said, times the opinion of a head that people alone taught, divided by
    how often each answer is right, which both contain (a product of experts; naive Bayes of two
    witnesses). It weighs 1 minus its entropy, and less where the annotator told little: a head that
    learns from its own opinion alone loses a point or two by it.
    """
    # Sorted, so that folds do not depend on the order in which labels came.
    ids = tuple(sorted(labels))
    if not ids:
        empty = np.empty((0, 0))
        return TrainingSet(ids, empty, empty, np.empty(0), np.empty(0, dtype=np.intp))
    inputs = vectors(ids)
    targets = np.stack([_target(labels[example], reliability, answers) for example in ids])
    is_human = np.array([example in reliability.truth for example in ids], dtype=bool)
    told = np.ones(len(ids))
    if is_human.sum() >= OWN_CALIBRATION and not is_human.all():
        opinion = people.head.predict_proba(inputs[~is_human])
        # What the loop's own model said is no second witness.
        silent = np.array([labels[example].source == "model" for example in ids])[~is_human]
        said = np.where(silent[:, None], reliability.usual, targets[~is_human])
        targets[~is_human] = combine_opinions(said, opinion, prior=reliability.usual)
        told[~is_human] = worth_of(said, prior=reliability.usual)
    weights = np.where(is_human, 1.0, told * certainty(targets))
    return TrainingSet(ids, inputs, targets, weights, np.flatnonzero(is_human))


def combine_opinions(first: FloatArray, second: FloatArray, *, prior: FloatArray) -> FloatArray:
    """Multiply two opinions (N, C) that both contain the same `prior` (C,), and divide by it once.

    Exact where the two are independent given the truth.
    """
    logs = np.log(np.maximum(first, LEAST)) + np.log(np.maximum(second, LEAST)) - np.log(prior)
    return np.exp(log_softmax(logs))


def information(said: FloatArray, *, prior: FloatArray) -> FloatArray:
    """What opinions (N, C) tell beyond the prior (C,), as a share of all there is to know: (N,).

    The divergence of each from the prior (Kullback and Leibler), over the prior's entropy.
    """
    logs = np.log(np.maximum(said, LEAST)) - np.log(prior)
    return np.asarray((said * logs).sum(axis=1) / max(-float(prior @ np.log(prior)), LEAST))


def worth_of(said: FloatArray, *, prior: FloatArray) -> FloatArray:
    """What an annotator's word (N, C) counts in training: (N,), 1 from half of all there is on."""
    return np.asarray(np.minimum(1.0, _ENOUGH * information(said, prior=prior)))


def _target(label: Label, reliability: Reliability, answers: AnswerSet) -> FloatArray:
    if label.source != "human":
        said = reliability.calibrated.get(label.example)
        if said is not None:
            return said
    return soft_target(label, answers)
