"""What the budget controller's mind is told of a job that creates rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from querist.agents.budget_controller.creating import (
    SPEC,
    CreationEvidence,
    Wave,
    forecast,
    must_end,
    stops_open_to,
)
from querist.agents.deliberation.brief import Brief, Fact, name_as_data, usd
from querist.tools.wording import counted

_DUTY = (
    "You are the budget controller of a job in which a language model writes rows that must pass "
    "gates. You decide whether another wave is written (action write, with calls: how often the "
    "writer is called), or the job ends (stop). Go on while rows are missing and what comes is new "
    "and accepted; stop where almost all is rejected or copied, or where money or time do not pay "
    "for another accepted row. Large waves are faster, small ones learn earlier what is rejected."
)
_NO_MONEY = r"\b(budget|money|funds?) (is|are|was) (already )?(spent|exhausted|gone|over)\b"
_MOST_NAMED = 8


def _facts(evidence: CreationEvidence) -> list[Fact]:
    return [
        Fact(f"{evidence.so_far.capitalize()}; {counted(evidence.written, 'row')} were written."),
        _money(evidence),
        *_time(evidence),
        *_gates(evidence),
        *_news(evidence),
        *_cells(evidence),
        Fact(
            f"At the share accepted so far about {counted(evidence.enough_calls, 'call')} would "
            f"write all that is missing; a wave has at most {evidence.most_calls}."
        ),
    ]


def _money(evidence: CreationEvidence) -> Fact:
    words = f"{usd(evidence.remaining)} of {usd(evidence.cap)} are left. {forecast(evidence)}"
    return Fact(words, denies="" if evidence.in_reach == 0 else _NO_MONEY)


def _time(evidence: CreationEvidence) -> list[Fact]:
    if evidence.minutes_left is None:
        return []
    usual = evidence.minutes_a_wave
    each = "" if usual is None else f"; a wave took about {usual:.1f}"
    return [Fact(f"{evidence.minutes_left:.1f} minutes are left{each}.")]


def _gates(evidence: CreationEvidence) -> list[Fact]:
    known = [(name, *counts) for name, counts in evidence.gates.items() if counts[0]]
    known.sort(key=lambda gate: gate[2] / gate[1])
    found = [
        Fact(f"Gate {name} let {passed:,} of {seen:,} rows pass.")
        for name, seen, passed in known[:_MOST_NAMED]
    ]
    return found or [Fact("No gate has looked at a row yet.")]


def _news(evidence: CreationEvidence) -> list[Fact]:
    window = evidence.recent
    if not window.rows:
        return []
    words = (
        f"Of the last {counted(window.rows, 'row')} {window.new} were new and {window.passed} "
        "passed all gates."
    )
    shares = [f"{share:.2f}" for share in evidence.novelty if share is not None]
    if len(shares) > 1:
        words += f" Share of new rows, wave by wave: {', '.join(shares)}."
    return [Fact(words)]


def _cells(evidence: CreationEvidence) -> list[Fact]:
    if not evidence.dry:
        return []
    names = ", ".join(name_as_data(name) for name in evidence.dry[:_MOST_NAMED])
    return [Fact(f"Nothing was accepted lately for: {names}.")]


def _limits(evidence: CreationEvidence) -> Mapping[str, Mapping[str, Any]]:
    return {
        "action": {"enum": ["write", *(["stop"] if stops_open_to(evidence) else [])]},
        "calls": {"minimum": 1, "maximum": evidence.most_calls},
    }


def _stop(evidence: CreationEvidence, given: Mapping[str, Any]) -> str:
    """Name the end by which a mind stops; whether anything speaks for it is checked."""
    if given.get("action") != "stop":
        return ""
    return next(iter(stops_open_to(evidence)), "")


def _settled(evidence: CreationEvidence) -> str:
    end = must_end(evidence)
    return "" if end is None else f"the job has ended: {end.stop}"


BRIEF: Brief[CreationEvidence, Wave] = Brief(
    SPEC,
    duty=_DUTY,
    facts=_facts,
    limits=_limits,
    derived={"stop": _stop},
    settled=_settled,
)
"""How its decisions are put to a mind."""
