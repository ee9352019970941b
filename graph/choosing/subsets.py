"""Choosing examples to annotate, examples to evaluate on, and columns of a table."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np

from querist.agents.annotator.prompt import Prompt
from querist.agents.mind import Agent
from querist.agents.selector.acquisition.feature_selection import (
    SelectedFeatures,
    Way,
    select_features,
)
from querist.agents.selector.acquisition.trying import Labeller, Said, Work, label_all
from querist.agents.selector.advice.advisor import Advisor
from querist.graph.choosing.session import Session, how_many, known_examples
from querist.memory.errors import InvalidInput
from querist.memory.event_parts import ArmRow
from querist.memory.events import ArmsTried, Chosen
from querist.memory.records import Example, Split
from querist.tools.arms.annotation_subset import choose_for_annotation
from querist.tools.compute.arrays import FloatArray, IntArray, one_hot, unit_rows
from querist.tools.data.formats import open_table
from querist.tools.opinions.active_testing import (
    draw,
    error_losses,
    lure,
    lure_weights,
    proposal,
    retraining_schedule,
    surrogate_estimate,
    weighted_disagreement,
)
from querist.tools.strategies.querying import UNKNOWN
from querist.tools.training.proxy import fit_committee
from querist.tools.wording import counted, listed, quoted, suggest

MOST_EVALUATED = 200
_UNSURE = 0.3
"""How far a surrogate without labels doubts the model: its share of the uniform distribution."""
_CHUNK = 32


def choose_examples(session: Session, *, count: int | None, by_length: bool) -> Chosen:
    """Choose what to annotate so that it stands for the pool, within the budget.

    A label costs `budget.human_label_usd`; with `by_length`, in proportion to its words.
    """
    context = session.context
    section = context.config.budget
    examples = context.pool.all(Split.POOL)
    vectors = context.view.embed(examples)
    words = [max(1, len(example.text.split())) for example in examples]
    lengths = np.array(words, dtype=np.float64)
    shares = lengths / lengths.mean() if by_length else np.ones(len(examples))
    prices = shares * float(section.human_label_usd)
    if count is not None and not by_length:
        cover = choose_for_annotation(vectors, budget=count)
    elif section.human_label_usd <= 0:
        raise InvalidInput(
            "Labels cost nothing (budget.human_label_usd = 0), so the budget sets no end: say how "
            "many to choose with --labels."
        )
    else:
        cover = choose_for_annotation(vectors, budget=float(section.usd), prices=prices)
    luck = session.rng.permutation(len(examples))
    # For the same money, so many at random.
    luck = luck[: int((prices[luck].cumsum() <= prices[cover.picks].sum() + 1e-9).sum())]
    by_chance = _served(vectors, luck) if len(luck) else 0.0
    records = tuple(
        {"id": examples[i].id, **examples[i].fields, "usd": round(float(prices[i]), 6)}
        for i in cover.picks
    )
    spent, near = float(prices[cover.picks].sum()), _served(vectors, cover.picks)
    return session.close(
        Chosen(
            what="examples",
            rows=tuple(ArmRow(examples[i].id, usd=_usd(prices[i])) for i in cover.picks),
            winners=tuple(examples[i].id for i in cover.picks),
            notes=(
                f"{len(cover.picks)} of {len(examples)} examples, {spent:.2f} USD to annotate.",
                f"Mean similarity of the pool to the nearest of them: {near:.3f}.",
                f"The same for {len(luck)} at random, for the same money: {by_chance:.3f}.",
            ),
            records=records,
        )
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Fixed:
    """A model that is not changed, on N items: probabilities, losses by label, gold, vectors.

    Gold is `UNKNOWN` where nobody said yet.
    """

    examples: Sequence[Example]
    model: FloatArray
    losses: FloatArray
    gold: IntArray
    vectors: FloatArray

    @property
    def has_gold(self) -> bool:
        """Tell whether every label can be looked up."""
        return bool((self.gold != UNKNOWN).all())


async def choose_evaluation(
    session: Session, *, labels: int, method: str, answers: Mapping[str, str] | None = None
) -> Chosen:
    """Estimate the annotator's accuracy on many examples from few labels.

    `lure` draws by expected loss and is unbiased; `ase` asks where the surrogate doubts its own
    estimate most. A label is taken from the gold when it is asked for, and not before. Where no
    gold is known the examples to label are drawn, and `answers` (labels by id) are awaited.
    """
    fixed = await _fixed(session, labels)
    if fixed is None:
        return session.close(Chosen("evaluation", (), (), status=session.status))
    if not fixed.has_gold and method == "ase":
        raise InvalidInput(
            "--method ase needs each label before it can say which comes next. Use lure, or name "
            "labelled examples (data.gold, data.validation)."
        )
    asked, chances = _ask(session, fixed, labels, method=method)
    names = session.context.task.names
    is_open = not fixed.has_gold and answers is None
    if not fixed.has_gold and answers is not None:
        _fill_in(fixed, asked, answers, names)
    price = labels * session.context.config.budget.human_label_usd
    note = f"{labels} of {len(fixed.examples)} examples looked up: {price:.2f} USD for labels."
    if is_open:
        note = (
            f'No label is known. Have these {labels} examples labelled (fill in "label" in what '
            "--output writes), then repeat the command with --answers FILE."
        )
    return session.close(
        Chosen(
            what="evaluation",
            rows=() if is_open else _estimates(session, fixed, asked, chances, method=method),
            winners=tuple(fixed.examples[i].id for i in asked),
            notes=(note,),
            records=_drawn(fixed, names, asked, chances, method=method),
        )
    )


def _ask(
    session: Session, fixed: _Fixed, labels: int, *, method: str
) -> tuple[list[int], list[float]]:
    """Choose items one after the other; give the probability that each had (nan: not drawn)."""
    surrogate, draws = _prior(fixed.model), None
    retrain = set(retraining_schedule(labels)) if fixed.has_gold else set()
    left = list(range(len(fixed.examples)))
    asked: list[int] = []
    chances: list[float] = []
    rng = session.rng
    for number in range(labels):
        if number in retrain:
            surrogate, draws = _surrogate(fixed, asked, seed=session.context.config.loop.seed)
        rows = np.array(left)
        if method == "ase" and draws is not None:
            scores = weighted_disagreement(draws[rows], fixed.losses[rows])
            place, chance = int(scores.argmax()), float("nan")
        else:
            place, chance = draw(proposal(surrogate[rows], fixed.losses[rows]), rng)
        asked.append(left.pop(place))
        chances.append(chance)
    return asked, chances


def _fill_in(
    fixed: _Fixed, asked: Sequence[int], answers: Mapping[str, str], names: Sequence[str]
) -> None:
    """Take people's answers in; every example that was drawn needs one."""
    missing = [fixed.examples[i].id for i in asked if fixed.examples[i].id not in answers]
    if missing:
        raise InvalidInput(
            f"--answers lacks a label for {len(missing)} of the {len(asked)} examples that were "
            f"drawn, as for {missing[0]!r}. Label all that --output wrote, with the same --labels "
            "and --seed."
        )
    for i in asked:
        fixed.gold[i] = names.index(answers[fixed.examples[i].id])


