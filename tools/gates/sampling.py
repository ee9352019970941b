"""Acceptance sampling: how many wrong rows in a sample still speak for the lot.

A single sampling plan for a limiting quality (Dodge and Romig, 1929; ISO 2859-2): a lot whose error
is as high as the bound, or higher, passes with a chance of a tenth at most.
"""

from __future__ import annotations

from math import comb

_RISK = 0.1
"""The consumer's risk: that a lot at the bound passes."""


def most_wrong(sample: int, bound: float) -> int:
    """Give the most wrong rows with which a lot passes; -1 where even none would not do.

    `bound` is the error that must not be reached, between 0 and 1.
    """
    chance, allowed = 0.0, -1
    for wrong in range(sample + 1):
        chance += comb(sample, wrong) * bound**wrong * (1 - bound) ** (sample - wrong)
        if chance > _RISK:
            break
        allowed = wrong
    return allowed


def least_sample(bound: float) -> int:
    """Give the smallest sample that can pass at all, with no wrong row in it."""
    sample = 1
    while most_wrong(sample, bound) < 0:
        sample += 1
    return sample
