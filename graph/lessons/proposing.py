"""Guidelines from corrections: what the annotator said, and what people said of the same texts.

Only answers that the loop may learn from are looked at, never the audit sample. Half of them, by a
hash of their ids, make guidelines; the other half measures them, so no guideline is judged by the
mistakes that it was made of.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from querist.agents.annotator.guidelines import (
    Confused,
    by_model,
    by_template,
    in_words,
    writing_request,
)
from querist.agents.models.metered import MeteredModel
from querist.graph.lessons.trial import LESSONS, measure_gain, money_left
from querist.graph.round.prompts import bank_of
from querist.graph.workplace.context import Context
from querist.memory.answers import name_of
from querist.memory.errors import LeaseLost, QueristError, StoreError
from querist.memory.events import LessonLearnt
from querist.memory.records import Annotation, ExampleId, Label, content_id
from querist.memory.workspace.lessons import Correction, Lesson, LessonKind

_FEWEST = 3
"""Corrections of one kind that make a guideline."""
_MISTAKES, _CONTRASTS = 2, 2
"""Texts that a guideline keeps."""
_LONGEST = 2_000
"""Characters of a text that a guideline keeps; one that is longer is no example to show."""


async def learn_guidelines(context: Context, *, number: int) -> None:
    """Propose the guideline that the most frequent mistake asks for, and measure what may be."""
    section = context.config.lessons
    if section.adopt == "off" or not context.config.annotator.enabled:
        return
    own = context.lessons.all(kind=LessonKind.GUIDELINE, run=context.run.id)
    if len(own) < section.most:
        held = context.lessons.all(kind=LessonKind.GUIDELINE, state="active", task=context.task)
        confused = _most_confused(context, own, _pairs_of(held))
        if confused is not None:
            lesson = await _write(context, confused, number=number)
            own.append(context.lessons.add(lesson, lease=context.lease))
            _tell(context, own[-1], number)
    if section.adopt == "measured":
        for lesson in own:
            if lesson.state == "proposed" and lesson.gain is None:
                await _measure(context, lesson, number=number, tried=_tried(own))


def _makes_guidelines(example: ExampleId) -> bool:
    """Tell the half of the labels that guidelines are made of from the half that measures them."""
    return int(content_id("guidelines", example, size=8), 16) % 2 == 0


def _tried(lessons: list[Lesson]) -> int:
    return sum(lesson.gain is not None for lesson in lessons)


def _pairs_of(lessons: list[Lesson]) -> set[tuple[str, str]]:
    """The pairs of labels, right and given, that lessons are about."""
    return {
        (name_of(made.answer), made.said)
        for lesson in lessons
        for made in lesson.corrections
        if made.is_mistake
    }


def _most_confused(
    context: Context, own: list[Lesson], held: set[tuple[str, str]]
) -> Confused | None:
    """Find the pair of labels that was confused most often and has no guideline yet.

    Neither one of this run, whatever became of it, nor one that is in use for the same labels.
    """
    known = {lesson.id for lesson in own}
    labels = {
        label.example: label for label in bank_of(context) if _makes_guidelines(label.example)
    }
    said = _said(context, list(labels))
    pairs: dict[tuple[str, str], list[ExampleId]] = defaultdict(list)
    for example, annotation in said.items():
        assert annotation.answer is not None
        pairs[name_of(labels[example].answer), name_of(annotation.answer)].append(example)
    mistakes = sorted(
        (pair for pair in pairs if pair[0] != pair[1]), key=lambda pair: (-len(pairs[pair]), pair)
    )
    for truth, taken_for in mistakes:
        examples = pairs[truth, taken_for]
        if len(examples) < _FEWEST:
            return None
        is_known = _lesson_id(context, truth, taken_for) in known
        if not is_known and (truth, taken_for) not in held:
            contrast = pairs.get((taken_for, taken_for), [])
            shown = [
                *_short(context, examples)[:_MISTAKES],
                *_short(context, contrast)[:_CONTRASTS],
            ]
            corrections = tuple(_corrections(context, shown, labels, said))
            return Confused(truth, taken_for, len(examples), corrections)
    return None


def _said(context: Context, known: list[ExampleId]) -> dict[ExampleId, Annotation]:
    """What the language model said last, of each example that it gave an answer for."""
    return {
        said.example: said
        for said in context.labelling.annotations(known)
        if said.who.startswith("llm:") and said.answer is not None
    }


def _short(context: Context, examples: list[ExampleId]) -> list[ExampleId]:
    """Leave out what is too long to show; in the order of their ids, so that a repeat agrees."""
    found = context.view.get(sorted(examples))
    return [example.id for example in found if len(example.text) <= _LONGEST]


def _corrections(
    context: Context,
    examples: list[ExampleId],
    labels: dict[ExampleId, Label],
    said: dict[ExampleId, Annotation],
) -> list[Correction]:
    found = []
    for example in context.view.get(examples):
        answer = said[example.id].answer
        assert answer is not None
        found.append(
            Correction(
                example.id,
                context.run.dataset,
                dict(example.fields),
                name_of(answer),
                labels[example.id].answer,
            )
        )
    return found


async def _write(context: Context, confused: Confused, *, number: int) -> Lesson:
    """Write a guideline: a model's where it holds, else the template's, with the reason."""
    text, author, why = by_template(confused), "rules", ""
    before = _spent(context)
    if context.config.lessons.writer == "llm":
        try:
            model = context.models.named(context.config.mind_model, agent=LESSONS, number=number)
            _afford(context, model, confused)
            text, author = await by_model(confused, model=model), f"llm:{model.name}"
        except (LeaseLost, StoreError):
            raise
        except (QueristError, ValueError) as error:
            why = f"the model's own was not used: {str(error)[:300]}"
    seen = (
        f"{confused.said} was said of {confused.count} texts that people labelled {confused.truth}"
    )
    return Lesson(
        id=_lesson_id(context, confused.truth, confused.said),
        kind=LessonKind.GUIDELINE,
        task=context.task,
        text=text,
        state="proposed",
        run=context.run.id,
        round=number,
        author=author,
        why="; ".join(filter(None, [seen, why])),
        corrections=confused.corrections,
        usd=_spent(context) - before,
    )


def _afford(context: Context, model: MeteredModel, confused: Confused) -> None:
    left, most = money_left(context), model.ceiling(writing_request(confused))
    if most > left:
        raise ValueError(f"it may cost {most:f} USD, and {left:f} USD are left for lessons")


def _spent(context: Context) -> Decimal:
    return context.config.lessons.usd - money_left(context)


async def _measure(context: Context, lesson: Lesson, *, number: int, tried: int) -> None:
    """Try a guideline on the labels that it was not made of, and take it up where it gains."""
    held_out = [label for label in bank_of(context) if not _makes_guidelines(label.example)]
    gain, why_not = await measure_gain(context, lesson, held_out, number=number, tried=tried)
    if gain is None:
        if why_not:
            context.emit(
                LessonLearnt(number, lesson.id, lesson.state, in_words(lesson), why=why_not)
            )
        return
    made = context.lessons.change(
        lesson,
        by="measured",
        why=f"measured: {gain.words}",
        state="active" if gain.is_sure else "proposed",
        gain=gain,
        lease=context.lease,
    )
    _tell(context, made, number)


def _tell(context: Context, lesson: Lesson, number: int) -> None:
    context.emit(LessonLearnt(number, lesson.id, lesson.state, in_words(lesson), why=lesson.why))


def _lesson_id(context: Context, truth: str, said: str) -> str:
    return f"g{content_id(context.run.id, truth, said, size=8)}"
