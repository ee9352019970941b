"""The model that people take home, made by the trainer that the task file names."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from querist.graph.round.audit import audited
from querist.graph.round.knowledge import Knowledge
from querist.graph.round.measure import measure_chances
from querist.graph.round.model_files import (
    MODEL,
    current_model,
    facts_of,
    fit_head,
    quality_in_words,
)
from querist.graph.round.pseudo_labels import pseudo_rows
from querist.graph.target.distilling import (
    Comparison,
    annotate_more,
    by_people,
    compare_on_people,
    distilled,
)
from querist.graph.target.prompted import prompted
from querist.graph.workplace.context import Context
from querist.memory.errors import BudgetExceeded, CapReached
from querist.memory.events import Delivered, Notice, TargetTraining
from querist.memory.records import Example, ExampleId, Round, Split
from querist.tools.embedding.minilm import MiniLM
from querist.tools.kinds import Measure
from querist.tools.opinions.training_set import TrainingSet
from querist.tools.training.fine_tuned import FEWEST_A_CLASS, FEWEST_ROWS
from querist.tools.training.heads import LinearPredictor, LinearTrainer
from querist.tools.training.model_folder import Model
from querist.tools.training.port import (
    TRAINERS,
    Inputs,
    Need,
    Predictor,
    Trainer,
    TrainingRows,
    Watch,
)
from querist.tools.training.prompted import PROMPT, PromptedReader
from querist.tools.training.proxy import LinearModel
from querist.tools.training.weights import CONFIG, read_config

_AUTO, _TUNED, _PROXY = "auto", "fine_tuned", "linear"
"""Targets by name. The loop's own head is what is taken home until a slow one is trained."""
_ACCURACY = "accuracy"
_WORK = "tuning"
"""Folder of a run for what a slow trainer has done so far."""


async def deliver_round(
    context: Context, model: LinearModel, rows: TrainingSet, measured: Round
) -> None:
    """Write the folder after a round: the target if it is quick, else the loop's own head."""
    name = _wanted(context)
    trainer = TRAINERS.read(_PROXY if name == PROMPT else name)
    if trainer.is_quick and not _is_proxy(trainer):
        await _deliver_target(context, name, rows, measured)
    else:
        _write(context, LinearPredictor(model), _PROXY, measured, {})


async def deliver_last(context: Context, *, may_ask: bool = False) -> None:
    """Write the folder of a run that ends, unless it holds the newest round's target already.

    `may_ask`: the language model may label more texts for a tuned target, where that helps.
    """
    model, rounds = current_model(context.files), context.journal.rounds()
    if model is None or not rounds:
        return
    name, measured = _wanted(context), rounds[-1]
    if name == PROMPT:
        await _deliver_prompt(context, measured)
        return
    is_proxy = _is_proxy(TRAINERS.read(name))
    name = _PROXY if is_proxy else name
    has_more = is_proxy and bool(audited(context))
    if _delivered(context.files.path(MODEL)) == (name, measured.number) and not has_more:
        return
    if context.kind.metric == _ACCURACY and (words := better_prompt(measured)):
        context.emit(Notice(words))
    # What is taken home learns from the audit sample, too: nothing is measured on it any more.
    rows = Knowledge(context, model=model, whole=True).training_set
    if is_proxy and not has_more:
        _write(context, LinearPredictor(model), _PROXY, measured, {})
    elif is_proxy:
        pseudo = pseudo_rows(context, rows, number=measured.number)
        head = fit_head(context, rows, pseudo, number=measured.number)
        await _hand_over(context, LinearPredictor(head), name, measured)
    elif rows.can_train:
        await _deliver_target(context, name, rows, measured, may_ask=may_ask)


async def _deliver_prompt(context: Context, measured: Round) -> None:
    """Take the annotator's prompt home; where the money is over it stays unmeasured."""
    if _delivered(context.files.path(MODEL)) == (PROMPT, measured.number):
        return
    predictor = await prompted(context)
    try:
        await _hand_over(context, predictor, PROMPT, measured)
    except CapReached:
        raise
    except BudgetExceeded:
        context.emit(Notice("The prompt was not tried on the test texts: the budget is spent."))
        _write(context, predictor, PROMPT, measured, {})
        context.emit(Delivered(measured.number, predictor.title, None, None, None))


