"""Tell whether the interval of an accuracy corrected for people's errors holds the true one.

    python -m querist.evals.simulations.second_opinions

People and model are simulated, so the truth is known; each line is 500 samples of 200 texts with
four labels, half of the texts answered twice, disputes settled by a third person. People err on
10 %, the model on 15 %. The last lines break what the correction assumes: a part of people's errors
is shared, as where a text misleads everybody to the same wrong label, and the model errs there too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from querist.tools.compute.arrays import IntArray
from querist.tools.opinions.agreement import Doubled, corrected_accuracy

_RUNS, _TEXTS, _CLASSES = 500, 200, 4
_ERROR, _ACCURACY, _DOUBLED = 0.1, 0.85, 0.5


@dataclass(frozen=True, slots=True)
class Case:
    """What is simulated."""

    words: str
    common: float = 0.0
    """The share of the first label beyond its equal part."""
    shared: float = 0.0
    """The share of people's errors that all of them make."""
    is_misled: bool = False
    """The model errs where people do."""


_CASES = (
    Case("people err independently"),
    Case("the same, one label on 70 % of texts", common=0.6),
    Case("a quarter of their errors is shared", shared=0.25),
    Case("half is", shared=0.5),
    Case("a quarter is, and the model errs there too", shared=0.25, is_misled=True),
    Case("half is, and the model errs there too", shared=0.5, is_misled=True),
)


def _simulate(case: Case, *, seed: int = 0) -> tuple[float, float, float]:
    """Give the share of intervals that hold the truth, and the mean errors, corrected and raw."""
    rng = np.random.default_rng(seed)
    chances = np.full(_CLASSES, (1 - case.common) / _CLASSES)
    chances[0] += case.common
    held, errors, raw = 0, [], []
    for _ in range(_RUNS):
        truth = rng.choice(_CLASSES, size=_TEXTS, p=chances)
        trap = (truth + rng.integers(1, _CLASSES, _TEXTS)) % _CLASSES
        is_hard = rng.random(_TEXTS) < _ERROR * case.shared
        left = 1 - _ERROR * case.shared
        error = (_ERROR - _ERROR * case.shared) / left
        first, second, third = (np.where(is_hard, trap, _say(rng, truth, error)) for _ in range(3))
        model = _say(rng, truth, 1 - _ACCURACY)
        if case.is_misled:
            own = (1 - _ACCURACY - _ERROR * case.shared) / left
            model = np.where(is_hard, trap, _say(rng, truth, own))
        is_doubled = rng.random(_TEXTS) < _DOUBLED
        differ = is_doubled & (first != second)
        hits = int((model == np.where(differ, third, first)).sum())
        checked = Doubled(
            single=int((~is_doubled).sum()),
            agreed=int((is_doubled & ~differ).sum()),
            settled=int(differ.sum()),
        )
        found = corrected_accuracy(hits, checked, classes=_CLASSES)
        assert found is not None
        held += found.accuracy.low <= _ACCURACY <= found.accuracy.high
        errors.append(found.accuracy.value - _ACCURACY)
        raw.append(hits / _TEXTS - _ACCURACY)
    return held / _RUNS, float(np.mean(errors)), float(np.mean(raw))


def _say(rng: np.random.Generator, truth: IntArray, error: float) -> IntArray:
    is_wrong = rng.random(len(truth)) < error
    other = (truth + rng.integers(1, _CLASSES, len(truth))) % _CLASSES
    return np.where(is_wrong, other, truth)


def main() -> None:
    """Print a table in Markdown."""
    print("| people | holds the truth | error, corrected | error, agreement with people |")
    print("|---|---|---|---|")
    for case in _CASES:
        held, error, raw = _simulate(case)
        print(f"| {case.words} | {held:.0%} | {100 * error:+.1f} | {100 * raw:+.1f} |")


if __name__ == "__main__":
    main()
