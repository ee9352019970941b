"""The work inside the verify, generate and train steps: labels, and what new texts are like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from querist.agents.verifier.rules import Opinions
from querist.graph.config import RunConfig
from querist.graph.round.knowledge import Knowledge
from querist.graph.workplace.context import Context
from querist.memory.answers import Answer, Belief, name_of
from querist.memory.records import Example, Label, Origin, Verdict

SHOWN_TO_GENERATOR = 8


def machine_label(config: RunConfig, verdict: Verdict, opinions: Opinions) -> Label:
    """Make the label that an accepted verdict stands for."""
    assert verdict.answer is not None
    soft = opinions.annotator or opinions.pooled
    assert soft is not None
    source: Literal["llm", "model", "generated"] = "llm"
    who = f"llm:{config.models.annotator}"
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
    machine = [one for one in knowledge.labels.values() if one.source != "human"]
    if not machine or not knowledge.reliability.truth:
        return
    examples = context.view.get([one.example for one in machine])
    changed = []
    for label, found in zip(machine, knowledge.opinions(examples, [0] * len(machine)), strict=True):
        if found.pooled is None or found.annotator is None:
            continue
        p_correct = round(found.pooled.p_correct, 6)
        new = Label(
            example=label.example,
            answer=found.pooled.best,
            source=label.source,
            who=label.who,
            weight=p_correct,
            p_correct=p_correct,
            round=label.round,
            probabilities=_named(found.annotator),
        )
        if new != label:
            changed.append(new)
    context.labelling.relabel(changed)


def typical(context: Context, knowledge: Knowledge, answer: Answer) -> list[Example]:
    """Fetch labelled examples of an answer, those that people labelled first."""
    known = [
        one
        for one in knowledge.labels.values()
        if one.answer == answer and one.source != "generated"
    ]
    known.sort(key=lambda one: (one.source != "human", -one.p_correct, one.example))
    return context.view.get([one.example for one in known[:SHOWN_TO_GENERATOR]])


def copy_check(context: Context, *, number: int, at: float) -> Callable[[str], bool]:
    """Make a test for near-duplicates of the pool and of what was let pass before."""
    view = context.view
    # After a crash this round's own texts are in the pool already; they are not copies.
    old = [i for i, one in enumerate(view.ids) if not one.startswith(f"gen-{number}-")]
    known = view.vectors[old]
    passed: list[np.ndarray] = []

    def is_copy(text: str) -> bool:
        vector = context.embedder.embed([text])[0]
        close = [float(one @ vector) for one in passed]
        if len(known):
            close.append(float((known @ vector).max()))
        # A text's cosine with its own copy may come out as 0.9999999.
        if close and max(close) >= at - 1e-6:
            return True
        passed.append(vector)
        return False

    return is_copy


def _named(belief: Belief) -> dict[str, float]:
    return {
        name_of(answer): round(chance, 6)
        for answer, chance in zip(belief.answers, belief.chances, strict=True)
    }
