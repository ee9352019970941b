"""Matching: whether two records are about the same thing (entity resolution).

Matches are rare, so that accuracy would flatter: it is measured by the F1 of the matches, as in
Koepcke, Thor and Rahm (2010). Two records are compared by what their vectors share and by how they
differ, which a linear head cannot make of the two side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from querist.memory.records import Example, LabelClass, Task
from querist.tools.compute.arrays import FloatArray, unit_rows
from querist.tools.kinds.closed import SingleChoice
from querist.tools.kinds.names import fold_label
from querist.tools.kinds.port import Kind, kind
from querist.tools.opinions import measures

# The first label of a task is the match, unless one is called so.
_CALLED = {"match", "yes", "same", "true", "1", "duplicate"}


def _statistic(task: Task) -> measures.Statistic:
    place = _match_place(task)
    return lambda matrix: measures.f1(matrix, place)


def _match_place(task: Task) -> int:
    """Find which label of a task says that the records match."""
    called = (place for place, name in enumerate(task.names) if fold_label(name) in _CALLED)
    return next(called, 0)


@dataclass(frozen=True)
class _Matching(SingleChoice):
    def parts(self, example: Example) -> tuple[str, ...]:
        """Embed each record by itself; further fields are context of both."""
        left, right, *_ = (*example.fields.values(), "", "")
        return (left, right)

    def join(self, vectors: Sequence[FloatArray]) -> FloatArray:
        """Put how far two records differ beside what they share, feature by feature: (N, 2d)."""
        left, right = vectors
        # An entry of a unit vector is about 1/sqrt(d): scaled so, both halves weigh alike.
        shared = left * right * np.sqrt(left.shape[1])
        # Of length 1 like other vectors: strategies and heads take that for granted.
        return unit_rows(np.concatenate([np.abs(left - right), shared], axis=1))


_KIND = _Matching(
    "matching",
    metric="match F1",
    statistic=_statistic,
    labels=(
        LabelClass("match", "both records are about the same thing"),
        LabelClass("no_match", "they are about different things"),
    ),
    fields="two columns, one for each record",
    fewest_fields=2,
)


@kind("matching", summary="Whether two records are about the same thing.")
def matching() -> Kind:
    """Give the kind."""
    return _KIND
