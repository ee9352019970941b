"""The reliability experiment's figures, on cases whose truth is known."""

import numpy as np
import pytest

from querist.evals.experiments.calibration import Said, ece, honest_ece


def test_an_honest_run_is_as_far_off_as_chance_alone():
    rng = np.random.default_rng(1)
    chances = rng.uniform(0.1, 1, size=2_000)
    said = Said(chances, (rng.random(2_000) < chances).astype(float))
    assert ece(said) == pytest.approx(honest_ece(said), abs=0.012)


def test_one_that_says_ten_points_too_much_is_ten_points_off():
    rng = np.random.default_rng(2)
    chances = rng.uniform(0.3, 0.9, size=20_000)
    said = Said(chances + 0.1, (rng.random(20_000) < chances).astype(float))
    assert ece(said) == pytest.approx(0.1, abs=0.01)
    # A label below one half is named all the same.
    low = Said(np.full(1_000, 0.2), np.zeros(1_000))
    assert ece(low) == pytest.approx(0.2)
