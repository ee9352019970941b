"""Changes of the label set while a run goes on: labels added, renamed, merged.

What was stored keeps its name; the configuration says what each earlier name means now, and every
reader goes by it (`querist.memory.run.renaming`). A name that meant something else is never given
again, or old answers would be read as new ones. The loop's heads are of the labels that they were
trained on, so a change of their number sets them aside; the model is trained at once, and the round
before is measured anew. A change that was made before, as one that a crash kept from being closed,
is done again without harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from querist.graph.round.model_files import forget_models
from querist.graph.round.pseudo_labels import forget_pseudo
from querist.graph.supervision.changing import change
from querist.graph.workplace.context import Context
from querist.graph.workplace.strategy_state import forget_state
from querist.memory.answers import name_of
from querist.memory.errors import InvalidInput
from querist.memory.questions import Option
from querist.memory.records import Command, LabelClass
from querist.tools.kinds.closed import has_free_labels, measures_alike
from querist.tools.wording import counted, listed, quoted, suggest

_NEXT = "the model is trained anew, and measured under the new names"


def add_label(context: Context, command: Command) -> str:
    """Add the label `name` with its `description`."""
    _refuse_kind(context)
    labels = dict(context.config.task.labels)
    name = str(command.arguments["name"]).strip()
    means = str(command.arguments.get("description", "")).strip()
    if labels.get(name) == means:
        return f"{name} is a label, in prompts and {_questions(_offer(context))}"
    labels[_free(context, name, of=())] = means
    asked = _apply(context, labels, {}, resized=True)
    return (
        f"{name} is a label now, in prompts and {_questions(asked)}; labels that stand keep their "
        f"answers (relabel has some annotated anew, gold cells of {name} were not read when the "
        f"data was imported), and {_NEXT}"
    )


def rename_label(context: Context, command: Command) -> str:
    """Call the label `old` by the name `new`."""
    _refuse_kind(context)
    old, new = (str(command.arguments[key]).strip() for key in ("old", "new"))
    labels = context.config.task.labels
    if context.config.task.renamed.get(old) == new:
        return f"{old} is called {new}"
    _known(context, [old])
    new = _free(context, new, of=(old,))
    kept = {new if name == old else name: words for name, words in labels.items()}
    _refuse_other_measure(context, kept, old)
    count = _standing(context, [old])
    asked = _apply(context, kept, {old: new}, resized=False)
    return (
        f"{old} is called {new} now, in {counted(count, 'label')} and {_questions(asked)}; {_NEXT}"
    )


def merge_labels(context: Context, command: Command) -> str:
    """Make one label, `into`, of the labels `old`; an old one of that name keeps its words."""
    _refuse_kind(context)
    given = command.arguments["old"]
    if not isinstance(given, list | tuple):
        raise InvalidInput("name the labels to merge as a list")
    into = str(command.arguments["into"]).strip()
    labels = context.config.task.labels
    old = list(dict.fromkeys(str(name).strip() for name in given))
    renamed = context.config.task.renamed
    if old and all(renamed.get(name) == into for name in old if name != into):
        return f"{listed(old)} are {into}"
    _known(context, old)
    into = into if into in labels else _free(context, into, of=tuple(old))
    gone = [name for name in old if name != into]
    if len({*old, into}) < 2:
        raise InvalidInput("a merge needs two labels at least")
    kept = _merged(labels, gone, into)
    if len(kept) < 2:
        raise InvalidInput(f"{quoted(old)} are all labels that there are; two must be left")
    count = _standing(context, gone)
    asked = _apply(context, kept, dict.fromkeys(gone, into), resized=True)
    return (
        f"{listed(gone)} {'is' if len(gone) == 1 else 'are'} {into} now, in "
        f"{counted(count, 'label')} and {_questions(asked)}; {_NEXT}"
    )


def _merged(labels: Mapping[str, str], gone: list[str], into: str) -> dict[str, str]:
    """Put the merged label where the first of them stood."""
    kept: dict[str, str] = {}
    for name, words in labels.items():
        if name in gone or name == into:
            kept.setdefault(into, labels.get(into, ""))
        else:
            kept[name] = words
    if not kept[into]:
        kept[into] = "; ".join(labels[name] for name in gone if labels.get(name))
    return kept


def _refuse_kind(context: Context) -> None:
    if not has_free_labels(context.kind):
        raise InvalidInput(
            f"the labels of a {context.task.kind} task are given by its kind and cannot be changed"
        )


def _refuse_other_measure(context: Context, labels: Mapping[str, str], old: str) -> None:
    """Some kinds know a label by its name, as that of a match: another name is another measure."""
    renamed = replace(
        context.task, labels=tuple(LabelClass(name, words) for name, words in labels.items())
    )
    if not measures_alike(context.kind, context.task, renamed):
        raise InvalidInput(
            f"a {context.task.kind} task knows {old!r} by its name, and would be measured otherwise"
        )


def _known(context: Context, names: Iterable[str]) -> None:
    labels = context.config.task.labels
    for name in names:
        if name not in labels:
            raise InvalidInput(
                f"there is no label {name!r}.{suggest(name, list(labels))} There are: "
                f"{quoted(list(labels))}"
            )


def _free(context: Context, name: str, *, of: tuple[str, ...]) -> str:
    """Check that a name is free; one that a label of `of` had before may come back."""
    task = context.config.task
    if not name:
        raise InvalidInput("a label needs a name")
    if name in task.labels:
        raise InvalidInput(f"there is a label {name!r} already; merge makes one label of several")
    before = task.renamed.get(name)
    if before is not None and before not in of:
        raise InvalidInput(
            f"{name!r} was the name of what is {before!r} now, and answers are stored under it; "
            "choose another name"
        )
    return name


def _standing(context: Context, names: list[str]) -> int:
    return sum(name_of(label.answer) in names for label in context.labelling.labels())


def _apply(
    context: Context, labels: Mapping[str, str], news: Mapping[str, str], *, resized: bool
) -> int:
    """Keep the label set; give how many open questions offer it."""
    config = context.config
    renamed = {old: news.get(now, now) for old, now in config.task.renamed.items()} | dict(news)
    shown: list[Any] = [
        body.model_dump(mode="json") | {"label": news.get(body.label, body.label)}
        for body in config.annotator.demonstrations
    ]
    if resized:
        # Before the change: a head of other labels than the configuration's must not be found.
        forget_models(context.files)
        forget_state(context.files)
        forget_pseudo(context.files)
    change(
        context,
        {
            "task.labels": dict(labels),
            "task.renamed": {old: now for old, now in renamed.items() if old != now},
            "annotator.demonstrations": shown,
        },
    )
    return _offer(context)


def _offer(context: Context) -> int:
    """Offer the labels to all open questions; count these."""
    options = [Option(label.name, label.description) for label in context.task.labels]
    schema = context.kind.schema(context.task)
    return context.inbox.offer(options, schema, lease=context.lease)


def _questions(count: int) -> str:
    return f"{counted(count, 'open question')}"
