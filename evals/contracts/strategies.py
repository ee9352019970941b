"""The contract of `QueryStrategy`."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np

from querist.agents.selector.advice.advisor import Advisor
from querist.evals.contracts.pools import (
    SmallPool,
    reply_sensibly,
    scripted_advisor,
    small_pools,
)
from querist.memory.errors import InvalidInput
from querist.tools.strategies.querying import Capability, QueryResult, QueryStrategy

_COUNTS = (0, 1, 5, 24, 30)


def check_strategy(strategy: QueryStrategy) -> None:
    """Check what every strategy promises.

    It names min(count, N) different candidates by position and id, whatever the pool is like;
    repeats itself under one seed; leaves what it is shown unchanged; looks at nothing that it did
    not ask for; and, where it draws nothing, gives ties to the lower position. One that asks a
    language model does so as well when the model talks nonsense, or the money is gone.
    """
    assert strategy.name, "A strategy has a name."
    unknown = set(strategy.requires) - set(Capability)
    assert not unknown, f"{strategy.name} requires {unknown}, which no context has."
    asks = Capability.LLM in strategy.requires
    with scripted_advisor(reply_sensibly) if asks else nullcontext() as advisor:
        for pool in small_pools():
            for count in _COUNTS:
                _check_picks(strategy, pool, count, advisor)
    if asks:
        usual = next(small_pools())
        for words, usd in (("no money at all", "0.000001"), ("replies that make no sense", "1")):
            with scripted_advisor(lambda _: "\x00[[{", usd=usd) as poor:
                first = _query(strategy, usual, 5, poor)
                said = f"{strategy.name}, with {words},"
                assert len(set(first.ids)) == 5, f"{said} must still choose 5 candidates."


def _check_picks(
    strategy: QueryStrategy, pool: SmallPool, count: int, advisor: Advisor | None
) -> None:
    where = f"{strategy.name}, asked for {count} of {pool.name},"
    before = {name: array.copy() for name, array in pool.arrays().items()}
    first = _query(strategy, pool, count, advisor)
    wanted = min(count, len(pool.embeddings))
    assert len(first.ids) == wanted, f"{where} must choose {wanted}, and chose {len(first.ids)}."
    assert len(set(first.ids)) == wanted, f"{where} chose a candidate twice."
    names = [f"row-{row}" for row in range(len(pool.embeddings))]
    assert set(first.ids) <= set(names), f"{where} chose what is no candidate."
    assert [names[row] for row in first.indices] == list(first.ids), (
        f"{where} must name the same candidates by position and by id; make the result with "
        "context.result(indices)."
    )
    for name, array in pool.arrays().items():
        assert np.array_equal(array, before[name]), f"{where} changed the {name} it was shown."
    _check_scores(first, where)
    again = _query(strategy, pool, count, advisor)
    assert first.ids == again.ids, f"{where} chose otherwise the second time under the same seed."


def _check_scores(result: QueryResult, where: str) -> None:
    if result.scores is None:
        return
    assert len(result.scores) == len(result.ids), f"{where} gave scores of other candidates."
    assert np.isfinite(result.scores).all(), f"{where} gave scores that are no numbers."


def _query(
    strategy: QueryStrategy, pool: SmallPool, count: int, advisor: Advisor | None
) -> QueryResult:
    context = pool.context(strategy.requires, seed=3, advisor=advisor)
    state = context.rng.bit_generator.state
    try:
        result = strategy.query(context, count)
    except InvalidInput as error:
        raise AssertionError(f"{strategy.name} refused {pool.name}: {error}") from error
    if pool.is_alike and context.rng.bit_generator.state == state:
        scores = result.scores
        if scores is not None and len(scores) and np.ptp(scores) == 0:
            assert list(result.indices) == list(range(len(result.ids))), (
                f"{strategy.name} drew nothing and gave all candidates one score: such ties go to "
                "the lower positions."
            )
    return result
