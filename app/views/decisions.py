"""`querist decisions`: what was known, looked up, ruled and paid, and what the rules would say."""

from __future__ import annotations

from collections.abc import Sequence

from querist.app.terminal.place import Place, opened_run
from querist.app.terminal.screen import Screen, dollars
from querist.app.views.facts import facts, mind_of
from querist.memory.errors import InvalidInput
from querist.memory.records import Decision, Settlement

_LONGEST = 2_000


def show_decisions(place: Place, name: str | None, *, number: int | None, agent: str) -> None:
    """Show a run's decisions, in full those of one round or agent."""
    screen = Screen()
    with opened_run(place, name, or_job=True) as run:
        decisions = run.view().journal.decisions(number=number, agent=agent or None)
        if not decisions:
            raise InvalidInput(
                f"There is no such decision in {run.id} yet. List them all with: "
                f"{place.command(f'decisions {run.id}')}"
            )
        is_short = number is None and not agent
        screen.title(f"Decisions of {run.id}")
        for decision in sorted(decisions, key=lambda made: made.turn):
            (_show_line if is_short else show_decision)(screen, decision)
        if is_short:
            screen.line()
            screen.line(f"More of a round: {place.command(f'decisions {run.id} --round 1')}")


def _show_line(screen: Screen, decision: Decision) -> None:
    agent = decision.agent.replace("_", " ")
    screen.line(f"  {decision.round} {agent} ({mind_of(decision)}): {decision.reason}")
    if decision.fell_back:
        screen.line(f"      the rules took over: {decision.fell_back}")


def show_decision(screen: Screen, decision: Decision) -> None:
    """Show one decision in full."""
    agent = decision.agent.replace("_", " ")
    screen.title(f"Round {decision.round}, {agent}, step {decision.step or '-'}")
    asked = f" ({decision.asked})" if decision.asked else ""
    who = f"{decision.model}, " if decision.model else ""
    screen.line(f"By {who}{mind_of(decision)}{asked}")
    if decision.fell_back:
        screen.line(f"The rules took over: {decision.fell_back}", style="yellow")
    _show_turns(screen, decision)
    if not decision.turns:
        _pairs(screen, "What it knew", facts(decision.evidence))
    _pairs(screen, "What it ruled", facts(decision.action))
    screen.line(f"Because: {decision.reason}")
    if decision.settled is not None:
        _show_settlement(screen, decision.settled)
    if decision.rules_say and decision.mind == "llm":
        rules = {key: value for key, value in decision.rules_say.items() if key != "reason"}
        _pairs(screen, "What the rules would have ruled", facts(rules))
        screen.line(f"Because: {decision.rules_say.get('reason', '')}")
    if decision.usd > 0:
        screen.line(f"Deliberating cost {dollars(decision.usd)}.")


def _show_settlement(screen: Screen, settled: Settlement) -> None:
    wishes = [(agent.replace("_", " "), words) for agent, words in settled.wishes.items()]
    _pairs(screen, settled.about, wishes)
    for turn in settled.turns:
        screen.line(f"    [{turn.who.replace('_', ' ')}] {turn.text}")
    screen.line(f"    what held: {settled.outcome.replace('_', ' ')}, since {settled.why}")


def _show_turns(screen: Screen, decision: Decision) -> None:
    for turn in decision.turns:
        screen.line(f"[{turn.who}]", style="bold")
        for line in turn.text[:_LONGEST].splitlines():
            screen.line(f"    {line}")


def _pairs(screen: Screen, title: str, pairs: Sequence[tuple[str, str]]) -> None:
    screen.line(f"{title}:")
    for name, value in pairs:
        screen.line(f"    {name}: {value}")
