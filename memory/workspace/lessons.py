"""What is kept for later rounds and runs: guidelines, confusions, what strategies led to.

SQL is the truth, and it is append-only: a change is a new version of a lesson, the newest version
is what holds, and an older one can be read, compared with and gone back to. Whether a lesson is
recalled for a task is a question of how alike the tasks are; vectors for that are in Chroma and may
be deleted (`memory/workspace/vectors.py`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from querist.memory import schema
from querist.memory.answers import Answer, name_of
from querist.memory.codec import from_json, to_json
from querist.memory.errors import InvalidInput
from querist.memory.records import ExampleId, RunId, Task, content_id, utc_now
from querist.memory.store import Lease, Store

_lessons = schema.lessons
_LONGEST = 2_000
"""Characters of a lesson's text."""
State = Literal["proposed", "active", "retired"]
_NEXT: Mapping[State, tuple[State, ...]] = {
    "proposed": ("active", "retired"),
    "active": ("retired",),
    "retired": ("active",),
}


class LessonKind(StrEnum):
    """What a lesson is about."""

    GUIDELINE = "guideline"
    """What the annotator is told beside the task's own instructions."""
    CONFUSION = "confusion"
    """Which labels the annotator took for which, in a whole run."""
    STRATEGY = "strategy"
    """What a strategy's rounds led to, in a whole run."""


@dataclass(frozen=True, slots=True)
class Correction:
    """A text that a guideline was made of: what the annotator said, and what people said.

    Where the two agree it is there for contrast. The text is the pool's and never trusted.
    """

    example: ExampleId
    dataset: str
    fields: Mapping[str, str]
    """Cut to what a prompt shows."""
    said: str
    answer: Answer

    @property
    def is_mistake(self) -> bool:
        """Tell a mistake from a contrast."""
        return self.said != name_of(self.answer)


@dataclass(frozen=True, slots=True)
class MeasuredGain:
    """What a guideline changed on people's answers that it was not made of, in the same texts."""

    points: float
    """Change of the share that is right: 0.01 is a point."""
    low: float
    high: float
    texts: int
    usd: Decimal
    """What measuring cost."""

    @property
    def is_sure(self) -> bool:
        """Whether it gained: the interval leaves 0 out."""
        return self.low > 0

    @property
    def words(self) -> str:
        """Say it with its interval."""
        low, high = (f"{100 * end:+.1f}" for end in (self.low, self.high))
        return f"{100 * self.points:+.1f} points [{low}, {high}] on {self.texts} texts"


@dataclass(frozen=True, slots=True)
class Lesson:
    """One version of a lesson."""

    id: str
    kind: LessonKind
    task: Task
    """As it was: tasks are compared by it, and guidelines are for the same labels only."""
    text: str
    """In our words or a model's; texts of the pool are in `corrections`, never here."""
    state: State
    run: RunId
    round: int
    author: str
    """Who wrote it: `rules`, `llm:MODEL` or `human:NAME`."""
    version: int = 1
    by: str = "querist"
    """Who made this version, as who approved it: `human:NAME`, `measured` or `querist`."""
    why: str = ""
    corrections: tuple[Correction, ...] = ()
    gain: MeasuredGain | None = None
    usd: Decimal = Decimal(0)
    """What writing it cost."""
    at: datetime | None = None

    @property
    def reference(self) -> str:
        """Name this very version, as prompts' versions do."""
        return f"{self.id}.{self.version}"

    @property
    def labels_key(self) -> str:
        """Equal for tasks of one kind with the same label names, in whatever order."""
        return labels_key(self.task)


def labels_key(task: Task) -> str:
    """Name a task's kind and its set of labels."""
    return content_id(task.kind, sorted(task.names))


def task_words(task: Task) -> str:
    """Write a task as one text, to be compared with others by its vector."""
    labels = "; ".join(
        f"{label.name} ({label.description})" if label.description else label.name
        for label in task.labels
    )
    said = f" {task.instructions}" if task.instructions else ""
    return f"{task.kind}: {task.name}.{said} Labels: {labels}"


