"""The selector of a job that creates rows: which seeds the writer is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from querist.agents.deliberation.brief import Brief, Fact, name_as_data
from querist.agents.mind import Agent, AgentSpec, Ruling
from querist.tools.wording import any_of, counted

_WAYS: Mapping[str, str] = {
    "random": "drawn at random within the label; the other two embed the seeds first",
    "diverse": "one of each of as many clusters as are shown (k-means), so that they are unlike",
    "hard": "among the quarter that is nearest to seeds of another label, one of each cluster",
}
"""Ways to draw seeds, and what each shows."""
MOST_SHOWN = 8
_MOST_NAMED = 30


@dataclass(frozen=True, slots=True)
class PastShowing:
    """What came of a wave by the way that its seeds were drawn."""

    wave: int
    strategy: str
    written: int
    accepted: int
    new: float | None
    """Share of rows that were no copies."""


@dataclass(frozen=True, slots=True)
class SeedEvidence:
    """What there is to show."""

    wave: int
    seeds: Mapping[str, int]
    """Seeds by label; those without one under ""."""
    strategy: str
    """As the job has it."""
    possible: tuple[str, ...]
    shown: int
    """Seeds that a call is shown, as the job has it."""
    past: tuple[PastShowing, ...] = ()


class Showing(Ruling):
    """Which seeds the calls of a wave are shown, and how many each."""

    strategy: str
    shown: int = Field(ge=1, le=MOST_SHOWN)


def rule(evidence: SeedEvidence) -> Showing:
    """Show seeds as the job has it."""
    total = sum(evidence.seeds.values())
    if not total:
        reason = "There are no seeds to show."
    else:
        seeds = counted(total, "seed")
        reason = f"Each call is shown {evidence.shown} of {seeds} ({evidence.strategy})."
    return Showing(strategy=evidence.strategy, shown=evidence.shown, reason=reason)


def _check(evidence: SeedEvidence, ruling: Showing) -> None:
    """Refuse ways that the seeds do not allow."""
    if ruling.strategy not in evidence.possible:
        raise ValueError(f"seeds are shown {any_of(evidence.possible)}, not {ruling.strategy!r}")


SPEC = AgentSpec(Agent.SELECTOR, rule=rule, ruling=Showing, check=_check)
"""The agent as a job that creates rows knows it."""


def _facts(evidence: SeedEvidence) -> list[Fact]:
    counts = ", ".join(
        f"{name_as_data(name) if name else 'without a label'} {count}"
        for name, count in list(evidence.seeds.items())[:_MOST_NAMED]
    )
    return [
        Fact(f"Seeds by label: {counts}."),
        *(Fact(f"Way {name}: {_WAYS[name]}.") for name in evidence.possible),
        *(_past(past) for past in evidence.past),
        Fact(f"The job would show {evidence.shown} of them, {evidence.strategy}."),
    ]


def _past(past: PastShowing) -> Fact:
    new = "" if past.new is None else f", {past.new:.0%} were new"
    rows = counted(past.written, "row")
    return Fact(
        f"Wave {past.wave} ({past.strategy}): {past.accepted} of {rows} were accepted{new}."
    )


def _limits(evidence: SeedEvidence) -> Mapping[str, Mapping[str, Any]]:
    return {
        "strategy": {"enum": list(evidence.possible)},
        "shown": {"minimum": 1, "maximum": MOST_SHOWN},
    }


def _settled(evidence: SeedEvidence) -> str:
    return "" if any(evidence.seeds.values()) else "there are no seeds to show"


BRIEF: Brief[SeedEvidence, Showing] = Brief(
    SPEC,
    duty=(
        "You are the selector of a job in which a language model writes rows after seeds. You "
        "decide how the seeds of the next calls are drawn (strategy), and how many each call is "
        "shown (shown). Seeds that are unlike each other help where rows repeat themselves; hard "
        "ones where labels are mistaken for each other, at the price of more rejections."
    ),
    facts=_facts,
    limits=_limits,
    derived={},
    settled=_settled,
)
"""How its decisions are put to a mind."""
