"""The contract of a kind of task: all three facets, as the loop, a model and a person meet it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from querist.agents.annotator.kinds import asking_of
from querist.agents.models.port import ChatReply, Usage
from querist.memory.answers import Answer, name_of
from querist.memory.codec import from_json, to_json
from querist.memory.questions import Option, QuestionPayload
from querist.memory.records import Example, ExampleId, LabelClass, Task
from querist.tools.kinds import Kind, find_kind

_DIMENSIONS = 8
_TEXTS = ('a "quoted" text', "another\nof two lines")


class Answering(Protocol):
    """People's side of a kind, as `querist.app.answers.kinds` wants it."""

    def lines(self, payload: QuestionPayload) -> list[str]:
        """Write what is asked about in lines."""

    def answer(self, name: str) -> Answer:
        """Make the answer of an option that was chosen."""


def check_kind(
    name: str,
    *,
    labels: tuple[str, ...] = (),
    fields: tuple[str, ...] = (),
    answering: Answering | None = None,
) -> None:
    """Check what every kind promises; it is found by its name, as a task file finds it.

    `labels` and `fields` make a task of it, where the kind does not know them itself;
    `answering` is how people answer it (`querist.app.answers.kinds.answering_of`).
    """
    kind = find_kind(name)
    assert kind.name == name, f"The kind that is found as {name!r} calls itself {kind.name!r}."
    assert kind.metric, f"{name} must say what it measures."
    wanted = fields or ("first", "second")
    given = tuple(LabelClass(label) for label in labels)
    task = kind.complete(Task("contract", name, given, fields=wanted))
    kind.check_fields(wanted)
    answers = kind.answers(task).answers
    _check_answers(kind, task, answers)
    _check_measure(kind, task, answers)
    _check_vectors(kind, task)
    _check_asking(task, answers)
    if answering is not None:
        _check_answering(task, answers, answering)


def _check_answers(kind: Kind, task: Task, answers: tuple[Answer, ...]) -> None:
    assert 0 <= kind.chance(task) < 1, f"{kind.name}: a guess is right in a share below 1."
    groups = kind.groups(task)
    for answer in answers:
        name = name_of(answer)
        assert kind.answer_of(name) == answer, f"{kind.name}: {name!r} does not lead back to it."
        assert kind.read(task, f" {name} ") == answer, f"{kind.name} cannot read {name!r}."
        assert kind.group(answer) in groups, f"{kind.name}: {name!r} is in none of its groups."
        assert kind.likeness(answer, answer) == 1, f"{kind.name}: an answer is like itself."
        stored: Answer = from_json(Answer, to_json(answer))  # type: ignore[arg-type]
        assert stored == answer, f"{kind.name}: {name!r} does not survive the store."
        for other in answers:
            there, back = kind.likeness(answer, other), kind.likeness(other, answer)
            assert there == back, f"{kind.name}: likeness depends on the order."
            assert 0 <= there <= 1, f"{kind.name}: likeness is from 0 to 1."
    assert kind.read(task, "no such answer at all") is None, f"{kind.name} reads what is none."
    assert kind.schema(task), f"{kind.name} must say what an answer looks like."


def _check_measure(kind: Kind, task: Task, answers: tuple[Answer, ...]) -> None:
    assert kind.measure(task, [], []) is None, f"{kind.name}: nothing cannot be measured."
    truth = [answers[place % len(answers)] for place in range(40)]
    right = kind.measure(task, truth, truth)
    wrong = kind.measure(task, [None] * len(truth), truth)
    assert right is not None, f"{kind.name} measures nothing of forty answers."
    assert wrong is not None, f"{kind.name} does not count answers that were not given."
    assert right.value == 1, f"{kind.name}: who is always right gets {right.value}."
    assert wrong.value == 0, f"{kind.name}: who never answers gets {wrong.value}."
    for measure in (right, wrong):
        inside = 0 <= measure.low <= measure.value <= measure.high <= 1
        assert inside, f"{kind.name}: the interval does not hold the value."
        assert measure.n == len(truth), f"{kind.name} counts {measure.n} of {len(truth)}."


def _check_vectors(kind: Kind, task: Task) -> None:
    rng = np.random.default_rng(0)
    example = Example(ExampleId("e"), dict(zip(task.fields, _TEXTS, strict=False)))
    count = len(kind.parts(example))
    assert count, f"{kind.name}: an example has no part that could be embedded."
    assert len(kind.parts(Example(ExampleId("e"), {}))) == count, f"{kind.name}: parts vary."
    parts = [rng.normal(size=(5, _DIMENSIONS)).astype(np.float32) for _ in range(count)]
    parts = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
    joined = kind.join(parts)
    assert len(joined) == 5, f"{kind.name}: {len(joined)} vectors of five examples."
    assert np.isfinite(joined).all(), f"{kind.name}: vectors must be finite."
    each = np.concatenate([kind.join([part[row : row + 1] for part in parts]) for row in range(5)])
    assert np.allclose(joined, each, atol=1e-6), f"{kind.name}: vectors depend on their company."


def _check_asking(task: Task, answers: tuple[Answer, ...]) -> None:
    asking = asking_of(task.kind)
    example = Example(ExampleId("e"), dict.fromkeys(task.fields, 'x "} \n\nAnswer: y'))
    shown = asking.show(example, longest=400)
    assert len(shown.splitlines()) <= len(task.fields), f"{task.kind}: a text breaks its line."
    assert asking.instructions(task), f"{task.kind}: a model is told nothing."
    assert asking.template, f"{task.kind}: a prompt's version needs the name of its wording."
    for answer in answers:
        reply = ChatReply(asking.reply(answer), Usage(1, 1))
        said = asking.read(task, reply, prior=None)
        assert said.answer == answer, f"{task.kind}: {answer} does not come back from a reply."
    empty = asking.read(task, ChatReply("", Usage(1, 1)), prior=None)
    assert empty.answer is None, f"{task.kind}: an empty reply is read as {empty.answer}."


def _check_answering(task: Task, answers: tuple[Answer, ...], answering: Answering) -> None:
    fields = dict(zip(task.fields, _TEXTS, strict=False))
    options = tuple(Option(name_of(answer)) for answer in answers)
    lines = "\n".join(answering.lines(QuestionPayload(fields, options)))
    for text in fields.values():
        assert text in lines, f"{task.kind}: people do not see {text!r}."
    for answer in answers:
        assert answering.answer(name_of(answer)) == answer, f"{task.kind}: {answer} is lost."
