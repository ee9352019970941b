"""The contract of `StoppingRule`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from querist.tools.compute.arrays import IntArray
from querist.tools.opinions.stopping import History, StoppingRule

_ROUNDS = 20
_SAMPLE = 1_000


def check_stopping_rule(make: Callable[..., StoppingRule]) -> None:
    """Check what every stopping rule promises; `make` makes one, an entry for instance.

    It says why; it never stops without rounds, nor while a curve rises steeply and predictions
    still change; it repeats itself; and where it has a `window`, a longer one stops no earlier.
    """
    rule = make()
    assert rule.name, "A stopping rule has a name."
    nothing = History(metrics=())
    assert not rule.judge(nothing).reached, f"{rule.name} stops before the first round."
    rising = [0.3 + 0.03 * number for number in range(_ROUNDS)]
    changing = np.random.default_rng(0).integers(0, 3, size=(_ROUNDS, _SAMPLE))
    stopped = _first_stop(rule, rising, changing)
    assert stopped is None, f"{rule.name} stops in round {stopped} of a curve that still rises."
    flat = [*rising[:5], *([rising[4]] * (_ROUNDS - 5))]
    settled = np.concatenate([changing[:5], np.repeat(changing[4:5], _ROUNDS - 5, axis=0)])
    for count in range(1, _ROUNDS + 1):
        seen = _history(flat, settled, count)
        first, second = rule.judge(seen), rule.judge(seen)
        assert first == second, f"{rule.name} said two things of one history."
        assert first.reason, f"{rule.name} must say why, also where it goes on."
    if "window" in getattr(getattr(make, "parameters", None), "model_fields", ()):
        stops = [_first_stop(make(window=window), flat, settled) for window in (2, 3, 4, 5)]
        rounds = [_ROUNDS + 1 if stop is None else stop for stop in stops]
        assert rounds == sorted(rounds), (
            f"{rule.name} with windows of 2 to 5 stops in rounds {stops}: a longer window must "
            "not stop earlier."
        )


def _first_stop(rule: StoppingRule, metrics: list[float], predictions: IntArray) -> int | None:
    for count in range(1, len(metrics) + 1):
        if rule.judge(_history(metrics, predictions, count)).reached:
            return count
    return None


def _history(metrics: list[float], predictions: IntArray, count: int) -> History:
    seen = predictions[:count]
    return History(
        metrics=tuple(metrics[:count]),
        standard_errors=(0.001,) * count,
        predictions=lambda last: seen[-last:],
    )
