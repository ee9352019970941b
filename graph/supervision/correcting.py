"""A label that somebody corrects by hand: it stands as theirs, and no machine replaces it."""

from __future__ import annotations

from querist.graph.supervision.relabelling import named_examples
from querist.graph.workplace.context import Context
from querist.memory.answers import Answer
from querist.memory.errors import InvalidInput
from querist.memory.records import Annotation, Command, ExampleId, Label
from querist.tools.wording import quoted


def correct(context: Context, command: Command) -> str:
    """Give an example the `label` that a person says it has.

    An open question about it is answered by that, and is paid for as an answer; otherwise it costs
    nothing. What was said before is kept.
    """
    name = str(command.arguments.get("label", ""))
    if name not in context.task.names:
        known = quoted(context.task.names[:12])
        raise InvalidInput(f"{name!r} is not one of the labels: {known}")
    examples = named_examples(context, command.arguments)
    answer = context.kind.answer_of(name)
    number = max(context.labelling.last_round(), 0)
    for example in examples:
        if _answer_open(context, example.id, answer, who=command.who):
            continue
        who = f"human:{command.who}"
        said = Annotation(
            example=example.id,
            who=who,
            answer=answer,
            round=number,
            confidence=1.0,
            rationale="corrected by hand",
            prompt_version=f"correction-{command.id}",
            guideline=context.task.version,
        )
        label = Label(
            example=example.id,
            answer=answer,
            source="human",
            who=who,
            weight=1.0,
            p_correct=1.0,
            round=number,
        )
        context.labelling.record([said])
        context.labelling.relabel([label])
    what = examples[0].id if len(examples) == 1 else f"{len(examples):,} items"
    return f"{what}: {name}, as {command.who} says; the next training learns from it"


def _answer_open(context: Context, example: ExampleId, answer: Answer, *, who: str) -> bool:
    """Answer what is asked about an example; tell whether anything was."""
    # A second opinion, or a question that tries somebody, does not ask what its label is.
    asked = [
        question
        for question in context.inbox.about(example)
        if question.status == "open" and question.checks in ("", "adjudication")
    ]
    for question in asked:
        context.inbox.answer(question.id, answer, who=who, settles=True)
    return bool(asked)
