"""A chunk of a batch, labelled by the language model: what came of every row of it.

One row never stops a run: a text that the provider refuses, an answer that cannot be read or a
call that failed is noted at its row, and the rest goes on. A run that most replies are lost for
pauses instead, with an example of them, before it spends more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from querist.agents.annotator import rules as annotator
from querist.agents.annotator.port import ANNOTATORS, Annotations, Annotator, Chunk
from querist.agents.annotator.prompt import Prompt
from querist.agents.mind import Agent
from querist.agents.models.metered import MeteredModel
from querist.agents.models.port import RowRefused
from querist.graph.config import RunConfig
from querist.graph.lessons.recalling import guidelines_of, taught_texts
from querist.graph.round import evidence
from querist.graph.round.deciding import rule
from querist.graph.round.prompts import (
    PROBES,
    bank_of,
    bias,
    items_of,
    labelling_model,
    shared_demonstrations,
)
from querist.graph.workplace.context import Context
from querist.memory.errors import BudgetExceeded, CapReached, ModelUnavailable, QueristError
from querist.memory.events import Annotated, OutOfMoney
from querist.memory.records import Annotation, Confidence, ExampleId, Probabilities
from querist.memory.run.labelling import BatchItem, Labelling

_LOCAL_CHUNK = 20
_FEWEST = 5
"""Replies that are too few to say that most cannot be read, unless none ever could."""
_SHOWN = 160
"""Characters of a reply that a person is shown."""


async def annotate_chunk(context: Context, *, number: int, turn: int) -> int:
    """Annotate the next items of the batch; return how many are still to do."""
    todo = context.labelling.batch(number, status="todo")
    if not todo:
        return 0
    if not context.config.annotator.enabled:
        _pass_on(context.labelling, todo, number)
        return 0
    ruling, prompt = await _prompt(context, number=number, batch=len(todo), turn=turn)
    model = labelling_model(context, ruling.model, number=number)
    chunk = todo[: _chunk_size(context.config, model)]
    prior = await bias(context, prompt, model=model) if ruling.calibrate else None
    await _probe(context, prompt, model=model, votes=ruling.votes, prior=prior, number=number)
    items = tuple(items_of(context, chunk, prompt))
    asked = Chunk(items, prompt, votes=ruling.votes, number=number, prior=prior)
    annotated = await _method(context).annotate(asked, model=model)
    broke = _raise_what_concerns_all(context.labelling, annotated)
    failed = _failed_rows(annotated.errors, prompt, model=model, number=number)
    said = [*annotated.annotations, *failed]
    if _is_hopeless(context, said):
        _pause(context, said, number=number, model=model)
        return len(todo)
    context.labelling.annotated(number, said)
    left = len(todo) - len({annotation.example for annotation in said})
    _tell_progress(context, number=number, left=left)
    if isinstance(broke, CapReached):
        raise broke  # what is left of the batch waits, and goes on when the cap allows
    if broke is not None:
        context.labelling.abandon(number)
        context.emit(OutOfMoney(number, reason=str(broke)))
        return 0
    return left


def _method(context: Context) -> Annotator:
    return ANNOTATORS.read(context.config.annotator.method)


def _tell_progress(context: Context, *, number: int, left: int) -> None:
    total = len(context.labelling.batch(number))
    usd = context.ledger.balance().settled
    context.emit(Annotated(number, done=total - left, total=total, usd=usd))


async def _prompt(
    context: Context, *, number: int, batch: int, turn: int
) -> tuple[annotator.Annotating, Prompt]:
    """Take the annotator's decision and choose the demonstrations that all examples share."""
    bank = bank_of(context)
    ruling = await rule(
        context,
        annotator.SPEC,
        lambda: evidence.for_annotator(context, number=number, batch=batch, bank=len(bank)),
        turn=turn,
        number=number,
        step="annotate",
    )
    shared = shared_demonstrations(context, bank, count=ruling.shared)
    shown = (*context.given, *shared)
    guidelines = guidelines_of(context)
    return ruling, Prompt(context.task, shown, nearest=ruling.nearest, guidelines=guidelines)


async def _probe(
    context: Context,
    prompt: Prompt,
    *,
    model: MeteredModel,
    votes: int,
    prior: Probabilities | None,
    number: int,
) -> None:
    """Try a new prompt on what people labelled: that shows what its answers are worth."""
    is_usual = model.name == context.models.on(Agent.ANNOTATOR).name
    if is_usual and not prompt.shared and not prompt.guidelines:
        return
    shown = {demonstration.example.id for demonstration in prompt.shared}
    shown |= taught_texts(context)
    known = [label.example for label in bank_of(context) if label.example not in shown][:PROBES]
    said = context.labelling.annotations(known)
    done = {
        annotation.example
        for annotation in said
        if annotation.prompt_version == prompt.version and annotation.who == f"llm:{model.name}"
    }
    missing = [example_id for example_id in known if example_id not in done]
    if not missing:
        return
    chunk = [BatchItem(example_id, rank, "todo") for rank, example_id in enumerate(missing)]
    items = tuple(items_of(context, chunk, prompt))
    asked = Chunk(items, prompt, votes=votes, number=number, prior=prior)
    annotated = await _method(context).annotate(asked, model=model)
    context.labelling.record(annotated.annotations)


