"""What the budget controller's mind can look up and compute: costs, what is left, the curve."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

from pydantic import Field

from querist.agents.budget_controller.rules import BudgetEvidence, PastRound, gain_of
from querist.agents.deliberation.brief import points, usd
from querist.agents.deliberation.toolbox import Arguments, CannotTellError, Nothing, Tool, table


class BudgetDesk(Protocol):
    """What the ledger can tell."""

    def spent(self) -> Mapping[str, Decimal]:
        """Sum what was spent, by what for."""


class _Planned(Arguments):
    batch: int = Field(ge=1, le=100_000)
    questions: int = Field(ge=0, le=100_000)


def tools(desk: BudgetDesk, evidence: BudgetEvidence) -> list[Tool]:
    """Give the budget controller's toolbox."""

    async def cost(asked: _Planned) -> str:
        return what_a_round_costs(evidence, batch=asked.batch, questions=asked.questions)

    async def curve(_: Nothing) -> str:
        return _curve(evidence)

    async def account(_: Nothing) -> str:
        rows = [(what, usd(amount)) for what, amount in sorted(desk.spent().items())]
        if not rows:
            raise CannotTellError("Nothing was spent yet.")
        return f"{table(('spent on', 'amount'), rows)}\nLeft: {usd(evidence.remaining)}."

    return [
        Tool(
            "what_would_a_round_cost",
            "What a round of `batch` texts with `questions` to people would cost, what it would "
            "leave, and what rounds gained before for a dollar and a label.",
            _Planned,
            cost,
        ),
        Tool(
            "learning_curve",
            "Every round so far: labels, cost, quality with its error, and the change.",
            Nothing,
            curve,
        ),
        Tool("account", "What was spent on what so far, in dollars.", Nothing, account),
    ]


def what_a_round_costs(evidence: BudgetEvidence, *, batch: int, questions: int) -> str:
    """Say what a round would cost, what it would leave, and what rounds gained before.

    Raises `CannotTellError` for a round that there cannot be.
    """
    most = min(evidence.batch, evidence.pool_left)
    if batch > most or questions > batch:
        raise CannotTellError(
            f"A round takes at most {most} texts, and asks about those only. Ask again with batch "
            f"up to {most} and questions up to batch."
        )
    people = questions * evidence.human_label_usd
    machine = batch * evidence.llm_example_usd if evidence.uses_llm else Decimal(0)
    total = people + machine
    left = evidence.remaining - total
    split = f"{usd(people)} for people and {usd(machine)} for the language model"
    lines = [f"{batch} texts and {questions} questions would cost {usd(total)}: {split}."]
    if left < 0:
        lines.append(f"That is {usd(-left)} more than is left.")
    else:
        lines.append(f"{usd(left)} would be left.")
        if total > 0:
            lines.append(f"That pays for {int(left / total)} more rounds like it.")
    return "\n".join([*lines, *_gained(evidence)])


def _gained(evidence: BudgetEvidence) -> list[str]:
    """Say what rounds of each phase gained before, for what they cost."""
    found = []
    for phase in ("select", "generate"):
        gain: float = 0.0
        cost = Decimal(0)
        labels = count = 0
        for before, done in itertools.pairwise(evidence.past):
            change = gain_of(before, done)
            if change is None or done.phase != phase:
                continue
            gain += change.points
            cost += done.usd - before.usd
            labels += done.labelled - before.labelled
            count += 1
        if count:
            found.append(
                f"{count} {phase} rounds before gained {points(gain)} together, for {usd(cost)} "
                f"and {labels} labels."
            )
    return found or ["What a round gains is not known yet."]


def _curve(evidence: BudgetEvidence) -> str:
    rows = []
    before: PastRound | None = None
    for done in evidence.past:
        gain = None if before is None else gain_of(before, done)
        error = "" if done.error is None else f" +- {100 * done.error:.1f}"
        rows.append(
            (
                done.round,
                done.phase,
                done.labelled,
                done.people,
                usd(done.usd),
                "-" if done.metric is None else f"{100 * done.metric:.1f}{error}",
                "-" if gain is None else f"{points(gain.points)}, {gain.words}",
            )
        )
        before = done
    if not rows:
        raise CannotTellError("No round was measured yet.")
    columns = ("round", "kind", "labels", "by people", "spent", "quality in %", "change")
    return table(columns, rows)
