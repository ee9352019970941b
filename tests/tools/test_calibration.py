"""Calibration: worked values of the method sheet, and simulated annotators of known bias."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from querist.memory.errors import InvalidInput
from querist.tools.compute.arrays import log_softmax
from querist.tools.opinions.calibration import (
    LabelModel,
    contextual_calibration,
    expected_calibration_error,
    fit_temperature,
)

Array = NDArray[np.float64]


def annotator(
    rows: int, *, classes: int = 4, seed: int = 0, boldness: float = 1.0, bias: float = 0.0
) -> tuple[Array, NDArray[np.intp]]:
    """Simulate log-probabilities that would be calibrated but for `boldness` and `bias`."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=rows)
    evidence = rng.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[labels]
    honest = 1.5 * evidence  # the log-likelihood ratio of unit normals 1.5 apart
    slant = bias * np.linspace(-1, 1, classes)
    return log_softmax(boldness * honest + slant), labels.astype(np.intp)


def test_ece_gives_the_sheets_worked_value() -> None:
    confidence = np.r_[np.full(10, 0.9), np.full(10, 0.6)]
    right = np.r_[np.arange(10) < 8, np.arange(10) < 6]
    probabilities = np.column_stack([confidence, 1 - confidence])
    error = expected_calibration_error(probabilities, np.where(right, 0, 1))
    assert error == pytest.approx(0.05)


def test_ece_of_nothing_is_zero() -> None:
    assert expected_calibration_error(np.empty((0, 2)), np.empty(0, dtype=int)) == 0


def test_doubled_logits_have_temperature_two() -> None:
    logits = np.log(np.array([[0.7, 0.3], [0.2, 0.8], [0.5, 0.5]]))
    soft = np.exp(logits)
    assert fit_temperature(2 * logits, soft) == pytest.approx(2.0, abs=1e-4)
    assert fit_temperature(logits, soft) == pytest.approx(1.0, abs=1e-4)


def test_temperature_weighs_rows() -> None:
    logs, labels = annotator(2000, boldness=2.0)
    halves = np.arange(2000) < 1000
    alone = fit_temperature(logs[halves], labels[halves])
    weighted = fit_temperature(logs, labels, weights=halves.astype(float))
    assert weighted == pytest.approx(alone, rel=1e-4)
    assert alone == pytest.approx(2.0, abs=0.25)


def test_all_correct_rows_do_not_freeze_the_temperature_when_it_is_held() -> None:
    logits = np.array([[3.0, 0.0], [0.0, 3.0]])
    labels = np.array([0, 1])
    assert fit_temperature(logits, labels) < 0.1
    assert 0.3 < fit_temperature(logits, labels, prior_rows=4) < 1


def test_hopeless_and_absent_evidence_stay_finite() -> None:
    assert fit_temperature(np.empty((0, 3)), np.empty(0, dtype=int)) == 1.0
    assert np.isfinite(fit_temperature(np.zeros((5, 3)), np.zeros(5, dtype=int)))
    assert np.isfinite(fit_temperature(np.full((2, 2), -1e9), np.array([0, 1])))


def test_dividing_by_the_content_free_prior_undoes_a_label_bias() -> None:
    honest = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]])
    prior = np.array([0.6, 0.3, 0.1])
    biased = honest * prior
    biased /= biased.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(contextual_calibration(biased, prior), honest, atol=1e-9)


def test_contextual_calibration_survives_zeros() -> None:
    result = contextual_calibration(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([1.0, 0.0]))
    np.testing.assert_allclose(result, [[0.5, 0.5], [1.0, 0.0]])
    with pytest.raises(InvalidInput):
        contextual_calibration(np.ones((1, 2)), np.zeros(2))
    with pytest.raises(InvalidInput):
        contextual_calibration(np.ones((1, 2)), np.ones(3))


def test_without_human_labels_the_annotator_is_taken_at_its_word() -> None:
    logs, _ = annotator(20)
    model = LabelModel.fit(np.empty((0, 4)), np.empty(0, dtype=int))
    np.testing.assert_allclose(model.predict(logs), np.exp(logs), atol=1e-9)


def test_two_human_labels_barely_move_the_map() -> None:
    logs, labels = annotator(1000, seed=1)
    moved = np.abs(LabelModel.fit(logs[:2], labels[:2]).predict(logs) - np.exp(logs))
    assert moved.mean() < 0.09


@pytest.mark.parametrize("boldness", [0.4, 3.0])
@pytest.mark.parametrize("bias", [1.0, 2.0])
@pytest.mark.parametrize("humans", [30, 80, 200])
def test_a_biased_annotator_becomes_more_honest_and_more_accurate(
    boldness: float, bias: float, humans: int
) -> None:
    before, after = _on_average(boldness=boldness, bias=bias, humans=humans)
    error, accuracy, loss = after - before
    assert loss < -0.05
    assert error < 0.005 if humans == 30 else error < 0
    assert accuracy > -0.005


@pytest.mark.parametrize("humans", [5, 10, 30, 100])
def test_an_honest_annotator_is_not_made_worse_by_more_than_noise(humans: int) -> None:
    before, after = _on_average(boldness=1.0, bias=0.0, humans=humans)
    error, accuracy, loss = after - before
    assert loss < 0.055
    assert error < 0.055
    assert accuracy > -0.01


def _on_average(*, boldness: float, bias: float, humans: int) -> tuple[Array, Array]:
    """Average (ECE, accuracy, log loss) of the raw and the mapped annotator over ten draws."""
    before, after = [], []
    for seed in range(10):
        logs, labels = annotator(2000 + humans, seed=seed, boldness=boldness, bias=bias)
        model = LabelModel.fit(logs[:humans], labels[:humans])
        rest, truth = logs[humans:], labels[humans:]
        before.append(_judge(np.exp(rest), truth))
        after.append(_judge(model.predict(rest), truth))
    return np.mean(before, axis=0), np.mean(after, axis=0)


def _judge(chances: Array, truth: NDArray[np.intp]) -> Array:
    loss = -np.log(chances[np.arange(len(truth)), truth] + 1e-12).mean()
    accuracy = (chances.argmax(axis=1) == truth).mean()
    return np.array([expected_calibration_error(chances, truth), accuracy, loss])


def test_seventy_seven_classes_and_certain_annotators_are_handled() -> None:
    logs, labels = annotator(300, classes=77, boldness=30.0)
    logs[0, 0] = -np.inf
    model = LabelModel.fit(logs, labels)
    assert np.isfinite(model.predict(logs)).all()
    assert model.p_correct(logs).max() <= 1


def test_a_row_weighs_what_it_is_told() -> None:
    logs, labels = annotator(60, boldness=3.0)
    weights = np.r_[np.ones(30), np.zeros(30)]
    alone = LabelModel.fit(logs[:30], labels[:30])
    weighted = LabelModel.fit(logs, labels, weights=weights)
    np.testing.assert_allclose(weighted.slopes, alone.slopes, atol=1e-5)
