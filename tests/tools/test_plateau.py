"""Plateaus and forecasts: the sheet's worked values, noise, and curves too short to judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from querist.evals.simulations.plateau import simulate_hits, stopping_round
from querist.memory.errors import InvalidInput
from querist.tools.opinions.plateau import (
    fit_learning_curve,
    learning_curve_forecast,
    paired_gain,
    plateau,
)

WORKED = [0.70, 0.78, 0.82, 0.821, 0.8215, 0.822]


def test_the_worked_curve_stops_at_its_sixth_value_and_not_earlier() -> None:
    stops = [plateau(WORKED[:size], window=3, delta=0.005).reached for size in range(7)]
    assert stops == [False] * 6 + [True]
    assert plateau(WORKED, window=3, delta=0.005).gain == pytest.approx(0.002)


def test_a_gain_of_exactly_delta_is_not_more_than_delta() -> None:
    assert plateau([0.82, 0.822], window=1, delta=0.002).reached


def test_reasons_are_in_words() -> None:
    assert "2 of the 4 rounds" in plateau([0.1, 0.2]).reason
    assert "improved by only 0.0020" in plateau(WORKED, delta=0.005).reason
    assert "still improved" in plateau([0.1, 0.2, 0.3, 0.4]).reason
    guarded = plateau([0.8] * 6, standard_errors=[0.04] * 6)
    assert "may still exceed" in guarded.reason


def test_noise_keeps_the_guard_from_stopping() -> None:
    flat = [0.80, 0.81, 0.80, 0.80, 0.80, 0.80]
    assert not plateau(flat, standard_errors=[0.04] * 6).reached
    assert plateau(flat, standard_errors=[0.0005] * 6).reached
    assert plateau(flat, standard_errors=[0.01] * 6, delta=0.02).reached


def test_the_guard_waits_for_two_windows() -> None:
    assert not plateau([0.8] * 5, standard_errors=[0.0] * 5).reached
    assert plateau([0.8] * 6, standard_errors=[0.0] * 6).reached


def test_old_rounds_are_taken_as_independent_and_the_reason_says_so() -> None:
    verdict = plateau([0.8] * 6, standard_errors=[0.03] * 6, window=3, confidence=0.9)
    # 0.03 * sqrt(6) / 3 standard errors of the gain, times the normal quantile 1.2816.
    assert "at most 0.0314 with 90%" in verdict.reason
    assert "taken as independent" in verdict.reason


def test_the_paired_error_has_its_worked_value() -> None:
    hits = np.array([[1, 0, 1, 1], [1, 1, 0, 1]])
    gain, error = paired_gain(hits, window=1)
    assert gain == 0
    # Changes 0, 1, -1, 0 and the two rows that are added: (2 + 2) / 3 / 4.
    assert error == pytest.approx(np.sqrt(1 / 3))


@pytest.mark.parametrize("rows", [60, 150, 300])
@pytest.mark.parametrize("step", [0.0, 0.005, 0.02])
def test_the_paired_interval_covers_the_true_gain(rows: int, step: float) -> None:
    rng = np.random.default_rng(rows)
    curve = 0.75 + step * np.arange(6.0)
    truth = 3 * step
    covered = []
    for _ in range(600):
        gain, error = paired_gain(simulate_hits(curve, rows, rng), window=3)
        covered.append(abs(gain - truth) <= 1.645 * error)
    assert 0.87 <= np.mean(covered) <= 0.95


def test_hits_correlate_from_round_to_round_as_it_is_said() -> None:
    hits = simulate_hits(np.full(4, 0.8), 20_000, np.random.default_rng(0))
    correlation = np.corrcoef(hits)
    assert correlation[0, 1] == pytest.approx(0.82, abs=0.02)
    assert correlation[0, 3] == pytest.approx(0.71, abs=0.02)


def test_a_rising_curve_is_rarely_stopped_and_a_flat_one_is_in_time() -> None:
    rng = np.random.default_rng(0)
    rule = {"window": 3, "delta": 0.01, "confidence": 0.8}

    def stopped(step: float, within: int) -> float:
        curve = 0.75 + step * np.arange(10.0)
        rounds = [stopping_round(simulate_hits(curve, 200, rng), **rule) for _ in range(200)]
        return float(np.mean([done <= within for done in rounds]))

    assert stopped(0.0, 6) >= 0.35
    assert stopped(0.0, 10) >= 0.75
    assert stopped(0.005, 6) <= 0.2
    assert stopped(0.02, 10) <= 0.02


@pytest.mark.parametrize(
    ("curve", "options"),
    [
        ([0.1, float("nan")], {}),
        ([0.1], {"window": 0}),
        ([0.1, 0.2], {"standard_errors": [0.1]}),
        ([0.1, 0.2], {"hits": np.ones((2, 1)), "window": 1}),
    ],
)
def test_curves_that_cannot_be_read_are_refused(
    curve: list[float], options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput):
        plateau(curve, **options)


def test_the_forecast_gives_the_sheets_worked_values() -> None:
    counts = [50, 100, 150, 200, 300, 400]
    metrics = [1 - (0.08 + 0.6 * count**-0.5) for count in counts]
    curve = fit_learning_curve(counts, metrics)
    assert (curve.floor, curve.amplitude, curve.decay) == pytest.approx((0.08, 0.6, 0.5), abs=1e-6)
    assert learning_curve_forecast(counts, metrics, at=400) == pytest.approx(1 - 0.11, abs=1e-4)
    assert learning_curve_forecast(counts, metrics, at=500) == pytest.approx(1 - 0.1068, abs=1e-4)


def test_few_points_are_forecast_soberly() -> None:
    assert learning_curve_forecast([100], [0.7], at=1000) == pytest.approx(0.7)
    two = learning_curve_forecast([50, 100], [0.60, 0.70], at=1000)
    assert 0.7 < two < 0.95
    falling = learning_curve_forecast([50, 100, 150], [0.8, 0.7, 0.75], at=1000)
    assert falling == pytest.approx(0.75)


def test_forecasts_stay_between_zero_and_one_and_never_fall() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        size = int(rng.integers(2, 9))
        counts = np.sort(rng.integers(1, 500, size=size)).tolist()
        metrics = rng.random(size).tolist()
        curve = fit_learning_curve(counts, metrics)
        values = [curve.metric_at(count) for count in (0, 1, 10, 1000, 10**9)]
        assert values == sorted(values)
        assert min(values) >= 0
        assert max(values) <= 1


def test_a_curve_without_points_is_refused() -> None:
    with pytest.raises(InvalidInput):
        fit_learning_curve([], [])
