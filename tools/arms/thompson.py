"""Thompson sampling on accepted rows per dollar.

An arm is a way to write (a method for a class); what it earns is the share of its rows that are
accepted, what it costs is known only as it is played. Each choice draws a share from each arm's
posterior (Thompson, 1933; Chapelle and Li, 2011) and takes the highest per dollar.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_TRUST = 4.0
"""Rows that what is known of all arms together counts for, before an arm has rows of its own."""


@dataclass(frozen=True, slots=True)
class Tries:
    """What came of an arm."""

    written: int = 0
    accepted: int = 0
    usd: float = 0.0

    def plus(self, *, written: int, accepted: int, usd: float) -> Tries:
        """Add what came of another try."""
        return Tries(self.written + written, self.accepted + accepted, self.usd + usd)


def choose_by_yield(
    arms: Sequence[Hashable],
    known: Mapping[Hashable, Tries],
    *,
    rng: np.random.Generator,
) -> int:
    """Choose among arms (their place is given), those included that nobody tried yet.

    The prior is a Beta distribution about the share of all arms, worth four rows. A row of an arm
    costs its mean so far; of one that was not tried, the mean of all. Where nothing costs anything
    the share alone decides.
    """
    total = Tries()
    for tries in known.values():
        total = total.plus(written=tries.written, accepted=tries.accepted, usd=tries.usd)
    share = (total.accepted + 1) / (total.written + 2)
    usual = total.usd / total.written if total.written else 0.0
    best, highest = 0, -1.0
    for place, arm in enumerate(arms):
        tries = known.get(arm, Tries())
        failed = tries.written - tries.accepted
        drawn = rng.beta(_TRUST * share + tries.accepted, _TRUST * (1 - share) + failed)
        each = (tries.usd + _TRUST * usual) / (tries.written + _TRUST)
        value = drawn / each if each > 0 else drawn
        if value > highest:
            best, highest = place, value
    return best
