"""Choosing who labels best: prompts, contexts, models. The reward is 1 for the gold label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

import numpy as np

from querist.agents.annotator.prompt import Demonstration, Prompt
from querist.agents.mind import Agent
from querist.agents.selector.acquisition.trying import Labeller, Work, label_all
from querist.graph.choosing.session import (
    USUAL_TRIES,
    Session,
    Tried,
    doubts,
    gold_examples,
    how_many,
)
from querist.memory.answers import Answer, name_of
from querist.memory.errors import InvalidInput
from querist.memory.event_parts import ArmRow
from querist.memory.events import Chosen
from querist.memory.records import Example
from querist.tools.arms import (
    AcceptsRejects,
    ArmSelector,
    ClusteredHalving,
    ContinuousRejects,
    EqualShares,
    PredictedHalving,
    Pull,
    SuccessiveHalving,
    UpperBound,
    greedy_ensemble,
    relevant_and_varied,
)
from querist.tools.engines.optimal_design import prior_covariance, transductive_design
from querist.tools.wording import listed

Method = Literal["sh", "cr", "cr-c", "clst", "gse", "equal", "ucb", "sar", "go", "mmr"]
METHODS: Mapping[str, tuple[Method, ...]] = {
    "prompt": ("sh", "cr", "cr-c", "clst", "gse", "equal"),
    "model": ("sh", "cr", "cr-c", "equal", "ucb"),
    "context": ("sar", "go", "mmr"),
}
"""By what is chosen; the first is the default."""
_MANY = {"clst", "gse"}
"""Methods for more arms than there are evaluations."""
_MOST_TARGETS = 300


@dataclass(frozen=True, slots=True)
class Terms:
    """How to choose."""

    method: str = ""
    evaluations: int | None = None
    top: int = 4
    """How many contexts."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A context: a passage that goes into the instructions, or a labelled demonstration."""

    name: str
    passage: str = ""
    shown: Demonstration | None = None
    record: Mapping[str, object] = field(default_factory=dict)


async def choose_prompt(session: Session, prompts: Mapping[str, str], terms: Terms) -> Chosen:
    """Find the instructions that the annotator labels best by; `prompts` are texts by name."""
    context = session.context
    model = context.models.named(context.config.models.annotator, agent=Agent.SELECTOR)
    arms = [
        Labeller(model, Prompt(replace(context.task, instructions=text)))
        for text in prompts.values()
    ]
    examples = gold_examples(session)
    total = _total(session, arms, examples, terms, noun="prompts")
    method = terms.method or "sh"
    if method in _MANY:
        vectors = context.view.embed_texts(list(prompts.values()))
        make = ClusteredHalving if method == "clst" else PredictedHalving
        selector: ArmSelector = make(vectors, total, rng=session.rng, most=len(examples))
    else:
        selector = _selector(method, len(arms), total, most=len(examples))
    names = list(prompts)
    await _play(session, selector, names, examples, lambda pull: arms[pull.arm], total=total)
    rows, winner = session.rows(selector, names), _winner(selector, names)
    return session.close(
        Chosen(
            what="prompt",
            rows=rows,
            winners=winner,
            settings={"task.instructions": prompts[winner[0]]} if winner else {},
            notes=doubts(rows),
            status=session.status,
        )
    )


async def choose_model(session: Session, names: Sequence[str], terms: Terms) -> Chosen:
    """Find the model that labels best by the task's own instructions, and a committee of them."""
    context = session.context
    section = context.config.annotator
    # As the loop would use them: with demonstrations, their bias divided out.
    wanted = max(0, section.shared - len(context.given))
    shown, examples = _demonstrations(session, gold_examples(session), count=wanted)
    prompt = Prompt(context.task, (*context.given, *shown))
    # All are opened first: what lacks a key is told before anything is paid.
    arms = [
        Labeller(
            context.models.named(name, agent=Agent.SELECTOR),
            prompt,
            is_calibrated=section.calibrate,
        )
        for name in names
    ]
    total = _total(session, arms, examples, terms, noun="models")
    selector = _selector(terms.method or "sh", len(arms), total, most=len(examples))
    await _play(
        session,
        selector,
        names,
        examples,
        lambda pull: arms[pull.arm],
        total=total,
        meaning=f"{prompt.version} calibrated" if section.calibrate else prompt.version,
    )
    rows, winner = session.rows(selector, names), _winner(selector, names)
    committee = await _committee(session, selector, arms, names, examples)
    return session.close(
        Chosen(
            what="model",
            rows=rows,
            winners=winner,
            settings={"models.annotator": winner[0]} if winner else {},
            notes=(*doubts(rows), *committee),
            status=session.status,
        )
    )


