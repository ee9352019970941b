"""The generator's exam: of which class to write, where there is no doubt."""

from __future__ import annotations

from functools import partial

from querist.agents.deliberation.exams import Situation
from querist.agents.generator.rules import Generation, GeneratorEvidence

_FIRST, _SECOND = "praise", "complaint"


def _mostly(name: str, made: Generation) -> bool:
    total = sum(made.targets.values())
    return total > 0 and made.targets.get(name, 0) > total / 2


def _pairs() -> list[Situation[GeneratorEvidence, Generation]]:
    found: list[Situation[GeneratorEvidence, Generation]] = []
    for batch, thin, thick in ((10, 2, 60), (20, 4, 90), (8, 1, 40)):
        for kept in (None, 0.8):
            name = f"{thin} labels beside {thick}, {batch} allowed"
            for thin_one, thick_one in ((_FIRST, _SECOND), (_SECOND, _FIRST)):
                labels = {_FIRST: 0, _SECOND: 0} | {thin_one: thin, thick_one: thick}
                evidence = GeneratorEvidence(round=4, batch=batch, labels=labels, kept=kept)
                found.append(
                    Situation(
                        f"{name}: {thin_one} is thin",
                        f"write of {thin_one}",
                        evidence,
                        partial(_mostly, thin_one),
                    )
                )
    return found


SITUATIONS = tuple(_pairs())
"""In half of them the first class is thin, in half the second."""
