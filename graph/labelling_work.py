"""The work inside the annotate, verify, generate and train steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from querist.agents.annotator import classify
from querist.agents.annotator import rules as annotator
from querist.agents.mind import Agent, decide
from querist.agents.models.metered import MeteredModel
from querist.agents.prompts.classification import ClassificationPrompt, Demonstration
from querist.agents.verifier.rules import Opinions
from querist.graph import evidence
from querist.graph.context import Context
from querist.graph.knowledge import Knowledge
from querist.memory.errors import BudgetExceeded, QueristError
from querist.memory.labelling import BatchItem
from querist.memory.records import (
    Annotation,
    Choice,
    Confidence,
    Example,
    ExampleId,
    Label,
    Origin,
    Probabilities,
    Verdict,
)
from querist.tools.diversity import k_center

PROBES = 60
"""Human-labelled examples that a new prompt is tried on, to learn what its answers are worth."""
SHOWN_TO_GENERATOR = 8
FILLERS = 3
COPY = 0.98
"""Cosine similarity from which a labelled example would give the answer away."""
LOCAL_CHUNK = 20


async def annotate_chunk(context: Context, *, number: int) -> int:
    """Annotate the next items of the batch; return how many are still to do."""
    todo = context.labelling.batch(number, status="todo")
    if not todo:
        return 0
    if not context.config.annotator.enabled:
        _pass_on(context, todo, number)
        return 0
    model = context.model(Agent.ANNOTATOR)
    model.round = number
    ruling, prompt = await _prompt(context, number=number, batch=len(todo))
    chunk = todo[: _chunk_size(context, model)]
    prior = await bias(context, prompt, model=model) if ruling.calibrate else None
    await _probe(context, prompt, model=model, votes=ruling.votes, prior=prior, number=number)
    items = _items(context, chunk, prompt)
    outcome = await classify.annotate(
        items, prompt=prompt, model=model, votes=ruling.votes, number=number, prior=prior
    )
    context.labelling.annotated(number, outcome.annotations)
    left = len(todo) - len(chunk)
    done = len(context.labelling.batch(number)) - left
    context.emit(
        "annotated",
        round=number,
        done=done,
        total=done + left,
        usd=str(context.ledger.balance().settled),
    )
    return _after(context, outcome.errors, number=number, left=left)


def machine_label(context: Context, verdict: Verdict, opinions: Opinions) -> Label:
    """Make the label that an accepted verdict stands for."""
    assert verdict.answer is not None
    soft = opinions.annotator if opinions.annotator is not None else opinions.pooled
    assert soft is not None
    source: Literal["llm", "model", "generated"] = "llm"
    who = f"llm:{context.config.models.annotator}"
    if opinions.example.origin is Origin.GENERATED:
        source = "generated"
    elif opinions.annotator is None:  # the neighbours and the current model labelled it
        source, who = "model", "model:linear-head"
    return Label(
        example=verdict.example,
        answer=verdict.answer,
        source=source,
        who=who,
        weight=round(verdict.p_correct, 6),
        p_correct=round(verdict.p_correct, 6),
        round=verdict.round,
        probabilities=_named(context, soft),
    )


def reconsider(context: Context, knowledge: Knowledge) -> None:
    """Give machine labels the answer and the certainty that today's knowledge supports."""
    machine = [one for one in knowledge.labels.values() if one.source != "human"]
    if not machine or not knowledge.testimony.truth:
        return
    examples = context.examples([one.example for one in machine])
    changed = []
    for label, found in zip(machine, knowledge.opinions(examples, [0] * len(machine)), strict=True):
        best = found.best(context.task)
        if best is None or found.pooled is None or found.annotator is None:
            continue
        p_correct = round(float(found.pooled.max()), 6)
        new = Label(
            example=label.example,
            answer=Choice(best),
            source=label.source,
            who=label.who,
            weight=p_correct,
            p_correct=p_correct,
            round=label.round,
            probabilities=_named(context, found.annotator),
        )
        if new != label:
            changed.append(new)
    context.labelling.relabel(changed)


