"""How good the model is, how sure we are of that, and what it was measured on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from querist.memory.records import ExampleId, Task
from querist.tools.kinds import AnswerSet, Kind, Measure
from querist.tools.opinions.training_set import FOLDS, TrainingSet
from querist.tools.training.proxy import cross_fit

FEWEST = 10
VALIDATION = "validation set"
SAMPLE = "random sample labelled by people, each predicted by a model that did not see its label"
AGREEMENT = "agreement with the annotators' labels, which nobody checked: not accuracy"
NOTHING = "nothing yet"


@dataclass(frozen=True, slots=True)
class Quality:
    """A measure with a 90 % interval, what it was measured on, and the same on the test set."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    measured_on: str
    test: float | None
    metric: str = ""
    by_group: Mapping[str, float | None] = field(default_factory=dict)


def quality_of(
    measure: Measure | None, *, on: str, test: Measure | None, metric: str = ""
) -> Quality:
    """Say a measure as quality; without one there is nothing yet."""
    outside = None if test is None else test.value
    if measure is None:
        return Quality(None, None, None, 0, on, outside, metric)
    return Quality(
        measure.value, measure.low, measure.high, measure.n, on, outside, metric, measure.by_group
    )


def measure_held_out(
    rows: TrainingSet, seed: Collection[ExampleId], *, task: Task, kind: Kind
) -> tuple[Measure | None, str]:
    """Measure on people's random sample, held out in folds, and say so.

    Without enough of one, the annotators' own labels are predicted: agreement, and no accuracy.
    """
    what = SAMPLE
    place = [row for row, example in enumerate(rows.ids) if example in seed]
    if len(place) < FEWEST:
        what, place = AGREEMENT, list(range(len(rows.ids)))
    score = np.array(place, dtype=np.intp)
    predicted = cross_fit(
        rows.inputs, rows.targets, weights=rows.weights, folds=FOLDS, score_rows=score
    )
    answers = AnswerSet(kind.answers(task)).answers
    said = [answers[column] for column in predicted.argmax(axis=1)]
    truth = [answers[column] for column in rows.targets[score].argmax(axis=1)]
    return kind.measure(task, said, truth), what
