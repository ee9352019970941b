"""What the generator's mind is told of a job that creates rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from querist.agents.deliberation.brief import Brief, Fact, as_data, name_as_data
from querist.agents.generator.creating import (
    MOST_GUIDELINES,
    SPEC,
    Writing,
    WritingEvidence,
)
from querist.tools.wording import counted

_DUTY = (
    "You are the generator of a job in which a language model writes rows that must pass gates. "
    "You decide for which cells (combinations of label and attributes, by number) and by which "
    "methods the calls of the next wave write (plan), and of which reasons of rejection, by "
    "number, the prompts warn (guidelines). Write where most is missing, by what was accepted most "
    "per dollar; a method that was hardly tried is worth a try."
)
_MOST_NAMED = 20


def _facts(evidence: WritingEvidence) -> list[Fact]:
    return [
        Fact(
            f"The writer may be called {evidence.calls} times, for {evidence.per_call} rows each; "
            f"about {evidence.share:.0%} of rows are accepted."
        ),
        *(
            Fact(
                f"Cell {cell.number} ({name_as_data(cell.name)}) lacks {cell.lacking} of "
                f"{counted(cell.wanted, 'row')}; methods: {', '.join(cell.methods)}."
            )
            for cell in evidence.cells[:_MOST_NAMED]
        ),
        *(
            Fact(
                f"Method {arm.method}{_for(arm.label)}: {arm.accepted} of "
                f"{counted(arm.written, 'row')} accepted, for {arm.usd:.6f} USD."
            )
            for arm in evidence.arms[:_MOST_NAMED]
        ),
        *(Fact(f"Method {name}: {words}") for name, words in evidence.methods.items()),
        *(
            Fact(f"Reason {place}{_for(label)}: {as_data(reason)}.")
            for place, (label, reason) in enumerate(_reasons(evidence))
        ),
    ]


def _for(label: str) -> str:
    return f" for {name_as_data(label)}" if label else ""


def _reasons(evidence: WritingEvidence) -> list[tuple[str, str]]:
    """Number the reasons of rejection."""
    return [(label, reason) for label, told in evidence.reasons.items() for reason in told]


def _limits(evidence: WritingEvidence) -> Mapping[str, Mapping[str, Any]]:
    methods = list(dict.fromkeys(name for cell in evidence.cells for name in cell.methods))
    portion = {
        "type": "object",
        "properties": {
            "cell": {"type": "integer", "enum": [cell.number for cell in evidence.cells]},
            "method": {"type": "string", "enum": methods},
            "calls": {"type": "integer", "minimum": 1, "maximum": evidence.calls},
        },
        "required": ["cell", "method", "calls"],
        "additionalProperties": False,
    }
    words = f"portions of calls that sum to 1 to {evidence.calls}"
    found: dict[str, Mapping[str, Any]] = {
        "plan": {
            "type": "array", "items": portion, "minItems": 1, "maxItems": evidence.calls,
            "description": words,
        }
    }  # fmt: skip
    if reasons := _reasons(evidence):
        found["guidelines"] = {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": len(reasons) - 1},
            "description": f"numbers of reasons, at most {MOST_GUIDELINES} a label, or []",
        }
    return found


def _by_number(evidence: WritingEvidence, written: Any) -> Any:
    """Read numbers of reasons; what is none is left to the ruling's own type."""
    reasons = _reasons(evidence)
    if not isinstance(written, Sequence) or isinstance(written, str):
        return written
    found: dict[str, list[str]] = {}
    for place in dict.fromkeys(written):
        if not isinstance(place, int) or not 0 <= place < len(reasons):
            return written
        label, reason = reasons[place]
        found.setdefault(label, []).append(reason)
    return found


def _settled(evidence: WritingEvidence) -> str:
    return "" if evidence.cells else "there is nothing to write"


BRIEF: Brief[WritingEvidence, Writing] = Brief(
    SPEC,
    duty=_DUTY,
    facts=_facts,
    limits=_limits,
    derived={},
    settled=_settled,
    optional=frozenset({"guidelines"}),
    reads={"guidelines": _by_number},
)
"""How its decisions are put to a mind."""