def _raise_what_concerns_all(labelling: Labelling, annotated: Annotations) -> BudgetExceeded | None:
    """Raise what a person must mend; return the error if the money is at an end."""
    errors = list(annotated.errors.values())
    broke = next((error for error in errors if isinstance(error, BudgetExceeded)), None)
    others = [error for error in errors if not isinstance(error, BudgetExceeded)]
    of_rows = [error for error in others if isinstance(error, RowRefused | ModelUnavailable)]
    fatal = [error for error in others if error not in of_rows]
    if fatal:
        raise fatal[0]
    answered = len(annotated.annotations)
    # A server that is down fails most rows; a text that it stumbles over fails one. Few rows tell
    # nothing, and would stop the run at every resume.
    if len(of_rows) > answered:
        unavailable = [error for error in of_rows if isinstance(error, ModelUnavailable)]
        is_down = bool(unavailable) and len(of_rows) >= _FEWEST
        if is_down or not _was_ever_answered(labelling):
            raise (unavailable or of_rows)[0]
    return broke


def _failed_rows(
    errors: Mapping[ExampleId, QueristError],
    prompt: Prompt,
    *,
    model: MeteredModel,
    number: int,
) -> list[Annotation]:
    """Write down, at their rows, what the provider said instead of an answer."""
    return [
        Annotation(
            example=example,
            who=f"llm:{model.name}",
            answer=None,
            round=number,
            rationale=str(error)[:400],
            prompt_version=prompt.version,
            guideline=prompt.task.version,
            confidence_from=Confidence.NONE,
            status="refused" if isinstance(error, RowRefused) else "failed",
        )
        for example, error in errors.items()
        if not isinstance(error, BudgetExceeded)
    ]


def _is_hopeless(context: Context, said: Sequence[Annotation]) -> bool:
    """Tell whether so few replies could be read that going on would waste money."""
    lost = sum(annotation.answer is None for annotation in said)
    share = context.config.annotator.unreadable
    if not lost or share >= 1 or lost < share * len(said):
        return False
    return len(said) >= _FEWEST or not _was_ever_answered(context.labelling)


def _pause(
    context: Context, said: Sequence[Annotation], *, number: int, model: MeteredModel
) -> None:
    """Keep what could be read, and pause with an example of what could not."""
    lost = [annotation for annotation in said if annotation.answer is None]
    context.labelling.annotated(
        number, [annotation for annotation in said if annotation.answer is not None]
    )
    # Whatever is mended, the same calls are to be made again, not to be read again.
    context.ledger.forget([annotation.call_key for annotation in lost if annotation.call_key])
    if context.control is not None:
        context.control.request_drain(_trouble(lost, len(said), model=model))


def _trouble(lost: Sequence[Annotation], total: int, *, model: MeteredModel) -> str:
    counts = {
        status: sum(annotation.status == status for annotation in lost) for status in _REMEDIES
    }
    worst = max(counts, key=lambda status: counts[status])
    example = next(annotation for annotation in lost if annotation.status == worst)
    shown = " ".join(example.rationale.split())[:_SHOWN] or "nothing at all"
    return (
        f"{len(lost)} of {total} replies of {model.name} gave no label ({len(lost) / total:.0%}). "
        f"One of them: {shown!r}. {_REMEDIES[worst]} Or let the run go on without them: "
        "querist resume --set annotator.unreadable=1"
    )


_REMEDIES = {
    "unparsable": "See how the model answers with querist doctor, name another with "
    "querist resume --set models.annotator=NAME, or say in task.instructions how to answer.",
    "truncated": "They were cut off before an answer: allow for more with "
    "querist resume --set models.thinking=8000, or name a model that thinks less.",
    "refused": "The provider refused them: see its words, or name another model with "
    "querist resume --set models.annotator=NAME.",
    "failed": "The provider failed on them: try again later, or look with querist doctor.",
}


def _was_ever_answered(labelling: Labelling) -> bool:
    said = labelling.annotations()
    return any(
        annotation.answer is not None for annotation in said if annotation.who.startswith("llm:")
    )


def _pass_on(labelling: Labelling, todo: Sequence[BatchItem], number: int) -> None:
    """Without a language model the batch goes to the verifier unseen."""
    labelling.unseen(number, [item.example for item in todo])


def _chunk_size(config: RunConfig, model: MeteredModel) -> int:
    return _LOCAL_CHUNK if model.model.in_flight == 1 else config.loop.chunk
