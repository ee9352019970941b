"""How good the model is, how sure we are of that, and what it was measured on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from querist.memory.records import ExampleId, Task
from querist.tools.kinds import Kind, Measure
from querist.tools.opinions.agreement import Corrected
from querist.tools.opinions.training_set import FOLDS, PeoplesRows, TrainingSet
from querist.tools.training.proxy import LinearModel, cross_fit

FEWEST = 10
VALIDATION = "validation set"
SAMPLE = "random sample labelled by people, each predicted by a model that did not see its label"
AUDIT = "random sample labelled by people, which no agent and no model learnt from"
AGREEMENT = "agreement with the annotators' labels, which nobody checked: not accuracy"
NOTHING = "nothing yet"


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the model is by the run's own measure, and on the test set; None if unmeasured."""

    own: Measure | None
    measured_on: str
    test: Measure | None = None
    hits: Mapping[ExampleId, bool] | None = None
    """Which held-out examples were predicted right; None where they are others each round.

    Rounds are compared on these. They may be more than what `own` was measured on.
    """
    corrected: Corrected | None = None
    """`own` without people's errors; None where too few of its texts were answered twice."""


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


def measure_audit(
    audit: PeoplesRows, model: LinearModel, held_out: Quality, *, task: Task, kind: Kind
) -> Quality:
    """Measure on a random sample that nothing was learnt from, or as `held_out` where it is small.

    The sample's size is fixed by the money, not by what came out, and its rows are independent of
    the model: so the interval is one for a share of independent draws (Wilson, 1927). What was held
    out in folds still counts where rounds are compared: there a bias common to them cancels.
    """
    if len(audit.ids) < FEWEST:
        return held_out
    answers = kind.answers(task).answers
    said, truth = model.predict_proba(audit.inputs).argmax(axis=1), audit.targets.argmax(axis=1)
    found = kind.measure(
        task, [answers[place] for place in said], [answers[place] for place in truth]
    )
    hits = dict(held_out.hits or {}) | dict(zip(audit.ids, (said == truth).tolist(), strict=True))
    return Quality(found, AUDIT, hits=hits)
