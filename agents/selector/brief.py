"""What the selector's mind is told: how much is labelled, what each strategy led to before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from querist.agents.deliberation.brief import (
    Brief,
    Fact,
    known_name,
    name_as_data,
    points,
    steps_within,
)
from querist.agents.selector.rules import (
    MIXED,
    SPEC,
    TYPICAL,
    Selection,
    SelectorEvidence,
    are_few,
    is_uneven,
)
from querist.tools.wording import counted

_DUTY = (
    "You are the selector of a labelling loop. You choose which texts of the pool are labelled "
    "next: a strategy, and how many (count). While there are few labels a class, or one class has "
    "most of the labels, texts that are typical of the pool teach most (facility_location). "
    "Otherwise half of the batch is better spent on those that the model doubts: "
    "0.5*random@100 > typiclust + 0.5*margin. Mixtures share a batch out; pipelines narrow it: "
    "margin@10 > k_center takes the most varied of ten times as many doubtful ones. Where classes "
    "may be favoured (favour: a list of their names, [] for none), half of the batch is reserved "
    "for texts that the model expects to be of them, chosen by the same strategy: for classes with "
    "far fewer labels than others, that the strategy alone would find too few of."
)
_USUAL = (
    TYPICAL,
    MIXED,
    "0.3*margin + 0.7*facility_location",
    "margin",
    "entropy",
    "margin@10 > k_center",
    "badge",
    "k_center",
    "random",
)
"""Strategies that are compared where no others are named."""
_NAMED_ROUNDS = 5
_FROM_A_MODEL = {"margin", "entropy", "badge"}
_MOST_NAMED = 30
"""Classes that may be favoured by a mind; of more, those with the fewest labels."""


def _facts(evidence: SelectorEvidence) -> list[Fact]:
    return [
        _labels(evidence),
        Fact(
            "There is a trained model, and it can say what it doubts."
            if evidence.has_model
            else "There is no trained model yet, so nothing can be doubted.",
            denies=r"\b(no|without a) (trained )?model\b" if evidence.has_model else "",
        ),
        *_expected(evidence),
        _annotator(evidence),
        *[
            Fact(
                f"Round {past.round} chose by {past.strategy}, added "
                f"{counted(past.labels, 'label')} and changed quality by {points(past.points)}, "
                f"{past.words}."
            )
            for past in evidence.past[-_NAMED_ROUNDS:]
        ],
        *[Fact(f"Another run, on a like task: {words}") for words in evidence.lessons],
        Fact(
            f"{counted(evidence.pool_left, 'text')} are left to choose from; the round may take "
            f"{evidence.batch}{_more(evidence)}."
        ),
    ]


def _more(evidence: SelectorEvidence) -> str:
    planned = min(evidence.batch, evidence.pool_left)
    more = evidence.bound > planned
    return f", or up to {evidence.bound} if the budget controller agrees" if more else ""


def _labels(evidence: SelectorEvidence) -> Fact:
    total, classes = sum(evidence.labels.values()), max(1, len(evidence.labels))
    unseen = [name for name, count in evidence.labels.items() if not count]
    thinnest = min(evidence.labels, key=lambda name: evidence.labels[name], default="")
    words = f"{counted(total, 'label')} to learn from, {total / classes:.1f} a class on average."
    few = "few" if are_few(total, classes) else "not few"
    words += f" That is {few} labels a class."
    largest = max(evidence.labels.values(), default=0)
    if total:
        most = ", which is most of them" if is_uneven(largest, total) else ""
        words += f" The largest class has {largest / total:.0%} of the labels{most}."
    if unseen:
        words += f" No label yet of {len(unseen)} of {classes} classes: "
        words += ", ".join(map(name_as_data, unseen[:5])) + "."
    elif thinnest:
        words += f" The thinnest is {name_as_data(thinnest)} with {evidence.labels[thinnest]}."
    return Fact(words)


def _expected(evidence: SelectorEvidence) -> list[Fact]:
    names = sorted(_favourable(evidence), key=lambda name: evidence.expected[name])
    if not names:
        return []
    listed = ", ".join(f"{name_as_data(name)} {evidence.expected[name]}" for name in names)
    return [Fact(f"Of the texts that are left the model expects: {listed}.")]


def _favourable(evidence: SelectorEvidence) -> list[str]:
    """Name the classes that may be favoured, the thinnest first."""
    if evidence.random_only or not evidence.has_model or evidence.bound < 2:
        return []
    labels = evidence.labels
    thinnest = sorted(labels, key=lambda name: (labels[name], name))
    return [name for name in thinnest if evidence.expected.get(name)][:_MOST_NAMED]


def _annotator(evidence: SelectorEvidence) -> Fact:
    if evidence.skill is None:
        return Fact("How often the language model is right was not measured.")
    return Fact(f"The language model is right on {evidence.skill:.0%} of what people labelled.")


def _limits(evidence: SelectorEvidence) -> Mapping[str, Mapping[str, Any]]:
    most = evidence.bound
    favourable = [name_as_data(name) for name in _favourable(evidence)]
    fewer = min(len(favourable), len(evidence.labels) - 1)
    favour = {
        "items": {"type": "string", "enum": favourable},
        "maxItems": fewer,
        "description": f"up to {fewer} of the classes that the model expects, or []",
    }
    return {
        "strategy": {
            "enum": list(_usual(has_model=evidence.has_model)),
            "open": "another registered strategy, mixture or pipeline",
        },
        "count": steps_within(-(-most // 4), most) | {"minimum": 1},
        **({"favour": favour} if fewer > 0 else {}),
    }


def _named(evidence: SelectorEvidence, written: Any) -> Any:
    """Read the classes that a mind favours; what is no list of names is left to the schema."""
    if not isinstance(written, list):
        return written
    return [
        known_name(name, evidence.labels) if isinstance(name, str) else name for name in written
    ]


def _usual(*, has_model: bool) -> tuple[str, ...]:
    """Give the usual strategies that can be served."""
    if has_model:
        return _USUAL
    return tuple(name for name in _USUAL if not any(word in name for word in _FROM_A_MODEL))


def _settled(evidence: SelectorEvidence) -> str:
    if evidence.random_only:
        return "the first sample is drawn at random, since everything is measured on it"
    if evidence.configured != "auto":
        return "the task file names the strategy"
    return "" if min(evidence.batch, evidence.pool_left) else "there is nothing to choose"


BRIEF: Brief[SelectorEvidence, Selection] = Brief(
    SPEC,
    duty=_DUTY,
    facts=_facts,
    limits=_limits,
    derived={},
    settled=_settled,
    optional=frozenset({"favour"}),
    reads={"favour": _named},
)
"""How the selector's decisions are put to a mind."""
