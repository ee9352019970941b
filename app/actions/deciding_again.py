"""`querist decide`: a decision of a run, taken again by another mind, without the run's money."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from querist.app.actions.mind_exam import ledger_apart, models_of
from querist.app.terminal.place import Place, opened_run
from querist.app.terminal.screen import Screen
from querist.app.views.decisions import show_decision
from querist.memory.codec import from_json
from querist.memory.errors import InvalidInput
from querist.tools.wording import any_of

if TYPE_CHECKING:
    from querist.graph.config import RunConfig
    from querist.memory.records import Decision
    from querist.memory.run.ledger import Ledger

_USD = Decimal("0.05")
_CALLS = 4


def take_again(
    place: Place, name: str | None, *, number: int, agent: str, config: RunConfig | None
) -> None:
    """Show a decision as it was and as a configuration's mind takes it; None is the rules."""
    from querist.graph.minds.consulting import BRIEFS

    if agent not in BRIEFS:
        raise InvalidInput(f"There is no agent {agent!r}. Name {any_of(list(BRIEFS))}.")
    screen = Screen()
    with opened_run(place, name) as run:
        made = run.view().journal.decisions(number=number, agent=agent)
        if not made:
            raise InvalidInput(
                f"The {agent} decided nothing in round {number} of {run.id}. See: "
                f"{place.command(f'decisions {run.id}')}"
            )
    was = made[-1]
    with ledger_apart() as ledger:
        again = asyncio.run(_again(was, config, ledger, screen))
    show_decision(screen, was)
    screen.title("Taken again, without consequences")
    show_decision(screen, again)


async def _again(
    was: Decision, config: RunConfig | None, ledger: Ledger, screen: Screen
) -> Decision:
    from querist.agents.mind import decide
    from querist.graph.minds.consulting import BRIEFS
    from querist.graph.minds.exams import EXAMS

    brief = BRIEFS[was.agent]
    evidence: Any = from_json(type(EXAMS[was.agent][0].evidence), was.evidence)
    take = partial(decide, brief.spec, evidence, turn=was.turn, number=was.round, step=was.step)
    if config is None:
        return (await take())[1]
    from querist.agents.deliberation.agent import Session
    from querist.agents.deliberation.allowance import Account, Allowance
    from querist.agents.deliberation.steps import speech_of
    from querist.agents.deliberation.toolbox import Forgetful

    models = models_of(config, ledger, screen)
    try:
        model = models.named(config.mind_model, agent=was.agent)
        speech = speech_of(model.model)
        minds = config.minds
        session: Session[Any, Any] = Session(
            brief,
            page=brief.page(evidence, number=was.round, narrow=speech == "page"),
            account=Account(Allowance(_USD, _CALLS, minds.tokens, minds.seconds), model),
            speech=speech,
            tools=(),
            memo=Forgetful(),
        )
        taken = await take(deliberate=session.deliberate, asked="to compare")
    finally:
        await models.aclose()
    return taken[1]