def typical(context: Context, knowledge: Knowledge, label: str) -> list[Example]:
    """Fetch labelled examples of a class, those that people labelled first."""
    known = [
        one
        for one in knowledge.labels.values()
        if one.answer == Choice(label) and one.source != "generated"
    ]
    known.sort(key=lambda one: (one.source != "human", -one.p_correct, one.example))
    return context.examples([one.example for one in known[:SHOWN_TO_GENERATOR]])


def copy_check(context: Context, *, number: int, at: float) -> Callable[[str], bool]:
    """Make a test for near-duplicates of the pool and of what was let pass before."""
    view = context.view()
    # After a crash this round's own texts are in the pool already; they are not copies.
    old = [i for i, one in enumerate(view.ids) if not one.startswith(f"gen-{number}-")]
    known = view.vectors[old]
    passed: list[np.ndarray] = []

    def is_copy(text: str) -> bool:
        vector = context.embedder.embed([text])[0]
        close = [float(one @ vector) for one in passed]
        if len(known):
            close.append(float((known @ vector).max()))
        # A text's cosine with its own copy may come out as 0.9999999.
        if close and max(close) >= at - 1e-6:
            return True
        passed.append(vector)
        return False

    return is_copy


# ---------------------------------------------------------------- annotating


async def _prompt(
    context: Context, *, number: int, batch: int
) -> tuple[annotator.Annotating, ClassificationPrompt]:
    """Take the annotator's decision and choose the demonstrations that all examples share."""
    bank = _bank(context)
    earlier = context.journal.decisions(number=number, agent=Agent.ANNOTATOR)
    if earlier:
        action = dict(earlier[0].action)
        ruling = annotator.Annotating.model_validate(action | {"reason": earlier[0].reason})
    else:
        found = evidence.for_annotator(context, number=number, batch=batch, bank=len(bank))
        ruling, decision = await decide(
            found,
            annotator.plan,
            agent=Agent.ANNOTATOR,
            number=number,
            step="annotate",
            deliberate=context.deliberations.by_agent.get("annotator"),
        )
        context.journal.decided(decision)
    shared = _shared(context, bank, count=ruling.shared)
    shown = (*context.given, *shared)
    return ruling, ClassificationPrompt(context.task, shown, nearest=ruling.nearest)


def _bank(context: Context) -> list[Label]:
    """What people labelled, in the order it came: what demonstrations are taken from."""
    human = [one for one in context.labelling.labels() if one.source == "human"]
    return sorted(human, key=lambda one: (one.round, one.example))


def _shared(context: Context, bank: Sequence[Label], *, count: int) -> tuple[Demonstration, ...]:
    """Choose varied demonstrations, each class in turn.

    Only the first 2^n labels are looked at, so the choice, and with it the cached prefix and the
    learnt calibration, changes only when the bank has doubled.
    """
    if not count or not bank:
        return ()
    size = 1 << (len(bank).bit_length() - 1)
    considered = list(bank[: max(size, count)])
    by_class: dict[str, list[Label]] = {name: [] for name in context.task.names}
    for one in considered:
        assert isinstance(one.answer, Choice)
        by_class[one.answer.value].append(one)
    view = context.view()
    ordered: list[list[Label]] = []
    for members in by_class.values():
        if members:
            rng = np.random.default_rng(context.config.loop.seed)
            picks = k_center(view.of([one.example for one in members]), count=count, rng=rng)
            ordered.append([members[i] for i in picks])
    turns = [one for rank in range(count) for group in ordered for one in group[rank : rank + 1]]
    examples = context.examples([one.example for one in turns[:count]])
    return tuple(_shown(one, label) for one, label in zip(examples, turns, strict=False))


def final_prompt(context: Context) -> ClassificationPrompt:
    """The prompt that the run would use now, as the annotator last decided."""
    decided = context.journal.decisions(agent=Agent.ANNOTATOR)
    given = context.given
    count = max(0, context.config.annotator.shared - len(given))
    shown = (*given, *_shared(context, _bank(context), count=count))
    nearest = int(str(decided[-1].action["nearest"])) if decided else 0
    return ClassificationPrompt(context.task, shown, nearest=nearest)


