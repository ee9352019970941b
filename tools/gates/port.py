"""The port of gates: tests that a written row passes or not, with a reason.

    @gate("no_digits", summary="No row holds a digit.", explanation="...")
    class NoDigits:
        rank = 20
        remedy = "leave no_digits out"

        def check(self, candidates, setting, /):
            ...

A gate looks at the candidates of a wave in their order. What it must know (seeds, files of tests,
what was accepted before) is in the `Setting`, which it never changes: so a wave that is repeated
after a crash comes to the same end. A plug-in names it under the entry point group `querist.gate`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from querist.tools.registry import Declaration, Registry

__all__ = ["GATES", "Candidate", "Finding", "Gate", "Setting", "gate"]

_GROUP = "querist.gate"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A written row, before anybody decided on it."""

    record: Mapping[str, Any]
    text: str
    """The record's values as one text."""
    label: str | None = None
    quote: str = ""
    """What it says it rests on, word for word, in the passage."""
    passage: str = ""
    call: str = ""
    """Which call wrote it: rows of one call share it; "" where that is not known any more."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a gate found."""

    passed: bool
    reason: str = ""
    """Why not, in words that a writer can learn from."""
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """What gates may look at."""

    seeds: Sequence[str] = ()
    """Texts that the rows are written after, and the pool's."""
    tests: Sequence[str] = ()
    """Texts that the rows must not give away."""
    labelled: Sequence[tuple[str, str]] = ()
    """Seeds with their labels."""
    wanted: Sequence[str] = ()
    """Labels that rows are wanted of; those of the seeds where nothing is said."""
    accepted: Sequence[str] = ()
    """Texts accepted in earlier waves."""
    schema: Mapping[str, Any] | None = None
    """A JSON schema of a record."""
    embed: Callable[[Sequence[str]], NDArray[np.float32]] | None = None
    """Texts to (N, d) vectors of length 1."""
    memo: dict[str, Any] = field(default_factory=dict)
    """Whatever a gate computes from the rest and wants to find again: it is a cache, no state."""


class Gate(Protocol):
    """Tests written rows."""

    rank: int
    """What it costs: gates of a lower one look first."""
    remedy: str
    """What to change where it lets nothing through."""

    def check(self, candidates: Sequence[Candidate], setting: Setting, /) -> list[Finding]:
        """Give a finding for each candidate, in order.

        It is asked about none before anything is written: the time to refuse, with `InvalidInput`,
        a setting that it cannot work with.
        """


gate = Declaration[Gate](_GROUP)
"""Declare what makes a gate."""

GATES = Registry[Gate](
    "gate",
    group=_GROUP,
    modules=tuple(
        f"querist.tools.gates.{name}"
        for name in ("form", "validators", "copies", "known", "on_trial")
    ),
)
"""The gates there are that ask nobody."""
