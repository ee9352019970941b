"""Choosing among heads that are trained while they are compared, by TI-UCB (Xia et al., 2024).

A try trains an arm's head one epoch more and measures it on examples held out: the reward. It
rises with an arm's tries and then levels off. What counts is the sum of rewards, so epochs of heads
that level off low are wasted; the search by generations counts only which head is best at the end.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from querist.graph.choosing.heads import (
    HERE,
    Data,
    Proposer,
    head_data,
    head_proposals,
    name_configs,
    told,
)
from querist.graph.choosing.session import Session, Tried, doubts
from querist.memory.errors import InvalidInput
from querist.memory.event_parts import ArmRow
from querist.memory.events import Chosen
from querist.memory.records import content_id
from querist.tools.arms import (
    ArmSelector,
    Config,
    Proposals,
    Pull,
    TimeIncreasing,
    UpperBound,
    wilson,
)
from querist.tools.arms.heads import SPACE, Head

ARMS = 8
USUAL_TRIES = 30
"""Epochs an arm if nobody said how many. With fewer, two tries of each cost more than trends bring:
UCB1 collects 0.03 more a try with 6 an arm, 0.01 with 15, and as much with 30."""
_WINDOW, _GAP, _BONUS = 10, 0.1, 0.05
"""The method's omega, gamma and c. Measured on the embeddings of six data sets: accuracies hardly
vary from epoch to epoch, so c = 1 plays all alike (0.02 a try above equal shares; 0.05 gets 0.08).
Windows of 4 to 20 collect the same, but of the heads that a window of 4 calls levelled off one in
four still rises by 5 points, by 10 one in twelve."""


class Curves:
    """Accuracies of heads after each epoch: trained when first asked for, and only then."""

    def __init__(self, configs: Sequence[Config], data: Data, *, seed: int) -> None:
        """Nothing is trained yet."""
        self._configs, self._data, self._seed = configs, data, seed
        self._heads: dict[int, Head] = {}
        self._found: list[list[float]] = [[] for _ in configs]

    def accuracy(self, pull: Pull) -> float:
        """Give the accuracy that a try, counted from 0, comes to."""
        found = self._found[pull.arm]
        if pull.arm not in self._heads:
            self._heads[pull.arm] = self._data.head(self._configs[pull.arm], seed=self._seed)
        while len(found) <= pull.resource:
            epochs = len(found) + 1
            found.append(self._data.accuracy_after(self._heads[pull.arm], epochs=epochs))
        return found[pull.resource]


async def choose_rising_head(
    session: Session, *, evaluations: int | None, proposer: Proposer
) -> Chosen:
    """Find a network on the embeddings with few epochs spent on poor ones.

    Half of the gold examples teach, half measure. Raises `InvalidInput` for fewer `evaluations`
    than two an arm.
    """
    total = _total(evaluations)
    data, seed = head_data(session), session.context.config.loop.seed
    proposals = head_proposals(session, SPACE, proposer, data)
    # In a thread, as the proposer may ask a language model meanwhile.
    configs = await asyncio.to_thread(proposals, ARMS, [])
    names, curves = name_configs(configs), Curves(configs, data, seed=seed)
    selector = TimeIncreasing(ARMS, total, window=_WINDOW, gap=_GAP, c=_BONUS)
    await _play(session, selector, curves, names, total=total)
    ranked = _ranked(session, selector)
    rows = tuple(_row(session, selector, arm, names[arm], data) for arm in ranked)
    notes = [*doubts(rows), *_remarks(rows, data)]
    notes += await asyncio.to_thread(_compare, session, selector, curves)
    is_tried = selector.record.total > 0
    return session.close(
        Chosen(
            what="architecture",
            rows=rows,
            winners=(names[ranked[0]],) if is_tried else (),
            notes=(*notes, *_origin(proposals, proposer), HERE),
            status=session.status,
            records=(dict(configs[ranked[0]]),) if is_tried else (),
        )
    )


async def _play(
    session: Session, selector: ArmSelector, curves: Curves, names: Sequence[str], *, total: int
) -> None:
    async def evaluate(pulls: Sequence[Pull]) -> list[Tried]:
        return await asyncio.to_thread(lambda: [Tried(curves.accuracy(pull)) for pull in pulls])

    await session.play(
        selector,
        evaluate,
        total=total,
        name=lambda _: names[_ranked(session, selector)[0]],
        # What a try came to depends on these: other heads must not be taken for the same.
        meaning=f"ti-ucb {content_id(list(names), session.context.config.data.embedder)}",
        # Trained again in every process: weights are not kept, and it takes seconds.
        is_redone=True,
    )


def _total(evaluations: int | None) -> int:
    if evaluations is None:
        return USUAL_TRIES * ARMS
    if evaluations < 2 * ARMS:
        raise InvalidInput(
            f"{evaluations} evaluations cannot train each of {ARMS} heads for two epochs, and a "
            f"trend needs two. Allow at least {2 * ARMS} (--evaluations {2 * ARMS})."
        )
    return evaluations


def _last(session: Session, selector: ArmSelector, arm: int) -> float:
    """Give the accuracy after an arm's latest try; minus infinity before the first."""
    tries = selector.record.pulls[arm]
    return session.known[Pull(arm, tries - 1)].reward if tries else -math.inf


