"""What the labels of a run are called now, where something was stored under an earlier name.

Annotations are append-only and a pool is shared by runs, so neither is rewritten when people rename
or merge labels. The run's configuration says which earlier name means which label now
(`task.renamed`), and whatever reads stored answers reads them through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.answers import Answer, answer_now
from querist.memory.questions import Option
from querist.memory.records import Annotation, Label, Probabilities, Question, Verdict

Names = Mapping[str, str]
"""Earlier names and what each is called now; none of these is an earlier name itself."""


def names_now(connection: sa.Connection, run: str) -> Names:
    """Read which names of a run's labels are earlier ones; {} where none was changed."""
    query = sa.select(schema.runs.c.config[("task", "renamed")]).where(schema.runs.c.id == run)
    found = connection.execute(query).scalar()
    return found if isinstance(found, dict) else {}


def annotation_now(annotation: Annotation, names: Names) -> Annotation:
    """Give an opinion under the names of today."""
    if not names:
        return annotation
    return replace(
        annotation,
        answer=_or_none(annotation.answer, names),
        probabilities=_chances(annotation.probabilities, names),
    )


def label_now(label: Label, names: Names) -> Label:
    """Give a label under the name of today."""
    if not names:
        return label
    answer, chances = answer_now(label.answer, names), _chances(label.probabilities, names)
    return replace(label, answer=answer, probabilities=chances)


def verdict_now(verdict: Verdict, names: Names) -> Verdict:
    """Give a verdict under the names of today."""
    if not names:
        return verdict
    answer, likely = _or_none(verdict.answer, names), _once(verdict.likely, names)
    return replace(verdict, answer=answer, likely=likely)


def question_now(question: Question, names: Names) -> Question:
    """Give a question, its options and its answer under the names of today."""
    if not names:
        return question
    options: dict[str, Option] = {}
    for option in question.payload.options:
        name = names.get(option.name, option.name)
        # Of several that were merged, the one that bears the name describes it.
        if name not in options or option.name == name:
            options[name] = option._replace(name=name)
    guess = question.payload.model_says
    payload = replace(
        question.payload,
        options=tuple(options.values()),
        model_says=None if guess is None else names.get(guess, guess),
        likely=_once(question.payload.likely, names),
    )
    schema_ = dict(question.answer_schema)
    allowed = schema_.get("enum")
    if isinstance(allowed, list):
        schema_["enum"] = list(_once(allowed, names))
    answer = _or_none(question.answer, names)
    return replace(question, payload=payload, answer_schema=schema_, answer=answer)


def _or_none(answer: Answer | None, names: Names) -> Answer | None:
    return None if answer is None else answer_now(answer, names)


def _once(values: list[str] | tuple[str, ...], names: Names) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names.get(value, value) for value in values))


def _chances(chances: Probabilities | None, names: Names) -> Probabilities | None:
    """Give probabilities by the names of today; those of labels that were merged are added."""
    if chances is None:
        return None
    found: dict[str, float] = {}
    for name, chance in chances.items():
        now = names.get(name, name)
        found[now] = found.get(now, 0.0) + chance
    return found
