"""Whether a language model is asked for a decision, with what, and what is left to its rules.

`Work` says what differs between the loop and a job: how decisions are put, when `auto` asks, what a
mind can look up, and what its rulings came to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

from querist.agents.annotator.brief import BRIEF as ANNOTATOR
from querist.agents.budget_controller.brief import BRIEF as BUDGET_CONTROLLER
from querist.agents.deliberation.allowance import Account, Allowance
from querist.agents.deliberation.brief import Brief
from querist.agents.deliberation.exams import Examined, ExamResult
from querist.agents.deliberation.steps import Speech, is_narrow, speech_of
from querist.agents.deliberation.toolbox import Tool
from querist.agents.generator.brief import BRIEF as GENERATOR
from querist.agents.mind import Agent, AgentSpec, Deliberated, Deliberation, DeliberationFailed
from querist.agents.models.metered import MeteredModel
from querist.agents.selector.brief import BRIEF as SELECTOR
from querist.agents.verifier.brief import BRIEF as VERIFIER
from querist.graph.minds.port import Desk
from querist.graph.minds.records import JournalMemo, Place, begun
from querist.graph.minds.trust import Standing
from querist.memory.errors import QueristError
from querist.memory.events import Consulted, Notice
from querist.memory.records import Decision

D = TypeVar("D", bound=Desk)

BRIEFS: Mapping[str, Brief[Any, Any]] = {
    Agent.SELECTOR: SELECTOR,
    Agent.GENERATOR: GENERATOR,
    Agent.ANNOTATOR: ANNOTATOR,
    Agent.VERIFIER: VERIFIER,
    Agent.BUDGET_CONTROLLER: BUDGET_CONTROLLER,
}


@dataclass(frozen=True, slots=True)
class Work(Generic[D]):
    """What agents decide on, at a desk of its own."""

    briefs: Mapping[str, Brief[Any, Any]]
    """By agent: how its decision is put to a mind."""
    occasion: Callable[[D, Place], str]
    """Why `auto` asks now; "" where it does not."""
    standing: Callable[[D, str], Standing]
    """What came of an agent's rulings."""
    tools: Callable[[D, Any, Place, Account], list[Tool]]
    attempt: Callable[[D, Place], Callable[[Any], object]]
    """Gives what tries a ruling before it counts."""
    settle: (
        Callable[[D, AgentSpec[Any, Any], Any, Any, Decision], Awaitable[tuple[Any, Decision]]]
        | None
    ) = None
    """Settles a ruling with another agent that wants otherwise."""


def consult(
    desk: D, evidence: Any, place: Place, work: Work[D]
) -> tuple[Deliberation[Any, Any] | None, str]:
    """Give the deliberation that a decision is to be taken by, if any, and why, or why not."""
    mind = desk.config.minds.of(place.agent)
    if mind == "rules":
        return None, ""
    brief = work.briefs[place.agent]
    if why := brief.settled(evidence):
        return None, f"not asked: {why}"
    try:
        model = desk.models.named(desk.config.mind_model, agent=place.agent, number=place.number)
        consulted = begun(desk, place)
        if consulted is None:
            why_not, consulted = _begin(desk, evidence, place, model, work)
            if consulted is None:
                return None, f"not asked: {why_not}"
            desk.emit(consulted)
    except QueristError as error:
        return _absent(str(error)), "the model could not be opened"
    return _deliberation(desk, consulted, place, model, work), consulted.why


def _begin(
    desk: D, evidence: Any, place: Place, model: MeteredModel, work: Work[D]
) -> tuple[str, Consulted | None]:
    """Decide whether to ask, and write down with what; else say why not."""
    section, brief = desk.config.minds, work.briefs[place.agent]
    standing = work.standing(desk, place.agent)
    exam = Examined.of(desk.store.folder).find(model.model, place.agent)
    is_auto, is_proven = section.of(place.agent) == "auto", exam is not None and exam.passed
    what = "" if is_proven else f"{'has not passed' if exam else 'did not sit'} the exam"
    if what:
        _tell(desk, f"{model.name} {what} of the {_spoken(place.agent)}", is_auto)
    why = "the task file says llm"
    if is_auto:
        if what:
            return f"the model {what} of this agent", None
        if not standing.is_trusted:
            return f"{standing.words}, which is too little", None
        why = work.occasion(desk, place)
        if not why:
            return "nothing speaks for it in this round", None
    usd = allowed(desk)
    if usd <= 0 and not model.is_free:
        return f"{section.share:.0%} of the budget, its share, is spent", None
    speech = _speech_with(model, section.speech, exam)
    narrow = is_narrow(model.model, speech)
    return "", Consulted(
        place.number,
        turn=place.turn,
        agent=place.agent,
        step=place.step,
        model=model.name,
        speech=speech,
        why=f"{why} ({standing.words})",
        page=brief.page(evidence, number=place.number, narrow=narrow, is_proven=is_proven),
        usd=usd,
        calls=section.calls,
        tokens=section.tokens,
    )


def _speech_with(model: MeteredModel, wanted: str, exam: ExamResult | None) -> Speech:
    """Tell how a model is spoken to: as the task file says, as its exam found, or as it seems."""
    if wanted != "auto":
        return _speech(wanted)
    return speech_of(model.model) if exam is None else exam.speech


def most_for_minds(desk: Desk) -> Decimal:
    """Give what the decisions of a whole run may cost at most."""
    config = desk.config
    agents = [agent for agent in BRIEFS if config.minds.of(agent) != "rules"]
    if not agents:
        return Decimal(0)
    try:
        if desk.models.named(config.mind_model, agent=agents[0]).is_free:
            return Decimal(0)
    except QueristError:
        return Decimal(0)  # one that cannot be had is never paid
    rounds = len(agents) * config.loop.rounds * config.minds.usd
    return min(rounds, desk.ledger.balance().cap * Decimal(str(config.minds.share)))


def allowed(desk: Desk) -> Decimal:
    """Give what one decision may cost: of the run's share for minds, what is left of it."""
    section, balance = desk.config.minds, desk.ledger.balance()
    spent = sum((decision.usd for decision in desk.journal.decisions()), Decimal(0))
    share = balance.cap * Decimal(str(section.share)) - spent
    return max(Decimal(0), min(section.usd, share, balance.remaining))


def _deliberation(
    desk: D, consulted: Consulted, place: Place, model: MeteredModel, work: Work[D]
) -> Deliberation[Any, Any]:
    section = desk.config.minds
    allowance = Allowance(consulted.usd, consulted.calls, consulted.tokens, section.seconds)
    account = Account(allowance, model)

    async def deliberate(evidence: Any) -> Deliberated[Any]:
        # LangChain's agents take a second to load, which a run by rules need not wait for.
        from querist.agents.deliberation.agent import Session

        session: Session[Any, Any] = Session(
            work.briefs[place.agent],
            page=consulted.page,
            account=account,
            speech=_speech(consulted.speech),
            tools=work.tools(desk, evidence, place, account),
            memo=JournalMemo(desk, place),
            attempt=work.attempt(desk, place),
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


def _tell(desk: Desk, what: str, is_auto: bool) -> None:
    """Warn once a run."""
    then = "so it is not asked" if is_auto else "so its rulings may be worse than the rules'"
    words = f"{what}, {then}: querist doctor --mind {desk.config.mind_model}"
    if words not in {notice.text for notice in desk.journal.bodies(Notice)}:
        desk.emit(Notice(words))


def _spoken(agent: str) -> str:
    return agent.replace("_", " ")
