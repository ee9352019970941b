"""What the annotator's mind is told: what can be shown to the language model, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from querist.agents.annotator.rules import SPEC, Annotating, AnnotatorEvidence
from querist.agents.deliberation.brief import Brief, Fact, steps_within, usd
from querist.tools.wording import counted

_DUTY = (
    "You are the annotator of a labelling loop. You decide how a language model is asked for the "
    "label of each text: how many labelled examples it is shown with every text (shared) and how "
    "many that are like the text (nearest), how many times it is asked (votes), and whether its "
    "bias towards some labels is divided out (calibrate; only where it tells probabilities). "
    "Examples help as long as there are some to show; more votes cost as many times more, and help "
    "only where it does not tell how sure it is, or is unsteady. Where there are several models, "
    "you choose who labels this round (model): a dearer one is worth its price where it is right "
    "more often; one that was not measured is first tried on what people labelled."
)
_MOST_SHARED, _MOST_NEAREST = 64, 16


def _facts(evidence: AnnotatorEvidence) -> list[Fact]:
    return [
        Fact(
            f"{counted(evidence.bank, 'labelled example')} can be shown: shared and nearest "
            f"together are at most {evidence.bank}."
            if evidence.bank
            else "There is no labelled example to show yet.",
            denies=r"\b(no|without) (labelled )?examples\b" if evidence.bank else "",
        ),
        Fact(
            f"The batch has {counted(evidence.batch, 'text')}, and {evidence.classes} labels to "
            "choose from."
        ),
        Fact(
            "The model tells how sure it is, by its probabilities: one vote is enough."
            if evidence.has_logprobs
            else "The model does not tell how sure it is: only several votes (2 or more) show it."
        ),
        Fact(
            "How often it is right was not measured."
            if evidence.skill is None
            else f"It was right on {evidence.skill:.0%} of what people labelled."
        ),
        Fact(
            "It runs in this process: examples chosen for each text take three times as long."
            if evidence.is_local
            else "It runs elsewhere: examples chosen for each text cost tokens only."
        ),
        *_models(evidence),
        *_lessons(evidence),
    ]


def _models(evidence: AnnotatorEvidence) -> list[Fact]:
    found = [
        Fact(
            f"{record.name} costs {usd(record.usd)} a text and vote and was "
            + (
                f"right on {record.right} of {record.total} texts that people labelled."
                if record.total
                else "not measured yet."
            )
        )
        for record in evidence.models
    ]
    if evidence.usd_left is not None:
        found.append(Fact(f"{usd(evidence.usd_left)} are left for labels of models."))
    return found


def _lessons(evidence: AnnotatorEvidence) -> list[Fact]:
    found = [Fact(f"Another run, on a like task: {words}") for words in evidence.lessons]
    if evidence.guidelines:
        held = counted(evidence.guidelines, "guideline")
        found.append(Fact(f"Its prompts hold {held} from earlier corrections."))
    return found


def _limits(evidence: AnnotatorEvidence) -> Mapping[str, Mapping[str, Any]]:
    names = [record.name for record in evidence.models]
    tells = [evidence.has_logprobs, *(record.has_logprobs for record in evidence.models)]
    return {
        "votes": steps_within(1, max(evidence.votes, 1 if all(tells) else 3)),
        "shared": _some_of(evidence.bank, most=_MOST_SHARED, usual=(0, 4, 8, 16)),
        "nearest": _some_of(evidence.bank, most=_MOST_NEAREST, usual=(0, 2, 4)),
        "calibrate": {"enum": [True, False] if any(tells) else [False]},
        **({"model": {"type": "string", "enum": names}} if names else {}),
    }


def _some_of(bank: int, *, most: int, usual: tuple[int, ...]) -> dict[str, Any]:
    """Bound how many examples of a bank are shown; of the usual, half of it at most.

    So the usual values of both kinds together are never more than there are.
    """
    highest = min(most, bank)
    return {
        "minimum": 0,
        "maximum": highest,
        "enum": [value for value in usual if 2 * value <= bank],
        "open": f"any whole number from 0 to {highest}",
    }


def _settled(evidence: AnnotatorEvidence) -> str:
    return "" if evidence.bank else "there is no labelled example to show yet"


BRIEF: Brief[AnnotatorEvidence, Annotating] = Brief(
    SPEC,
    duty=_DUTY,
    facts=_facts,
    limits=_limits,
    derived={},
    settled=_settled,
    optional=frozenset({"model"}),
)
"""How the annotator's decisions are put to a mind."""
