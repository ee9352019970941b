"""SAL: simulated labels, and its equality with G-optimal design on a linear Gaussian model."""

import numpy as np
import pytest

from querist.agents.selector.strategies.simulation import (
    label_variance,
    numeric_variance,
    sal,
    simulate,
)
from querist.memory.records import Example, ExampleId


class LinearGaussian:
    """Bayesian linear regression: answers are drawn, variances are exact."""

    def __init__(self, rng, prior=1.0):
        self.rng, self.prior = rng, prior

    def precision(self, history, width):
        rows = np.array([x for x, _ in history]).reshape(-1, width)
        return self.prior * np.eye(width) + rows.T @ rows

    def draw(self, inputs, history, number):
        return [float(self.rng.normal()) for _ in inputs]

    def variances(self, targets, histories):
        goals = np.array(targets)
        return np.array(
            [
                np.einsum(
                    "md,de,me->m", goals, np.linalg.inv(self.precision(h, goals.shape[1])), goals
                )
                for h in histories
            ]
        )


def go_picks(pool, targets, count):
    """G-optimal design by brute force."""
    precision, picks = np.eye(pool.shape[1]), []
    for _ in range(count):
        values = {
            i: max(t @ np.linalg.inv(precision + np.outer(pool[i], pool[i])) @ t for t in targets)
            for i in range(len(pool))
            if i not in picks
        }
        picks.append(min(values, key=values.get))
        precision = precision + np.outer(pool[picks[-1]], pool[picks[-1]])
    return picks


def test_with_a_linear_gaussian_model_it_is_g_optimal_design_on_a_hundred_instances():
    for seed in range(100):
        rng = np.random.default_rng(seed)
        pool, targets = rng.normal(size=(8, 3)), rng.normal(size=(4, 3))
        found = simulate(
            LinearGaussian(rng), list(pool), list(targets), history=[], count=3, draws=1
        )
        assert found.picks == go_picks(pool, targets, 3)


def test_the_worked_values_of_go():
    rng = np.random.default_rng(0)
    pool = [np.array([1.0, 0]), np.array([0, 1.0]), np.array([0.6, 0.6])]
    found = simulate(LinearGaussian(rng), pool, [np.array([1.0, 0])], history=[], count=1)
    assert found.values == pytest.approx([0.5, 1.0, 0.7907], abs=1e-4)
    assert found.picks == [0]
    both = simulate(
        LinearGaussian(rng), pool, [np.array([1.0, 0]), np.array([0, 1.0])], history=[], count=1
    )
    assert both.values == pytest.approx([1, 1, 0.7907], abs=1e-4)
    assert both.picks == [2]


def test_the_variance_of_labels_is_the_chance_that_two_draws_differ():
    p = np.array([0.5, 0.3, 0.2])
    assert label_variance(p) == pytest.approx(0.62)
    rng = np.random.default_rng(0)
    first, second = (rng.choice(3, p=p, size=200_000) for _ in range(2))
    assert (first != second).mean() == pytest.approx(0.62, abs=0.005)


def test_two_draws_estimate_a_numeric_variance():
    rng = np.random.default_rng(0)
    draws = rng.normal(0, 3, size=(2, 200_000))
    assert numeric_variance(*draws).mean() == pytest.approx(9, rel=0.02)


def test_what_settles_the_targets_is_asked_first(make_pool, scripted):
    def reply(request):
        helps = any("ceiling" in message.content for message in request.messages[:-1])
        is_target = (
            "drips" in request.messages[-1].content and "tap" in request.messages[-1].content
        )
        sure = 0.99 if helps and is_target else 0.6
        return {"repair": sure, "billing": 1 - sure}

    advisor = scripted(reply)
    context = make_pool().context(advisor, targets=("The tap drips.",))
    result = sal().query(context, 2)
    assert result.ids[0] == "t2"
    assert result.diagnostics["uses_targets"]
    # Two steps: 8 + 7 candidates drawn for, each tried on one target.
    assert result.diagnostics["llm_calls"] <= 2 * (8 + 8)


def test_labels_of_targets_are_never_shown(make_pool, scripted):
    advisor = scripted(lambda _: {"repair": 0.6, "billing": 0.4})
    context = make_pool().context(advisor, targets=("The tap drips.",))
    assert context.targets().examples[0] == Example(ExampleId("x0"), {"text": "The tap drips."})
    sal().query(context, 1)
    for request in advisor.calls:
        turns = [message.content for message in request.messages if message.role == "user"]
        assert not any("tap" in turn for turn in turns[:-1])
