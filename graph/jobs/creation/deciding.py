"""When a mind is asked to decide in a create job, what it can look up, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from querist.agents.budget_controller.creating_brief import BRIEF as BUDGET_CONTROLLER
from querist.agents.deliberation.allowance import Account
from querist.agents.deliberation.brief import Brief, as_data
from querist.agents.deliberation.toolbox import CannotTellError, Nothing, Tool, table
from querist.agents.generator.creating_brief import BRIEF as GENERATOR
from querist.agents.mind import Agent
from querist.agents.selector.creating import BRIEF as SELECTOR
from querist.agents.verifier.creating import BRIEF as VERIFIER
from querist.graph.jobs.creation.workplace import Creation
from querist.graph.minds.consulting import Work
from querist.graph.minds.records import Place
from querist.graph.minds.trust import Standing
from querist.memory.events import Consulted
from querist.memory.records import Decision, Round

_FALLEN = 0.5
"""Share of what was accepted before, below which a wave is a surprise."""
_SHOWN = 20
"""Waves, or rejected rows, that a tool tells of."""
_BRIEFS: Mapping[str, Brief[Any, Any]] = {
    Agent.BUDGET_CONTROLLER: BUDGET_CONTROLLER,
    Agent.SELECTOR: SELECTOR,
    Agent.GENERATOR: GENERATOR,
    Agent.VERIFIER: VERIFIER,
}


def _occasion(creation: Creation, place: Place) -> str:
    """Say why `auto` asks about this wave; "" where it does not."""
    asked = [body for body in creation.journal.bodies(Consulted) if body.agent == place.agent]
    if not asked:
        return "the first decision that is open"
    last = asked[-1]
    if place.turn == last.turn:
        return ""
    shares = [share for account in creation.progress.lately if (share := _accepted_of(account))]
    if len(shares) > 1 and shares[-1] < _FALLEN * max(shares[:-1]):
        return "far fewer rows were accepted in the last wave than before"
    every = creation.config.minds.every
    if place.number - last.round >= every:
        return f"{every} waves have passed since it was last asked"
    return ""


def _accepted_of(account: Round) -> float | None:
    """Give the share of a wave's rows that passed all gates."""
    written, passed = account.detail.get("written"), account.detail.get("passed")
    if not isinstance(written, int) or not isinstance(passed, int) or not written:
        return None
    return passed / written


def _standing_of(creation: Creation, agent: str) -> Standing:
    """Measure what came of an agent's decisions by mind: the share of rows that were accepted."""
    shares = {
        account.number: share
        for account in creation.journal.rounds()
        if (share := _accepted_of(account)) is not None
    }
    decisions = creation.journal.decisions(agent=agent)
    failed = sum(bool(decision.fell_back) for decision in decisions)
    by_mind = {mind: _shares_of(decisions, shares, mind) for mind in ("llm", "rules")}
    return Standing(by_mind["llm"], by_mind["rules"], failed, is_share=True)


def _shares_of(
    decisions: Sequence[Decision], shares: Mapping[int, float], mind: str
) -> tuple[float, ...]:
    waves = {decision.round for decision in decisions if decision.mind == mind}
    return tuple(shares[number] for number in sorted(waves) if number in shares)


def _tools_of(creation: Creation, evidence: Any, place: Place, account: Account) -> list[Tool]:  # noqa: ARG001
    """Give the toolbox of an agent: the waves so far, and what was rejected last."""

    async def waves(_: Nothing) -> str:
        rows = [_wave_row(done) for done in creation.journal.rounds()[-_SHOWN:]]
        if not rows:
            raise CannotTellError("No wave was written yet.")
        return table(("wave", "calls", "rows", "passed", "new", "spent in all, USD"), rows)

    async def rejected(_: Nothing) -> str:
        rows = creation.bench.creations.newest("rejected", limit=_SHOWN)
        if not rows:
            raise CannotTellError("No row was rejected yet.")
        told = [(row.gate, as_data(row.reason, longest=100), as_data(row.text)) for row in rows]
        return table(("gate", "reason", "row"), told)

    return [
        Tool(
            "waves",
            "Every wave so far: calls, rows, how many passed, the share of new ones, the cost.",
            Nothing,
            waves,
        ),
        Tool("rejected_rows", "The rows rejected last, with gate and reason.", Nothing, rejected),
    ]


def _wave_row(done: Round) -> Sequence[object]:
    detail = done.detail
    new = detail.get("new")
    share = f"{new:.2f}" if isinstance(new, float) else "-"
    return (
        done.number, detail["calls"], detail["written"], detail["passed"], share, f"{done.usd:.6f}"
    )  # fmt: skip


WORK: Work[Creation] = Work(
    _BRIEFS,
    occasion=_occasion,
    standing=_standing_of,
    tools=_tools_of,
    attempt=lambda *_: lambda _: None,
)
"""What agents decide on in a wave."""
