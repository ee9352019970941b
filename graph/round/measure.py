"""How good the model is, and how sure we are of that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from querist.graph.round.ask import seed_examples
from querist.graph.round.knowledge import FOLDS, Knowledge
from querist.graph.workplace.context import Context
from querist.memory.records import Split
from querist.tools.training.proxy import LinearModel, cross_fit

LEVEL = 0.90
FEWEST = 10


@dataclass(frozen=True, slots=True)
class Quality:
    """Accuracy with a 90 % interval, what it was measured on, and the test accuracy."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    measured_on: str
    test: float | None


def measure(context: Context, knowledge: Knowledge, model: LinearModel | None) -> Quality:
    """Measure on the validation file, or on people's random sample, held out in folds.

    Without either, the annotators' own labels are predicted, which is agreement and no accuracy.
    """
    test = accuracy_on(context, model, Split.TEST)
    validation = None if model is None else _hits_on(context, model, Split.VALIDATION)
    if validation is not None:
        return _quality(validation, "validation set", test)
    rows = knowledge.training_set if knowledge.labels else None
    if rows is None or model is None:
        return Quality(None, None, None, 0, "nothing yet", test)
    seed = seed_examples(context) & set(knowledge.testimony.truth)
    what = "random sample labelled by people, each predicted by a model that did not see its label"
    place = [i for i, one in enumerate(rows.ids) if one in seed]
    if len(place) < FEWEST:
        what = "agreement with the annotators' labels, which nobody checked: not accuracy"
        place = list(range(len(rows.ids)))
    score = np.array(place, dtype=np.intp)
    predicted = cross_fit(
        rows.inputs, rows.targets, weights=rows.weights, folds=FOLDS, score_rows=score
    )
    hits = predicted.argmax(axis=1) == rows.targets[score].argmax(axis=1)
    return _quality(hits, what, test)


def accuracy_on(context: Context, model: LinearModel | None, split: Split) -> float | None:
    """Accuracy on a gold-labelled split, if there is one."""
    hits = None if model is None else _hits_on(context, model, split)
    return None if hits is None else float(hits.mean())


def _hits_on(context: Context, model: LinearModel, split: Split) -> NDArray[np.bool_] | None:
    names = context.task.names
    examples = [one for one in context.pool.all(split) if one.gold in names]
    if not examples:
        return None
    vectors = context.embed([one.text for one in examples])
    gold = np.array([names.index(one.gold or "") for one in examples])
    return np.asarray(model.predict_proba(vectors).argmax(axis=1) == gold)


def _quality(hits: NDArray[np.bool_], what: str, test: float | None) -> Quality:
    from scipy.stats import binomtest

    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(LEVEL, method="wilson")
    return Quality(
        float(hits.mean()), float(interval.low), float(interval.high), len(hits), what, test
    )