async def _deliver_target(
    context: Context, name: str, rows: TrainingSet, measured: Round, *, may_ask: bool = False
) -> None:
    trainer, work = TRAINERS.read(name), context.files.path(_WORK)
    deadline = time.monotonic() + 60 * context.config.training.minutes
    learnt = _training_rows(context, trainer, rows, minutes=context.config.training.minutes)
    if not trainer.is_quick:
        taught = len(learnt.weights) if learnt.tuned_on is None else len(learnt.tuned_on)
        words = f"training {trainer.name} on {taught:,} labels"
        context.emit(TargetTraining(words))
    # In a thread, so that a trainer may take its time.
    predictor = await asyncio.to_thread(trainer.fit, learnt)
    found = _compared(context, rows, predictor)
    if found is not None and found.helps:
        context.emit(TargetTraining(found.words))
        more = await _distilled(context, rows, predictor, deadline=deadline, may_ask=may_ask)
        left = max(0.0, deadline - time.monotonic()) / 60
        learnt = _training_rows(context, trainer, more, minutes=left, tunes_on_all=True)
        taught_more = await asyncio.to_thread(trainer.fit, learnt)
        # Where the time does not allow for it, people's labels have taught what there is.
        if getattr(taught_more, "held_out", None) is not None:
            predictor = taught_more
    notes = () if found is None else (found.words,)
    await _hand_over(context, predictor, name, measured, notes=notes)
    shutil.rmtree(work, ignore_errors=True)


def _compared(context: Context, rows: TrainingSet, target: Predictor) -> Comparison | None:
    """Tell whether the annotator's word helps a target; None where nothing tells."""
    held_out = getattr(target, "held_out", None)
    if held_out is None or not len(rows.human):
        return None
    return compare_on_people(Knowledge(context, model=None, whole=True), rows, held_out)


async def _distilled(
    context: Context, rows: TrainingSet, target: Predictor, *, deadline: float, may_ask: bool
) -> TrainingSet:
    """Gather what people said, and of other texts what the annotator and the target say."""
    if may_ask:
        await annotate_more(context, most=context.config.distilled, deadline=deadline)
    knowledge = Knowledge(context, model=None, whole=True)
    return await distilled(context, knowledge, by_people(rows), target)


async def _hand_over(
    context: Context,
    predictor: Predictor,
    name: str,
    measured: Round,
    *,
    notes: tuple[str, ...] = (),
) -> None:
    """Measure a target where answers are known, write it down, and tell of it."""
    needs = _needs(name)
    own = await _measure(context, needs, predictor)
    notes = (*getattr(predictor, "notes", ()), *notes)
    _write(context, predictor, name, measured, own, notes=notes)
    for note in notes:
        context.emit(Notice(note))
    test = own.get(Split.TEST)
    told = (test.value, test.low, test.high) if test else (None, None, None)
    title = getattr(predictor, "title", name)
    context.emit(Delivered(measured.number, title, *told))


def _watch(context: Context, minutes: float) -> Watch:
    """Let a trainer, which works in a thread of its own, be heard where events are written."""
    loop = asyncio.get_running_loop()

    def tell(words: str) -> None:
        loop.call_soon_threadsafe(context.emit, TargetTraining(words))

    return Watch(tell, context.files.path(_WORK), minutes)


def _wanted(context: Context) -> str:
    """Resolve which trainer makes the target: `auto` tunes an encoder where that is known to win.

    That is: on single texts, with the encoder's vectors in use already.
    """
    name = context.config.training.target
    if name != _AUTO:
        return name
    is_text = len(context.kind.parts(Example(ExampleId(""), {}))) == 1
    is_encoded = isinstance(context.embedder, MiniLM)
    return _TUNED if is_text and is_encoded and _labelled_enough(context) else _PROXY


def _labelled_enough(context: Context) -> bool:
    """Tell whether people labelled enough to tune on and to judge it by."""
    people = context.labelling.counts().get("human", 0)
    return people >= max(FEWEST_ROWS, FEWEST_A_CLASS * len(context.answers))


def _is_proxy(trainer: Trainer) -> bool:
    """Tell whether the target is what the loop has trained for itself anyway."""
    return trainer == LinearTrainer()


