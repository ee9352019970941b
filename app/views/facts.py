"""What an agent knew and decided, as names and values that need no knowledge of the code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from querist.app.terminal.screen import dollars, percent
from querist.memory.records import Decision
from querist.tools.wording import listed

_MOST_PARTS = 15
_LONGEST = 600

_NAMES: Mapping[str, str] = {
    "accept_at": "is kept when at least so sure",
    "accept_at_by_class": "of these classes, is kept when at least so sure",
    "action": "what comes next",
    "annotates": "a language model labels",
    "asks_people": "people can be asked",
    "bank": "examples that can be shown to the language model",
    "batch": "texts in the round",
    "calibrate": "its bias towards some labels is divided out",
    "configured": "strategy of the task file",
    "count": "texts to choose",
    "drop_below": "is dropped when less sure",
    "duplicate_at": "counts as a copy from this likeness on",
    "escalate_all": "all go to people",
    "expected": "texts that are left, as the model would label them",
    "favour": "classes that half of the batch is reserved for",
    "given": "examples that the task file shows",
    "guidelines": "guidelines that prompts hold",
    "has_logprobs": "the language model tells how sure it is",
    "has_model": "there is a trained model",
    "human_label_usd": "an answer of a person costs (USD)",
    "is_local": "the language model runs in this process",
    "is_seed": "this is the random first sample",
    "kept": "written texts kept so far (share)",
    "labels": "labels so far",
    "labels_by_model": "the trained model may label",
    "lessons": "known from runs on like tasks",
    "llm_example_usd": "a label of the language model costs (USD)",
    "may_generate": "new texts may be written",
    "may_reannotate": "may ask the language model again",
    "measured": "answers of people to measure by",
    "model": "the model that labels",
    "models": "models that may label",
    "most": "texts that it may ask for",
    "most_rounds": "rounds at most",
    "nearest": "examples shown that are like the text",
    "open_questions": "questions that were open then",
    "past": "rounds so far",
    "capabilities": "what a strategy can be shown",
    "said": "texts people labelled later, by the label that was held best",
    "wrong": "of these, wrong",
    "sure": "texts by how sure the pooled opinion is",
    "plateau": "the curve has levelled off",
    "plateau_reason": "what the curve shows",
    "pool_left": "texts nobody looked at yet",
    "questions": "questions to people at most",
    "random_only": "only chance may choose",
    "reannotate_below": "is asked again when less sure",
    "remaining": "money left (USD)",
    "shared": "examples shown with every text",
    "skill": "the language model was right (share)",
    "stop": "what ended the run",
    "stop_command": "who said stop",
    "targets": "texts to write",
    "usd_a_row": "an accepted row has cost (USD)",
    "minutes_a_wave": "minutes that a wave takes",
    "open_cells": "combinations that lack rows",
    "recent": "rows looked at last",
    "longer": "rows looked at before it gives up",
    "novelty": "share of new rows, wave by wave",
    "patience": "rows in vain after which it gives up",
    "enough_calls": "calls that would be enough",
    "most_calls": "calls at most",
    "usd_left": "left for labels of models (USD)",
    "uses_llm": "a language model labels",
    "last_phase": "what the last round did",
    "audit_share": "share of answers that only measures the model",
    "asked": "questions asked so far",
    "audited": "of them to measure the model",
    "audits": "of them to measure the model",
    "votes": "times each text is asked",
    "wanted_answers": "answers waited for",
    "wanted_at_end": "answers waited for before the end",
    "weights": "whose opinion counts how much",
}
"""Fields of evidence and rulings in words; others are shown with their underscores taken out."""
_AMOUNTS = {"cap", "minutes_a_wave", "minutes_left", "remaining", "usd_a_row", "usd_left"}
"""Numbers that are no shares, however small they are."""
_UNSAID = {"reason", "waiting"}
"""They stand above already."""
# Weights that were written down without names are these sources'.
_SOURCES = ("the annotator", "labelled neighbours", "the trained model")


def facts(body: Mapping[str, object]) -> list[tuple[str, str]]:
    """List names and values of what an agent knew or decided, without what is empty."""
    return [
        (_NAMES.get(key, key.replace("_", " ")), _value(key, value))
        for key, value in body.items()
        if key not in _UNSAID and value not in ("", None, [], {})
    ]


def calls_of(decision: Decision) -> list[tuple[str, str]]:
    """List what a language model looked up for a decision: what it asked, and what it was told."""
    return [
        (f"{call.name}({_named(call.arguments)})", _value("", call.result))
        for call in decision.tool_calls
    ]


def mind_of(decision: Decision) -> str:
    """Say in a word or two who took a decision, and what it cost if it cost anything."""
    cost = f", {dollars(decision.usd)}" if decision.usd > 0 else ""
    return f"{decision.mind}{cost}"


def _named(arguments: Mapping[str, object]) -> str:
    return listed([f"{name}={_value('', value)}" for name, value in arguments.items()], _MOST_PARTS)


def machine_weight(trust: object) -> str:
    """Say how much a machine's label counts in training on average, beside a person's."""
    if not isinstance(trust, int | float):
        return "-"
    if trust == 0:
        return "not at all"
    if trust == 1:
        return "like a person's"
    return f"{trust:g} times a person's" if trust > 1 else f"{trust:.0%} of a person's"


def _value(key: str, value: object) -> str:
    if key == "weights" and isinstance(value, Mapping | list | tuple):
        named: Mapping[str, object] = (
            value if isinstance(value, Mapping) else dict(zip(_SOURCES, value, strict=False))
        )
        return _shares(named)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key in _AMOUNTS and isinstance(value, float | str):
        return _amount(str(value))
    if isinstance(value, float):
        return percent(value) if 0 < value < 1 else f"{value:,.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        parts = [f"{name} {_value('', part)}" for name, part in value.items()]
        return listed(parts, _MOST_PARTS)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return listed([_value("", part) for part in value], _MOST_PARTS)
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _amount(words: str) -> str:
    try:
        return f"{float(words):,.4g}"
    except ValueError:
        return words


def _shares(weights: Mapping[str, object]) -> str:
    """Weights of sources as shares of the whole; how large they are in themselves says nothing."""
    known = {name: value for name, value in weights.items() if isinstance(value, int | float)}
    total = sum(known.values()) or 1.0
    return ", ".join(f"{name} {weight / total:.0%}" for name, weight in known.items())