async def choose_context(session: Session, pieces: Sequence[Piece], terms: Terms) -> Chosen:
    """Find the contexts that help most in a prompt, `terms.top` of them."""
    context, count = session.context, terms.top
    if count >= len(pieces):
        raise InvalidInput(
            f"There are {len(pieces)} contexts to choose {count} from: all would be chosen. Name "
            "more, or ask for fewer with --top."
        )
    shown = {piece.shown.example.text for piece in pieces if piece.shown}
    examples = [example for example in gold_examples(session) if example.text not in shown]
    if not examples:
        raise InvalidInput(
            "Every example with a known label is a context itself, so none is left to measure on."
        )
    if terms.method in {"go", "mmr"}:
        picks = _by_vectors(session, pieces, examples, method=terms.method, count=count)
        rows = tuple(ArmRow(pieces[place].name) for place in picks)
        return session.close(_contexts(session, pieces, picks, rows))
    model = context.models.named(context.config.models.annotator, agent=Agent.SELECTOR)
    widest = Labeller(model, _prompt(session, _longest(pieces, count)))
    total = _total(session, [widest] * len(pieces), examples, terms, noun="contexts")
    selector = AcceptsRejects(len(pieces), total, count=count, most=len(examples))

    def members(pull: Pull) -> tuple[int, ...]:
        others = [i for i in range(len(pieces)) if i not in selector.record.rejected]
        others = [i for i in others if i != pull.arm]
        luck = np.random.default_rng([context.config.loop.seed, *pull])
        drawn = luck.permutation(others)[: count - 1]
        return tuple(sorted([pull.arm, *map(int, drawn)]))

    def labeller(pull: Pull) -> Labeller:
        return Labeller(model, _prompt(session, [pieces[i] for i in members(pull)]))

    names = [piece.name for piece in pieces]
    await _play(session, selector, names, examples, labeller, total=total, sharers=members)
    best = selector.best(count) if selector.record.total else ()
    return session.close(_contexts(session, pieces, best, session.rows(selector, names)))


