"""The budget controller of a job that creates rows: another wave, of how many calls, or the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from pydantic import Field

from querist.agents.mind import Agent, AgentSpec, Ruling
from querist.tools.wording import counted

_SATURATED = 0.1
"""Share of new rows among the last ones below which there is nothing new to be had."""
_FEW_NEW = 0.5
"""Share of new rows from which on a mind may call a job saturated."""
_FEWEST = 10
"""Rows that are too few for a mind to give a job up on."""
_LONGEST = 2_000
Stop = Literal["", "rows", "cap", "deadline", "saturated", "gates", "dry", "workspace_cap"]
"""Why no other wave follows; all but the last are ends, and that one is a pause."""


@dataclass(frozen=True, slots=True)
class Window:
    """What became of the last rows that were looked at."""

    rows: int = 0
    passed: int = 0
    new: int = 0
    """Rows that no gate took for a copy."""
    is_full: bool = False
    """Whether as many were written as the window has room for."""

    @property
    def is_saturated(self) -> bool:
        """Whether hardly anything new came."""
        return self.is_full and self.new < _SATURATED * self.rows

    @property
    def is_hopeless(self) -> bool:
        """Whether nothing passed."""
        return self.is_full and not self.passed


@dataclass(frozen=True, slots=True)
class Rejections:
    """The gate that rejected most."""

    gate: str
    count: int
    latest: str
    remedy: str
    is_reply: bool = False
    """No gate: the replies held no rows."""

    @property
    def words(self) -> str:
        """Say it, with what to change."""
        if self.is_reply:
            return (
                f"{self.count:,} replies held no rows that can be read (the latest: "
                f"{self.latest[:160]}). To mend it: {self.remedy}."
            )
        return (
            f"The gate {self.gate} rejected {self.count:,} (the latest: {self.latest[:160]}). To "
            f"loosen it: {self.remedy}."
        )


@dataclass(frozen=True, slots=True)
class CreationEvidence:
    """How far a job is, what it costs, and what stands in its way."""

    wave: int
    """The one that would follow."""
    accepted: int
    wanted: int
    written: int
    remaining: Decimal
    cap: Decimal
    usd_a_row: Decimal | None = None
    """USD an accepted row in the last waves; None before any."""
    minutes_left: float | None = None
    minutes_a_wave: float | None = None
    gates: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """How many rows each saw and let pass."""
    novelty: tuple[float | None, ...] = ()
    """Share of new rows in the last waves."""
    recent: Window = Window()
    """The last `patience` rows."""
    longer: Window = Window()
    """Twice as many."""
    patience: int = 60
    broke: Literal["", "cap", "workspace_cap"] = ""
    """Which cap the last wave met: the job's own, or one of the workspace."""
    broke_words: str = ""
    open_cells: int = 1
    """Combinations that lack rows and have not run dry."""
    dry: tuple[str, ...] = ()
    """The first of those that have."""
    enough_calls: int = 1
    """Calls that would do for all that is missing, at the share accepted so far."""
    most_calls: int = 1
    """Calls that a wave may have."""
    rejections: Rejections | None = None

    @property
    def so_far(self) -> str:
        """Say how far it is."""
        return f"{self.accepted:,} of {counted(self.wanted, 'row')} were accepted"

    @property
    def in_reach(self) -> int | None:
        """Rows that the money left still buys; None where that is not known, or no matter."""
        if self.usd_a_row is None or self.usd_a_row <= 0:
            return None
        return int(self.remaining / self.usd_a_row)


class Wave(Ruling):
    """Another wave with so many calls of the writer, or the end."""

    action: Literal["write", "stop"]
    calls: int = Field(default=0, ge=0)
    stop: Stop = ""


def _end(stop: Stop, reason: str) -> Wave:
    return Wave(action="stop", stop=stop, reason=reason[:_LONGEST])


def _ends(evidence: CreationEvidence) -> Wave | None:
    """Give the end that leaves nothing to decide, if there is one."""
    if evidence.accepted >= evidence.wanted:
        return _end("rows", f"All {evidence.wanted:,} rows are there.")
    if evidence.minutes_left is not None and evidence.minutes_left <= 0:
        return _end("deadline", f"The time is over: {evidence.so_far}.")
    return None


