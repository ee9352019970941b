"""The annotator's exam: how often to ask, where there is no doubt."""

from __future__ import annotations

from querist.agents.annotator.rules import Annotating, AnnotatorEvidence
from querist.agents.deliberation.exams import Situation


def _evidence(*, has_logprobs: bool, bank: int, batch: int, skill: float) -> AnnotatorEvidence:
    return AnnotatorEvidence(
        round=4,
        model="openai:some-model",
        batch=batch,
        classes=4,
        bank=bank,
        given=0,
        votes=3,
        shared=8,
        nearest=None,
        is_local=False,
        calibrate=has_logprobs,
        has_logprobs=has_logprobs,
        skill=skill,
    )


def _pairs() -> list[Situation[AnnotatorEvidence, Annotating]]:
    found: list[Situation[AnnotatorEvidence, Annotating]] = []
    for bank, batch in ((12, 20), (40, 40), (90, 60)):
        for skill in (0.7, 0.9):
            name = f"{bank} examples, right on {skill:.0%}"
            found += [
                Situation(
                    f"{name}, tells how sure it is",
                    "ask once, with examples",
                    _evidence(has_logprobs=True, bank=bank, batch=batch, skill=skill),
                    lambda made: made.votes == 1 and made.shared + made.nearest >= 2,
                ),
                Situation(
                    f"{name}, does not tell how sure it is",
                    "ask several times, with examples",
                    _evidence(has_logprobs=False, bank=bank, batch=batch, skill=skill),
                    lambda made: made.votes > 1 and made.shared + made.nearest >= 2,
                ),
            ]
    return found


SITUATIONS = tuple(_pairs())
"""In half of them one vote is enough."""
