"""Measuring a round's model on what the run has to measure on."""

from __future__ import annotations

from querist.graph.round.ask import seed_examples
from querist.graph.round.knowledge import Knowledge
from querist.graph.workplace.context import Context
from querist.memory.records import Split
from querist.tools.kinds import Measure
from querist.tools.opinions.quality import (
    NOTHING,
    VALIDATION,
    Quality,
    measure_held_out,
    quality_of,
)
from querist.tools.training.proxy import LinearModel


def measure(context: Context, knowledge: Knowledge, model: LinearModel | None) -> Quality:
    """Measure on the validation file, or on people's random sample, held out in folds."""
    metric = context.kind.metric
    test = measure_on(context, model, Split.TEST)
    validation = measure_on(context, model, Split.VALIDATION)
    if validation is not None:
        return quality_of(validation, on=VALIDATION, test=test, metric=metric)
    rows = knowledge.training_set if knowledge.labels else None
    if rows is None or model is None:
        return quality_of(None, on=NOTHING, test=test, metric=metric)
    seed = seed_examples(context.inbox) & set(knowledge.reliability.truth)
    found, what = measure_held_out(rows, seed, task=context.task, kind=context.kind)
    return quality_of(found, on=what, test=test, metric=metric)


def measure_on(context: Context, model: LinearModel | None, split: Split) -> Measure | None:
    """Measure on a gold-labelled split, if there is one."""
    if model is None:
        return None
    examples = context.view.known(split)
    if not examples:
        return None
    probabilities = model.predict_proba(context.view.embed(examples))
    said = [context.answers.answers[place] for place in probabilities.argmax(axis=1)]
    truth = [example.gold for example in examples if example.gold is not None]
    return context.kind.measure(context.task, said, truth)
