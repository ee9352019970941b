"""Lessons: versions that supersede, states that can be gone back from; on both databases."""

from dataclasses import replace
from decimal import Decimal

import pytest

from querist.memory.answers import Choice
from querist.memory.errors import InvalidInput, LeaseLost
from querist.memory.records import ExampleId, LabelClass, RunId, Task
from querist.memory.store import Lease
from querist.memory.workspace.lessons import (
    Correction,
    Lesson,
    LessonKind,
    Lessons,
    MeasuredGain,
    difference,
    labels_key,
    task_words,
)

TASK = Task("t", "classification", (LabelClass("a"), LabelClass("b", "the rest")))
CORRECTION = Correction(ExampleId("e"), "d", {"text": "so it is"}, "b", Choice("a"))
LESSON = Lesson(
    id="g-1",
    kind=LessonKind.GUIDELINE,
    task=TASK,
    text="What is so is a, not b.",
    state="proposed",
    run=RunId("run"),
    round=2,
    author="rules",
    corrections=(CORRECTION,),
    usd=Decimal("0.01"),
)


@pytest.fixture
def lessons(store):
    return Lessons(store)


def test_a_lesson_comes_back_as_it_was(lessons):
    kept = lessons.add(LESSON)
    assert replace(kept, at=None) == LESSON
    assert lessons.all() == [kept]
    assert lessons.get("g") == kept


def test_a_lesson_that_is_proposed_twice_is_one(lessons):
    kept = lessons.add(LESSON)
    assert lessons.add(replace(LESSON, text="otherwise")) == kept
    assert len(lessons.history("g-1")) == 1


def test_every_change_is_a_version_and_the_newest_holds(lessons):
    lessons.add(LESSON)
    lessons.approve("g-1", by="human:ann")
    lessons.retire("g-1", by="human:bob")
    again = lessons.approve("g-1", by="human:ann", text="What is so is a.")
    states = [(made.version, made.state, made.by, made.why) for made in lessons.history("g-1")]
    assert states == [
        (1, "proposed", "querist", ""),
        (2, "active", "human:ann", "approved"),
        (3, "retired", "human:bob", "retired"),
        (4, "active", "human:ann", "approved, reworded"),
    ]
    assert lessons.all(state="active") == [again]
    assert again.author == "human:ann"
    assert lessons.all(state="proposed") == []
    assert lessons.find("g-1", version=2).text == LESSON.text


def test_versions_can_be_compared(lessons):
    lessons.add(LESSON)
    lessons.approve("g-1", by="human:ann", text="What is so is a.")
    told = difference(*lessons.history("g-1"))
    assert told[:2] == ["--- g-1.1", "+++ g-1.2"]
    assert "-What is so is a, not b." in told
    assert "+What is so is a." in told
    assert "+state: active" in told
    assert " text: so it is" in told


def test_who_is_late_is_told(lessons):
    kept = lessons.add(LESSON)
    lessons.approve("g-1", by="human:ann")
    with pytest.raises(InvalidInput, match="changed by somebody else"):
        lessons.change(kept, state="retired", by="human:bob", why="rejected")


@pytest.mark.parametrize(
    ("done", "asked", "said"),
    [
        ("approve", "approve", "in use already"),
        ("approve", "reject", "only what is proposed"),
        ("retire", "retire", "retired already"),
        ("retire", "reject", "only what is proposed"),
    ],
)
def test_what_makes_no_sense_is_refused(lessons, done, asked, said):
    lessons.add(LESSON)
    getattr(lessons, done)("g-1", by="human:ann")
    with pytest.raises(InvalidInput, match=said):
        getattr(lessons, asked)("g-1", by="human:ann")


def test_an_unknown_or_ambiguous_name_is_refused(lessons):
    lessons.add(LESSON)
    lessons.add(replace(LESSON, id="g-2"))
    for name in ("g", "x"):
        with pytest.raises(InvalidInput, match="g-1, g-2"):
            lessons.get(name)


def test_an_empty_or_endless_text_is_refused(lessons):
    lessons.add(LESSON)
    for text in (" ", "x" * 3_000):
        with pytest.raises(InvalidInput, match="characters"):
            lessons.approve("g-1", by="human:ann", text=text)


def test_lessons_are_found_by_the_labels_of_a_task(lessons):
    lessons.add(LESSON)
    turned = replace(TASK, name="u", labels=(LabelClass("b"), LabelClass("a")))
    assert labels_key(turned) == labels_key(TASK)
    assert len(lessons.all(task=turned, kind=LessonKind.GUIDELINE)) == 1
    assert lessons.all(task=replace(TASK, labels=TASK.labels[:1])) == []
    assert lessons.all(kind=LessonKind.CONFUSION) == []
    assert lessons.all(run="another") == []


def test_a_process_that_lost_the_run_teaches_nothing(lessons, run):
    with pytest.raises(LeaseLost):
        lessons.add(LESSON, lease=Lease("run", run.fencing - 1))
    assert lessons.all() == []


def test_a_gain_says_its_interval(lessons):
    kept = lessons.add(LESSON)
    gain = MeasuredGain(0.05, 0.01, 0.09, texts=60, usd=Decimal("0.002"))
    made = lessons.change(kept, by="measured", why="measured", state="active", gain=gain)
    assert lessons.get("g-1").gain == gain
    assert made.gain.is_sure
    assert made.gain.words == "+5.0 points [+1.0, +9.0] on 60 texts"
    assert not replace(gain, low=-0.01).is_sure


def test_a_task_is_written_as_one_text():
    words = task_words(replace(TASK, instructions="Sort them."))
    assert words == "classification: t. Sort them. Labels: a; b (the rest)"
