"""Class-balanced self-training: what it takes, when it is used, and how sure it is afterwards."""

import numpy as np

from querist.tools.opinions.calibration import expected_calibration_error
from querist.tools.training.proxy import LinearHead
from querist.tools.training.self_training import SelfTraining, surest_rows

SIX = (1 / 6,) * 6


def clouds(rng, count, shares, spread=1.0):
    """Draw rows around one centre a class, in 40 dimensions."""
    centres = np.zeros((len(shares), 40))
    centres[np.arange(len(shares)), np.arange(len(shares))] = 2.5
    truth = rng.choice(len(shares), size=count, p=shares)
    rows = centres[truth] + spread * rng.normal(size=(count, 40))
    return rows.astype(np.float32), truth


def test_the_surest_are_taken_in_equal_parts():
    chances = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3], [0.3, 0.7], [0.95, 0.05]])
    assert surest_rows(chances, share=0.5).tolist() == [0, 4, 5]


def test_it_learns_more_of_six_classes_and_stays_honest():
    gains, errors = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        inputs, truth = clouds(rng, 60, SIX)
        pool, _ = clouds(rng, 1_000, SIX)
        test, wanted = clouds(rng, 2_000, SIX)
        targets = np.eye(6)[truth]
        models = (
            LinearHead().fit(inputs, targets, seed=seed),
            SelfTraining().fit(inputs, targets, pool, seed=seed),
        )
        right = [(m.predict_proba(test).argmax(axis=1) == wanted).mean() for m in models]
        gains.append(right[1] - right[0])
        errors.append(expected_calibration_error(models[1].predict_proba(test), np.eye(6)[wanted]))
    assert np.mean(gains) > 0.03
    assert np.mean(errors) < 0.08


def test_it_is_left_where_held_out_labels_are_likelier_without_it():
    rng = np.random.default_rng(0)
    inputs, truth = clouds(rng, 100, (0.5, 0.5))
    # The pool is of another kind altogether: what it teaches is wrong.
    pool = np.concatenate([-inputs[:, ::-1], 5 * rng.normal(size=(400, 40))]).astype(np.float32)
    targets = np.eye(2)[truth]
    plain = LinearHead().fit(inputs, targets)
    found = SelfTraining().fit(inputs, targets, pool)
    assert np.array_equal(found.coefficients, plain.coefficients)


def test_few_judges_or_no_pool_leave_the_plain_head():
    rng = np.random.default_rng(0)
    inputs, truth = clouds(rng, 60, (0.5, 0.5))
    targets, pool = np.eye(2)[truth], clouds(rng, 100, (0.5, 0.5))[0]
    plain = LinearHead().fit(inputs, targets)
    for found in (
        SelfTraining().fit(inputs, targets, pool[:0]),
        SelfTraining().fit(inputs, targets, pool, judges=np.arange(29)),
    ):
        assert np.array_equal(found.coefficients, plain.coefficients)
