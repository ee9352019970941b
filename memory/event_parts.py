"""What events tell of in lists: tries of a choice, how an arm did, a lesson that is used."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple


class PullNote(NamedTuple):
    """One try of an arm: its reward, its cost, and the arms that have a share in the reward."""

    arm: int
    resource: int
    reward: float
    usd: Decimal
    sharers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ArmRow:
    """How an arm of a choice did."""

    name: str
    pulls: int = 0
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    usd: Decimal = Decimal(0)
    rejected_after: int | None = None
    """How many evaluations, of all arms together, it took to leave it out."""
    levelled_after: int | None = None
    """How many of its own tries it took to see that it no longer gets better (TI-UCB)."""


@dataclass(frozen=True, slots=True)
class UsedLesson:
    """A lesson of before that a run uses, in the version that it uses."""

    id: str
    version: int
    kind: str
    words: str
    """For people; a pool's texts in it are marked as data."""
    run: str
    """Where it comes from."""
    likeness: float
    """How alike the two tasks are: the cosine of their vectors; 1 for the run's own."""
    shown: tuple[int, ...] = ()
    """Which of its texts prompts show: none that this run is measured on."""
