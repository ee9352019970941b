"""Preference: which of two responses is better, or neither.

The last two fields are the responses, what comes before them is what they respond to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from querist.memory.answers import Preference
from querist.memory.records import Example, LabelClass
from querist.tools.compute.arrays import FloatArray, unit_rows
from querist.tools.kinds.closed import SingleChoice
from querist.tools.kinds.port import Kind, kind

_FIRST, _SECOND, _TIE = "a", "b", "tie"


def _prefer(name: str) -> Preference:
    return Preference(cast("Literal['a', 'b', 'tie']", name))


@dataclass(frozen=True)
class _PreferenceKind(SingleChoice):
    def parts(self, example: Example) -> tuple[str, ...]:
        """Embed each response by itself; what they respond to is the same for both."""
        *_, first, second = ("", "", *example.fields.values())
        return (first, second)

    def join(self, vectors: Sequence[FloatArray]) -> FloatArray:
        """Take their difference, and how large it is: swapped responses swap the answer (N, 2d)."""
        first, second = vectors
        away = first - second
        return unit_rows(np.concatenate([away, np.abs(away)], axis=1))


_KIND = _PreferenceKind(
    "preference",
    metric="agreement on preferences",
    make=_prefer,
    labels=(
        LabelClass(_FIRST, "the first response is better"),
        LabelClass(_SECOND, "the second response is better"),
        LabelClass(_TIE, "they are equally good"),
    ),
    only=(_FIRST, _SECOND, _TIE),
    fields="two columns of responses, after what they respond to",
    fewest_fields=2,
)


@kind("preference", summary="Which of two responses is better.")
def preference() -> Kind:
    """Give the kind."""
    return _KIND
