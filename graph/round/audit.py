"""The audit sample: random examples that people label and that the loop never learns from.

What selection chose is no sample of the pool, and a model that is judged on rows held out in turn
is judged without the few random rows that it needs most: with 77 classes and chosen texts such an
estimate was 12 to 20 points low, and its 90 % interval held the truth in at most a fifth of all
runs (docs/quality.md).
So some rows are kept from selection, demonstrations, calibration and training from the start; the
share of people's answers that goes to them is `people.audit`.
"""

from __future__ import annotations

import math
import random

import numpy as np
from numpy.typing import NDArray

from querist.graph.round.ask import ask_people
from querist.graph.workplace.context import Context
from querist.memory.inbox import Inbox
from querist.memory.records import (
    Action,
    Example,
    ExampleId,
    Label,
    Purpose,
    Question,
    Verdict,
)
from querist.tools.opinions.quality import FEWEST

_PURPOSE: Purpose = "audit"


def audited(inbox: Inbox) -> set[ExampleId]:
    """The examples that were asked about to measure the model."""
    return inbox.examples(_PURPOSE)


def learnable(context: Context) -> dict[ExampleId, Label]:
    """The labels that the loop may learn from: all but those that it is measured on."""
    kept = audited(context.inbox)
    labels = context.labelling.labels()
    return {label.example: label for label in labels if label.example not in kept}


def audit_size(context: Context) -> int:
    """How many examples the run may set aside at most; 0 where that would be too few to tell."""
    config = context.config
    if config.people.kind == "none" or config.data.validation:
        return 0
    if context.labelling.last_round() > 0 and not audited(context.inbox):
        return 0  # begun without one: what is left by now is no sample of the pool
    price = config.budget.human_label_usd
    answers = config.loop.batch * (config.loop.rounds + 1)
    if price > 0:
        answers = int(context.ledger.balance().cap / price)
    size = math.floor(config.people.audit * min(answers, context.pool_size))
    return size if size >= FEWEST else 0


def reserved(context: Context) -> NDArray[np.intp]:
    """Rows of the pool that are kept for the audit sample, in the order they are asked about.

    They are drawn before anything is selected, so they are like the pool whatever is selected.
    """
    size = audit_size(context)
    if not size:
        return np.empty(0, dtype=np.intp)
    # Texts that agents wrote are no part of it.
    order = np.random.default_rng([context.config.loop.seed, 1]).permutation(context.view.imported)
    return np.asarray(order[:size], dtype=np.intp)


def selectable(context: Context) -> NDArray[np.intp]:
    """Rows that may be selected: what nobody looked at, the reserved ones only after all others."""
    rows = context.view.rows
    free = np.ones(len(rows), dtype=bool)
    free[[rows[name] for name in context.touched() if name in rows]] = False
    others = free.copy()
    others[reserved(context)] = False
    return np.flatnonzero(others if others.any() else free)


def ask_audit(context: Context, count: int, *, number: int) -> list[Question]:
    """Ask people about the next `count` reserved examples; those asked before a crash count."""
    asked = len(context.inbox.examples(_PURPOSE, number=number))
    ids, touched = context.view.ids, context.touched()
    names = [name for row in reserved(context) if (name := ids[row]) not in touched]
    examples = context.view.get(names[: max(0, count - asked)])
    verdicts = [_unseen(context, example, number=number) for example in examples]
    return ask_people(context, verdicts, examples, purpose=_PURPOSE)


def _unseen(context: Context, example: Example, *, number: int) -> Verdict:
    """What is thought of an example that no agent has looked at."""
    # Anywhere in the queue: who answers only the first questions answers some of both.
    place = random.Random(f"{context.config.loop.seed}:{example.id}").random()  # noqa: S311
    return Verdict(
        example=example.id,
        round=number,
        attempt=0,
        answer=None,
        p_correct=context.kind.chance(context.task),
        action=Action.ESCALATE,
        reason="part of the random sample that the model is measured on and never learns from",
        signals={"value_of_asking": place},
    )
