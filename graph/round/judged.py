"""What was thought of texts before people labelled them, beside what people said."""

from __future__ import annotations

from querist.agents.verifier.tools import Judged
from querist.graph.round.audit import learnable
from querist.graph.workplace.context import Context
from querist.memory.answers import name_of
from querist.memory.records import Action


def judged_before(context: Context) -> list[Judged]:
    """List the texts that were judged before people labelled them, without the audit sample.

    They are the first sample and what was escalated: where only the doubtful were, sure opinions
    are rare among them, and mistakes more frequent than in the pool.
    """
    people = {
        label.example: name_of(label.answer)
        for label in learnable(context).values()
        if label.source == "human"
    }
    return [
        Judged(name, verdict.p_correct, right=name == people[verdict.example])
        for verdict in context.labelling.verdicts()
        if verdict.action is Action.ESCALATE
        and verdict.answer is not None
        and verdict.example in people
        and (name := name_of(verdict.answer))
    ]
