"""Choosing settings: how the annotator is asked, how the target model is trained and shaped."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import numpy as np

from querist.agents.annotator.prompt import Demonstration, Prompt
from querist.agents.mind import Agent
from querist.agents.models.metered import MeteredModel
from querist.agents.selector.acquisition.trying import Labeller, Said, Work, label_all
from querist.graph.choosing.heads import (
    HERE,
    Data,
    Proposer,
    head_data,
    head_proposals,
    make_proposals,
    name_config,
    name_configs,
    told,
)
from querist.graph.choosing.session import (
    Evaluate,
    Session,
    Tried,
    doubts,
    gold_examples,
)
from querist.memory.answers import Answer
from querist.memory.errors import InvalidInput
from querist.memory.events import Chosen
from querist.memory.records import Example, Task
from querist.tools.arms import (
    Config,
    Options,
    Pull,
    Space,
    StagedSearch,
    cost_of,
    hyperband_ladders,
    ladder,
)
from querist.tools.arms import heads as head_spaces
from querist.tools.arms.heads import Head

_MOST_SHOWN, _MOST_VOTES = 16, 3
ANNOTATOR = Space(
    {
        "shared": Options((0, 2, 4, 8, _MOST_SHOWN)),
        "votes": Options((1, _MOST_VOTES)),
        "calibrate": Options((True, False)),
    }
)
"""The keys of a task file's [annotator] table that this searches; the resource is examples."""
_USUAL_EXAMPLES = 120
EPOCHS = 27
GENERATIONS = 3


