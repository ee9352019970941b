"""Half of a batch for some classes: never less of them, never more than the half is reserved."""

import numpy as np
import pytest

from querist.memory.errors import InvalidInput
from querist.memory.records import ExampleId
from querist.tools.strategies import Capability, get
from querist.tools.strategies.favouring import Favouring
from querist.tools.strategies.querying import QueryContext


def pool(predicted, *, seed=0):
    """A pool whose texts the model gives these classes, surest of the first."""
    rng = np.random.default_rng(seed)
    chances = np.full((len(predicted), 3), 0.1)
    chances[np.arange(len(predicted)), predicted] = np.linspace(0.9, 0.5, len(predicted))
    vectors = rng.normal(size=(len(predicted), 4))
    return QueryContext(
        ids=[ExampleId(f"t{place}") for place in range(len(predicted))],
        rng=np.random.default_rng(seed),
        sources={
            Capability.PROBS: lambda: chances / chances.sum(axis=1, keepdims=True),
            Capability.EMBEDDINGS: lambda: vectors.astype(np.float32),
        },
    )


PREDICTED = [2] * 12 + [0] * 40 + [1] * 40
"""The twelve of class 2 are those that the model is surest of: margin would take none."""


@pytest.mark.parametrize("name", ["margin", "random", "k_center", "0.5*margin + 0.5*k_center"])
def test_half_of_the_batch_is_of_the_favoured_class(name):
    found = Favouring(get(name), (2,)).query(pool(PREDICTED), 10)
    assert len(set(found.ids)) == 10
    assert sum(PREDICTED[row] == 2 for row in found.indices) >= 5
    # People are asked about the first: neither kind alone stands there.
    first = [PREDICTED[row] == 2 for row in found.indices[:4]]
    assert any(first)
    assert sum(first) >= 2


def test_the_rest_is_what_the_strategy_would_take_of_all():
    plain = get("margin").query(pool(PREDICTED), 5)
    found = Favouring(get("margin"), (2,)).query(pool(PREDICTED), 10)
    assert sum(PREDICTED[row] == 2 for row in plain.indices) == 0
    assert set(plain.ids) <= set(found.ids)


def test_of_few_favoured_texts_all_are_taken_and_the_batch_is_full_all_the_same():
    predicted = [2, 2] + [0] * 30
    found = Favouring(get("margin"), (2,)).query(pool(predicted), 10)
    assert {"t0", "t1"} <= set(found.ids)
    assert len(found.ids) == 10


def test_a_class_that_the_model_expects_nowhere_changes_nothing():
    found = Favouring(get("margin"), (2,)).query(pool([0, 1] * 20), 10)
    assert found.ids == get("margin").query(pool([0, 1] * 20), 10).ids


def test_a_small_pool_is_taken_as_a_whole_and_no_text_twice():
    found = Favouring(get("margin"), (2,)).query(pool([2, 2, 0]), 10)
    assert sorted(found.ids) == ["t0", "t1", "t2"]
    only = Favouring(get("margin"), (2,)).query(pool([2, 2, 2]), 4)
    assert sorted(only.ids) == ["t0", "t1", "t2"]


def test_without_a_model_nothing_can_be_favoured():
    bare = QueryContext(ids=[ExampleId("a")], rng=np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="needs probs"):
        Favouring(get("random"), (0,)).query(bare, 1)
