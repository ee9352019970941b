"""The budget controller's exam: whether to go on, where there is no doubt."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from querist.agents.budget_controller.rules import BudgetEvidence, PastRound, Plan
from querist.agents.deliberation.exams import Situation

_STEADY = BudgetEvidence(
    round=5,
    most_rounds=20,
    batch=20,
    pool_left=900,
    remaining=Decimal("4.00"),
    human_label_usd=Decimal("0.05"),
    llm_example_usd=Decimal("0.002"),
    classes=2,
    asks_people=True,
    open_questions=0,
    wanted_answers=0,
    wanted_at_end=0,
    waiting="",
    plateau=False,
    plateau_reason="the last 3 rounds gained more than 1.0 points each",
    stop_command="",
    may_generate=False,
    labels={"yes": 60, "no": 62},
    last_phase="select",
)
_FLAT = "the last 6 rounds gained less than 1.0 points together"


def _with(evidence: BudgetEvidence, gains: tuple[float, ...]) -> BudgetEvidence:
    """Give it rounds that gained so much each, the last of them just done."""
    metric, rounds = 0.70, []
    first = evidence.round - len(gains)
    for place, gain in enumerate(gains):
        metric += gain
        rounds.append(
            PastRound(
                round=first + place,
                phase="select",
                labelled=40 + 20 * place,
                people=20 + 5 * place,
                usd=Decimal("1.00") + Decimal("0.29") * place,
                metric=metric,
                error=0.02,
                measured_on="a validation file",
            )
        )
    return replace(evidence, past=tuple(rounds))


_RISING, _LEVEL = (0.0, 0.04, 0.05, 0.03), (0.0, 0.001, -0.002, 0.001)
_SIZES = ((20, Decimal("4.00")), (40, Decimal("9.50")), (10, Decimal("2.50")))


def _pairs() -> list[Situation[BudgetEvidence, Plan]]:
    found = []
    for batch, remaining in _SIZES:
        rising = replace(_STEADY, batch=batch, remaining=remaining)
        flat = replace(rising, plateau=True, plateau_reason=_FLAT)
        short = replace(rising, remaining=rising.llm_example_usd * 2)
        name = f"a batch of {batch}"
        found += [
            _go_on(f"{name}, rising", _with(rising, _RISING)),
            _stop(f"{name}, levelled off", _with(flat, _LEVEL)),
            _go_on(f"{name}, rising, twice the money", _with(_richer(rising), _RISING)),
            _stop(f"{name}, money for 2 labels", _with(short, _RISING)),
        ]
    return found


def _richer(evidence: BudgetEvidence) -> BudgetEvidence:
    return replace(evidence, remaining=evidence.remaining * 2)


def _go_on(name: str, evidence: BudgetEvidence) -> Situation[BudgetEvidence, Plan]:
    return Situation(name, "go on", evidence, lambda plan: plan.action == "select")


def _stop(name: str, evidence: BudgetEvidence) -> Situation[BudgetEvidence, Plan]:
    return Situation(name, "stop", evidence, lambda plan: plan.action == "finish")


SITUATIONS = tuple(_pairs())
"""Half of them are to go on, half to stop."""
