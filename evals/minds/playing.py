"""How minds decide in states of real runs whose options were played out.

    python -m querist.evals.minds.playing --mind rules --mind random --mind expert --mind local

Reads what `played_out` wrote. Each mind rules on every situation, with its tools on a copy of the
store; a ruling that was not played yet is played. For each mind: what its rulings gained against
stopping before the round (points of accuracy on test texts), what they cost, points a dollar, and
the regret: how much more the best option was worth, at `--worth` points a dollar. `elsewhere` is
the option that was best on the other data sets. `best` is the best in hindsight, found on one half
of the test texts and measured on the other, and the reverse: else luck would make it better than it
is. Intervals are of a bootstrap over situations.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from querist.agents.deliberation.agent import Session
from querist.agents.deliberation.allowance import Account, Allowance
from querist.agents.deliberation.steps import is_narrow, speech_of
from querist.agents.deliberation.toolbox import Forgetful
from querist.agents.mind import Agent, DeliberationFailed, Ruling
from querist.evals.minds import expert
from querist.evals.minds.decisions import draw
from querist.evals.minds.played_out import (
    AGENTS,
    Outcome,
    Player,
    Situation,
    read_outcomes,
    recorded,
)
from querist.graph.minds.consulting import BRIEFS
from querist.graph.minds.records import Place
from querist.graph.minds.toolboxes import attempt_of, tools_of

_ALLOWANCE = Allowance(Decimal("0.05"), calls=6, tokens=16_000, seconds=300.0)
_RESAMPLED = 2_000
_HALVES = (slice(0, None, 2), slice(1, None, 2))
_HEAD = (
    "agent", "mind", "situations", "gained, points", "USD", "points a USD", "regret, points",
    "fell back", "tokens", "seconds",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Ruled:
    """What a mind's ruling in a situation led to."""

    situation: Situation
    gain: float
    """Points of accuracy against stopping before the round."""
    usd: float
    regret: float
    fell_back: bool = False
    tokens: int = 0
    seconds: float = 0.0


class Table:
    """The options of every situation with what they led to."""

    def __init__(self, out: Path, *, worth: float) -> None:
        """Read what was played; a dollar must bring `worth` points."""
        self.worth = worth
        self.by_situation: dict[str, list[Outcome]] = defaultdict(list)
        for outcome in read_outcomes(out):
            self.by_situation[outcome.situation].append(outcome)
        self.situations = [
            situation
            for situation in recorded(out)
            if self._stop(situation) and len(self.options(situation)) > 1
        ]

    def options(self, situation: Situation) -> list[Outcome]:
        """What was played as an option; stopping by a person's command is none."""
        played = self.by_situation[situation.key]
        return [outcome for outcome in played if outcome.names and "stop" not in outcome.names]

    def named(self, situation: Situation, name: str) -> Outcome:
        """The option of that name; the rules' own ruling is one of them."""
        return next(option for option in self.options(situation) if name in option.names)

    def _stop(self, situation: Situation) -> Outcome | None:
        """What stopping before the round led to, as played from its budget controller's state."""
        before = replace(situation, agent=Agent.BUDGET_CONTROLLER).key
        found = [outcome for outcome in self.by_situation[before] if "stop" in outcome.names]
        return found[0] if found else None

    def gain(self, situation: Situation, outcome: Outcome, *, of: slice = slice(None)) -> float:
        """Points against stopping before the round, on some of the test texts."""
        stop = self._stop(situation)
        assert stop is not None
        return 100 * float(np.mean(outcome.right[of]) - np.mean(stop.right[of]))

    def value(self, situation: Situation, outcome: Outcome, *, of: slice = slice(None)) -> float:
        """The gain less what it cost, in points."""
        return self.gain(situation, outcome, of=of) - self.worth * outcome.usd

    def best(self, situation: Situation) -> tuple[float, float]:
        """Gain and dollars of the option worth most, found and measured on different texts."""
        gains, costs = [], []
        for found, measured in (_HALVES, _HALVES[::-1]):
            best = max(self.options(situation), key=partial(self.value, situation, of=found))
            gains.append(self.gain(situation, best, of=measured))
            costs.append(best.usd)
        return float(np.mean(gains)), float(np.mean(costs))

    def elsewhere(self, situation: Situation) -> Outcome:
        """The option that was worth most on the other data sets, of those that there are here."""
        worths: dict[str, list[float]] = defaultdict(list)
        for other in self.situations:
            if other.agent == situation.agent and other.dataset != situation.dataset:
                middle = np.mean([self.value(other, option) for option in self.options(other)])
                for option in self.options(other):
                    for name in option.names:
                        worths[name].append(self.value(other, option) - float(middle))
        means = {name: float(np.mean(found)) for name, found in worths.items()}

        def rank(outcome: Outcome) -> float:
            return max(means.get(name, -np.inf) for name in outcome.names)

        return max(self.options(situation), key=rank)

    def ruled(self, situation: Situation, outcome: Outcome, **told: Any) -> _Ruled:
        """Count a ruling's outcome against the best."""
        gain, usd = self.best(situation)
        regret = gain - self.worth * usd - self.value(situation, outcome)
        return _Ruled(situation, self.gain(situation, outcome), outcome.usd, regret, **told)


