"""Labels: what an accepted verdict stands for, and what today's knowledge makes of older ones."""

from __future__ import annotations

from typing import Literal

from querist.agents.verifier.rules import Opinions
from querist.graph.round.knowledge import Knowledge
from querist.graph.workplace.context import Context
from querist.memory.answers import Belief, name_of
from querist.memory.records import Label, Origin, Verdict


def machine_label(verdict: Verdict, opinions: Opinions, *, who: str) -> Label:
    """Make the label that an accepted verdict stands for; `who` annotated the text."""
    assert verdict.answer is not None
    soft = opinions.annotator or opinions.pooled
    assert soft is not None
    source: Literal["llm", "model", "generated"] = "llm"
    if opinions.example.origin is Origin.GENERATED:
        source = "generated"
    elif opinions.annotator is None:  # the neighbours and the current model labelled it
        source, who = "model", "model:linear-head"
    return Label(
        example=verdict.example,
        answer=verdict.answer,
        source=source,
        who=who,
        weight=round(verdict.p_correct, 6),
        p_correct=round(verdict.p_correct, 6),
        round=verdict.round,
        probabilities=_named(soft),
    )


def reconsider(context: Context, knowledge: Knowledge) -> None:
    """Give machine labels the answer and the certainty that today's knowledge supports."""
    machine = [label for label in knowledge.labels.values() if label.source != "human"]
    if not machine or not knowledge.reliability.truth:
        return
    changed = []
    found = knowledge.beliefs([label.example for label in machine])
    for label, (annotator, pooled) in zip(machine, found, strict=True):
        if pooled is None or annotator is None:
            continue
        p_correct = round(pooled.p_correct, 6)
        new = Label(
            example=label.example,
            answer=pooled.best,
            source=label.source,
            who=label.who,
            weight=p_correct,
            p_correct=p_correct,
            round=label.round,
            probabilities=_named(annotator),
        )
        if new != label:
            changed.append(new)
    context.labelling.relabel(changed)


def _named(belief: Belief) -> dict[str, float]:
    return {
        name_of(answer): round(chance, 6)
        for answer, chance in zip(belief.answers, belief.chances, strict=True)
    }
