"""What kinds with a fixed set of answers share: one of several, over whatever fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from querist.memory.answers import Answer, Choice, name_of
from querist.memory.errors import InvalidInput
from querist.memory.records import Example, LabelClass, Task
from querist.tools.compute.arrays import FloatArray
from querist.tools.kinds.answer_set import AnswerSet
from querist.tools.kinds.names import find_alike, is_blank, match_label
from querist.tools.kinds.port import Kind, Measure
from querist.tools.opinions import measures
from querist.tools.wording import counted, quoted


@dataclass(frozen=True)
class SingleChoice:
    """A kind whose answer is one of the task's labels."""

    name: str
    metric: str
    make: Callable[[str], Answer] = Choice
    statistic: Callable[[Task], measures.Statistic] = lambda _: measures.accuracy
    """Of a task's confusion matrix."""
    labels: tuple[LabelClass, ...] = ()
    """What a task has that names none."""
    only: tuple[str, ...] = ()
    """The labels that there can be at all; nothing for any."""
    fields: str = ""
    """What a task's fields must be, where one text is not enough; for messages."""
    fewest_fields: int = 1

    def complete(self, task: Task) -> Task:
        """Check a task and fill in the labels that the kind knows; raises `InvalidInput`."""
        task = task if task.labels else replace(task, labels=self.labels)
        names = task.names
        if len(names) < 2:
            raise InvalidInput(
                f"a {self.name} needs at least two labels; name them under [task.labels] "
                'as name = "what belongs to it", or with --labels a,b'
            )
        if any(is_blank(name) for name in names):
            raise InvalidInput("a label's name may not be empty")
        if alike := find_alike(names):
            raise InvalidInput(
                f"the labels {_spelt(alike[0])} and {_spelt(alike[1])} cannot be told apart: they "
                "differ only in blanks, invisible characters or encoding; rename or remove one"
            )
        if self.only and not set(names) <= set(self.only):
            raise InvalidInput(f"the labels of a {self.name} are of these: {quoted(self.only)}")
        return task

    def check_fields(self, fields: Sequence[str]) -> None:
        """Refuse columns that are too few for this kind; raises `InvalidInput`."""
        if len(fields) < self.fewest_fields:
            raise InvalidInput(
                f"a {self.name} needs {self.fields}, in this order, and "
                f"{counted(len(fields), 'column')} {'is' if len(fields) == 1 else 'are'} named: "
                'write data.text = ["one column", "another"] (--text one,another)'
            )

    def answers(self, task: Task) -> AnswerSet:
        """Give the labels as answers."""
        return _answer_set(task.names, self.make)

    def answer_of(self, name: str) -> Answer:
        """Make the answer of a label."""
        return self.make(name)

    def read(self, task: Task, text: str) -> Answer | None:
        """Read a label's name, however it is dressed."""
        name = match_label(text, task.names)
        return None if name is None else self.make(name)

    def schema(self, task: Task) -> Mapping[str, object]:
        """Name the answers that there are."""
        return {"kind": self.make(task.names[0]).kind, "enum": list(task.names)}

    def likeness(self, answer: Answer, other: Answer) -> float:
        """Equal or not: there is nothing between."""
        return float(name_of(answer) == name_of(other))

    def chance(self, task: Task) -> float:
        """One in as many as there are."""
        return 1.0 / len(task.names)

    def groups(self, task: Task) -> tuple[str, ...]:
        """Group by label."""
        return task.names

    def group(self, answer: Answer) -> str:
        """Name the label."""
        return name_of(answer)

    def measure(
        self, task: Task, said: Sequence[Answer | None], truth: Sequence[Answer]
    ) -> Measure | None:
        """Compare N answers with what is right; None without any."""
        answers = self.answers(task)
        right = answers.places(truth)
        known = right >= 0
        if not known.any():
            return None
        given = answers.places(said)[known]
        matrix = measures.confusion(right[known], given, classes=len(answers))
        statistic = self.statistic(task)
        n, value = int(matrix.sum()), float(statistic(matrix))
        if statistic is measures.accuracy:
            low, high = measures.wilson(round(value * n), n)
        else:
            low, high = measures.bootstrap(matrix, statistic)
        rows, hits = matrix.sum(axis=1), np.diagonal(matrix)
        by_group = {
            name: float(hits[place] / rows[place]) if rows[place] else None
            for place, name in enumerate(task.names)
        }
        return Measure(self.metric, value, low, high, n, by_group)

    def parts(self, example: Example) -> tuple[str, ...]:
        """Embed all fields as one text."""
        return (example.text,)

    def join(self, vectors: Sequence[FloatArray]) -> FloatArray:
        """Take the one part as it is."""
        return vectors[0]


@lru_cache(maxsize=64)
def _answer_set(names: tuple[str, ...], make: Callable[[str], Answer]) -> AnswerSet:
    """Make the answers of labels, once: they are asked for with every reply that is read."""
    return AnswerSet(tuple(make(name) for name in names))


def _spelt(name: str) -> str:
    """Quote a name; with escapes too where letters alone would not show what it is made of."""
    return f"{name!r}" if name.isascii() else f"{name!r} ({name!a})"


def has_free_labels(kind: Kind) -> bool:
    """Tell whether a task of this kind may have any labels, so that people can change them."""
    return isinstance(kind, SingleChoice) and not kind.only


def measures_alike(kind: Kind, task: Task, renamed: Task) -> bool:
    """Tell whether two tasks that differ in the labels' names only are measured in one way."""
    assert isinstance(kind, SingleChoice)
    size = len(renamed.labels)
    # Any matrix on which every label counts for something else.
    probe = np.arange(1, size * size + 1).reshape(size, size) + 3 * np.eye(size, dtype=int)
    before, after = (kind.statistic(label_set)(probe) for label_set in (task, renamed))
    return bool(before == after)
