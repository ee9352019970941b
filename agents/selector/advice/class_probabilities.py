"""What the language model itself takes candidates for: probabilities of the task's classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from querist.agents.annotator.prompt import Demonstration, Prompt
from querist.agents.models.port import ChatReply, ChatRequest
from querist.agents.selector.advice.advisor import Advisor, Reply
from querist.memory.errors import InvalidInput
from querist.memory.records import Example, Task
from querist.tools.compute.arrays import FloatArray

_HEAT = 0.7


def classify(
    examples: Sequence[Example],
    *,
    advisor: Advisor,
    nearest: Sequence[Sequence[Demonstration]] = (),
    samples: int = 3,
) -> FloatArray:
    """Ask for the class of each example, after its own demonstrations: (N, C).

    A row is not a number where there was no answer. Without log-probabilities `samples` answers
    are counted with Laplace smoothing.
    """
    require_classes(advisor.task)
    prompt = Prompt(advisor.task)
    requests = [
        prompt.request(example, nearest=nearest[row] if nearest else ())
        for row, example in enumerate(examples)
    ]
    return class_rows(requests, advisor=advisor, samples=samples)


def class_rows(
    requests: Sequence[ChatRequest], *, advisor: Advisor, samples: int = 3
) -> FloatArray:
    """Ask requests whose choices are the task's classes: (N, C), as `classify` documents."""
    names = advisor.task.names
    replies = advisor.ask(requests)
    found = np.full((len(requests), len(names)), np.nan)
    bare = []
    for row, reply in enumerate(replies):
        if not isinstance(reply, ChatReply):
            continue
        if reply.probabilities is None:
            bare.append(row)
        else:
            found[row] = [reply.probabilities.get(name, 0.0) for name in names]
    more = [
        replace(requests[row], temperature=_HEAT, sample=number)
        for row in bare
        for number in range(1, samples)
    ]
    drawn = advisor.ask(more)
    per_row = max(0, samples - 1)
    for place, row in enumerate(bare):
        votes = [replies[row], *drawn[place * per_row : (place + 1) * per_row]]
        found[row] = _counted(votes, names)
    return found


def require_classes(task: Task) -> None:
    """Refuse a task without classes, before any cost."""
    if not task.names:
        raise InvalidInput(
            f"The task {task.name!r} has no classes, which this strategy asks about. Choose "
            "another strategy (querist strategies)."
        )


def _counted(votes: Sequence[Reply], names: Sequence[str]) -> FloatArray:
    said = [vote.text for vote in votes if isinstance(vote, ChatReply)]
    counts = np.array([said.count(name) for name in names], dtype=np.float64)
    return np.asarray((counts + 1) / (counts.sum() + len(names)))
