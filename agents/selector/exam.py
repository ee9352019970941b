"""The selector's exam: typical texts or doubtful ones, where there is no doubt."""

from __future__ import annotations

from querist.agents.deliberation.exams import Situation
from querist.agents.selector.rules import Selection, SelectorEvidence

_DOUBTFUL = ("margin", "entropy", "least_confidence", "badge", "bald")


def _doubt_share(strategy: str) -> float:
    """Tell what share of a batch is chosen among texts that the model doubts."""
    doubtful, total = 0.0, 0.0
    for part in strategy.split("+"):
        weight, star, names = part.partition("*")
        share = float(weight) if star else 1.0
        total += share
        doubtful += share * any(name in (names or part) for name in _DOUBTFUL)
    return doubtful / total


def _evidence(labels: tuple[int, ...], *, batch: int) -> SelectorEvidence:
    return SelectorEvidence(
        round=4,
        pool_left=1_000,
        batch=batch,
        configured="auto",
        labels={f"class {place}": count for place, count in enumerate(labels, start=1)},
        has_model=True,
        skill=0.8,
    )


def _pairs() -> list[Situation[SelectorEvidence, Selection]]:
    found: list[Situation[SelectorEvidence, Selection]] = []
    few_or_uneven = ((2, 3), (2, 1, 3, 2), (1, 2, 3, 2, 1, 2), (95, 5), (80, 6, 4, 5), (150, 9, 8))
    many = ((60, 55), (40, 44, 38, 41), (30, 28, 33, 31, 29, 30), (90, 95), (70, 66, 71, 69),
            (55, 58, 60))  # fmt: skip
    for place, (sparse, rich) in enumerate(zip(few_or_uneven, many, strict=True)):
        batch = (20, 30, 40)[place % 3]
        found += [
            Situation(
                f"labels {sparse}",
                "take typical texts",
                _evidence(sparse, batch=batch),
                lambda choice: _doubt_share(choice.strategy) < 0.3,
            ),
            Situation(
                f"labels {rich}",
                "take doubtful texts as well",
                _evidence(rich, batch=batch),
                lambda choice: _doubt_share(choice.strategy) >= 0.3,
            ),
        ]
    return found


SITUATIONS = tuple(_pairs())
"""Half of them call for typical texts alone, half for doubtful ones as well."""
