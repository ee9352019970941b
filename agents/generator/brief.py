"""What the generator's mind is told: which classes are thin, and how well written texts did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from querist.agents.deliberation.brief import Brief, Fact, name_as_data, steps_within
from querist.agents.generator.rules import SPEC, Generation, GeneratorEvidence

_DUTY = (
    "You are the generator of a labelling loop. You decide of which classes a language model "
    "writes new texts, and how many of each (targets: class to count, within the allowance), how "
    "they are written (method), and how alike a text may be to a known one before it counts as a "
    "copy (duplicate_at, 0.5 to 1). "
    "Written texts are for classes that have far fewer labels than an equal share; where few of "
    "the earlier ones were kept, write fewer."
)
_MOST_NAMED = 30


def _facts(evidence: GeneratorEvidence) -> list[Fact]:
    total = sum(evidence.labels.values())
    fair = total / max(1, len(evidence.labels))
    counts = sorted(evidence.labels.items(), key=lambda item: (item[1], item[0]))[:_MOST_NAMED]
    listed = ", ".join(f"{name_as_data(name)} {count}" for name, count in counts)
    return [
        Fact(f"Labels so far, the thinnest classes first: {listed}."),
        Fact(f"An equal share would be {fair:.0f} labels a class."),
        Fact(f"At most {evidence.batch} texts may be written."),
        Fact(
            "No text was written before."
            if evidence.kept is None
            else f"Of the texts written before {evidence.kept:.0%} were kept."
        ),
        *(Fact(f"Method {name}: {what}") for name, what in evidence.methods.items()),
    ]


def _limits(evidence: GeneratorEvidence) -> Mapping[str, Mapping[str, Any]]:
    counts = {
        name: {"type": "integer", "minimum": 0, "maximum": evidence.batch}
        for name in list(evidence.labels)[:_MOST_NAMED]
    }
    method: dict[str, dict[str, Any]] = {}
    if evidence.methods:
        method["method"] = {"enum": list(evidence.methods)}
    return method | {
        "targets": {
            "type": "object",
            "properties": counts,
            "additionalProperties": False,
            "description": f"classes with counts that sum to {evidence.batch} at most",
        },
        "duplicate_at": steps_within(0.8, 1.0) | {"minimum": 0.5},
    }


def _settled(evidence: GeneratorEvidence) -> str:
    return "" if evidence.batch and evidence.labels else "there is nothing to write"


BRIEF: Brief[GeneratorEvidence, Generation] = Brief(
    SPEC,
    duty=_DUTY,
    facts=_facts,
    limits=_limits,
    derived={},
    settled=_settled,
    optional=frozenset({"method"}),
)
"""How the generator's decisions are put to a mind."""