def _out_of_money(evidence: CreationEvidence) -> Wave | None:
    if evidence.broke == "workspace_cap":
        return _end("workspace_cap", f"{evidence.broke_words} {evidence.so_far}.")
    if evidence.broke == "cap":
        cap = f"{evidence.cap:f}"
        return _end("cap", f"The next call does not fit into {cap} USD: {evidence.so_far}.")
    return None


def _given_up(evidence: CreationEvidence, window: Window) -> Wave | None:
    """Give a job up whose last rows were all rejected, or all copies."""
    if window.is_hopeless and not evidence.accepted:
        return _end("gates", _hopeless(evidence))
    if window.is_saturated:
        share = window.new / window.rows
        return _end(
            "saturated",
            f"Of the last {window.rows} rows {share:.0%} were new: {evidence.so_far}. Give more "
            "seeds, attributes or methods, or allow closer copies.",
        )
    return None


def _dry(evidence: CreationEvidence) -> Wave | None:
    """End where no cell is left to write for, though rows are missing."""
    if evidence.open_cells:
        return None
    if not evidence.accepted:
        return _end("gates", _hopeless(evidence))
    return _end(
        "dry",
        f"{evidence.so_far}. Of the last {evidence.patience} rows for each of these none was "
        f"accepted: {', '.join(evidence.dry)}. {_rejecting(evidence)}",
    )


def _hopeless(evidence: CreationEvidence) -> str:
    return f"None of {evidence.written:,} rows was accepted. {_rejecting(evidence)}"


def _rejecting(evidence: CreationEvidence) -> str:
    return "" if evidence.rejections is None else evidence.rejections.words


def must_end(evidence: CreationEvidence) -> Wave | None:
    """Give the end that no mind may put off, if there is one.

    One may put off what the rules call saturated or hopeless, until twice as many rows say so.
    """
    return (
        _ends(evidence)
        or _given_up(evidence, evidence.longer)
        or _out_of_money(evidence)
        or _dry(evidence)
    )


def _rule(evidence: CreationEvidence) -> Wave:
    """Write what is missing, in waves that may double, until one of the ends is reached."""
    end = (
        _ends(evidence)
        or _given_up(evidence, evidence.recent)
        or _out_of_money(evidence)
        or _dry(evidence)
    )
    if end is not None:
        return end
    calls = max(1, min(evidence.enough_calls, evidence.most_calls))
    reason = f"{evidence.so_far}. {forecast(evidence)}".strip()
    return Wave(action="write", calls=calls, reason=reason)


def forecast(evidence: CreationEvidence) -> str:
    """Say what the money left buys."""
    if evidence.usd_a_row is None:
        return f"{evidence.remaining:f} USD are left; what a row costs is not known yet."
    if evidence.in_reach is None:
        return "Rows cost nothing."
    rows = counted(evidence.in_reach, "more accepted row")
    return f"The money buys about {rows} at {evidence.usd_a_row:.6f} USD each."


def stops_open_to(evidence: CreationEvidence) -> list[Stop]:
    """List the ends that the evidence speaks for, the strongest first: a mind may take these."""
    by_rules = _rule(evidence).stop
    found: list[Stop] = [by_rules] if by_rules else []
    window = evidence.recent
    if not evidence.accepted and window.rows >= _FEWEST and not window.passed:
        found.append("gates")
    if window.rows >= _FEWEST and window.new < _FEW_NEW * window.rows:
        found.append("saturated")
    if evidence.in_reach == 0:
        found.append("cap")
    left, usual = evidence.minutes_left, evidence.minutes_a_wave
    if left is not None and usual is not None and left < usual:
        found.append("deadline")
    if evidence.dry and evidence.accepted:
        found.append("dry")
    return list(dict.fromkeys(found))


def _check(evidence: CreationEvidence, ruling: Wave) -> None:
    """Refuse waves that are too large, and ends that nothing speaks for."""
    if ruling.action == "stop":
        if ruling.stop not in (known := stops_open_to(evidence)):
            raise ValueError(
                f"nothing speaks for the end {ruling.stop!r}; "
                + (f"open are: {', '.join(known)}" if known else "the job can go on")
            )
        return
    if (end := must_end(evidence)) is not None:
        raise ValueError(f"the job has ended: {end.reason[:200]}")
    if not 1 <= ruling.calls <= evidence.most_calls:
        raise ValueError(f"a wave has 1 to {evidence.most_calls} calls, not {ruling.calls}")


SPEC = AgentSpec(Agent.BUDGET_CONTROLLER, rule=_rule, ruling=Wave, check=_check)
"""The agent as a job that creates rows knows it."""
