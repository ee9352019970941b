"""What writing new texts needs of the run: examples to show, and what would be a copy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from querist.graph.round.knowledge import Knowledge
from querist.graph.workplace.context import Context
from querist.graph.workplace.pool_view import PoolView
from querist.memory.answers import Answer
from querist.memory.records import Example

_SHOWN_TO_GENERATOR = 8


def typical(context: Context, knowledge: Knowledge, answer: Answer) -> list[Example]:
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
