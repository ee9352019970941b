"""Estimating a model's loss from few labels: the sheet's worked values, by enumeration."""

import itertools

import numpy as np
import pytest

from querist.memory.errors import InvalidInput
from querist.tools.opinions.active_testing import (
    draw,
    error_losses,
    log_losses,
    lure,
    lure_weights,
    proposal,
    retraining_schedule,
    running_estimates,
    surrogate_estimate,
    weighted_disagreement,
)

LOSSES = np.array([1.0, 2.0, 3.0, 10.0])


def outcomes(weights):
    """All orders of two draws without replacement: probability, estimate, plain mean."""
    for first, second in itertools.permutations(range(4), 2):
        q1 = weights[first] / weights.sum()
        q2 = weights[second] / (weights.sum() - weights[first])
        losses = LOSSES[[first, second]]
        yield q1 * q2, lure(losses, np.array([q1, q2]), 4).value, losses.mean()


@pytest.mark.parametrize(
    ("weights", "variance"),
    [(np.ones(4), 4.1667), (np.array([1.0, 2, 3, 6]), 0.2469), (LOSSES, 0.0)],
)
def test_lure_is_unbiased_whatever_the_proposal(weights, variance):
    p, found, _ = map(np.array, zip(*outcomes(weights), strict=True))
    assert p.sum() == pytest.approx(1)
    assert p @ found == pytest.approx(4.0)
    assert p @ (found - 4) ** 2 == pytest.approx(variance, abs=1e-4)


def test_the_plain_mean_is_biased():
    p, _, plain = map(np.array, zip(*outcomes(np.array([1.0, 2, 3, 6])), strict=True))
    assert p @ plain == pytest.approx(5.4293, abs=1e-4)


def test_the_worked_weights():
    assert lure_weights(np.array([0.5, 0.25]), 4) == pytest.approx([2 / 3, 4 / 3])
    assert lure_weights(np.array([0.9, 0.1, 0.5]), 3).tolist() == [1, 1, 1]
    uniform = np.array([1 / (10 - m) for m in range(6)])
    assert lure_weights(uniform, 10) == pytest.approx(np.ones(6))


def test_a_probability_of_nought_is_refused():
    with pytest.raises(InvalidInput, match="above 0"):
        lure_weights(np.array([0.5, 0.0]), 4)
    with pytest.raises(InvalidInput, match="Nothing is labelled"):
        lure(np.empty(0), np.empty(0), 4)


def test_the_worked_disagreement_and_surrogate_estimate():
    model = np.array([[0.8, 0.2]])
    draws = np.array([[[0.9, 0.1], [0.5, 0.5]]])
    assert weighted_disagreement(draws, log_losses(model)) == pytest.approx([0.12359], abs=1e-5)
    mean = draws.mean(axis=1)
    assert surrogate_estimate(mean, log_losses(model)) == pytest.approx(0.63903, abs=1e-5)
    same = np.repeat(draws[:, :1], 3, axis=1)
    assert weighted_disagreement(same, log_losses(model)) == pytest.approx([0], abs=1e-12)


def test_disagreement_is_never_negative():
    rng = np.random.default_rng(0)
    draws = rng.dirichlet(np.ones(4) * 0.3, size=(200, 6))
    model = rng.dirichlet(np.ones(4) * 0.3, size=200)
    assert (weighted_disagreement(draws, log_losses(model)) >= 0).all()
    # Not by clipping: the unclipped score is concave too.
    plain = weighted_disagreement(draws, np.ones_like(model))
    assert (plain > 0).mean() > 0.99


def test_known_losses_replace_the_surrogates():
    model, surrogate = np.array([[0.8, 0.2], [0.6, 0.4]]), np.array([[0.5, 0.5], [0.5, 0.5]])
    losses = error_losses(model)
    assert losses.tolist() == [[0, 1], [0, 1]]
    assert surrogate_estimate(surrogate, losses) == 0.5
    known = surrogate_estimate(surrogate, losses, labelled=np.array([0]), gold=np.array([1]))
    assert known == 0.75