def _demonstrations(
    session: Session, examples: Sequence[Example], *, count: int
) -> tuple[list[Demonstration], list[Example]]:
    """Take demonstrations, each answer in turn, from examples of known label; give the others."""
    by_answer: dict[Answer, list[Example]] = {}
    # At least half are left to measure on.
    count = min(count, len(examples) // 2)
    for example in examples:
        if example.gold is not None:
            by_answer.setdefault(example.gold, []).append(example)
    groups = [
        by_answer[answer] for answer in session.context.answers.answers if answer in by_answer
    ]
    most = max(map(len, groups))
    turns = [m for rank in range(most) for group in groups for m in group[rank : rank + 1]]
    taken = {example.id for example in turns[:count]}
    shown = [Demonstration(turn, turn.gold) for turn in turns[:count] if turn.gold is not None]
    return shown, [example for example in examples if example.id not in taken]


async def _play(
    session: Session,
    selector: ArmSelector,
    names: Sequence[str],
    examples: Sequence[Example],
    labeller: Callable[[Pull], Labeller],
    *,
    total: int,
    sharers: Callable[[Pull], tuple[int, ...]] = lambda _: (),
    meaning: str = "",
) -> None:
    """Play arms on gold examples; pull number n of any arm is on example n."""

    async def evaluate(pulls: Sequence[Pull]) -> list[Tried]:
        work = _grouped(pulls, labeller, examples)
        answers = await label_all([job for job, _ in work])
        found: dict[Pull, Tried] = {}
        for (_, members), said in zip(work, answers, strict=True):
            for pull, answer in zip(members, said, strict=True):
                reward = float(answer.given == examples[pull.resource].gold)
                others = tuple(arm for arm in sharers(pull) if arm != pull.arm)
                found[pull] = Tried(reward, answer.usd, others)
        return [found[pull] for pull in pulls]

    await session.play(
        selector, evaluate, total=total, name=lambda arm: names[arm], meaning=meaning
    )


def _grouped(
    pulls: Sequence[Pull], labeller: Callable[[Pull], Labeller], examples: Sequence[Example]
) -> list[tuple[Work, list[Pull]]]:
    """Put pulls of one prompt and model together: one piece of work each."""
    groups: dict[tuple[str, str], tuple[Labeller, list[Pull]]] = {}
    for pull in pulls:
        annotator = labeller(pull)
        groups.setdefault((annotator.model.name, annotator.prompt.version), (annotator, []))[
            1
        ].append(pull)
    return [
        (Work(shared, [examples[pull.resource] for pull in members]), members)
        for shared, members in groups.values()
    ]


def _winner(selector: ArmSelector, names: Sequence[str]) -> tuple[str, ...]:
    """Name the best arm; nobody where nothing was tried."""
    return (names[selector.best()[0]],) if selector.record.total else ()


def _selector(method: str, arms: int, total: int, *, most: int) -> ArmSelector:
    if method == "equal":
        return EqualShares(arms, total, most=most)
    if method == "ucb":
        return UpperBound(arms, total, c=0.5, most=most)
    if method in {"cr", "cr-c"}:
        return ContinuousRejects(arms, total, variant="C" if method == "cr-c" else "A", most=most)
    return SuccessiveHalving(arms, total, most=most)


def _total(
    session: Session, arms: Sequence[Labeller], examples: Sequence[Example], terms: Terms, noun: str
) -> int:
    longest = max(examples, key=lambda example: len(example.text))
    free = all(arm.model.is_free for arm in arms)
    dearest = Decimal(0) if free else max(arm.ceiling(longest) for arm in arms)
    # Embeddings speak for arms that were never tried.
    are_many = terms.method in _MANY
    return how_many(
        least=2 if are_many else len(arms),
        usual=max(2 * USUAL_TRIES, 2 * len(arms)) if are_many else USUAL_TRIES * len(arms),
        most=len(examples) * len(arms),
        dearest=dearest,
        cap=session.context.config.budget.usd,
        asked=terms.evaluations,
        noun=noun,
    )


async def _committee(
    session: Session,
    selector: ArmSelector,
    arms: Sequence[Labeller],
    names: Sequence[str],
    examples: Sequence[Example],
) -> tuple[str, ...]:
    """Tell whether models together would do better, on what all finalists labelled."""
    last = [arm for arm in selector.best(len(arms)) if selector.record.pulls[arm]][:4]
    shared = min((selector.record.pulls[arm] for arm in last), default=0)
    if len(last) < 2 or shared < 10 or session.status != "finished":
        return ()
    some = examples[:shared]
    # Every one of these was labelled before, so the answers come from the store.
    answers = await label_all([Work(arms[arm], some) for arm in last])
    if any(answer.probabilities is None for said in answers for answer in said):
        return ()
    stacked = np.array([[answer.probabilities for answer in said] for said in answers])
    gold = session.context.answers.places([example.gold for example in some])
    found = greedy_ensemble(stacked, gold)
    if len(found.counts) < 2:
        return ()
    members = listed([f"{names[last[i]]} x{n}" for i, n in found.counts.items()])
    said = f"Averaged, {members} would be right in {found.score:.0%} of the {shared} examples that "
    return (f"{said}all of them labelled (chosen on the same examples, so it flatters).",)


def _prompt(session: Session, pieces: Sequence[Piece]) -> Prompt:
    task = session.context.task
    passages = [piece.passage for piece in pieces if piece.passage]
    instructions = "\n\n".join([task.instructions.strip(), *passages]).strip()
    shown = tuple(piece.shown for piece in pieces if piece.shown)
    return Prompt(replace(task, instructions=instructions), shown)


def _longest(pieces: Sequence[Piece], count: int) -> list[Piece]:
    def size(piece: Piece) -> int:
        return len(piece.passage) + (len(piece.shown.example.text) if piece.shown else 0)

    return sorted(pieces, key=size, reverse=True)[:count]


def _by_vectors(
    session: Session,
    pieces: Sequence[Piece],
    examples: Sequence[Example],
    *,
    method: str,
    count: int,
) -> list[int]:
    """Choose by embeddings alone: GO for all examples together, or MMR around their mean."""
    context = session.context
    texts = [piece.passage or (piece.shown.example.text if piece.shown else "") for piece in pieces]
    vectors = context.view.embed_texts(texts)
    targets = context.view.embed_texts([example.text for example in examples[:_MOST_TARGETS]])
    if method == "mmr":
        picks = relevant_and_varied(vectors, targets.mean(axis=0), count=count)
        return [int(pick) for pick in picks]
    known = prior_covariance(np.empty((0, vectors.shape[1])), width=vectors.shape[1])
    return [int(row) for row in transductive_design(vectors, targets, known, count=count)[0]]


def _contexts(
    session: Session, pieces: Sequence[Piece], picks: Sequence[int], rows: tuple[ArmRow, ...]
) -> Chosen:
    chosen = [pieces[place] for place in picks]
    prompt = _prompt(session, chosen)
    settings: dict[str, object] = {}
    if any(piece.passage for piece in chosen):
        settings["task.instructions"] = prompt.task.instructions
    if prompt.shared:
        settings["annotator.demonstrations"] = [
            _written(demonstration) for demonstration in prompt.shared
        ]
    return Chosen(
        what="context",
        rows=rows,
        winners=tuple(piece.name for piece in chosen),
        settings=settings,
        status=session.status,
        records=tuple(piece.record for piece in chosen if piece.record),
    )


def _written(shown: Demonstration) -> dict[str, object]:
    """Write a demonstration as a task file does."""
    fields = dict(shown.example.fields)
    text: object = fields if len(fields) > 1 else next(iter(fields.values()))
    return {"text": text, "label": name_of(shown.answer)}
