"""Two ways of answering compared on the same examples."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class PairedDifference(NamedTuple):
    """By how much the share that is right differs, with its interval; 0.01 is a point."""

    points: float
    low: float
    high: float


def paired_difference(
    before: NDArray[np.bool_], after: NDArray[np.bool_], *, level: float = 0.9
) -> PairedDifference:
    """Compare who is right on the same N examples, `before` (N,) and `after` (N,).

    The interval is Agresti and Min's (2005, Statistics in Medicine 24: 729-740): that of Wald with
    half an example added to each of the four cells. It holds for few examples and few differences,
    where Wald's is too narrow, and where nothing differs it is not a point. `points` is the plain
    difference; N must be at least 1.
    """
    total = len(before)
    won = int((~before & after).sum())
    lost = int((before & ~after).sum())
    size, gained, given = total + 2, won + 0.5, lost + 0.5
    middle = (gained - given) / size
    spread = math.sqrt(max(0.0, (gained + given) - (gained - given) ** 2 / size)) / size
    reach = NormalDist().inv_cdf(0.5 + level / 2) * spread
    low, high = max(-1.0, middle - reach), min(1.0, middle + reach)
    return PairedDifference((won - lost) / total, low, high)