async def choose_features(
    session: Session, table: Path, *, target: str, way: Way, count: int | None
) -> Chosen:
    """Choose columns of a table by their names, without a look at the data (LLM-Select)."""
    context = session.context
    data = context.config.data
    features = read_features(table, target, encoding=data.encoding, header=data.header)
    model = context.models.named(context.config.models.annotator, agent=Agent.SELECTOR)
    advisor = Advisor(model, task=context.task, loop=asyncio.get_running_loop())
    wanted = min(count or max(1, len(features) // 2), len(features))
    found = await asyncio.to_thread(
        select_features,
        features,
        len(features) if way != "seq" else wanted,
        target=target,
        advisor=advisor,
        rng=session.rng,
        way=way,
    )
    if advisor.tally.is_out_of_money:
        session.status = "out of money"
    scores = {name: score for name, score in found.scores.items() if not math.isnan(score)}
    notes = _feature_notes(found, features, wanted, target=target, way=way)
    return session.close(
        Chosen(
            what="features",
            rows=tuple(ArmRow(name, mean=scores.get(name)) for name in found.features),
            winners=() if found.is_flat else found.features[:wanted],
            notes=tuple(note for note in (found.fell_back, *notes) if note),
            status=session.status,
        )
    )


def _feature_notes(
    found: SelectedFeatures, features: Sequence[str], wanted: int, *, target: str, way: Way
) -> list[str]:
    """Say what the order is made of, and where it means nothing."""
    what = "a score from 0 (no help) to 1" if way == "score" else "an order"
    meaning = (
        f"The model gave {what}, from the columns' names alone, by how much each helps to predict "
        f"{target}; nothing was measured on the table's values."
    )
    notes = [meaning]
    others = "rank or seq" if way == "score" else "score"
    remedy = f"A larger model (--model), or --method {others}, may tell them apart."
    if found.is_flat:
        said = [score for score in found.scores.values() if not math.isnan(score)]
        why = f"Every column got the score {said[0]:.3f}" if said else "The model named no column"
        notes.append(f"{why}: this order means nothing, and nothing is chosen. {remedy}")
    elif way == "rank" and list(found.features) == list(features):
        notes.append(
            f"This is the order in which the columns stand in the table, which a weak model "
            f"repeats: do not rely on it. {remedy}"
        )
    elif ties := found.ties_at(wanted):
        notes.append(
            f"{listed(ties)} have the same score: which of them are chosen follows their order in "
            "the table."
        )
    if found.n_fallback and not found.is_flat:
        notes.append(f"{counted(found.n_fallback, 'column')} without an answer: placed by chance.")
    return notes


def read_features(table: Path, target: str, *, encoding: str, header: bool) -> list[str]:
    """List the columns beside the target, or say what is wrong with the table."""
    columns = open_table(table, encoding=encoding, header=header).columns
    if target not in columns:
        raise InvalidInput(
            f"{table} has no column {target!r} to predict.{suggest(target, columns)} "
            f"Its columns: {quoted(columns)}."
        )
    features = [name for name in columns if name != target]
    if len(features) < 2:
        raise InvalidInput(
            f"{table} has {len(features)} columns beside {target!r}: nothing to choose."
        )
    return features


def _items(session: Session, labels: int) -> list[Example]:
    """Take what may be evaluated on: examples of known label, or else any of the pool."""
    examples = known_examples(session)
    if not examples:
        pool = session.context.pool.all(Split.POOL)
        examples = [pool[int(i)] for i in session.rng.permutation(len(pool))]
    examples = examples[:MOST_EVALUATED]
    if not 2 <= labels <= len(examples):
        raise InvalidInput(
            f"--labels {labels}: there are {len(examples)} examples to choose from, so from 2 to "
            f"{len(examples)} can be labelled."
        )
    return examples


async def _fixed(session: Session, labels: int) -> _Fixed | None:
    """Let the annotator label everything that may be evaluated on; None if it was stopped."""
    context, examples = session.context, _items(session, labels)
    model = context.models.named(context.config.models.annotator, agent=Agent.SELECTOR)
    labeller = Labeller(model, Prompt(context.task))
    dearest = (
        Decimal(0) if model.is_free else max(labeller.ceiling(example) for example in examples)
    )
    size, cap = len(examples), context.config.budget.usd
    how_many(
        least=size, usual=size, most=size, dearest=dearest, cap=cap, asked=None, noun="examples"
    )
    answers: list[Said] = []
    for start in range(0, size, _CHUNK):
        if session.should_stop():
            session.status = "paused"
            return None
        answers += (await label_all([Work(labeller, examples[start : start + _CHUNK])]))[0]
        done = len(answers)
        context.emit(ArmsTried("", (), done=done, total=size, best=model.name, usd=session.usd))
    known = context.answers
    blank = np.full(len(known), 1 / len(known))
    said = [blank if answer.probabilities is None else answer.probabilities for answer in answers]
    probabilities = np.array(said)
    gold = known.places([example.gold for example in examples])
    vectors = context.view.embed(examples)
    return _Fixed(examples, probabilities, error_losses(probabilities), gold, vectors)


def _prior(model: FloatArray) -> FloatArray:
    return np.asarray((1 - _UNSURE) * model + _UNSURE / model.shape[1])


def _surrogate(
    fixed: _Fixed, asked: Sequence[int], *, seed: int
) -> tuple[FloatArray, FloatArray | None]:
    """Fit a committee on the labels so far; without two classes the model itself has to do."""
    rows = np.array(asked)
    if len(np.unique(fixed.gold[rows])) < 2:
        return _prior(fixed.model), None
    # What the fixed model says is the best feature: it may be right in ways that vectors are not.
    inputs = np.hstack([unit_rows(fixed.vectors), fixed.model]).astype(np.float32)
    targets = one_hot(fixed.gold[rows], fixed.model.shape[1])
    draws = fit_committee(inputs[rows], targets, members=8, seed=seed).posterior(inputs)
    return np.asarray(draws.mean(axis=1)), draws


def _estimates(
    session: Session,
    fixed: _Fixed,
    asked: Sequence[int],
    chances: Sequence[float],
    *,
    method: str,
) -> tuple[ArmRow, ...]:
    """Give the accuracy as each way estimates it, and as it is."""
    rows = np.array(asked)
    surrogate, _ = _surrogate(fixed, asked, seed=session.context.config.loop.seed)
    gold = fixed.gold[rows]
    losses = fixed.losses[rows, gold]
    guessed = surrogate_estimate(surrogate, fixed.losses, labelled=rows, gold=gold)
    found = [ArmRow("surrogate (ASE)", len(rows), 1 - guessed)]
    if method == "lure":
        estimate = lure(losses, np.array(chances), len(fixed.examples))
        low, high = estimate.interval
        row = ArmRow(
            "weighted (LURE)", len(rows), 1 - estimate.value, max(0.0, 1 - high), min(1.0, 1 - low)
        )
        found.insert(0, row)
    found.append(ArmRow("unweighted (biased)", len(rows), 1 - float(losses.mean())))
    if not fixed.has_gold:
        return tuple(found)
    truth = 1 - float(fixed.losses[np.arange(len(fixed.gold)), fixed.gold].mean())
    found.append(ArmRow("all labels (the truth)", len(fixed.examples), truth))
    return tuple(found)


def _drawn(
    fixed: _Fixed,
    names: Sequence[str],
    asked: Sequence[int],
    chances: Sequence[float],
    *,
    method: str,
) -> tuple[dict[str, object], ...]:
    size = len(fixed.examples)
    weights = lure_weights(np.array(chances), size) if method == "lure" else np.ones(len(asked))
    return tuple(
        {
            "id": fixed.examples[i].id,
            **fixed.examples[i].fields,
            "label": "" if fixed.gold[i] == UNKNOWN else names[fixed.gold[i]],
            "weight": round(float(weights[place]), 6),
        }
        for place, i in enumerate(asked)
    )


def _served(vectors: FloatArray, picks: IntArray) -> float:
    rows = unit_rows(vectors)
    return float(np.maximum((rows @ rows[picks].T).max(axis=1), 0).mean())


def _usd(amount: float) -> Decimal:
    return Decimal(str(round(float(amount), 6)))
