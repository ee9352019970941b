"""What the verifier's mind is told: who can be trusted how far, and what people may be asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from querist.agents.deliberation.brief import Brief, Fact, known_name, name_as_data, steps_within
from querist.agents.verifier.rules import SPEC, Verification, VerifierEvidence
from querist.tools.wording import counted

_DUTY = (
    "You are the verifier of a labelling loop. All opinions about a text are pooled into one "
    "probability that its best label is right. You set thresholds on it: from accept_at on a label "
    "is kept without asking; of the others, the first `questions` go to people, and the rest is "
    "kept with a low weight; below reannotate_below the language model is asked once more; below "
    "drop_below a text is dropped. A weak annotator calls for a high accept_at, a good one for a "
    "low one. Questions to people are worth what they cost while their labels are few. Where "
    "classes may have a threshold of their own (accept_at_by_class: a list of label and accept_at, "
    "[] for none), it holds instead of accept_at for texts whose best label is of that class: "
    "higher where that label was often wrong, lower where it was right."
)
_MOST_NAMED, _MOST_TOLD = 30, 8
_WEAK, _GOOD = 0.7, 0.9
"""How often a language model is right that is called weak, and good."""


def _facts(evidence: VerifierEvidence) -> list[Fact]:
    return [
        Fact(
            f"{counted(evidence.batch, 'text')} are to be judged; a guess would be right on "
            f"{evidence.chance:.0%}."
        ),
        *_commonest(evidence),
        Fact(
            f"Up to {counted(evidence.questions, 'question')} may go to people.",
            denies="" if not evidence.questions else r"\b(nobody|no one|no people) can be asked\b",
        ),
        _trust(evidence),
        Fact(
            "The language model may be asked a second time."
            if evidence.may_reannotate
            else "The language model may not be asked a second time: reannotate_below must be 0."
        ),
        *_batch(evidence),
    ]


def _commonest(evidence: VerifierEvidence) -> list[Fact]:
    if evidence.commonest <= evidence.chance:
        return []
    return [
        Fact(
            f"Always naming the commonest class would be right on {evidence.commonest:.0%}: an "
            "opinion that is no surer tells nothing about its text."
        )
    ]


def _trust(evidence: VerifierEvidence) -> Fact:
    total = sum(evidence.weights.values()) or 1.0
    shares = ", ".join(f"{name} {value / total:.0%}" for name, value in evidence.weights.items())
    if not evidence.measured:
        return Fact(
            f"Nothing was measured on people's labels yet. Weights to begin with: {shares}."
        )
    return Fact(
        f"Opinions weigh as {counted(evidence.measured, 'answer')} of people showed: {shares}."
    )


def _batch(evidence: VerifierEvidence) -> list[Fact]:
    """How sure the pooled opinions about the batch are, and how right such ones were."""
    found = []
    if evidence.sure:
        bands = ", ".join(f"{words} {count}" for words, count in evidence.sure.items())
        found.append(Fact(f"Of the batch, by how sure the pooled opinion is: {bands}."))
    if evidence.skill is not None:
        found.append(
            Fact(
                f"The language model was right on {evidence.skill:.0%} of what people labelled"
                f"{_worth(evidence.skill)}.",
                denies=r"\bannotator is (very )?(reliable|accurate)\b"
                if evidence.skill < 0.6
                else "",
            )
        )
    worst = [name for name in _judged_classes(evidence) if evidence.wrong.get(name)][:_MOST_TOLD]
    if worst:
        listed = ", ".join(
            f"{name_as_data(name)} {evidence.wrong[name]} of {evidence.said[name]}"
            for name in worst
        )
        total = sum(evidence.said.values())
        found.append(
            Fact(
                f"On {counted(total, 'text')} that people labelled after they were judged, the "
                f"best label was wrong, by that label: {listed}."
            )
        )
    return found


def _worth(skill: float) -> str:
    if skill < _WEAK:
        return ": a weak annotator"
    return ": a good annotator" if skill >= _GOOD else ""


def _judged_classes(evidence: VerifierEvidence) -> list[str]:
    """Name the classes that something was measured of, those with most mistakes first."""
    measured = [name for name, count in evidence.said.items() if count]
    return sorted(measured, key=lambda name: (-evidence.wrong.get(name, 0), name))


def _limits(evidence: VerifierEvidence) -> Mapping[str, Mapping[str, Any]]:
    share = steps_within(0.0, 1.0, most=21)
    again = share if evidence.may_reannotate else {"minimum": 0, "maximum": 0, "enum": [0]}
    return {
        "accept_at": share,
        "reannotate_below": again,
        "drop_below": steps_within(0.0, round(min(1.0, 2 * evidence.chance), 3)),
        "questions": steps_within(0, min(evidence.questions, evidence.batch)),
        **_class_limits(evidence),
    }


def _class_limits(evidence: VerifierEvidence) -> Mapping[str, Mapping[str, Any]]:
    """Let classes that something was measured of have thresholds, where thresholds matter."""
    names = [name_as_data(name) for name in _judged_classes(evidence)][:_MOST_NAMED]
    if evidence.asks_first or not names:
        return {}
    pair = {
        "type": "object",
        "properties": {
            "label": {"type": "string", "enum": names},
            "accept_at": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["label", "accept_at"],
        "additionalProperties": False,
    }
    words = "for labels that were judged before, or []; not below reannotate_below or drop_below"
    return {
        "accept_at_by_class": {
            "type": "array", "items": pair, "maxItems": len(names), "description": words,
        }
    }  # fmt: skip


def _by_class(evidence: VerifierEvidence, written: Any) -> Any:
    """Read pairs of label and threshold; what is none is left to the ruling's own type."""
    if isinstance(written, list):
        try:
            pairs = [(pair["label"], pair["accept_at"]) for pair in written]
        except (TypeError, KeyError):
            return written
    elif isinstance(written, dict):
        pairs = list(written.items())
    else:
        return written
    if not all(isinstance(name, str) for name, _ in pairs):
        return written
    read = {known_name(name, evidence.said): value for name, value in pairs}
    return read if len(read) == len(pairs) else written


def _settled(evidence: VerifierEvidence) -> str:
    if evidence.is_seed:
        return "the first sample goes to people as a whole"
    return "" if evidence.annotates else "no language model labels, so all goes to people"


_DERIVED: Mapping[str, Callable[[VerifierEvidence, Mapping[str, Any]], Any]] = {
    "escalate_all": lambda *_: False,
    "asks_first": lambda evidence, _: evidence.asks_first,
    "labels_by_model": lambda evidence, _: evidence.labels_by_model,
}
BRIEF: Brief[VerifierEvidence, Verification] = Brief(
    SPEC,
    duty=_DUTY,
    facts=_facts,
    limits=_limits,
    derived=_DERIVED,
    settled=_settled,
    optional=frozenset({"accept_at_by_class"}),
    reads={"accept_at_by_class": _by_class},
)
"""How the verifier's decisions are put to a mind."""
