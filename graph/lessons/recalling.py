"""Which lessons a run uses: said in an event before they are used, and used as that event says."""

from __future__ import annotations

from collections.abc import Sequence

from querist.agents.annotator.guidelines import as_guideline, in_words
from querist.agents.annotator.prompt import Guideline
from querist.agents.mind import Agent
from querist.graph.round.audit import audited, reserved
from querist.graph.workplace.context import Context
from querist.memory.event_parts import UsedLesson
from querist.memory.events import LessonsUsed
from querist.memory.records import Example, ExampleId, Split
from querist.memory.workspace.lessons import Lesson, LessonKind, labels_key

_MOST_FACTS = 6
"""Of like tasks, for each kind of lesson."""
_READERS = {Agent.SELECTOR: LessonKind.STRATEGY, Agent.ANNOTATOR: LessonKind.CONFUSION}
"""Which agent's mind is told what."""
_NOTHING = LessonsUsed(0, guidelines=(), facts=())


def recall_lessons(context: Context, *, number: int, afresh: bool = False) -> None:
    """Say which lessons are used from round `number` on, if that is news.

    Guidelines that were approved or retired meanwhile change what holds; facts about other runs
    are looked up `afresh` when the run is taken up, not in every round.
    """
    last = _last(context)
    if not context.config.lessons.recall:
        used = LessonsUsed(number, guidelines=(), facts=())
    else:
        known = {(used.id, used.version): used for used in last.guidelines}
        facts = _facts(context) if afresh else last.facts
        used = LessonsUsed(number, guidelines=_guidelines(context, known), facts=facts)
    if (used.guidelines, used.facts) != (last.guidelines, last.facts):
        context.emit(used)


def guidelines_of(context: Context) -> tuple[Guideline, ...]:
    """Give the guidelines that prompts hold now, as they were said to be used."""
    found = []
    for used in _last(context).guidelines:
        lesson = context.lessons.find(used.id, version=used.version)
        # After a change of labels none holds until the next recall.
        if lesson is not None and lesson.labels_key == labels_key(context.task):
            found.append(as_guideline(lesson, places=used.shown))
    return tuple(found)


def expected_guidelines(context: Context) -> tuple[Guideline, ...]:
    """Give the guidelines that prompts hold, or may hold once the run begins, for its quote."""
    if context.journal.bodies(LessonsUsed) or not context.config.lessons.recall:
        return guidelines_of(context)
    return tuple(map(as_guideline, _candidates(context)[: context.config.lessons.most]))


def taught_texts(context: Context) -> set[ExampleId]:
    """The examples of this pool that a guideline in use was made of: they try no prompt."""
    return {
        made.example
        for used in _last(context).guidelines
        if (lesson := context.lessons.find(used.id, version=used.version)) is not None
        for made in lesson.corrections
        if made.dataset == context.run.dataset
    }


def facts_of(context: Context, agent: str) -> tuple[str, ...]:
    """Give what an agent's mind is told about runs of like tasks; () where its rules decide."""
    if context.config.minds.of(agent) == "rules":
        return ()
    kind = _READERS[agent].value
    return tuple(used.words for used in _last(context).facts if used.kind == kind)


def _last(context: Context) -> LessonsUsed:
    told = context.journal.bodies(LessonsUsed)
    return told[-1] if told else _NOTHING


def _candidates(context: Context) -> list[Lesson]:
    """List active guidelines for the same labels: those that gained most first, then the newest."""
    lessons = context.lessons.all(kind=LessonKind.GUIDELINE, state="active", task=context.task)
    newest_first = lessons[::-1]
    return sorted(newest_first, key=lambda made: -(made.gain.points if made.gain else 0.0))


def _guidelines(
    context: Context, known: dict[tuple[str, int], UsedLesson]
) -> tuple[UsedLesson, ...]:
    alike = _alike(context, _candidates(context))[: context.config.lessons.most]
    if [(made.id, made.version) for made, _ in alike] == list(known):
        return tuple(known.values())
    kept = _measured_texts(context)
    return tuple(
        UsedLesson(
            made.id,
            made.version,
            made.kind.value,
            words=in_words(made),
            run=made.run,
            likeness=round(likeness, 4),
            shown=tuple(
                place
                for place, correction in enumerate(made.corrections)
                if Example(correction.example, correction.fields).words not in kept
            ),
        )
        for made, likeness in alike
    )


def _facts(context: Context) -> tuple[UsedLesson, ...]:
    """Find what other runs on like tasks met with, the most alike first; for minds alone."""
    found = []
    for agent, kind in _READERS.items():
        if context.config.minds.of(agent) == "rules":
            continue
        lessons = context.lessons.all(kind=kind, state="active")
        others = [lesson for lesson in lessons if lesson.run != context.run.id]
        alike = sorted(_alike(context, others[::-1]), key=lambda pair: -pair[1])
        found += [
            UsedLesson(
                made.id,
                made.version,
                kind.value,
                words=made.text,
                run=made.run,
                likeness=round(likeness, 4),
            )
            for made, likeness in alike[:_MOST_FACTS]
        ]
    return tuple(found)


def _alike(context: Context, lessons: Sequence[Lesson]) -> list[tuple[Lesson, float]]:
    """Keep the lessons of like tasks, in the order given."""
    likeness = context.likeness.of(context.task, [lesson.task for lesson in lessons])
    least = context.config.lessons.likeness
    return [
        (lesson, value) for lesson, value in zip(lessons, likeness, strict=True) if value >= least
    ]


def _measured_texts(context: Context) -> set[str]:
    """The texts that this run is measured on: a guideline of another run may have been made of one.

    Words, since another pool may hold the same text under another name.
    """
    rows = [context.view.ids[row] for row in reserved(context)]
    examples = context.view.get(sorted({*rows, *audited(context)}))
    for split in (Split.VALIDATION, Split.TEST):
        examples += context.pool.all(split)
    return {example.words for example in examples}
