"""The verifier's exam: a trusted annotator or a doubted one, where there is no doubt."""

from __future__ import annotations

from querist.agents.deliberation.exams import Situation
from querist.agents.verifier.rules import Verification, VerifierEvidence

_LOW, _HIGH = 0.7, 0.75
_FEW, _MOST = 2, 4
"""Of the 5 questions that may be asked."""


def _evidence(*, skill: float, batch: int, classes: int, questions: int) -> VerifierEvidence:
    return VerifierEvidence(
        round=4,
        batch=batch,
        chance=1 / classes,
        questions=questions,
        is_seed=False,
        may_reannotate=False,
        annotates=True,
        labels_by_model=False,
        measured=60,
        weights={"the annotator": round(skill, 2), "the trained model": 0.2},
        skill=skill,
    )


def _pairs() -> list[Situation[VerifierEvidence, Verification]]:
    found: list[Situation[VerifierEvidence, Verification]] = []
    for batch, classes in ((20, 2), (40, 4), (30, 6)):
        for good, weak in ((0.98, 0.55), (0.96, 0.50)):
            name = f"{batch} texts, {classes} classes"
            found += [
                Situation(
                    f"{name}, right on {good:.0%}",
                    "keep most without asking",
                    _evidence(skill=good, batch=batch, classes=classes, questions=5),
                    lambda made: made.accept_at <= _LOW or made.questions <= _FEW,
                ),
                Situation(
                    f"{name}, right on {weak:.0%}",
                    "ask people",
                    _evidence(skill=weak, batch=batch, classes=classes, questions=5),
                    lambda made: made.accept_at >= _HIGH and made.questions >= _MOST,
                ),
            ]
    return found


SITUATIONS = tuple(_pairs())
"""Half of them call for trust, half for questions; the rules, which ask whatever they may, pass one
half only."""
