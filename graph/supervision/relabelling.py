"""Items that people point at: annotated anew under today's guidelines, or put to people now."""

from __future__ import annotations

from collections import Counter

from querist.graph.round.ask import ask_people
from querist.graph.workplace.context import Context
from querist.memory.answers import name_of
from querist.memory.errors import InvalidInput
from querist.memory.records import Action, Command, Example, ExampleId, Question, Split, Verdict
from querist.memory.run.history import History
from querist.tools.wording import counted, listed, quoted, suggest

_FIRST = 2.0
"""Value of asking what a person wants asked: above all that the verifier thinks of, at most 1."""
_MOST_NAMED = 3


def relabel(context: Context, command: Command) -> str:
    """Put machines' labels aside and have their examples annotated anew.

    `examples` names them, or `label` all of a class, or `round` all that a round labelled. People's
    labels stay. Raises `InvalidInput` where nothing can be annotated anew.
    """
    _refuse_at_end(context)
    people = {label.example for label in context.labelling.labels() if label.source == "human"}
    examples, what = _wanted(context, command)
    asked = {question.example for question in context.inbox.all(status="open")}
    seen = {label.example for label in context.labelling.labels()} | {
        said.example for said in context.labelling.annotations(examples)
    }
    waits = set(context.labelling.aside())
    fates = {example: _fate(example, people, asked, seen, waits) for example in examples}
    again = [example for example in examples if fates[example] == "again"]
    left = _left_out(Counter(fates.values()))
    if not again:
        raise InvalidInput(f"there is nothing to annotate anew{left or f': {what} has no label'}")
    context.labelling.put_aside(again, command=command.id, who=command.who)
    return (
        f"{counted(len(again), 'label')} {what} {'is' if len(again) == 1 else 'are'} put aside; "
        f"{_when(context, len(again))}{left}"
    )


def ask_now(context: Context, command: Command) -> str:
    """Put `examples` to people, whatever the verifier thought of them.

    Raises `InvalidInput` where people cannot be asked about any of them.
    """
    if context.config.people.kind == "none":
        raise InvalidInput(
            "nobody answers in this run (people.kind is none): start one with "
            "--set people.kind=inbox"
        )
    examples = named_examples(context, command.arguments)
    people = {
        label.example: label for label in context.labelling.labels() if label.source == "human"
    }
    free, known = [], []
    for example in examples:
        asked = context.inbox.about(example.id)
        if asked:
            known.append(_words_of(asked[-1]))
        elif example.id in people:
            label = people[example.id]
            known.append(f"{label.who} answered {name_of(label.answer)} on {example.id}")
        else:
            free.append(example)
    if not free:
        raise InvalidInput("; ".join(known[:_MOST_NAMED]))
    number = max(context.labelling.last_round(), 0)
    verdicts = [_verdict(context, example, who=command.who, number=number) for example in free]
    sent = ask_people(context, verdicts, free, purpose="escalation")
    if not sent:
        raise InvalidInput(
            f"the {context.ledger.balance().remaining} USD that are left do not pay for an answer: "
            "raise the budget first"
        )
    rest = [f"{len(free) - len(sent)} more cost more than is left"] if len(sent) < len(free) else []
    sentence = (
        f"{counted(len(sent), 'question')} {'is' if len(sent) == 1 else 'are'} in the inbox, "
        "before all others; an answer is taken in when it comes"
    )
    return "; ".join([sentence, *rest, *known[:_MOST_NAMED]])


def _refuse_at_end(context: Context) -> None:
    loop = context.config.loop
    if not context.config.annotator.enabled:
        raise InvalidInput("no language model labels in this run (annotator.enabled is false)")
    if context.labelling.last_round() + 1 >= loop.rounds:
        raise InvalidInput(
            f"no round is left of {loop.rounds} in which they could be annotated: allow for more "
            "rounds first (querist resume --rounds N)"
        )


def _wanted(context: Context, command: Command) -> tuple[list[ExampleId], str]:
    """Find what a command speaks of, and say it in words."""
    arguments = command.arguments
    labels = context.labelling.labels()
    if "examples" in arguments:
        return [example.id for example in named_examples(context, arguments)], "of those named"
    if "label" in arguments:
        name = str(arguments["label"])
        name = context.config.task.renamed.get(name, name)
        if name not in context.answers.names:
            hint = suggest(name, list(context.answers.names))
            raise InvalidInput(
                f"there is no label {name!r}.{hint} There are: {quoted(context.answers.names)}"
            )
        of = [label.example for label in labels if name_of(label.answer) == name]
        return of, f"of *{name}*"
    if "round" in arguments:
        number = int(str(arguments["round"]))
        return [said.example for said in labels if said.round == number], f"of round {number}"
    raise InvalidInput("say which: examples, a label or a round")


def named_examples(context: Context, arguments: object) -> list[Example]:
    """Fetch the examples that are named; raises `InvalidInput` for others than the pool's."""
    assert isinstance(arguments, dict)
    given = arguments.get("examples", arguments.get("example"))
    names = [given] if isinstance(given, str) else list(given or ())
    ids = [ExampleId(str(name)) for name in dict.fromkeys(names)]
    if not ids:
        raise InvalidInput("name an example")
    try:
        found = context.pool.get(ids)
    except KeyError as error:
        raise InvalidInput(f"there is no example {error.args[0]!r} in this run") from error
    held = [example.id for example in found if example.split is not Split.POOL]
    if held:
        raise InvalidInput(f"{listed(held)} is held out, and no agent or person is shown it")
    return found


def _fate(
    example: ExampleId,
    people: set[ExampleId],
    asked: set[ExampleId],
    seen: set[ExampleId],
    waits: set[ExampleId],
) -> str:
    if example in people:
        return "people"
    if example in asked:
        return "asked"
    if example in waits:
        return "waits"
    return "again" if example in seen else "unseen"


def _left_out(counts: Counter[str]) -> str:
    words = {
        "people": "{} labelled by people stay",
        "asked": "{} are with people now",
        "waits": "{} wait for it already",
        "unseen": "{} were never annotated",
    }
    said = [text.format(counts[fate]) for fate, text in words.items() if counts[fate]]
    return f" ({'; '.join(said)})" if said else ""


def _when(context: Context, count: int) -> str:
    number, batch = context.labelling.last_round() + 1, context.config.loop.batch
    if count <= batch:
        version = f"under version {context.task.version} of the guidelines"
        return (
            f"{'it is' if count == 1 else 'they are'} annotated anew in round {number}, {version}"
        )
    return f"they are annotated anew from round {number} on, at most {batch} a round"


def _words_of(question: Question) -> str:
    if question.status == "open":
        return f"{question.example} is in the inbox already, as {question.id}: querist inbox"
    if question.status == "skipped":
        return f"{question.assignee or 'somebody'} skipped {question.example}"
    said = "" if question.answer is None else f" {name_of(question.answer)}"
    return f"{question.answered_by} answered{said} on {question.example}, and that stands"


def _verdict(context: Context, example: Example, *, who: str, number: int) -> Verdict:
    """What is thought of an example by now, for the question's page."""
    known = History(context.store, context.run.id, example.id).verdicts()
    last = known[-1] if known else None
    return Verdict(
        example=example.id,
        round=number,
        attempt=0,
        answer=None if last is None else last.answer,
        p_correct=context.kind.chance(context.task) if last is None else last.p_correct,
        action=Action.ESCALATE,
        reason=f"{who} wants it asked",
        signals={"value_of_asking": _FIRST},
        likely=() if last is None else last.likely,
    )
