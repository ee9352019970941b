"""The prompts of a run: which demonstrations they show, and what bias they bring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from querist.agents.annotator.annotate import label_bias
from querist.agents.annotator.port import Item
from querist.agents.annotator.prompt import Demonstration, Prompt
from querist.agents.mind import Agent
from querist.agents.models.metered import MeteredModel
from querist.graph.lessons.recalling import guidelines_of
from querist.graph.round.audit import learnable
from querist.graph.workplace.context import Context
from querist.memory.records import Example, ExampleId, Label, Probabilities
from querist.memory.run.labelling import BatchItem
from querist.tools.engines.diversity import k_center

PROBES = 60
"""Human-labelled examples that a new prompt is tried on, to learn what its answers are worth."""
FILLERS = 3
COPY = 0.98
"""Cosine similarity from which a labelled example would give the answer away."""


def labelling_models(context: Context) -> tuple[str, ...]:
    """Name the models that may label, the usual one first; each once."""
    config = context.config
    return tuple(dict.fromkeys((config.models.annotator, *config.annotator.models)))


def labelling_model(context: Context, name: str, *, number: int) -> MeteredModel:
    """Give the annotator a model that may label in a round; the usual one for any other name.

    What was ruled may name one that the configuration does not name any more.
    """
    if name not in labelling_models(context):
        return context.models.on(Agent.ANNOTATOR, number)
    return context.models.named(name, agent=Agent.ANNOTATOR, number=number)


def bank_of(context: Context) -> list[Label]:
    """What people labelled to learn from, in the order it came; all demonstrations are of it."""
    human = [label for label in learnable(context).values() if label.source == "human"]
    return sorted(human, key=lambda label: (label.round, label.example))


def shared_demonstrations(
    context: Context, bank: Sequence[Label], *, count: int
) -> tuple[Demonstration, ...]:
    """Choose varied demonstrations, each group in turn.

    Only the first 2^n labels are looked at, so the choice, and with it the cached prefix and the
    learnt calibration, changes only when the bank has doubled.
    """
    if not count or not bank:
        return ()
    size = 1 << (len(bank).bit_length() - 1)
    considered = list(bank[: max(size, count)])
    groups = context.kind.groups(context.task)
    by_group: dict[str, list[Label]] = {name: [] for name in groups}
    for label in considered:
        by_group[context.kind.group(label.answer)].append(label)
    view = context.view
    ordered: list[list[Label]] = []
    for members in by_group.values():
        if members:
            rng = np.random.default_rng(context.config.loop.seed)
            picks = k_center(view.of([member.example for member in members]), count=count, rng=rng)
            ordered.append([members[i] for i in picks])
    turns = [
        label for rank in range(count) for group in ordered for label in group[rank : rank + 1]
    ]
    examples = context.view.get([turn.example for turn in turns[:count]])
    return tuple(_shown(example, label) for example, label in zip(examples, turns, strict=False))


def final_prompt(context: Context) -> Prompt:
    """The prompt that the run would use now, as the annotator last decided."""
    decided = context.journal.decisions(agent=Agent.ANNOTATOR)
    given = context.given
    count = max(0, context.config.annotator.shared - len(given))
    shown = (*given, *shared_demonstrations(context, bank_of(context), count=count))
    nearest = int(str(decided[-1].action["nearest"])) if decided else 0
    return Prompt(context.task, shown, nearest=nearest, guidelines=guidelines_of(context))


async def bias(context: Context, prompt: Prompt, *, model: MeteredModel) -> Probabilities | None:
    """Measure the label bias of a prompt, with arbitrary demonstrations for the nearest ones."""
    bank = bank_of(context)
    rng = np.random.default_rng(context.config.loop.seed)
    size = 1 << (len(bank).bit_length() - 1) if bank else 0
    fillers = []
    for _ in range(FILLERS if prompt.nearest and bank else 1):
        picks = rng.permutation(size)[: prompt.nearest]
        examples = context.view.get([bank[i].example for i in picks])
        fillers.append(
            [_shown(example, bank[i]) for example, i in zip(examples, picks, strict=True)]
        )
    return await label_bias(prompt, model=model, fillers=fillers)


def with_nearest(
    context: Context,
    examples: Sequence[Example],
    prompt: Prompt,
    *,
    attempts: Sequence[int] | None = None,
) -> list[Item]:
    """Add to each example its closest labelled ones, the closest last; never itself or a copy."""
    attempts = attempts or [0] * len(examples)
    bank = {label.example: label for label in bank_of(context)}
    if not prompt.nearest or not bank:
        return [Item(asked, (), n) for asked, n in zip(examples, attempts, strict=True)]
    context.bank.put(list(bank))
    shown = {demonstration.example.id for demonstration in prompt.shared}
    hits = context.bank.nearest(context.view.embed(examples), count=prompt.nearest + len(shown) + 1)
    texts = {example.id: example for example in context.view.get(list(bank))}
    items = []
    for example, row, attempt in zip(examples, hits, attempts, strict=True):
        close = [
            ExampleId(neighbour)
            for neighbour, similarity in row
            if neighbour in bank
            and neighbour not in shown
            and neighbour != example.id
            and similarity < COPY
        ][: prompt.nearest]
        turns = tuple(_shown(texts[neighbour], bank[neighbour]) for neighbour in reversed(close))
        items.append(Item(example, turns, attempt))
    return items


def _shown(example: Example, label: Label) -> Demonstration:
    return Demonstration(example, label.answer)


def items_of(context: Context, chunk: Sequence[BatchItem], prompt: Prompt) -> list[Item]:
    """Make what is asked about batch items, with the demonstrations closest to each."""
    examples = context.view.get([item.example for item in chunk])
    return with_nearest(context, examples, prompt, attempts=[item.attempt for item in chunk])
