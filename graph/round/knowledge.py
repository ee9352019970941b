"""What the run knows about its examples: whom to believe, and what to train on.

Computed from the store whenever it is needed; nothing here is kept between nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from querist.agents.verifier.rules import Opinions
from querist.graph.round.testimony import OWN_CALIBRATION, Testimony
from querist.graph.workplace.context import Context
from querist.memory.records import Choice, Example, ExampleId, Label
from querist.tools.embedding.retrieval import nearest
from querist.tools.opinions.pooling import OpinionPool
from querist.tools.training.proxy import LinearModel, cross_fit

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.intp]

TRUSTS = (0.0, 0.1, 0.3, 1.0, 3.0)
"""How much a language model's label may count in training, beside 1 for a person's."""
START_WEIGHTS = (1.0, 0.3, 0.5)
"""What annotator, neighbours and model count before anything was measured."""
NEIGHBOURS = 10
FOLDS = 5


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


class Knowledge:
    """A view of the store at one moment."""

    def __init__(
        self,
        context: Context,
        *,
        model: LinearModel | None,
        trust: float | None = None,
        testimony: Testimony | None = None,
    ) -> None:
        """`model` is the current target model; `trust` in machine labels is measured if None.

        `testimony` is read anew from the store if None.
        """
        self._known_trust = trust
        self._context = context
        self._task = context.task
        self._view = context.view()
        self._model = model
        labels = context.labelling.labels()
        self.labels: dict[ExampleId, Label] = {one.example: one for one in labels}
        self.testimony = testimony or Testimony(context, labels)

    def neighbours(self, examples: Sequence[ExampleId]) -> FloatArray | None:
        """What the closest labelled examples say, themselves left out: (N, C)."""
        bank = [one for one in self.labels.values() if one.weight > 0]
        if len(bank) <= NEIGHBOURS or not examples:
            return None
        ids = [one.example for one in bank]
        says = np.stack([self._soft(one) * one.weight for one in bank])
        close, similarity = nearest(
            self._view.of(list(examples)), self._view.of(ids), NEIGHBOURS + 1
        )
        place = {one: i for i, one in enumerate(ids)}
        own = close == np.array([place.get(one, -1) for one in examples])[:, None]
        strength = np.where(own, 0.0, np.maximum(similarity, 0.0) ** 2)
        mass = np.einsum("nk,nkc->nc", strength, says[close]) + 1.0 / says.shape[1]
        return np.asarray(mass / mass.sum(axis=1, keepdims=True))

    def _soft(self, label: Label) -> FloatArray:
        names = self._task.names
        if label.source != "human" and label.probabilities:
            return np.array([label.probabilities.get(name, 0.0) for name in names])
        assert isinstance(label.answer, Choice)
        return np.asarray(np.eye(len(names))[names.index(label.answer.value)])

    # ------------------------------------------------------------ whom to believe

    @cached_property
    def pool_weights(self) -> OpinionPool:
        """How much annotator, neighbours and model count, learnt from what people labelled."""
        rows = [one for one in self.testimony.truth if one in self.testimony.raw]
        around = self.neighbours(rows)
        if around is None or self._model is None or len(rows) < OWN_CALIBRATION:
            return OpinionPool(np.array(START_WEIGHTS))
        annotator = np.stack([self.testimony.honest[one] for one in rows])
        labels = np.array([self.testimony.truth[one] for one in rows], dtype=np.intp)
        sides = (annotator, around, self._held_out(rows))
        counts = np.array([self.testimony.stands_for[one] for one in rows])
        return OpinionPool.fit(sides, labels, start=START_WEIGHTS, weights=counts)

    def opinions(self, examples: Sequence[Example], attempts: Sequence[int]) -> list[Opinions]:
        """Gather and pool the opinions about examples of a batch."""
        ids = [one.id for one in examples]
        around = self.neighbours(ids)
        model = None if self._model is None else self._model.predict_proba(self._view.of(ids))
        says = [self.testimony.honest.get(one) for one in ids]
        pooled = self._pool(says, around, model)
        return [
            Opinions(
                example,
                attempts[i],
                annotator=says[i],
                neighbours=None if around is None else around[i],
                model=None if model is None else model[i],
                pooled=None if pooled is None else pooled[i],
                trouble=self.testimony.trouble(example.id),
                is_refused=self.testimony.is_refused(example.id),
            )
            for i, example in enumerate(examples)
        ]

    def _pool(
        self,
        says: Sequence[FloatArray | None],
        around: FloatArray | None,
        model: FloatArray | None,
    ) -> FloatArray | None:
        """Pool what is there; a source that is silent about an example counts as undecided."""
        if around is None and model is None and all(one is None for one in says):
            return None
        classes = len(self._task.names)
        even = np.full((len(says), classes), 1.0 / classes)
        annotator = np.stack([even[0] if one is None else one for one in says])
        sides = (annotator, even if around is None else around, even if model is None else model)
        return np.asarray(self.pool_weights.pool(sides))

    def _held_out(self, examples: Sequence[ExampleId]) -> FloatArray:
        """Predict labelled examples with models that did not see them: (N, C)."""
        rows = self.training_set
        place = {one: i for i, one in enumerate(rows.ids)}
        score = np.array([place[one] for one in examples], dtype=np.intp)
        return cross_fit(
            rows.inputs, rows.targets, weights=rows.weights, folds=FOLDS, score_rows=score
        )

    # ------------------------------------------------------------ what to train on

    @cached_property
    def training_set(self) -> TrainingSet:
        """Every label with the weight it deserves, trusting the language model as measured."""
        ids = tuple(sorted(self.labels))
        targets = np.stack([self._target(one) for one in ids]) if ids else np.empty((0, 0))
        inputs = self._view.of(list(ids)) if ids else np.empty((0, 0), dtype=np.float32)
        is_human = np.array([one in self.testimony.truth for one in ids], dtype=bool)
        certainty = _certainty(targets) if ids else np.empty(0)
        human = np.flatnonzero(is_human)
        trust = self._trust(inputs, targets, certainty, is_human)
        weights = np.where(is_human, 1.0, trust * certainty)
        return TrainingSet(ids, inputs, targets, weights, human, trust)

    def _target(self, example: ExampleId) -> FloatArray:
        label = self.labels[example]
        if label.source != "human":
            said = self.testimony.honest.get(example)
            if said is not None:
                return said
        return self._soft(label)

    def _trust(
        self,
        inputs: FloatArray,
        targets: FloatArray,
        certainty: FloatArray,
        is_human: NDArray[np.bool_],
    ) -> float:
        """Choose how much machine labels count by how well people's labels are then predicted."""
        if self._known_trust is not None:
            return self._known_trust
        human = np.flatnonzero(is_human)
        if len(human) < OWN_CALIBRATION or is_human.all():
            return 1.0
        truth = targets[human].argmax(axis=1)
        counts = [self.testimony.stands_for[one] for one in sorted(self.testimony.truth)]
        losses = []
        for trust in TRUSTS:
            weights = np.where(is_human, 1.0, trust * certainty)
            predicted = cross_fit(inputs, targets, weights=weights, folds=FOLDS, score_rows=human)
            lost = -np.log(predicted[np.arange(len(human)), truth] + 1e-9)
            losses.append(np.average(lost, weights=counts))
        return TRUSTS[int(np.argmin(losses))]


def _certainty(targets: FloatArray) -> FloatArray:
    """One minus the normalised entropy of each soft target: a guess teaches nothing."""
    entropy = -(targets * np.log(np.maximum(targets, 1e-12))).sum(axis=1)
    return np.asarray(np.clip(1.0 - entropy / np.log(targets.shape[1]), 0.0, 1.0))


def class_counts(labels: Mapping[ExampleId, Label], names: Sequence[str]) -> dict[str, int]:
    """Count labels by class, naming those without any."""
    counts = dict.fromkeys(names, 0)
    for one in labels.values():
        if isinstance(one.answer, Choice) and one.answer.value in counts:
            counts[one.answer.value] += 1
    return counts
