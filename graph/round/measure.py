"""Measuring a round's model on what the run has to measure on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from querist.graph.round.ask import seed_examples
from querist.graph.round.knowledge import Knowledge
from querist.graph.workplace.context import Context
from querist.memory.asking.checks import Checks
from querist.memory.records import Example, ExampleId, Split
from querist.tools.compute.arrays import FloatArray
from querist.tools.kinds import Measure
from querist.tools.opinions.agreement import Corrected, Doubled, corrected_accuracy, standing
from querist.tools.opinions.quality import (
    AUDIT,
    NOTHING,
    SAMPLE,
    VALIDATION,
    Quality,
    measure_audit,
    measure_held_out,
)
from querist.tools.training.proxy import LinearModel

_CHECKED = "checked"
"""Where a round notes how many second opinions and adjudications it knew."""


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
    own = replace(own, corrected=_corrected(context, knowledge, own))
    return replace(own, test=None if test is None else test.own)


def _corrected(context: Context, knowledge: Knowledge, own: Quality) -> Corrected | None:
    """Correct an accuracy on people's random sample by how often two of them agree on it."""
    if own.own is None or context.kind.metric != "accuracy":
        return None
    sample: set[ExampleId] = set()
    if own.measured_on == AUDIT:
        sample = set(knowledge.audit.ids)
    elif own.measured_on == SAMPLE:
        sample = seed_examples(context.inbox) & set(knowledge.people.ids)
    every = Checks(context.store, context.run.id).opinions()
    counts = Counter(standing(context.kind, said) for said in every if said.example in sample)
    pairs = counts.total() - counts["single"]
    checked = Doubled(
        single=own.own.n - pairs,
        agreed=counts["agreed"],
        disputed=counts["disputed"],
        settled=counts["settled"],
    )
    hits = round(own.own.value * own.own.n)
    return corrected_accuracy(hits, checked, classes=len(context.answers))


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


def checked_detail(context: Context, quality: Quality) -> dict[str, object]:
    """What a round notes of people who checked people; nothing where none did."""
    count, found = Checks(context.store, context.run.id).answered(), quality.corrected
    detail: dict[str, object] = {_CHECKED: count} if count else {}
    if found is not None:
        accuracy, agreement = found.accuracy, found.agreement
        detail["corrected"] = {
            "accuracy": [accuracy.value, accuracy.low, accuracy.high],
            "agreement": [agreement.value, agreement.low, agreement.high, agreement.n],
            "error": found.error,
        }
    return detail


def is_news(context: Context, number: int) -> bool:
    """Tell whether people answered, or labels changed, since the last round was measured."""
    rounds = context.journal.rounds()
    if not rounds or number < 0:
        return False
    if context.labelling.counts().get("human", 0) != rounds[-1].human_labels:
        return True
    measured = rounds[-1].detail.get("classes")
    # Labels were added, renamed or merged since.
    if isinstance(measured, dict) and set(measured) != set(context.kind.groups(context.task)):
        return True
    # A second opinion says how good the labels are; who settles a dispute may change one.
    return Checks(context.store, context.run.id).answered() != rounds[-1].detail.get(_CHECKED, 0)


def is_unfinished(context: Context, number: int) -> bool:
    """Tell whether a round has a batch and no result yet."""
    if number < 0 or any(row.number == number for row in context.journal.rounds()):
        return False
    return bool(context.labelling.batch(number))
