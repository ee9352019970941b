"""A model sits an agent's exam: every situation is put to it as a decision is, without tools."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import TypeVar

from querist.agents.deliberation.agent import Session
from querist.agents.deliberation.allowance import Account, Allowance
from querist.agents.deliberation.brief import Brief
from querist.agents.deliberation.exams import ExamResult, Situation
from querist.agents.deliberation.steps import Speech, is_narrow, speech_of
from querist.agents.deliberation.toolbox import Forgetful
from querist.agents.mind import DeliberationFailed, Ruling
from querist.agents.models.metered import MeteredModel

E = TypeVar("E")
R = TypeVar("R", bound=Ruling)
_CALLS = 3
_TOKENS = 12_000


async def sit(
    brief: Brief[E, R],
    situations: Sequence[Situation[E, R]],
    model: MeteredModel,
    *,
    usd: Decimal,
    seconds: float,
    day: date,
    tell: Callable[[str], None] = lambda _: None,
) -> ExamResult:
    """Let a model rule on situations; `usd` and `seconds` are for each, `tell` hears each outcome.

    The way of speaking that its endpoint took in the end is part of the result.
    """
    speech: Speech = speech_of(model.model)
    right: Counter[str] = Counter()
    fell_back, spent, began = 0, Decimal(0), time.monotonic()
    for situation in situations:
        account = Account(Allowance(usd, _CALLS, _TOKENS, seconds), model)
        session: Session[E, R] = Session(
            brief,
            page=brief.page(situation.evidence, number=3, narrow=is_narrow(model.model, speech)),
            account=account,
            speech=speech,
            tools=(),
            memo=Forgetful(),
        )
        try:
            done = await session.deliberate(situation.evidence)
        except DeliberationFailed as error:
            fell_back += 1
            tell(f"{situation.name}: no ruling, {error}")
        else:
            is_right = situation.is_right(done.ruling)
            right[situation.side] += is_right
            tell(f"{situation.name}: {'right' if is_right else 'wrong'}, {done.ruling.reason}")
        speech = session.speech
        spent += account.usd
    return ExamResult(
        agent=brief.spec.name,
        model=model.name,
        identity=model.model.identity,
        right=dict(right),
        total=dict(Counter(situation.side for situation in situations)),
        fell_back=fell_back,
        speech=speech,
        usd=f"{spent:f}",
        seconds=round(time.monotonic() - began, 1),
        at=day.isoformat(),
    )