def main() -> None:
    """Score minds and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results/played_out"))
    parser.add_argument("--mind", action="append", required=True)
    parser.add_argument("--agents", nargs="+", default=list(AGENTS))
    parser.add_argument("--worth", type=float, default=1.0, help="points of accuracy a dollar")
    parser.add_argument("--base-url")
    parser.add_argument("--price", default="0,0", help="dollars a million tokens: in,out")
    options = parser.parse_args()
    table = Table(options.out, worth=options.worth)
    chosen = [option for option in table.situations if option.agent in options.agents]
    if not chosen:
        record = "python -m querist.evals.minds.played_out"
        raise SystemExit(
            f"No state is recorded in {options.out}; first: {record} --out {options.out}"
        )
    print(_count(chosen))
    print(f"\n| {' | '.join(_HEAD)} |\n|{'---|' * len(_HEAD)}")
    for agent in options.agents:
        mine = [option for option in chosen if option.agent == agent]
        for mind in [*options.mind, "elsewhere", "best"]:
            rows = [_rule(table, situation, mind, options) for situation in mine]
            if rows:
                print(_row(agent, mind, rows), flush=True)


def _count(situations: Sequence[Situation]) -> str:
    sets = sorted({option.dataset for option in situations})
    return f"{len(situations)} situations from runs on {', '.join(sets)}."


def _rule(table: Table, situation: Situation, mind: str, options: Any) -> _Ruled:
    """Let a mind rule, and play what it ruled."""
    if mind == "best":
        gain, usd = table.best(situation)
        return _Ruled(situation, gain, usd, 0.0)
    if mind == "elsewhere":
        return table.ruled(situation, table.elsewhere(situation))
    if mind == "rules":
        return table.ruled(situation, table.named(situation, mind))
    player = Player(options.out, situation)
    evidence = player.evidence()
    brief = BRIEFS[situation.agent]
    by_rules = brief.spec.rule(evidence)
    if brief.settled(evidence):
        return table.ruled(situation, player.play(by_rules))
    if mind == "random":
        drawn = draw(brief, evidence, random.Random(situation.key))  # noqa: S311
        outcome = player.play(drawn or by_rules)
        return table.ruled(situation, outcome, fell_back=drawn is None)
    ruling, told = asyncio.run(_deliberate(player, evidence, mind, options))
    return table.ruled(situation, player.play(ruling or by_rules), **told)


async def _deliberate(
    player: Player, evidence: Any, mind: str, options: Any
) -> tuple[Ruling | None, dict[str, Any]]:
    """Ask a language model, with its tools, on a copy of the store."""
    situation, given = player.situation, [float(part) for part in options.price.split(",")]
    price = {"input": given[0], "output": given[1]}
    if mind == "expert":
        mind, price = expert.NAME, expert.PRICE
    began = time.monotonic()
    with player.copy() as run:
        run.use(models={expert.NAME: expert.model()})
        async with run.borrowed() as context:
            config = dict(run.row.config)
            config["models"] = {**config["models"], "mind": mind, "base_url": options.base_url}
            config["prices"] = {**config["prices"], mind: price}
            context.runs.set_config(context.lease, config)
        async with run.borrowed() as context:
            model = context.models.named(mind, agent=situation.agent, number=situation.number)
            account = Account(_ALLOWANCE, model)
            place = Place(situation.agent, step="", turn=0, number=situation.number)
            brief, speech = BRIEFS[situation.agent], speech_of(model.model)
            session: Session[Any, Any] = Session(
                brief,
                page=brief.page(
                    evidence,
                    number=situation.number,
                    narrow=is_narrow(model.model, speech),
                    # As in a run: of the minds here the expert alone has passed the exams.
                    is_proven=mind == expert.NAME,
                ),
                account=account,
                speech=speech,
                tools=tools_of(context, evidence, place, account),
                memo=Forgetful(),
                attempt=attempt_of(context, place),
            )
            try:
                ruling = (await session.deliberate(evidence)).ruling
            except DeliberationFailed:
                ruling = None
    seconds = time.monotonic() - began
    return ruling, {"fell_back": ruling is None, "tokens": account.tokens, "seconds": seconds}


def _row(agent: str, mind: str, rows: Sequence[_Ruled]) -> str:
    gains, regrets = ([getattr(row, name) for row in rows] for name in ("gain", "regret"))
    usd = sum(row.usd for row in rows)
    cells = (
        agent.replace("_", " "),
        mind,
        str(len(rows)),
        _interval(gains),
        f"{usd / len(rows):.2f}",
        f"{sum(gains) / usd:+.1f}" if usd else "-",
        _interval(regrets),
        f"{np.mean([row.fell_back for row in rows]):.0%}",
        f"{np.mean([row.tokens for row in rows]):.0f}",
        f"{np.mean([row.seconds for row in rows]):.0f}",
    )
    return f"| {' | '.join(cells)} |"


def _interval(values: Sequence[float]) -> str:
    """Write a mean with its 90 % interval."""
    drawn = np.random.default_rng(0).choice(values, size=(_RESAMPLED, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [0.05, 0.95])
    return f"{np.mean(values):+.1f} ({low:+.1f} to {high:+.1f})"


if __name__ == "__main__":
    main()
