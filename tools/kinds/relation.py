"""Relation: how two things that are marked in a text belong together.

Scored as SemEval-2010 task 8 is (Hendrickx et al., 2010): the mean F1 of the relations, without the
label that stands for none of them.
"""

from __future__ import annotations

from querist.memory.records import Task
from querist.tools.kinds.closed import SingleChoice
from querist.tools.kinds.names import fold_label
from querist.tools.kinds.port import Kind, kind
from querist.tools.opinions import measures

_NONE_OF_THEM = {"other", "none", "no_relation", "no relation", "na", "n/a", "unrelated"}


def _statistic(task: Task) -> measures.Statistic:
    places = [p for p, name in enumerate(task.names) if fold_label(name) not in _NONE_OF_THEM]
    return lambda matrix: measures.macro_f1(matrix, places or range(len(task.names)))


_KIND = SingleChoice("relation", metric="macro-F1 of the relations", statistic=_statistic)


@kind("relation", summary="How two marked things belong together.")
def relation() -> Kind:
    """Give the kind."""
    return _KIND
