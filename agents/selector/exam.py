"""The selector's exam: typical texts or doubtful ones, where there is no doubt."""

from __future__ import annotations

import re

from querist.agents.deliberation.exams import Situation
from querist.agents.selector.rules import Selection, SelectorEvidence

_DOUBTFUL = ("margin", "entropy", "least_confidence", "badge", "bald")
_PART = re.compile(r"(?:([\d.]+)\s*\*\s*)?([a-z_]+)")


def _doubt_share(strategy: str) -> float:
    """Tell what share of a batch goes to texts that the model doubts; of a pipeline, its filter."""
    first = strategy.partition(">")[0]
    parts = [(float(weight or 1), name) for weight, name in _PART.findall(first.split("@")[0])]
    total = sum(weight for weight, _ in parts) or 1.0
    return sum(weight for weight, name in parts if name in _DOUBTFUL) / total


def _evidence(*, per_class: int, skill: float, classes: int, batch: int) -> SelectorEvidence:
    names = [f"class {number}" for number in range(1, classes + 1)]
    return SelectorEvidence(
        round=4,
        pool_left=1_000,
        batch=batch,
        configured="auto",
        labels={name: per_class + place % 2 for place, name in enumerate(names)},
        has_model=True,
        skill=skill,
    )


def _pairs() -> list[Situation[SelectorEvidence, Selection]]:
    found: list[Situation[SelectorEvidence, Selection]] = []
    for classes, batch in ((2, 20), (4, 40), (6, 30)):
        for few, many, weak, good in ((2, 120, 0.55, 0.96), (4, 200, 0.60, 0.98)):
            name = f"{classes} classes, {few} or {many} labels each"
            found += [
                Situation(
                    f"{name}: few, a weak annotator",
                    "take typical texts",
                    _evidence(per_class=few, skill=weak, classes=classes, batch=batch),
                    lambda choice: _doubt_share(choice.strategy) < 0.5,
                ),
                Situation(
                    f"{name}: many, a good annotator",
                    "take doubtful texts",
                    _evidence(per_class=many, skill=good, classes=classes, batch=batch),
                    lambda choice: _doubt_share(choice.strategy) > 0.5,
                ),
            ]
    return found


SITUATIONS = tuple(_pairs())
"""Half of them call for typical texts, half for doubtful ones."""
