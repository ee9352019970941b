"""Where two agents want different things, at least one of them by a language model.

*Selector and budget controller*: the selector's ruling takes more texts than the plan of its round
has, or less than three quarters of them. More it may only want where the batch size of the task
file and the money allow for it, beside the questions to people that are planned.

*Verifier and annotator*: the annotator ruled that one vote a text is enough, although the task file
plans for more, and the verifier's ruling would ask again about more than a quarter of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, TypeVar

from querist.agents.deliberation.allowance import Account, Allowance
from querist.agents.deliberation.brief import Fact
from querist.agents.deliberation.committee import Dispute, Outcome, Wish, confer
from querist.agents.mind import Agent, AgentSpec, Ruling
from querist.graph.minds.consulting import BRIEFS, allowed
from querist.graph.minds.desks import OpinionDesk
from querist.graph.minds.records import Place
from querist.graph.workplace.context import Context
from querist.memory.errors import QueristError
from querist.memory.events import Convened
from querist.memory.records import Decision, Settlement
from querist.tools.wording import counted

E = TypeVar("E")
R = TypeVar("R", bound=Ruling)
_LESS = 0.75
"""Share of the planned texts below which a selector wants something else."""
_AGAIN = 0.25
"""Share of a batch from which asking again is another way of asking."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A dispute, and what each wish means for the ruling at hand."""

    dispute: Dispute
    values: Mapping[str, Mapping[str, object]]
    """By agent; what `rules` gives holds where they do not agree."""


async def settle(
    context: Context,
    spec: AgentSpec[E, R],
    evidence: E,
    ruling: R,
    decision: Decision,
) -> tuple[R, Decision]:
    """Give a ruling as it stands after an exchange with the agent that wants otherwise, if any."""
    minds = context.config.minds
    # Rules ruling beside rules have nothing to say to each other, and looking would cost time.
    if not minds.turns or all(minds.of(agent) == "rules" for agent in BRIEFS):
        return ruling, decision
    case = _case(context, spec, evidence, ruling, decision)
    if case is None:
        return ruling, decision
    outcome, usd = await _exchange(context, case.dispute, evidence, decision)
    values = case.values[outcome.agreed or "rules"]
    try:
        settled = spec.ruling.model_validate({**ruling.model_dump(), **values})
        if spec.check is not None:
            spec.check(evidence, settled)
    except ValueError as error:
        # Whatever they agreed on, the bounds hold.
        outcome = replace(outcome, agreed="", why=f"what they agreed on is not allowed: {error}")
        settled = spec.rule(evidence)
    first, second = case.dispute.wishes
    return settled, replace(
        decision,
        action=settled.model_dump(mode="json", exclude={"reason"}),
        reason=settled.reason,
        usd=decision.usd + usd,
        settled=Settlement(
            other=second.agent,
            about=case.dispute.about,
            wishes={first.agent: first.words, second.agent: second.words},
            outcome=outcome.agreed or "rules",
            why=outcome.why,
            turns=outcome.turns,
            usd=usd,
        ),
    )


def _case(
    context: Context, spec: AgentSpec[E, R], evidence: E, ruling: R, decision: Decision
) -> _Case | None:
    """Find what is in dispute, where a language model can speak about it."""
    find = {Agent.SELECTOR: _of_size, Agent.VERIFIER: _of_votes}.get(spec.name)
    case = None if find is None else find(context, evidence, ruling, decision)
    if case is None or not any(wish.speaks for wish in case.dispute.wishes):
        return None
    by_rules: Mapping[str, Any] = spec.rule(evidence).model_dump()
    fields = case.values[decision.agent]
    return replace(case, values={**case.values, "rules": {key: by_rules[key] for key in fields}})


def _of_size(context: Context, evidence: Any, ruling: Any, decision: Decision) -> _Case | None:
    planned = min(evidence.batch, evidence.pool_left)
    if evidence.random_only or _LESS * planned <= ruling.count <= planned:
        return None
    plans = context.journal.decisions(number=decision.round, agent=Agent.BUDGET_CONTROLLER)
    if not plans:
        return None
    plan = max(plans, key=lambda made: made.turn)
    about = f"How many texts are labelled in this round: {ruling.count} or {planned}?"
    wishes = (
        _wish(context, decision, counted(ruling.count, "text")),
        _wish(context, plan, counted(planned, "text")),
    )
    values = {
        Agent.SELECTOR: {"count": ruling.count},
        Agent.BUDGET_CONTROLLER: {"count": planned},
    }
    return _Case(Dispute(about, wishes), values)


def _of_votes(context: Context, evidence: Any, ruling: Any, decision: Decision) -> _Case | None:
    if not evidence.may_reannotate or not ruling.reannotate_below or evidence.is_seed:
        return None
    asked = context.journal.decisions(number=decision.round, agent=Agent.ANNOTATOR)
    if not asked or max(asked, key=lambda made: made.turn).action.get("votes") != 1:
        return None
    sure = OpinionDesk(context, number=decision.round).batch()
    again = sum(chance < ruling.reannotate_below for _, chance in sure)
    if again <= _AGAIN * evidence.batch:
        return None
    texts = counted(again, "text")
    about = f"Whether the language model is asked a second time about {texts} of {evidence.batch}."
    wishes = (
        _wish(context, decision, f"it to be asked again about {texts}"),
        _wish(context, max(asked, key=lambda made: made.turn), "each text to be asked once"),
    )
    values = {
        Agent.VERIFIER: {"reannotate_below": ruling.reannotate_below},
        Agent.ANNOTATOR: {"reannotate_below": 0.0},
    }
    return _Case(Dispute(about, wishes), values)


def _wish(context: Context, decision: Decision, words: str) -> Wish:
    is_minded = context.config.minds.of(decision.agent) != "rules" and decision.mind == "llm"
    return Wish(decision.agent, words, decision.reason, speaks=is_minded)


async def _exchange(
    context: Context, dispute: Dispute, evidence: Any, decision: Decision
) -> tuple[Outcome, Decimal]:
    """Let them speak, on what was written down when they first met, within what was left then."""
    section = context.config.minds
    brief = BRIEFS[decision.agent]
    place = Place(decision.agent, step=decision.step, turn=decision.turn, number=decision.round)
    try:
        model = context.models.named(
            context.config.mind_model, agent=decision.agent, number=decision.round
        )
    except QueristError as error:
        return Outcome("", str(error), ()), Decimal(0)
    facts = brief.facts(evidence)
    met = [body for body in context.journal.bodies(Convened) if place.is_of(body)]
    began = met[0] if met else _convene(context, dispute, facts, decision, place)
    allowance = Allowance(began.usd, began.calls, began.tokens, section.seconds)
    account = Account(allowance, model)
    outcome = await confer(dispute, began.page, facts=facts, account=account, rounds=section.turns)
    return outcome, account.usd


def _convene(
    context: Context,
    dispute: Dispute,
    facts: Sequence[Fact],
    decision: Decision,
    place: Place,
) -> Convened:
    """Write down what they are told and may use: a part of what the decision may cost."""
    section = context.config.minds
    # The decision's own deliberation has had some of it, and is not in the journal yet.
    left = max(Decimal(0), min(section.usd, allowed(context)) - decision.usd)
    began = Convened(
        place.number,
        turn=place.turn,
        agent=place.agent,
        step=place.step,
        other=dispute.wishes[1].agent,
        about=dispute.about,
        page=dispute.page(facts, number=place.number),
        usd=left,
        calls=section.turns * sum(wish.speaks for wish in dispute.wishes),
        tokens=section.tokens,
    )
    context.emit(began)
    return began
