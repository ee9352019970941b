"""A gate by trial training: a wave's rows stay only if learning from them does no harm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from querist.memory.errors import InvalidInput
from querist.tools.gates.port import Candidate, Finding, Setting, gate
from querist.tools.training.proxy import cross_fit

_FEWEST = 10
"""Labelled seeds that nothing can be measured on."""


@gate(
    "trial",
    summary="Training with a wave's rows, too, is no worse on the labelled seeds, held out.",
    cost="an embedding a row, and two fits a wave",
    citation="Ghorbani & Zou, Data Shapley, 2019, for the idea of valuing rows by training",
    explanation="One verdict for all rows of a wave that got this far, with the measured "
    "difference. It finds waves that mislead, and no single row. With few seeds it is mostly "
    "noise: of 100 seeds one is a point.",
)
class Trial:
    """Fits a linear head on the seeds with and without the rows."""

    rank = 50

    def __init__(self, *, least: Annotated[float, Field(ge=-1, le=1)] = -0.02) -> None:
        """`least` is the change of accuracy (a share) that the rows must bring; it may be lost."""
        self._least = least
        self.remedy = f"lower trial(least={least}), give more labelled seeds, or leave trial out"

    def check(self, candidates: Sequence[Candidate], setting: Setting, /) -> list[Finding]:
        """Train, and compare: every seed is predicted by models that did not see it."""
        if setting.embed is None:
            raise InvalidInput("The gate trial needs an embedder.")
        names = sorted({label for _, label in setting.labelled})
        texts = [candidate.text for candidate in candidates]
        labels = [candidate.label for candidate in candidates]
        strange = sorted({*map(str, labels), *setting.wanted} - {*names})
        if len(setting.labelled) < _FEWEST or len(names) < 2 or strange:
            lack = f"none is labelled {strange[0]}" if strange else f"{len(setting.labelled)} are"
            raise InvalidInput(
                f"The gate trial measures on labelled seeds, at least {_FEWEST} of two classes or "
                f"more, and {lack}. Name more in seeds.file, or leave trial out."
            )
        seeds = setting.embed([text for text, _ in setting.labelled])
        truth = np.array([names.index(label) for _, label in setting.labelled])
        if "trial" not in setting.memo:
            setting.memo["trial"] = _accuracy(seeds, truth, truth)
        before: float = setting.memo["trial"]
        if not candidates:
            return []
        written = np.array([names.index(str(label)) for label in labels])
        rows = np.concatenate([seeds, setting.embed(texts)])
        after = _accuracy(rows, np.concatenate([truth, written]), truth)
        change = after - before
        passed = change >= self._least
        reason = "" if passed else (
            f"training with these {len(texts)} rows changes accuracy on {len(truth)} seeds by "
            f"{100 * change:+.1f} points ({before:.1%} to {after:.1%})"
        )  # fmt: skip
        return [Finding(passed=passed, reason=reason, score=change) for _ in candidates]


def _accuracy(
    rows: NDArray[np.float32], labels: NDArray[np.intp], truth: NDArray[np.intp]
) -> float:
    """Measure on the first rows, held out, which the others help to teach."""
    targets = np.zeros((len(rows), int(labels.max()) + 1), dtype=np.float32)
    targets[range(len(rows)), labels] = 1
    held_out = cross_fit(rows, targets, score_rows=np.arange(len(truth)))
    return float((held_out.argmax(axis=1) == truth).mean())
