"""How much each source counts is what loses least, within the bounds, on any machine."""

import numpy as np
import pytest
from scipy.optimize import minimize

from querist.tools.compute.arrays import log_softmax
from querist.tools.opinions.pooling import SPREAD, OpinionPool


def by_another_solver(opinions, labels, start, weights):
    logs, rows = np.log(np.maximum(opinions, 1e-6)), np.arange(len(labels))

    def loss(trial):
        pooled = log_softmax(np.tensordot(trial, logs, axes=1))
        penalty = np.square((trial - start) / SPREAD).sum() / 2
        return penalty - weights @ pooled[rows, labels]

    bounds = [(0.0, 3.0)] * len(start)
    return minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14}).x


@pytest.mark.parametrize("seed", range(12))
def test_the_weights_are_those_of_another_solver(seed):
    rng = np.random.default_rng(seed)
    rows, classes, sources = (int(rng.integers(*span)) for span in ((1, 200), (2, 20), (1, 5)))
    labels = rng.integers(0, classes, rows)
    # From sources that are nearly always right to ones that are nearly always wrong.
    lift = rng.choice([-5.0, 0.0, 1.0, 5.0, 40.0], sources)
    logits = rng.normal(size=(sources, rows, classes)) * rng.choice([0.1, 1.0, 9.0])
    logits[:, np.arange(rows), labels] += lift[:, None]
    opinions = np.exp(log_softmax(logits))
    start, weights = rng.choice([0.0, 0.3, 1.0, 3.0], sources), rng.random(rows)
    found = OpinionPool.fit(list(opinions), labels, start=start, weights=weights).weights
    wanted = by_another_solver(opinions, labels, start, weights)
    assert found == pytest.approx(wanted, abs=2e-3)
    assert ((found >= 0) & (found <= 3)).all()


def test_who_is_mostly_wrong_is_ignored_and_never_believed_in_reverse():
    labels = np.zeros(1_000, dtype=np.intp)
    wrong, right = np.tile([0.1, 0.9], (1_000, 1)), np.tile([0.9, 0.1], (1_000, 1))
    pool = OpinionPool.fit([wrong, right], labels, start=(1.0, 1.0))
    assert pool.weights[0] == 0
    assert pool.weights[1] > 1


def test_without_a_labelled_row_the_weights_are_those_to_begin_with():
    pool = OpinionPool.fit([np.empty((0, 2))], np.empty(0, dtype=np.intp), start=(0.3,))
    assert pool.weights == pytest.approx([0.3])
