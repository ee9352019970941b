"""Contextual diversity of examples with many units."""

import numpy as np
import pytest

from querist.tools.engines.diversity import pick_farthest
from querist.tools.engines.geometry import Predictions
from querist.tools.engines.unit_mixtures import Mixtures, Units
from querist.tools.strategies import get
from querist.tools.strategies.querying import Capability, Labelled, QueryContext

P, Q = [0.9, 0.1], [0.1, 0.9]


def units_of(*examples: list[list[float]]) -> Units:
    owners = np.repeat(np.arange(len(examples)), [len(units) for units in examples])
    told = np.array([unit for units in examples for unit in units])
    return Units(told, owners, len(examples))


def entropy(told: np.ndarray) -> float:
    return float(-(told * np.log(told)).sum())


def plainly(mine: list[list[float]], other: list[list[float]]) -> float:
    """Write the authors' distance down (kl in CDAL_CS.py), class by class."""
    found = []
    for c in range(len(mine[0])):
        sides = [[np.array(u) for u in units if int(np.argmax(u)) == c] for units in (mine, other)]
        if not all(sides):
            continue
        p, q = (sum(entropy(u) * u for u in s) / sum(entropy(u) for u in s) for s in sides)
        found.append(float((p * np.log(p / q) + q * np.log(q / p)).sum()) / 2)
    return float(np.mean(found)) if found else 0.0


def test_one_unit_each_of_one_class_is_the_distance_of_predictions():
    shares = np.random.default_rng(0).dirichlet(np.ones(3), size=30)
    shares = shares[shares.argmax(axis=1) == 1]
    mine = Mixtures.of(units_of(*([unit] for unit in shares.tolist())))
    told = Predictions.of(shares)
    np.testing.assert_allclose(mine.gaps(mine), told.gaps(told), atol=1e-9)


def test_the_sheets_distance_needs_a_class_in_common():
    mixtures = Mixtures.of(units_of([P], [Q], [P, Q]))
    gaps = mixtures.gaps(mixtures)
    assert gaps[0, 1] == 0
    assert gaps[0, 2] == pytest.approx(0, abs=1e-12)
    # The same class told in different ways: [(.9,.1), (.6,.4)] are both class 0.
    pair = Mixtures.of(units_of([P], [[0.6, 0.4]]))
    expected = (0.3 * np.log(0.9 / 0.6) - 0.3 * np.log(0.1 / 0.4)) / 2
    assert pair.gaps(pair)[0, 1] == pytest.approx(expected)


def test_more_classes_in_common_are_no_greater_distance():
    fewer = Mixtures.of(units_of([P], [[0.6, 0.4]]))
    more = Mixtures.of(units_of([P, Q], [[0.6, 0.4], [0.4, 0.6]]))
    assert more.gaps(more)[0, 1] == pytest.approx(fewer.gaps(fewer)[0, 1])


@pytest.mark.parametrize("seed", range(5))
def test_distances_equal_the_formula_written_down(seed):
    rng = np.random.default_rng(seed)
    examples = [rng.dirichlet(np.ones(4), size=rng.integers(1, 9)).tolist() for _ in range(8)]
    mixtures = Mixtures.of(units_of(*examples))
    expected = [[plainly(example, other) for other in examples] for example in examples]
    np.testing.assert_allclose(mixtures.gaps(mixtures), expected, atol=1e-9)


def test_certain_units_and_examples_without_units_are_finite():
    mixtures = Mixtures.of(Units(np.eye(2), np.array([0, 0]), 2))
    assert np.isfinite(mixtures.gaps(mixtures)).all()
    assert mixtures.gaps(mixtures)[0, 1] == 0


def test_examples_are_taken_with_their_units_in_any_order():
    units = units_of([P, Q], [Q], [[0.6, 0.4], P, Q])
    some = units[np.array([2, 0])]
    assert some.owners.tolist() == [1, 1, 0, 0, 0]
    assert len(some) == 2
    both = some.then(units[np.array([1])])
    assert both.owners.tolist() == [1, 1, 0, 0, 0, 2]


def test_cdal_spreads_over_units_and_goes_on_from_what_is_labelled():
    examples = [[P, P], [P, P], [[0.6, 0.4], P], [[0.55, 0.45], [0.5, 0.5]], [Q, [0.3, 0.7]]]
    units = units_of(*examples)
    known = Labelled(embeddings=np.empty((1, 0)), classes=np.array([0]), units=units_of([P, P]))
    context = QueryContext(
        ids=list("abcde"),
        rng=np.random.default_rng(0),
        sources={
            Capability.PROBS: lambda: np.full((5, 2), 0.5),
            Capability.UNITS: lambda: units,
        },
        labelled_so_far=lambda: known,
    )
    result = get("cdal").query(context, 3)
    expected = pick_farthest(
        Mixtures.of(units), labelled=Mixtures.of(known.units), count=3, rng=np.random.default_rng(0)
    )
    assert result.indices.tolist() == expected.tolist()
    assert result.ids[0] == "d"
    # What was picked counts as labelled for the next stage, units and all.
    rest = context.after(result.indices)
    assert len(rest.labelled().units) == 4
    assert len(rest.units()) == 2
