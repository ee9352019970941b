"""Measuring a round's model on what the run has to measure on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from querist.graph.round.ask import seed_examples
from querist.graph.round.knowledge import Knowledge
from querist.graph.workplace.context import Context
from querist.memory.records import Example, Split
from querist.tools.compute.arrays import FloatArray
from querist.tools.kinds import Measure
from querist.tools.opinions.quality import (
    NOTHING,
    VALIDATION,
    Quality,
    measure_audit,
    measure_held_out,
)
from querist.tools.training.proxy import LinearModel


def measure(context: Context, knowledge: Knowledge, model: LinearModel | None) -> Quality:
    """Measure on the validation file, or on the audit sample, or on the first one in folds."""
    if model is None:
        return Quality(None, NOTHING)
    test = _measure_on(context, model, Split.TEST)
    own = _measure_on(context, model, Split.VALIDATION)
    if own is None and knowledge.labels:
        seed = seed_examples(context.inbox) & set(knowledge.reliability.truth)
        own = measure_held_out(
            knowledge.people, knowledge.training_set, seed, task=context.task, kind=context.kind
        )
        own = measure_audit(knowledge.audit, model, own, task=context.task, kind=context.kind)
    own = own or Quality(None, NOTHING)
    return replace(own, test=None if test is None else test.own)


def measure_chances(
    context: Context, examples: Sequence[Example], chances: FloatArray
) -> Measure | None:
    """Compare the likeliest answers of examples, chances (N, C), with those of the file."""
    answers = context.answers.answers
    said = [answers[place] for place in chances.argmax(axis=1)]
    truth = [example.gold for example in examples if example.gold is not None]
    return context.kind.measure(context.task, said, truth)


def _measure_on(context: Context, model: LinearModel, split: Split) -> Quality | None:
    """Measure on a gold-labelled split, if there is one."""
    examples = context.view.known(split)
    if not examples:
        return None
    chances = model.predict_proba(context.view.embed(examples))
    right = chances.argmax(axis=1) == context.answers.places([example.gold for example in examples])
    return Quality(
        measure_chances(context, examples, chances),
        VALIDATION,
        hits={example.id: bool(hit) for example, hit in zip(examples, right, strict=True)},
    )