async def bias(
    context: Context, prompt: ClassificationPrompt, *, model: MeteredModel
) -> Probabilities | None:
    """Measure the label bias of a prompt, with arbitrary demonstrations for the nearest ones."""
    bank = _bank(context)
    rng = np.random.default_rng(context.config.loop.seed)
    size = 1 << (len(bank).bit_length() - 1) if bank else 0
    fillers = []
    for _ in range(FILLERS if prompt.nearest and bank else 1):
        picks = rng.permutation(size)[: prompt.nearest]
        examples = context.examples([bank[i].example for i in picks])
        fillers.append([_shown(one, bank[i]) for one, i in zip(examples, picks, strict=True)])
    return await classify.label_bias(prompt, model=model, fillers=fillers)


def with_nearest(
    context: Context,
    examples: Sequence[Example],
    prompt: ClassificationPrompt,
    *,
    attempts: Sequence[int] | None = None,
) -> list[classify.Item]:
    """Add to each example its closest labelled ones, the closest last; never itself or a copy."""
    attempts = attempts or [0] * len(examples)
    bank = {one.example: one for one in _bank(context)}
    if not prompt.nearest or not bank:
        return [classify.Item(one, (), n) for one, n in zip(examples, attempts, strict=True)]
    context.remember(list(bank))
    shown = {one.example.id for one in prompt.shared}
    hits = context.bank.nearest(
        context.embed([one.text for one in examples]), count=prompt.nearest + len(shown) + 1
    )
    texts = {one.id: one for one in context.examples(list(bank))}
    items = []
    for example, row, attempt in zip(examples, hits, attempts, strict=True):
        close = [
            ExampleId(one)
            for one, similarity in row
            if one in bank and one not in shown and one != example.id and similarity < COPY
        ][: prompt.nearest]
        turns = tuple(_shown(texts[one], bank[one]) for one in reversed(close))
        items.append(classify.Item(example, turns, attempt))
    return items


def _shown(example: Example, label: Label) -> Demonstration:
    assert isinstance(label.answer, Choice)
    return Demonstration(example, label.answer.value)


def _items(
    context: Context, chunk: Sequence[BatchItem], prompt: ClassificationPrompt
) -> list[classify.Item]:
    examples = context.examples([item.example for item in chunk])
    return with_nearest(context, examples, prompt, attempts=[item.attempt for item in chunk])


async def _probe(
    context: Context,
    prompt: ClassificationPrompt,
    *,
    model: MeteredModel,
    votes: int,
    prior: Probabilities | None,
    number: int,
) -> None:
    """Try a new prompt on what people labelled: that shows what its answers are worth."""
    if not prompt.shared:
        return
    shown = {one.example.id for one in prompt.shared}
    known = [one.example for one in _bank(context) if one.example not in shown][:PROBES]
    said = context.labelling.annotations(known)
    done = {one.example for one in said if one.prompt_version == prompt.version}
    missing = [one for one in known if one not in done]
    if not missing:
        return
    chunk = [BatchItem(one, rank, "todo") for rank, one in enumerate(missing)]
    outcome = await classify.annotate(
        _items(context, chunk, prompt),
        prompt=prompt,
        model=model,
        votes=votes,
        number=number,
        prior=prior,
    )
    context.labelling.record(outcome.annotations)


def _after(
    context: Context, errors: Mapping[ExampleId, QueristError], *, number: int, left: int
) -> int:
    """Stop the round's annotating when the money is at an end; raise what a person must mend."""
    broke = [one for one in errors.values() if isinstance(one, BudgetExceeded)]
    others = [one for one in errors.values() if not isinstance(one, BudgetExceeded)]
    if others:
        raise others[0]
    if broke:
        context.labelling.abandon(number)
        context.emit("out_of_money", round=number, reason=str(broke[0]))
        return 0
    return left


def _pass_on(context: Context, todo: Sequence[BatchItem], number: int) -> None:
    """Without a language model the batch goes to the verifier unseen."""
    context.labelling.annotated(
        number,
        [
            Annotation(
                item.example,
                "llm:none",
                None,
                number,
                status="failed",
                confidence_from=Confidence.NONE,
            )
            for item in todo
        ],
    )


def _chunk_size(context: Context, model: MeteredModel) -> int:
    return LOCAL_CHUNK if model.model.in_flight == 1 else context.config.loop.chunk


def _named(context: Context, vector: np.ndarray) -> dict[str, float]:
    return {
        name: round(float(value), 6) for name, value in zip(context.task.names, vector, strict=True)
    }
