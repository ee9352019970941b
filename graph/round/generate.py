"""What writing new texts needs of the run: examples to show, and what would be a copy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from querist.agents.generator.port import GENERATORS, Wanted
from querist.graph.round.knowledge import Knowledge, count_groups
from querist.graph.workplace.context import Context
from querist.graph.workplace.pool_view import PoolView
from querist.memory.answers import Answer
from querist.memory.records import Example
from querist.tools.calls import read_call

_SHOWN_TO_GENERATOR = 8
_FEWEST = 20
"""With fewer labels by people, what is held out says nothing of single classes."""


def wanted_of(context: Context, knowledge: Knowledge, group: str, *, by: str) -> Wanted:
    """Say what is to be written for a class: examples of it, and of its rival if `by` needs one."""
    needs = GENERATORS.find(read_call(by)[0]).needs
    answer = context.kind.answer_of(group)
    wanted = Wanted(answer, context.task, tuple(_typical(context, knowledge, answer)))
    rival = _rival(context, knowledge, group) if "rival" in needs else None
    if rival is None:
        return wanted
    other = context.kind.answer_of(rival)
    return replace(wanted, rival=other, rivals=tuple(_typical(context, knowledge, other)))


def _rival(context: Context, knowledge: Knowledge, group: str) -> str | None:
    """Find the class that a class is taken for most, held out; else the one with most labels."""
    names, people = context.answers.names, knowledge.people
    place = names.index(group)
    if len(people.ids) >= _FEWEST:
        said = people.held_out(list(people.ids)).argmax(axis=1)
        own = said[people.targets.argmax(axis=1) == place]
        wrong = Counter(names[other] for other in own if other != place)
        if wrong:
            return str(wrong.most_common(1)[0][0])
    counts = count_groups(knowledge.labels, context.kind, names)
    others = [name for name in names if name != group and counts[name]]
    return max(others, key=lambda name: counts[name], default=None)


def _typical(context: Context, knowledge: Knowledge, answer: Answer) -> list[Example]:
    """Fetch labelled examples of an answer, those that people labelled first."""
    known = [
        label
        for label in knowledge.labels.values()
        if label.answer == answer and label.source != "generated"
    ]
    known.sort(key=lambda label: (label.source != "human", -label.p_correct, label.example))
    return context.view.get([label.example for label in known[:_SHOWN_TO_GENERATOR]])


def known_text_test(view: PoolView, *, number: int, at: float) -> Callable[[str], bool]:
    """Make a test for near-duplicates of the pool and of what was let pass before."""
    # After a crash this round's own texts are in the pool already; they are not copies.
    old = [
        i for i, example_id in enumerate(view.ids) if not example_id.startswith(f"gen-{number}-")
    ]
    known = view.vectors[old]
    passed: list[np.ndarray] = []

    def is_copy(text: str) -> bool:
        vector = view.embedder.embed([text])[0]
        close = [float(other @ vector) for other in passed]
        if len(known):
            close.append(float((known @ vector).max()))
        # A text's cosine with its own copy may come out as 0.9999999.
        if close and max(close) >= at - 1e-6:
            return True
        passed.append(vector)
        return False

    return is_copy
