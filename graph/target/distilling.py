"""What the annotator's word teaches a tuned target, on texts that people did not label.

A tuned encoder is mostly the better witness than the head that the loop steers by, so what a
machine said is weighed beside the encoder's own opinion, not beside the head's: on trec6 labels of
the latter kind took an encoder that 100 people's labels had brought to 90.6 % down to 77 %. And
only where the annotator's word helps: on people's labels that neither of the two saw.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import numpy as np

from querist.agents.annotator.port import ANNOTATORS, Chunk
from querist.agents.mind import Agent
from querist.graph.round.audit import selectable
from querist.graph.round.knowledge import Knowledge
from querist.graph.round.prompts import bias, final_prompt, with_nearest
from querist.graph.workplace.context import Context
from querist.memory.errors import BudgetExceeded, CapReached, ModelError
from querist.memory.events import Notice, TargetTraining
from querist.memory.records import Annotation, Example, ExampleId
from querist.tools.compute.arrays import FloatArray
from querist.tools.opinions.beliefs import LEAST, certainty
from querist.tools.opinions.training_set import TrainingSet, combine_opinions, worth_of
from querist.tools.training.port import Inputs, Predictor
from querist.tools.wording import counted

_FEWEST = 20
"""People's labels that the annotator labelled too: fewer do not tell whether it helps."""
_SHARE = 0.5
"""Of the time that is left for training, what asking may take at most."""
_CHUNK = 20
"""Texts between two looks at the clock, of a model that answers one call at a time."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a tuned target does on labels held out, alone and with the annotator's word."""

    labels: int
    alone: float
    """Share that is right."""
    together: float
    helps: bool

    @property
    def words(self) -> str:
        """Say what was found, and what follows."""
        so = "learns from that, too" if self.helps else "learns from people alone"
        return (
            f"On {counted(self.labels, 'label')} held out the tuned encoder was right on "
            f"{self.alone:.1%}, with the language model's word beside it on {self.together:.1%}: "
            f"it {so}."
        )


def compare(
    target: FloatArray, annotator: FloatArray, truth: FloatArray, *, prior: FloatArray
) -> Comparison:
    """Tell whether the annotator's word helps: two opinions held out (N, C), truth (N, C).

    It does where more labels are right by both together than by the target alone, by more than the
    standard error of that difference, and the truth is likelier. Encoders of folds are taught by
    fewer labels than the target, so they gain more by another witness than it will.
    """
    both = combine_opinions(annotator, target, prior=prior)
    alone, together = (said.argmax(axis=1) == truth.argmax(axis=1) for said in (target, both))
    gained = np.count_nonzero(together) - np.count_nonzero(alone)
    likely = [
        float((truth * np.log(np.maximum(said, LEAST))).sum(axis=1).mean())
        for said in (target, both)
    ]
    helps = gained > np.sqrt(np.count_nonzero(together != alone)) and likely[1] > likely[0]
    return Comparison(len(truth), float(alone.mean()), float(together.mean()), bool(helps))


def compare_on_people(
    knowledge: Knowledge, rows: TrainingSet, held_out: FloatArray
) -> Comparison | None:
    """Compare on people's labels that the annotator labelled; `held_out` (H, C) is by people's row.

    None where these are too few.
    """
    known = knowledge.reliability
    names = [rows.ids[row] for row in rows.human]
    both = [place for place, name in enumerate(names) if name in known.raw]
    if len(both) < _FEWEST:
        return None
    said = known.held_out([names[place] for place in both])
    return compare(held_out[both], said, rows.targets[rows.human[both]], prior=known.usual)


async def annotate_more(context: Context, *, most: int, deadline: float) -> None:
    """Ask about texts of the pool at random that nobody was asked about, and keep what is said.

    It ends with the money, when half of the time up to `deadline` (monotonic seconds) is over, when
    the endpoint fails, or when a person says stop: what there is by then will do.
    """
    texts = _unasked(context, most)
    if not texts:
        return
    until = time.monotonic() + _SHARE * (deadline - time.monotonic())
    try:
        await _ask(context, texts, until=until)
    except CapReached:
        raise  # it goes on when the cap of all runs allows
    except (BudgetExceeded, ModelError) as error:
        context.emit(Notice(f"No more texts were labelled to teach the target: {error}"))


async def _ask(context: Context, texts: list[Example], *, until: float) -> None:
    """Label texts chunk by chunk; raises what ends it, once most of a chunk failed of it."""
    number, annotating = context.labelling.last_round(), context.config.annotator
    model, prompt = context.models.on(Agent.ANNOTATOR, number), final_prompt(context)
    prior = await bias(context, prompt, model=model) if annotating.calibrate else None
    size = _CHUNK if model.model.in_flight == 1 else context.config.loop.chunk
    for start in range(0, len(texts), size):
        if time.monotonic() > until or context.mailbox.stop_command() is not None:
            return
        items = tuple(with_nearest(context, texts[start : start + size], prompt))
        asked = Chunk(items, prompt, votes=1, number=number, prior=prior)
        annotated = await ANNOTATORS.read(annotating.method).annotate(asked, model=model)
        context.labelling.record(annotated.annotations)
        failed = list(annotated.errors.values())
        spent = [error for error in failed if isinstance(error, BudgetExceeded)]
        if spent or 2 * len(failed) > len(items):
            raise (spent or failed)[0]
        done = start + len(items)
        if done % (5 * size) == 0 or done == len(texts):
            words = f"the language model labelled {done:,} of {len(texts):,} more texts for it"
            context.emit(TargetTraining(words))


def _unasked(context: Context, most: int) -> list[Example]:
    """Draw texts at random, the same ones whenever it is asked; without those done already."""
    rows = selectable(context)
    rng = np.random.default_rng([context.config.loop.seed, 5])
    ids = context.view.ids
    drawn = [ids[row] for row in rng.permutation(rows)[:most]]
    said = {told.example for told in context.labelling.annotations(drawn) if _is_usable(told)}
    return list(context.view.get([name for name in drawn if name not in said]))


def _is_usable(told: Annotation) -> bool:
    return told.who.startswith("llm:") and told.answer is not None


async def distilled(
    context: Context, knowledge: Knowledge, people: TrainingSet, target: Predictor
) -> TrainingSet:
    """Add to people's rows what the annotator said of others, weighed with the target's opinion.

    The product of both, which is right where they are independent given the truth, weighs 1 minus
    its entropy, and less where the annotator told little (`training_set`).
    """
    known = knowledge.reliability
    taught = set(people.ids)
    others: list[ExampleId] = sorted(name for name in known.calibrated if name not in taught)
    if not others:
        return people
    texts = [example.text for example in context.view.get(others)]
    opinion = await asyncio.to_thread(target.predict_proba, Inputs(texts=texts))
    said = np.stack([known.calibrated[name] for name in others])
    targets = combine_opinions(said, opinion, prior=known.usual)
    weights = worth_of(said, prior=known.usual) * certainty(targets)
    return TrainingSet(
        ids=(*people.ids, *others),
        inputs=np.concatenate([people.inputs, context.view.of(others)]),
        targets=np.concatenate([people.targets, targets]),
        weights=np.concatenate([people.weights, weights]),
        human=people.human,
    )


def by_people(rows: TrainingSet) -> TrainingSet:
    """Keep what people labelled."""
    kept = rows.human
    return TrainingSet(
        ids=tuple(rows.ids[row] for row in kept),
        inputs=rows.inputs[kept],
        targets=rows.targets[kept],
        weights=rows.weights[kept],
        human=np.arange(len(kept)),
    )
