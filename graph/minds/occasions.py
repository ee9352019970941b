"""Where `auto` asks a language model: where its ruling is likely to matter."""

from __future__ import annotations

from statistics import fmean

from querist.graph.minds.records import Place
from querist.graph.workplace.context import Context
from querist.memory.events import CommandClosed, Consulted
from querist.memory.records import Event

_DISAGREE = 0.75
"""Mean share of the sources that name the same label, below which they disagree."""


def occasion(context: Context, place: Place) -> str:
    """Say why this is a decision to ask about; "" where it is not."""
    asked = [event for event in context.journal.events(kind=Consulted.kind) if _is_of(event, place)]
    if not asked:
        return "the first decision that is open"
    last = asked[-1].body
    if not isinstance(last, Consulted) or place.turn == last.turn:
        return ""
    commands = context.journal.events(after=asked[-1].id, kind=CommandClosed.kind)
    if commands:
        return "a person gave a command since it was last asked"
    if _has_levelled_off(context):
        return "the curve has levelled off"
    if surprise := _surprise(context):
        return surprise
    if _disagree(context, place.number - 1):
        return "the sources disagreed about the last round's labels"
    every = context.config.minds.every
    if place.number - last.round >= every:
        return f"{every} rounds have passed since it was last asked"
    return ""


def _is_of(event: Event, place: Place) -> bool:
    return event.data.get("agent") == place.agent


def _has_levelled_off(context: Context) -> bool:
    from querist.graph.round.stopping import judge_curve

    return judge_curve(context).reached


def _surprise(context: Context) -> str:
    """Tell whether the last round left the interval that the round before it forecast."""
    rounds = context.journal.rounds()
    if len(rounds) < 2:
        return ""
    before, last = rounds[-2:]
    low, high, metric = before.metric_low, before.metric_high, last.metric
    if low is None or high is None or metric is None or low <= metric <= high:
        return ""
    side = "above" if metric > high else "below"
    return f"quality came out {side} the interval of the round before"


def _disagree(context: Context, number: int) -> bool:
    verdicts = context.labelling.verdicts(number) if number >= 0 else []
    shares = [
        verdict.signals["agreement"] for verdict in verdicts if "agreement" in verdict.signals
    ]
    return bool(shares) and fmean(shares) < _DISAGREE