def _ranked(session: Session, selector: ArmSelector) -> list[int]:
    """Order arms by what they reached: their lines may promise what no head has shown yet."""
    arms = range(len(selector.record.pulls))
    return sorted(arms, key=lambda arm: (-_last(session, selector, arm), arm))


def _row(session: Session, selector: TimeIncreasing, arm: int, name: str, data: Data) -> ArmRow:
    tries = selector.record.pulls[arm]
    if not tries:
        return ArmRow(name)
    accuracy = _last(session, selector, arm)
    low, high = wilson(accuracy, len(data.held_gold))
    return ArmRow(name, tries, accuracy, low, high, levelled_after=selector.converged.get(arm))


def _remarks(rows: Sequence[ArmRow], data: Data) -> tuple[str, ...]:
    measure = (
        "A try is an epoch; accuracy is that after the last one, on "
        f"{len(data.held_gold)} held-out examples."
    )
    if any(row.levelled_after is not None for row in rows):
        return (measure,)
    return (measure, f"No head was seen to level off; it takes {2 * _WINDOW} tries of it to see.")


def _origin(proposals: Proposals, proposer: Proposer) -> tuple[str, ...]:
    """Say where the heads are from, if that is not what the proposer's name promises."""
    if proposer == "mutation":
        said = "All heads are proposed before any is tried, so there was nothing to mutate"
        return (f"{said}: they are random ones.",)
    return told(proposals, proposer)


def _compare(session: Session, selector: TimeIncreasing, curves: Curves) -> tuple[str, ...]:
    """Play the same heads in other ways: at most twice the epochs again, most of them known."""
    total = selector.record.total
    if session.status != "finished":
        return ()
    plain = _collected(_plays(UpperBound(ARMS, total, c=_BONUS), curves), session.should_stop)
    turns = (curves.accuracy(Pull(i % ARMS, i // ARMS)) for i in range(total))
    equal = _collected(turns, session.should_stop)
    if plain is None or equal is None:
        return ()
    found = sum(selector.record.sums)
    said = f"Total reward, accuracy summed over {total} tries: {found:.1f}. On the same heads UCB1 "
    return (f"{said}(its c is {_BONUS}, too) gets {plain:.1f}, equal shares {equal:.1f}.",)


def _plays(selector: ArmSelector, curves: Curves) -> Iterator[float]:
    """Play to the end, one reward after the other."""
    while (pull := selector.next()) is not None:
        reward = curves.accuracy(pull)
        selector.observe(pull.arm, reward)
        yield reward


def _collected(rewards: Iterable[float], should_stop: Callable[[], bool]) -> float | None:
    """Sum rewards up; None if somebody wants to stop."""
    total = 0.0
    for reward in rewards:
        if should_stop():
            return None
        total += reward
    return total
