"""Whether a language model is asked for a decision, with what, and what is left to its rules."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from querist.agents.annotator.brief import BRIEF as ANNOTATOR
from querist.agents.budget_controller.brief import BRIEF as BUDGET_CONTROLLER
from querist.agents.deliberation.allowance import Account, Allowance
from querist.agents.deliberation.brief import Brief
from querist.agents.deliberation.exams import Examined
from querist.agents.deliberation.steps import Speech, speech_of
from querist.agents.generator.brief import BRIEF as GENERATOR
from querist.agents.mind import Agent, Deliberated, Deliberation, DeliberationFailed
from querist.agents.models.metered import MeteredModel
from querist.agents.selector.brief import BRIEF as SELECTOR
from querist.agents.verifier.brief import BRIEF as VERIFIER
from querist.graph.minds.occasions import occasion
from querist.graph.minds.records import JournalMemo, Place, begun
from querist.graph.minds.toolboxes import attempt_of, tools_of
from querist.graph.minds.trust import standing_of
from querist.graph.workplace.context import Context
from querist.memory.errors import QueristError
from querist.memory.events import Consulted, Notice

BRIEFS: Mapping[str, Brief[Any, Any]] = {
    Agent.SELECTOR: SELECTOR,
    Agent.GENERATOR: GENERATOR,
    Agent.ANNOTATOR: ANNOTATOR,
    Agent.VERIFIER: VERIFIER,
    Agent.BUDGET_CONTROLLER: BUDGET_CONTROLLER,
}


def consult(
    context: Context, evidence: Any, place: Place
) -> tuple[Deliberation[Any, Any] | None, str]:
    """Give the deliberation that a decision is to be taken by, if any, and why, or why not."""
    mind = context.config.minds.of(place.agent)
    if mind == "rules":
        return None, ""
    brief = BRIEFS[place.agent]
    if why := brief.settled(evidence):
        return None, f"not asked: {why}"
    try:
        model = context.models.named(
            context.config.mind_model, agent=place.agent, number=place.number
        )
        consulted = begun(context, place)
        if consulted is None:
            why_not, consulted = _begin(context, evidence, place, model)
            if consulted is None:
                return None, f"not asked: {why_not}"
            context.emit(consulted)
    except QueristError as error:
        return _absent(str(error)), "the model could not be opened"
    return _deliberation(context, consulted, place, model), consulted.why


def _begin(
    context: Context, evidence: Any, place: Place, model: MeteredModel
) -> tuple[str, Consulted | None]:
    """Decide whether to ask, and write down with what; else say why not."""
    section = context.config.minds
    standing = standing_of(context, place.agent)
    exam = Examined.of(context.store.folder).find(model.model, place.agent)
    is_auto = section.of(place.agent) == "auto"
    if is_auto:
        if exam is None or not exam.passed:
            what = "has not passed" if exam else "did not sit"
            _tell(context, f"{model.name} {what} the exam of the {_spoken(place.agent)}", is_auto)
            return f"the model {what} the exam of this agent", None
        if not standing.is_trusted:
            return f"{standing.words}, which is too little", None
        why = occasion(context, place)
        if not why:
            return "nothing speaks for it in this round", None
    else:
        why = "the task file says llm"
        if exam is None or not exam.passed:
            what = "has not passed" if exam else "did not sit"
            _tell(context, f"{model.name} {what} the exam of the {_spoken(place.agent)}", is_auto)
    usd = allowed(context)
    if usd <= 0 and not model.is_free:
        return f"{section.share:.0%} of the budget, its share, is spent", None
    speech: Speech = speech_of(model.model) if section.speech == "auto" else section.speech
    if section.speech == "auto" and exam is not None:
        speech = exam.speech
    return "", Consulted(
        place.number,
        turn=place.turn,
        agent=place.agent,
        step=place.step,
        model=model.name,
        speech=speech,
        why=f"{why} ({standing.words})",
        page=BRIEFS[place.agent].page(evidence, number=place.number, narrow=speech == "page"),
        usd=usd,
        calls=section.calls,
        tokens=section.tokens,
    )


def most_for_minds(context: Context) -> Decimal:
    """Give what the decisions of a whole run may cost at most."""
    config = context.config
    agents = [agent for agent in BRIEFS if config.minds.of(agent) != "rules"]
    if not agents:
        return Decimal(0)
    try:
        if context.models.named(config.mind_model, agent=agents[0]).is_free:
            return Decimal(0)
    except QueristError:
        return Decimal(0)  # one that cannot be had is never paid
    rounds = len(agents) * config.loop.rounds * config.minds.usd
    return min(rounds, context.ledger.balance().cap * Decimal(str(config.minds.share)))


def allowed(context: Context) -> Decimal:
    """Give what one decision may cost: of the run's share for minds, what is left of it."""
    section, balance = context.config.minds, context.ledger.balance()
    spent = sum((decision.usd for decision in context.journal.decisions()), Decimal(0))
    share = balance.cap * Decimal(str(section.share)) - spent
    return max(Decimal(0), min(section.usd, share, balance.remaining))


def _deliberation(
    context: Context, consulted: Consulted, place: Place, model: MeteredModel
) -> Deliberation[Any, Any]:
    section = context.config.minds
    allowance = Allowance(consulted.usd, consulted.calls, consulted.tokens, section.seconds)
    account = Account(allowance, model)

    async def deliberate(evidence: Any) -> Deliberated[Any]:
        # LangChain's agents take a second to load, which a run by rules need not wait for.
        from querist.agents.deliberation.agent import Session

        session: Session[Any, Any] = Session(
            BRIEFS[place.agent],
            page=consulted.page,
            account=account,
            speech=_speech(consulted.speech),
            tools=tools_of(context, evidence, place, account),
            memo=JournalMemo(context, place),
            attempt=attempt_of(context, place),
        )
        return await session.deliberate(evidence)

    return deliberate


def _absent(words: str) -> Deliberation[Any, Any]:
    async def deliberate(_: Any) -> Deliberated[Any]:
        raise DeliberationFailed(words)

    return deliberate


def _speech(name: str) -> Speech:
    found: dict[str, Speech] = {"tools": "tools", "steps": "steps"}
    return found.get(name, "page")


def _tell(context: Context, what: str, is_auto: bool) -> None:
    """Warn once a run."""
    then = "so it is not asked" if is_auto else "so its rulings may be worse than the rules'"
    words = f"{what}, {then}: querist doctor --mind {context.config.mind_model}"
    if words not in {notice.text for notice in context.journal.bodies(Notice)}:
        context.emit(Notice(words))


def _spoken(agent: str) -> str:
    return agent.replace("_", " ")