def _training_rows(
    context: Context,
    trainer: Trainer,
    rows: TrainingSet,
    *,
    minutes: float,
    tunes_on_all: bool = False,
) -> TrainingRows:
    """Take the labels that count, in the form that the trainer reads."""
    kept = np.flatnonzero(rows.weights > 0)
    people = np.flatnonzero(np.isin(kept, rows.human))
    examples = [rows.ids[row] for row in kept] if "texts" in trainer.needs else []
    return TrainingRows(
        inputs=Inputs(
            vectors=rows.inputs[kept] if "vectors" in trainer.needs else None,
            texts=[example.text for example in context.view.get(examples)] if examples else None,
        ),
        targets=rows.targets[kept],
        weights=rows.weights[kept],
        classes=context.answers.names,
        seed=context.config.loop.seed,
        judges=people if len(people) else None,
        tuned_on=people if len(people) and not tunes_on_all else None,
        watch=_watch(context, minutes),
    )


def _needs(name: str) -> frozenset[Need]:
    return PromptedReader().needs if name == PROMPT else TRAINERS.read(name).needs


async def _measure(
    context: Context, needs: frozenset[Need], predictor: Predictor
) -> dict[Split, Measure]:
    """Measure the target itself on the files whose answers are known."""
    found = {}
    for split in (Split.VALIDATION, Split.TEST):
        examples = context.view.known(split)
        if not examples:
            continue
        inputs = _inputs(context, needs, examples)
        chances = await asyncio.to_thread(predictor.predict_proba, inputs)
        measure = measure_chances(context, examples, chances)
        if measure is not None:
            found[split] = measure
    return found


def _inputs(context: Context, needs: frozenset[Need], examples: list[Example]) -> Inputs:
    vectors = context.view.embed(examples) if "vectors" in needs else None
    texts = [example.text for example in examples] if "texts" in needs else None
    return Inputs(vectors=vectors, texts=texts)


def _write(
    context: Context,
    predictor: Predictor,
    trainer: str,
    measured: Round,
    own: Mapping[Split, Measure],
    *,
    notes: tuple[str, ...] = (),
) -> None:
    facts = facts_of(context, measured)
    facts["training"] += notes
    if own or trainer != _PROXY:
        facts |= _own_facts(measured, own, context.kind.metric)
    has_vectors = "vectors" in _needs(trainer)
    embedder = context.embedder if has_vectors else None
    model = Model(
        task=context.task,
        predictor=predictor,
        trainer=trainer,
        embedder_name=embedder.name if embedder else "",
        embedder_call=context.config.data.embedder if embedder else "",
        embedder_checksum=str(getattr(embedder, "checksum", "")),
        facts=facts,
    )
    with context.files.fenced():
        model.save(context.files.path(MODEL))
    context.files.share(MODEL)


def _own_facts(measured: Round, own: Mapping[Split, Measure], metric: str) -> dict[str, Any]:
    """Say how good the target itself is: what was measured of the loop's head is not its."""
    where = {
        Split.VALIDATION: "the validation set",
        Split.TEST: "labelled texts that neither the agents nor the model saw",
    }
    lines = [
        f"{found.value:.1%} {found.name} (90 % interval {found.low:.1%} to {found.high:.1%}) on "
        f"{where[split]}."
        for split, found in own.items()
    ]
    lines = lines or ["Not measured itself: there is no file of known labels (data.test)."]
    proxy = " ".join(quality_in_words(measured, metric))
    return {
        "metrics": {split.value: found.value for split, found in own.items()},
        "quality": [*lines, f"The loop's own linear head: {proxy}"],
    }


def better_prompt(measured: Round) -> str:
    """Say so where the language model's prompt is surely the better classifier; else "".

    Its skill is measured on people's random first sample, of which it was shown no text's own
    label; the trained model's share as the round tells it.
    """
    skill, most = measured.detail.get("llm_skill"), measured.metric_high
    if not isinstance(skill, int | float) or most is None or skill <= most:
        return ""
    return (
        f"The language model itself is right on {skill:.0%} of people's random sample, the loop's "
        f"model on {measured.metric:.0%} (at most {most:.0%}): where its price allows, it labels "
        "the rest better. Let the run go on with more rounds (querist resume RUN --rounds N), or "
        'take its prompt home (training.target = "prompt").'
    )


def _delivered(folder: Path) -> tuple[str, int] | None:
    """Read which trainer's model of which round a folder holds."""
    if not (folder / CONFIG).is_file():
        return None
    config = read_config(folder)
    return str(config["trainer"]), int(config["facts"].get("round", -1))
