"""Stopping rules: what each reads of a run's history."""

from __future__ import annotations

import numpy as np
import pytest

from querist.tools.opinions.stopping import STOPPING_RULES, History, agreement

RISING = (0.70, 0.78, 0.82, 0.821, 0.8215, 0.822)


def history(*models: list[int]) -> History:
    stacked = np.array(models, dtype=np.intp)
    return History(metrics=(), predictions=lambda count: stacked[-count:])


def test_kappa_has_its_textbook_values() -> None:
    first = np.repeat([0, 0, 1, 1], [45, 5, 5, 45])
    second = np.repeat([0, 1, 0, 1], [45, 5, 5, 45])
    assert agreement(first, second) == pytest.approx(0.80)
    balanced = np.repeat([0, 1], 50)
    flipped = balanced.copy()
    flipped[0] = 1
    assert agreement(balanced, flipped) == pytest.approx(0.98)
    assert agreement(np.zeros(4, dtype=int), np.zeros(4, dtype=int)) == 1


def test_the_plateau_is_reached_with_the_sixth_value_and_not_before() -> None:
    rule = STOPPING_RULES.read("plateau(window=3, delta=0.005)")
    assert rule.judge(History(RISING)).reached
    assert not rule.judge(History(RISING[:5])).reached


def test_predictions_that_settle_stop_the_loop() -> None:
    rule = STOPPING_RULES.read("stabilizing(window=2)")
    settled = [0, 1, 1, 0]
    assert not rule.judge(history([1, 1, 0, 0], settled, settled)).reached
    assert rule.judge(history([1, 1, 0, 0], settled, settled, settled)).reached


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (History(metrics=()), "no predictions"),
        (history([0, 1], [0, 1]), "2 of the 4 models"),
        (history(*[[1, 1]] * 4), "one class only"),
    ],
)
def test_a_rule_that_cannot_tell_goes_on(seen: History, words: str) -> None:
    verdict = STOPPING_RULES.read("stabilizing").judge(seen)
    assert not verdict.reached
    assert words in verdict.reason
