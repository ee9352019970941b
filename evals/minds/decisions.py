"""How minds decide where the right ruling is beyond doubt: 60 situations, 12 for each agent.

    python -m querist.evals.minds.decisions --mind rules --mind random --mind expert --mind local
    python -m querist.evals.minds.decisions --mind openai:NAME --base-url URL --price 1,2

The situations are those of the agents' exams, mirrored so that a constant answer is right in half
of them at best. For each mind: the share ruled on rightly with its 90 % interval (Wilson), the
share that fell back, and tokens, seconds and dollars a decision. `random` draws each value of a
ruling evenly within its bounds. What a ruling would have gained in a run is not played out here.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from querist.agents.deliberation.agent import Session
from querist.agents.deliberation.allowance import Account, Allowance
from querist.agents.deliberation.brief import Brief
from querist.agents.deliberation.exams import Situation
from querist.agents.deliberation.steps import is_narrow, speech_of
from querist.agents.deliberation.toolbox import Forgetful
from querist.agents.mind import DeliberationFailed, Ruling
from querist.agents.models.metered import MeteredModel
from querist.evals.minds import expert
from querist.graph.config import make_config
from querist.graph.minds.consulting import BRIEFS
from querist.graph.minds.exams import EXAMS
from querist.graph.workplace.models import Models
from querist.memory.records import LabelClass, RunId, Task
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.tools.kinds import DEFAULT
from querist.tools.opinions.measures import wilson

_ALLOWANCE = Allowance(Decimal("0.02"), calls=3, tokens=12_000, seconds=300.0)


@dataclass(slots=True)
class _Score:
    """What a mind's rulings on an agent's situations come to."""

    right: int = 0
    fell_back: int = 0
    total: int = 0
    tokens: int = 0
    seconds: float = 0.0
    usd: Decimal = Decimal(0)


def draw(brief: Brief[Any, Any], evidence: Any, rng: random.Random) -> Ruling | None:
    """Draw a ruling evenly within its bounds; None where its values contradict each other."""
    schema = brief.schema(evidence, narrow=True)
    given = {name: _value(part, rng) for name, part in schema["properties"].items()}
    given |= {"reason": "Drawn at random."}
    given |= {name: value(evidence, given) for name, value in brief.derived.items()}
    try:
        ruling: Ruling = brief.spec.ruling.model_validate(given)
        if brief.spec.check is not None:
            brief.spec.check(evidence, ruling)
    except (ValidationError, ValueError):
        return None
    return ruling


def _value(part: Mapping[str, Any], rng: random.Random) -> Any:
    if "enum" in part:
        return rng.choice(part["enum"])
    if part.get("type") == "object":
        return {name: _value(each, rng) for name, each in part["properties"].items()}
    low, high = part.get("minimum", 0), part.get("maximum", 1)
    return rng.randint(low, high) if part.get("type") == "integer" else rng.uniform(low, high)


def score_plain(mind: str, agent: str, *, seed: int = 0) -> _Score:
    """Score the rules, or chance."""
    brief, score, rng = BRIEFS[agent], _Score(), random.Random(f"{seed}:{agent}")  # noqa: S311
    for situation in EXAMS[agent]:
        evidence = situation.evidence
        by_rules = mind == "rules"
        ruling = brief.spec.rule(evidence) if by_rules else draw(brief, evidence, rng)
        score.total += 1
        score.fell_back += ruling is None
        score.right += ruling is not None and situation.is_right(ruling)
    return score


async def _score_agent(model: MeteredModel, agent: str) -> _Score:
    score = _Score()
    for situation in EXAMS[agent]:
        await _put(situation, BRIEFS[agent], model, score)
    return score


async def _put(
    situation: Situation[Any, Any], brief: Brief[Any, Any], model: MeteredModel, score: _Score
) -> None:
    account, began = Account(_ALLOWANCE, model), time.monotonic()
    speech = speech_of(model.model)
    session: Session[Any, Any] = Session(
        brief,
        page=brief.page(situation.evidence, number=3, narrow=is_narrow(model.model, speech)),
        account=account,
        speech=speech,
        tools=(),
        memo=Forgetful(),
    )
    score.total += 1
    try:
        done = await session.deliberate(situation.evidence)
        score.right += situation.is_right(done.ruling)
    except DeliberationFailed:
        score.fell_back += 1
    score.tokens += account.tokens
    score.seconds += time.monotonic() - began
    score.usd += account.usd


def score_model(
    mind: str, agents: list[str], *, base_url: str | None = None, price: str = "0,0"
) -> dict[str, _Score]:
    """Score a language model, or the scripted expert."""
    given, asked = (float(part) for part in price.split(","))
    prices = {mind: {"input": given, "output": asked}, expert.NAME: expert.PRICE}
    mind = expert.NAME if mind == "expert" else mind
    body = {
        "task": {"labels": ["a", "b"]},
        "data": {"pool": "none"},
        "models": {"mind": mind, "base_url": base_url},
        "prices": prices,
    }
    task = Task("decisions", DEFAULT.name, (LabelClass("a"), LabelClass("b")))
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder)) as store:
        runs, run = Runs(store), RunId("decisions")
        runs.create(run, task=task, dataset="", config={}, cap=Decimal(5))
        ledger = Ledger(store, run, lease=runs.take(run))
        config = make_config(body, source="the command line")
        models = Models(
            config,
            ledger,
            folder=ledger.folder / "models",
            may_spend=True,
            given={expert.NAME: expert.model()},
            tell=print,
        )

        async def every() -> dict[str, _Score]:
            try:
                return {
                    agent: await _score_agent(models.named(mind, agent=agent), agent)
                    for agent in agents
                }
            finally:
                await models.aclose()

        return asyncio.run(every())


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Score minds on situations without doubt.")
    parser.add_argument("--mind", action="append", required=True)
    parser.add_argument("--agent", action="append", choices=list(EXAMS))
    parser.add_argument("--base-url")
    parser.add_argument("--price", default="0,0", help="dollars a million tokens: in,out")
    options = parser.parse_args()
    agents = options.agent or list(EXAMS)
    print("| mind | agent | right | 90 % interval | fell back | tokens | seconds | USD |")
    print("|---|---|---|---|---|---|---|---|")
    for mind in options.mind:
        if mind in {"rules", "random"}:
            scores = {agent: score_plain(mind, agent) for agent in agents}
        else:
            scores = score_model(mind, agents, base_url=options.base_url, price=options.price)
        for agent, score in scores.items():
            print(_row(mind, agent, score))


def _row(mind: str, agent: str, score: _Score) -> str:
    low, high = wilson(score.right, score.total)
    count = score.total
    cells = (
        mind,
        agent,
        f"{score.right} of {count}",
        f"{low:.0%} to {high:.0%}",
        f"{score.fell_back / count:.0%}",
        f"{score.tokens / count:.0f}",
        f"{score.seconds / count:.1f}",
        f"{score.usd / count:.6f}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