async def choose_annotator_settings(
    session: Session, *, evaluations: int | None, proposer: Proposer
) -> Chosen:
    """Search [annotator] by Hyperband: demonstrations shown, votes, calibration.

    A third of the gold examples, at most 16, are shown; the others measure.
    """
    context = session.context
    examples = gold_examples(session)
    bank, rest = _bank(examples, context.answers.answers, min(_MOST_SHOWN, len(examples) // 3))
    model = context.models.named(context.config.models.annotator, agent=Agent.SELECTOR)
    widest = Labeller(model, Prompt(context.task, bank), votes=_MOST_VOTES)
    affordable = _affordable(widest, rest, context.config.budget.usd)
    most = _resource(min(evaluations or _USUAL_EXAMPLES, affordable), len(rest))
    about = "how a language model labels texts"
    proposals = make_proposals(session, ANNOTATOR, proposer, about=about)
    search = StagedSearch(hyperband_ladders(most), proposals)

    async def evaluate(pulls: Sequence[Pull]) -> list[Tried]:
        # Examples that the arm labelled on a lower rung are replayed, not asked again.
        work = [
            Work(
                _labeller(search.configs[pull.arm], model, context.task, bank),
                rest[: pull.resource],
            )
            for pull in pulls
        ]
        return [_score(*pair) for pair in zip(work, await label_all(work), strict=True)]

    await _climb(session, search, evaluate, meaning=f"{most}")
    rows = session.rows(search, name_configs(search.configs), measured_on=search.reached)
    return session.close(
        Chosen(
            what="hyperparameters",
            rows=rows,
            winners=_winners(search),
            settings={f"annotator.{key}": value for key, value in _best(search).items()},
            notes=(*doubts(rows), *told(proposals, proposer)),
            status=session.status,
        )
    )


async def choose_head(
    session: Session, *, what: Literal["hyperparameters", "architecture"], proposer: Proposer
) -> Chosen:
    """Search how a network on the embeddings is trained (Hyperband), or its shape (generations).

    Half of the gold examples teach, half measure; the resource is epochs. A new shape inherits
    weights of the best one so far where they fit.
    """
    data = head_data(session)
    is_shape = what == "architecture"
    space = head_spaces.SPACE if is_shape else head_spaces.SETTINGS
    proposals = head_proposals(session, space, proposer, data)
    seed = session.context.config.loop.seed
    shapes = [ladder(9, EPOCHS, steps=2)] * GENERATIONS
    search = StagedSearch(
        shapes if is_shape else hyperband_ladders(EPOCHS),
        proposals,
        screen=(lambda config: _slope(config, data, seed)) if is_shape else None,
    )
    heads: dict[int, Head] = {}

    async def evaluate(pulls: Sequence[Pull]) -> list[Tried]:
        return await asyncio.to_thread(
            lambda: [_train(pull, search, heads, data, seed) for pull in pulls]
        )

    # Trained again in every process: weights are not kept, and it takes seconds.
    await _climb(session, search, evaluate, is_redone=True)
    rows = session.rows(
        search, name_configs(search.configs), measured_on=lambda _: len(data.held_gold)
    )
    return session.close(
        Chosen(
            what=what,
            rows=rows,
            winners=_winners(search),
            notes=(*doubts(rows), *told(proposals, proposer), HERE),
            status=session.status,
            records=(dict(_best(search)),),
        )
    )


async def _climb(
    session: Session,
    search: StagedSearch,
    evaluate: Evaluate,
    *,
    meaning: str = "",
    is_redone: bool = False,
) -> None:
    await session.play(
        search,
        evaluate,
        total=sum(rung.configs for rungs in search.ladders for rung in rungs),
        name=lambda arm: name_config(search.configs[arm]),
        at_once=9,
        meaning=meaning,
        is_redone=is_redone,
    )


def _labeller(
    config: Config, model: MeteredModel, task: Task, bank: tuple[Demonstration, ...]
) -> Labeller:
    prompt = Prompt(task, bank[: int(config["shared"])])
    return Labeller(model, prompt, int(config["votes"]), bool(config["calibrate"]))


def _score(work: Work, said: Sequence[Said]) -> Tried:
    pairs = zip(said, work.examples, strict=True)
    hits = [answer.given == example.gold for answer, example in pairs]
    return Tried(float(np.mean(hits)), sum((answer.usd for answer in said), Decimal(0)))


def _train(
    pull: Pull, search: StagedSearch, heads: dict[int, Head], data: Data, seed: int
) -> Tried:
    """Train an arm's head up to the pull's epochs, from its parent's weights at first."""
    if pull.arm not in heads:
        heads[pull.arm] = data.head(search.configs[pull.arm], seed=seed)
        if pull.arm in search.parents:
            heads[pull.arm].inherit(heads[search.parents[pull.arm]].weights)
    return Tried(data.accuracy_after(heads[pull.arm], epochs=pull.resource))


def _best(search: StagedSearch) -> Config:
    """Give the best config; nothing if none was tried."""
    return search.configs[search.best()[0]] if search.best() else {}


def _winners(search: StagedSearch) -> tuple[str, ...]:
    return (name_config(_best(search)),) if search.best() else ()


def _resource(evaluations: int, examples: int) -> int:
    """Find the largest power of 3 whose Hyperband labels no more than so many examples."""
    most = 3
    while most * 3 <= examples and _cost(most * 3) <= evaluations:
        most *= 3
    if examples < most or evaluations < _cost(most):
        raise InvalidInput(
            f"A search needs at least {_cost(3)} evaluations, and {most} examples with a known "
            f"label to measure on; there are {evaluations} and {examples}. Raise --budget or "
            "--evaluations, or add examples to data.validation."
        )
    return most


def _affordable(labeller: Labeller, examples: Sequence[Example], usd: Decimal) -> int:
    """Count the examples that the budget pays for, each at its dearest."""
    if labeller.model.is_free or not examples:
        return 10**9
    return int(usd / labeller.ceiling(max(examples, key=lambda example: len(example.text))))


def _cost(most: int) -> int:
    return sum(cost_of(rungs) for rungs in hyperband_ladders(most))


def _bank(
    examples: Sequence[Example], answers: Sequence[Answer], count: int
) -> tuple[tuple[Demonstration, ...], list[Example]]:
    """Take demonstrations of each answer in turn; give the examples that are left, too."""
    groups = [[example for example in examples if example.gold == answer] for answer in answers]
    turns = [turn for rank in range(count) for group in groups for turn in group[rank : rank + 1]][
        :count
    ]
    ids = {turn.id for turn in turns}
    shown = tuple(Demonstration(turn, turn.gold) for turn in turns if turn.gold is not None)
    return shown, [example for example in examples if example.id not in ids]


def _slope(config: Config, data: Data, seed: int) -> float:
    return data.head(config, seed=seed).gradient_norm(data.inputs, data.gold)
