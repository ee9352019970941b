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
from decimal import Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from querist.graph.round.ask import ask_people
from querist.graph.sections import PartSection
from querist.graph.workplace.context import Context
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


def audited(context: Context) -> set[ExampleId]:
    """The examples that were asked about to measure the model.

    Who holds the run's lease asks about all of them, so it need not read them again.
    """
    if context.audited is None or not context.lease.may_write:
        context.audited = context.inbox.examples(_PURPOSE)
    return context.audited


def learnable(context: Context) -> dict[ExampleId, Label]:
    """The labels that the loop may learn from: all but those that it is measured on."""
    kept = audited(context)
    labels = context.labelling.labels()
    return {label.example: label for label in labels if label.example not in kept}


def audit_size(context: Context) -> int:
    """How many examples the run may set aside at most; 0 where that would be too few to tell."""
    if parts := context.config.data.parts:
        return sum(part.reserved for part in parts)
    budget, rounds = context.ledger.balance().cap, context.config.loop.rounds
    return _size(context, rows=context.pool_size, usd=budget, rounds=rounds)


def _size(context: Context, *, rows: int, usd: Decimal, rounds: int) -> int:
    """How many of so many rows are set aside with so much money for so many rounds."""
    config = context.config
    if config.people.kind == "none" or config.data.validation:
        return 0
    if context.labelling.last_round() > 0 and not audited(context):
        return 0  # begun without one: what is left by now is no sample of the pool
    price = config.answer_usd
    answers = config.loop.batch * (rounds + 1)
    if price > 0:
        answers = int(usd / price)
    size = math.floor(config.people.audit * min(answers, rows))
    return size if size >= FEWEST else 0


def parts_with(
    context: Context, more: int, *, usd: Decimal, rounds: int
) -> tuple[PartSection, ...]:
    """Say what is reserved of the pool's parts when `more` rows are appended to them.

    `usd` and `rounds` are the run's from then on. What was reserved stays as it is: more of the
    earlier parts could only come from what selection left over, which is no sample of them. Of the
    new rows as large a share is reserved as would be of the whole pool, were it new.
    """
    before = context.config.data.parts or (
        PartSection(rows=context.pool_size, reserved=audit_size(context)),
    )
    total = sum(part.rows for part in before) + more
    size = _size(context, rows=total, usd=usd, rounds=rounds)
    after = context.labelling.last_round()
    return (*before, PartSection(rows=more, reserved=-(-size * more // total), after=after))


def reserved(context: Context) -> NDArray[np.intp]:
    """Rows of the pool that are kept for the audit sample, in the order they are asked about.

    They are drawn before anything is selected, so they are like the pool whatever is selected.
    Where rows were appended, each part has its own draw, and the same share of each is asked about
    first: what was answered is like the whole pool as soon as later parts have caught up.
    """
    parts = context.config.data.parts
    if not parts:
        size = audit_size(context)
        if not size:
            return np.empty(0, dtype=np.intp)
        parts = (PartSection(rows=len(context.view.imported), reserved=size),)
    drawn, shares, start = [], [], 0
    for number, part in enumerate(parts):
        order = _order(context.config.loop.seed, part.rows, number)[: part.reserved]
        drawn.append(start + order)
        shares.append((np.arange(len(order)) + 0.5) / max(part.rows, 1))
        start += part.rows
    places = np.concatenate(drawn)[np.argsort(np.concatenate(shares), kind="stable")]
    # Texts that agents wrote are no part of it.
    return np.asarray(context.view.imported[places], dtype=np.intp)


# Asked for several times a round, and 100,000 rows take 10 ms to shuffle.
@lru_cache(maxsize=8)
def _order(seed: int, rows: int, part: int) -> NDArray[np.intp]:
    key = [seed, 1, part] if part else [seed, 1]
    order = np.random.default_rng(key).permutation(rows).astype(np.intp)
    order.flags.writeable = False
    return order


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
    put = ask_people(context, verdicts, examples, purpose=_PURPOSE)
    context.audited = None
    return put


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
