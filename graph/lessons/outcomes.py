"""What a whole run met with, kept when it ends: which labels were confused, what strategies gained.

They are facts for minds on like tasks, so they need nobody's approval; they hold names of labels
and strategies, and no text of a pool.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import fmean

from querist.agents.deliberation.brief import name_as_data, points
from querist.graph.round.evidence import past_choices
from querist.graph.round.prompts import bank_of
from querist.graph.workplace.context import Context
from querist.memory.answers import name_of
from querist.memory.records import content_id
from querist.memory.workspace.lessons import Lesson, LessonKind
from querist.tools.wording import counted

_MOST_PAIRS = 5
_FEWEST = 10
"""Texts that people and the annotator labelled, below which nothing is said of confusions."""


def keep_outcomes(context: Context, *, number: int) -> None:
    """Keep what the run met with; a run that goes on after its end says it anew."""
    for text in _confusions(context):
        _keep(context, LessonKind.CONFUSION, "confusions", text, number=number)
    for strategy, text in _gains(context):
        _keep(context, LessonKind.STRATEGY, strategy, text, number=number)


def _keep(context: Context, kind: LessonKind, name: str, text: str, *, number: int) -> None:
    lesson = Lesson(
        id=f"{kind.value[0]}{content_id(context.run.id, kind.value, name, size=8)}",
        kind=kind,
        task=context.task,
        text=text,
        state="active",
        run=context.run.id,
        round=number,
        author="rules",
    )
    kept = context.lessons.add(lesson, lease=context.lease)
    if kept.text != text:
        why = "the run went on"
        context.lessons.change(
            kept, by="querist", why=why, text=text, round=number, lease=context.lease
        )


def _confusions(context: Context) -> list[str]:
    """Say which labels the annotator took for which, on answers that the loop may learn from."""
    labels = {label.example: name_of(label.answer) for label in bank_of(context)}
    said = {
        told.example: name_of(told.answer)
        for told in context.labelling.annotations(list(labels))
        if told.who == f"llm:{context.config.models.annotator}" and told.answer is not None
    }
    if len(said) < _FEWEST:
        return []
    totals = Counter(labels[example] for example in said)
    pairs = Counter((labels[example], answer) for example, answer in said.items())
    wrong = [(pair, count) for pair, count in pairs.most_common() if pair[0] != pair[1]]
    right = len(said) - sum(count for _, count in wrong)
    text = f"{context.config.models.annotator} was right on {right} of {len(said)} texts"
    for (truth, answer), count in wrong[:_MOST_PAIRS]:
        text += (
            f"; took {count} of {totals[truth]} of {name_as_data(truth)} for {name_as_data(answer)}"
        )
    return [f"{text}."]


def _gains(context: Context) -> list[tuple[str, str]]:
    """Say of each strategy what its rounds changed, where they were measured alike."""
    by_strategy: dict[str, list[float]] = defaultdict(list)
    labels: Counter[str] = Counter()
    for past in past_choices(context.journal):
        by_strategy[past.strategy].append(past.points)
        labels[past.strategy] += past.labels
    pool = counted(context.pool_size, "text")
    classes = counted(len(context.task.labels), "label")
    found = []
    for strategy, gains in by_strategy.items():
        rounds, added = counted(len(gains), "round"), counted(labels[strategy], "labelled text")
        text = (
            f"On a pool of {pool} with {classes}, {rounds} by {strategy} added {added} and changed "
            f"quality by {points(fmean(gains))} a round ({points(min(gains))} to "
            f"{points(max(gains))})."
        )
        found.append((strategy, text))
    return found