class Lessons:
    """All lessons of a workspace."""

    def __init__(self, store: Store) -> None:
        """Read and write those of a workspace; they belong to no run."""
        self._store = store

    def add(self, lesson: Lesson, *, lease: Lease | None = None) -> Lesson:
        """Keep a new lesson; one of the same id is left as it is, and given back."""
        found = self.find(lesson.id)
        if found is not None:
            return found
        return self._write(replace(lesson, version=1), lease)

    def all(
        self,
        *,
        kind: LessonKind | None = None,
        state: State | None = None,
        task: Task | None = None,
        run: str | None = None,
    ) -> list[Lesson]:
        """List the newest versions, oldest lesson first; only those for a task's labels if asked.

        A task is one's own where its kind and its label names are the same.
        """
        newest = sa.select(_lessons.c.id, sa.func.max(_lessons.c.version).label("version"))
        newest_of = newest.group_by(_lessons.c.id).subquery()
        query = sa.select(_lessons.c.body).join(
            newest_of,
            sa.and_(_lessons.c.id == newest_of.c.id, _lessons.c.version == newest_of.c.version),
        )
        wanted = {
            _lessons.c.kind: kind,
            _lessons.c.state: state,
            _lessons.c.labels: None if task is None else labels_key(task),
            _lessons.c.run: run,
        }
        for column, value in wanted.items():
            if value is not None:
                query = query.where(column == str(value))
        with self._store.read() as connection:
            rows = connection.execute(query).scalars()
            lessons = [from_json(Lesson, body) for body in rows]
        return sorted(lessons, key=lambda lesson: (str(lesson.at), lesson.id))

    def history(self, lesson: str) -> list[Lesson]:
        """List all versions of a lesson, oldest first."""
        query = sa.select(_lessons.c.body).where(_lessons.c.id == lesson)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(_lessons.c.version)).scalars()
            return [from_json(Lesson, body) for body in rows]

    def find(self, lesson: str, *, version: int | None = None) -> Lesson | None:
        """Find a lesson by its id: its newest version, or another."""
        versions = self.history(lesson)
        if version is not None:
            versions = [made for made in versions if made.version == version]
        return versions[-1] if versions else None

    def get(self, name: str) -> Lesson:
        """Find a lesson by id or unique beginning of it; raises `InvalidInput`."""
        lessons = self.all()
        matches = [lesson for lesson in lessons if lesson.id.startswith(name)]
        exact = [lesson for lesson in matches if lesson.id == name]
        if len(exact or matches) == 1:
            return (exact or matches)[0]
        known = ", ".join(lesson.id for lesson in lessons[-8:]) or "none yet"
        raise InvalidInput(
            f"No single lesson is called {name!r} in {self._store.folder} (lessons: {known}). "
            "See: querist lessons list"
        )

    def approve(self, name: str, *, by: str, text: str | None = None) -> Lesson:
        """Take a proposed or retired lesson into use, reworded if `text` is given.

        An active one may be reworded in the same way.
        """
        lesson = self.get(name)
        words = lesson.text if text is None else text
        why = "approved" if words == lesson.text else "approved, reworded"
        if lesson.state == "active" and words == lesson.text:
            raise InvalidInput(f"{lesson.id} is in use already.")
        author = lesson.author if words == lesson.text else by
        return self.change(lesson, state="active", by=by, why=why, text=words, author=author)

    def reject(self, name: str, *, by: str) -> Lesson:
        """Put a proposed lesson aside; it can be approved later all the same."""
        lesson = self.get(name)
        if lesson.state != "proposed":
            raise InvalidInput(
                f"{lesson.id} is {lesson.state}, and only what is proposed can be rejected. "
                f"Take one out of use with: querist lessons retire {lesson.id}"
            )
        return self.change(lesson, state="retired", by=by, why="rejected")

    def retire(self, name: str, *, by: str, why: str = "retired") -> Lesson:
        """Take a lesson out of use; runs that go on are told so before their next round."""
        lesson = self.get(name)
        if lesson.state == "retired":
            raise InvalidInput(f"{lesson.id} is retired already.")
        return self.change(lesson, state="retired", by=by, why=why)

    def change(
        self,
        lesson: Lesson,
        *,
        by: str,
        why: str,
        state: State | None = None,
        lease: Lease | None = None,
        **values: object,
    ) -> Lesson:
        """Write a new version with other values; raises `InvalidInput` if it was changed since."""
        state = state or lesson.state
        if state != lesson.state and state not in _NEXT[lesson.state]:
            raise InvalidInput(f"{lesson.id} is {lesson.state}, so it cannot be {state} now.")
        made = replace(
            lesson,
            version=lesson.version + 1,
            state=state,
            by=by,
            why=why,
            **values,  # type: ignore[arg-type]
        )
        return self._write(made, lease)

    def _write(self, lesson: Lesson, lease: Lease | None) -> Lesson:
        if not lesson.text.strip() or len(lesson.text) > _LONGEST:
            raise InvalidInput(f"A lesson has 1 to {_LONGEST:,} characters.")
        made = replace(lesson, at=utc_now())
        row = {
            "id": made.id,
            "version": made.version,
            "kind": made.kind.value,
            "state": made.state,
            "labels": made.labels_key,
            "run": made.run,
            "body": to_json(made),
            "at": made.at,
        }
        try:
            with self._store.write(lease) as connection:
                connection.execute(sa.insert(_lessons), [row])
        except IntegrityError as error:
            raise InvalidInput(
                f"{made.id} was changed by somebody else meanwhile. Look at it again with: "
                f"querist lessons show {made.id}"
            ) from error
        return made


def difference(before: Lesson, after: Lesson) -> list[str]:
    """Compare two versions line by line, as `diff -u` does."""
    return list(
        difflib.unified_diff(
            _lines(before), _lines(after), before.reference, after.reference, lineterm=""
        )
    )


def _lines(lesson: Lesson) -> Sequence[str]:
    gain = "" if lesson.gain is None else lesson.gain.words
    return [
        *lesson.text.splitlines(),
        f"state: {lesson.state}",
        f"written by: {lesson.author}",
        *([f"gain: {gain}"] if gain else []),
        *(f"text: {' '.join(made.fields.values())}" for made in lesson.corrections),
    ]
