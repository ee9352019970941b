"""How good the model is, how sure we are of that, and what it was measured on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from querist.memory.records import ExampleId, Task
from querist.tools.kinds import Kind, Measure
from querist.tools.opinions.training_set import FOLDS, PeoplesRows, TrainingSet
from querist.tools.training.proxy import cross_fit

FEWEST = 10
VALIDATION = "validation set"
SAMPLE = "random sample labelled by people, each predicted by a model that did not see its label"
AGREEMENT = "agreement with the annotators' labels, which nobody checked: not accuracy"
NOTHING = "nothing yet"


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the model is by the run's own measure, and on the test set; None if unmeasured."""

    own: Measure | None
    measured_on: str
    test: Measure | None = None
    hits: Mapping[ExampleId, bool] | None = None
    """Which held-out examples the model got right; None where they are others each round."""


def measure_held_out(
    people: PeoplesRows,
    rows: TrainingSet,
    seed: Collection[ExampleId],
    *,
    task: Task,
    kind: Kind,
) -> Quality:
    """Measure on people's random sample, held out in folds, and say so.

    The folds' models are taught by people alone. Without enough of a sample, the annotators' own
    labels (`rows`) are predicted: agreement, and no accuracy.
    """
    answers = kind.answers(task).answers
    known = [example for example in people.ids if example in seed]
    if len(known) >= FEWEST:
        what, predicted = SAMPLE, people.held_out(known)
        targets = people.targets[[example in seed for example in people.ids]]
    else:
        what, targets = AGREEMENT, rows.targets
        predicted = cross_fit(rows.inputs, rows.targets, weights=rows.weights, folds=FOLDS)
    said, truth = predicted.argmax(axis=1), targets.argmax(axis=1)
    found = kind.measure(
        task, [answers[place] for place in said], [answers[place] for place in truth]
    )
    right = dict(zip(known, (said == truth).tolist(), strict=True)) if what == SAMPLE else None
    return Quality(found, what, hits=right)
