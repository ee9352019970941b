"""What keeps methods of quadratic cost usable on large pools."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from querist.tools.strategies.querying import QueryContext


def drawn_rows(context: QueryContext, limit: int) -> NDArray[np.intp]:
    """Draw `limit` candidates evenly, in pool order; all of them where there are no more.

    A pool within the limit is thus treated exactly, and draws nothing from the generator.
    """
    count = len(context.ids)
    if count <= limit:
        return np.arange(count)
    return np.sort(context.rng.choice(count, size=limit, replace=False))
