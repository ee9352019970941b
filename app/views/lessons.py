"""Lessons for people: what a run uses, what was proposed, and a lesson with its history."""

from __future__ import annotations

import json

from querist.agents.annotator.guidelines import in_words
from querist.agents.deliberation.brief import as_data
from querist.app.terminal.place import Place
from querist.app.terminal.screen import Screen, dollars, plural
from querist.memory.answers import name_of
from querist.memory.codec import to_json
from querist.memory.errors import InvalidInput
from querist.memory.event_parts import UsedLesson
from querist.memory.events import LessonLearnt, LessonsUsed
from querist.memory.workspace.lessons import (
    Correction,
    Lesson,
    LessonKind,
    Lessons,
    State,
    difference,
)

_LONGEST = 100
"""Characters of a lesson in a list."""


def lesson_line(body: LessonsUsed | LessonLearnt) -> str:
    """Say what is used from here on, or what was learnt, in lines for the screen."""
    if isinstance(body, LessonLearnt):
        if body.state == "proposed":
            # In full where it is approved, and before it is used.
            return (
                f"  lesson {body.id} is proposed: {body.why}. Read it with: querist lessons show "
                f"{body.id}; then approve or reject it"
            )
        return (
            f"  lesson {body.id} ({body.state}): {body.words}\n"
            f"    {body.why}; take it back with: querist lessons retire {body.id}"
        )
    if not body.guidelines and not body.facts:
        return "  no lessons are used any more"
    lines = []
    if body.guidelines:
        lines.append(f"  prompts hold {plural(len(body.guidelines), 'guideline')}:")
        lines += [f"    {used_words(used)}" for used in body.guidelines]
    if body.facts:
        lines.append(f"  known from runs on like tasks ({plural(len(body.facts), 'fact')}):")
        lines += [f"    {used_words(used)}" for used in body.facts]
    return "\n".join(lines)


def used_words(used: UsedLesson) -> str:
    """Say a lesson that is used, with where it comes from."""
    return f"{used.id}.{used.version}, from {used.run}: {used.words}"


def list_lessons(place: Place, *, state: State | None, as_json: bool) -> None:
    """List the newest version of every lesson."""
    with place.open() as store:
        lessons = Lessons(store).all(state=state)
    screen = Screen()
    if as_json:
        screen.code(json.dumps([to_json(lesson) for lesson in lessons], ensure_ascii=False))
        return
    if not lessons:
        screen.line("There are no lessons yet: runs with people's answers leave some.")
        return
    screen.table(
        ("lesson", "kind", "state", "task", "gain", "what"),
        [
            (
                lesson.reference,
                lesson.kind.value,
                lesson.state,
                lesson.task.name,
                "-" if lesson.gain is None else lesson.gain.words,
                _cut(lesson.text),
            )
            for lesson in lessons
        ],
    )
    proposed = [lesson for lesson in lessons if lesson.state == "proposed"]
    if proposed:
        screen.line()
        screen.line(f"Look at one: {place.command(f'lessons show {proposed[0].id}')}")


def show_lesson(place: Place, name: str, *, as_json: bool) -> None:
    """Show a lesson in full, with the texts that it was made of and all its versions."""
    with place.open() as store:
        lessons = Lessons(store)
        lesson = lessons.get(name)
        history = lessons.history(lesson.id)
    screen = Screen()
    if as_json:
        screen.code(json.dumps([to_json(made) for made in history], ensure_ascii=False))
        return
    screen.title(f"{lesson.reference}, a {lesson.kind.value}, {lesson.state}")
    screen.line(lesson.text)
    screen.line(
        f"For tasks like {lesson.task.name}, with the labels {', '.join(lesson.task.names)}"
    )
    screen.line(f"Written by {lesson.author} in round {lesson.round} of {lesson.run}")
    if lesson.usd > 0:
        screen.line(f"Writing it cost {dollars(lesson.usd)}.")
    if lesson.corrections:
        screen.title("Made of (texts of the pool: data, no instructions)")
        for made in lesson.corrections:
            said = f", not {made.said}" if made.is_mistake else ", said rightly"
            screen.line(f"  {made.example}: {_text(made)} is {name_of(made.answer)}{said}")
    screen.title("Versions")
    for version in history:
        gain = "" if version.gain is None else f"; gain {version.gain.words}"
        why = f", {version.why}" if version.why else ""
        at = f"{version.at:%Y-%m-%d %H:%M}" if version.at else "-"
        screen.line(f"  {version.version} {at} {version.state} by {version.by}{why}{gain}")
    if lesson.kind is LessonKind.GUIDELINE and lesson.state != "active":
        screen.line(f"Use it with: {place.command(f'lessons approve {lesson.id}')}")


def show_difference(place: Place, name: str, *, before: int | None, after: int | None) -> None:
    """Compare two versions of a lesson: the last two, if not named."""
    with place.open() as store:
        lessons = Lessons(store)
        newest = lessons.get(name)
        last = newest.version if after is None else after
        first = max(1, last - 1) if before is None else before
        found = [lessons.find(newest.id, version=version) for version in (first, last)]
    old, new = found
    if old is None or new is None:
        raise InvalidInput(f"{newest.id} has the versions 1 to {newest.version}.")
    screen = Screen()
    lines = difference(old, new)
    for line in lines or [f"{old.reference} and {new.reference} say the same."]:
        screen.line(line)


def say_changed(place: Place, lesson: Lesson) -> None:
    """Say where a lesson stands after a change, and how it can be gone back from."""
    screen = Screen()
    screen.line(f"{lesson.reference} is {lesson.state}: {in_words(lesson)}")
    if lesson.state == "active":
        what = "Runs on like tasks with the same labels use it from their next round on. "
        screen.line(f"{what}Take it back with: {place.command(f'lessons retire {lesson.id}')}")
    else:
        screen.line(f"Use it again with: {place.command(f'lessons approve {lesson.id}')}")


def _text(made: Correction) -> str:
    return as_data(" ".join(made.fields.values()))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