def test_a_proposal_goes_by_expected_loss_and_leaves_nobody_out():
    surrogate = np.array([[1.0, 0], [0.5, 0.5], [0, 1.0], [1.0, 0]])
    model = np.array([[0.9, 0.1]] * 4)
    shares = proposal(surrogate, error_losses(model), floor=0.1)
    assert shares.sum() == pytest.approx(1)
    assert shares.min() >= 0.1 / 4 / 1.1
    assert shares.argmax() == 2
    flat = proposal(surrogate[[0, 0]], error_losses(model[:2]))
    assert flat.tolist() == [0.5, 0.5]
    assert proposal(surrogate, log_losses(model)).argmax() == 2


def test_drawing_tells_the_probability_and_follows_the_seed():
    shares = np.array([0.2, 0.5, 0.3])
    place, q = draw(shares, np.random.default_rng(0))
    assert q == shares[place]
    assert draw(shares, np.random.default_rng(0)) == (place, q)


def test_the_estimate_settles_and_says_how_sure_it_is():
    found = running_estimates([1.0, 0.0, 1.0], [0.25, 1 / 3, 0.5], 4)
    assert [estimate.value for estimate in found] == pytest.approx([1, 0.5, 2 / 3])
    assert np.isnan(found[0].error)
    low, high = found[2].interval
    assert low < 2 / 3 < high


def test_the_surrogate_is_retrained_at_doubling_counts():
    assert retraining_schedule(50) == (5, 10, 20, 40)


def drawn_pool(rng, *, size, labels, accuracy, trust, noise):
    """Draw by a surrogate that errs: losses of those drawn, their chances, and the true mean."""
    doubt = rng.normal(size=size) * 1.5
    shift = np.linspace(-8, 4, 1201)
    means = (1 / (1 + np.exp(-(doubt[:, None] + shift[::25])))).mean(axis=0)
    logit = doubt + np.interp(1 - accuracy, means, shift[::25])
    wrong = (rng.random(size) < 1 / (1 + np.exp(-logit))).astype(float)
    expected = 1 / (1 + np.exp(-(trust * logit + noise * rng.normal(size=size))))
    left, rows, chances = np.arange(size), [], []
    for _ in range(labels):
        surrogate = np.stack([1 - expected[left], expected[left]], axis=1)
        place, chance = draw(proposal(surrogate, np.array([[0.0, 1.0]]).repeat(len(left), 0)), rng)
        rows.append(left[place])
        chances.append(chance)
        left = np.delete(left, place)
    return wrong[rows], np.array(chances), wrong.mean()


@pytest.mark.parametrize(("trust", "noise"), [(1, 0.3), (1, 1.5), (3, 1)])
@pytest.mark.parametrize(("accuracy", "low", "high"), [(0.6, 0.86, 0.95), (0.8, 0.86, 0.95)])
def test_the_interval_covers_the_truth_as_often_as_it_says(trust, noise, accuracy, low, high):
    rng, covered = np.random.default_rng(5), []
    for _ in range(200):
        losses, chances, truth = drawn_pool(
            rng, size=400, labels=60, accuracy=accuracy, trust=trust, noise=noise
        )
        start, end = lure(losses, chances, 400).interval
        covered.append(start <= truth <= end)
    assert low <= np.mean(covered) <= high


@pytest.mark.parametrize(("trust", "noise"), [(1, 1.5), (3, 1)])
def test_few_errors_make_the_interval_too_wide_rather_than_too_narrow(trust, noise):
    rng, covered = np.random.default_rng(6), []
    for _ in range(150):
        losses, chances, truth = drawn_pool(
            rng, size=400, labels=50, accuracy=0.92, trust=trust, noise=noise
        )
        start, end = lure(losses, chances, 400).interval
        covered.append(start <= truth <= end)
    assert np.mean(covered) >= 0.9


def test_no_error_at_all_leaves_room_for_some_and_all_labels_leave_none():
    found = lure(np.zeros(50), np.full(50, 1 / 400), 400)
    assert found.low == 0
    assert 0.01 < found.high < 0.1
    assert lure(np.array([1.0, 0.0]), np.array([0.5, 1.0]), 2).interval == (0.5, 0.5)
