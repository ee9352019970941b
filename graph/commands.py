"""Commands from the mailbox, applied between chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

from querist.graph.sections import MOST_USD
from querist.graph.supervision.changing import change
from querist.graph.supervision.correcting import correct
from querist.graph.supervision.guidelines import change_guidelines
from querist.graph.supervision.label_set import add_label, merge_labels, rename_label
from querist.graph.supervision.relabelling import ask_now, relabel
from querist.graph.workplace.context import Context
from querist.memory.errors import InvalidInput, QueristError
from querist.memory.events import CommandClosed, Proceeded
from querist.memory.records import Command
from querist.tools.strategies import get as strategy

_FIXED = {
    "task.labels": "labels that stand would mean something else",
    "task.renamed": "the commands label_rename and label_merge say what is called what",
    "task.guidelines": "the command guideline adds them and takes them back",
    "task.version": "it counts the changes of the guidelines",
    "task.kind": "labels that stand would be of another kind",
    "task.name": "the run is called by it",
    "data": "its examples were imported and embedded with it",
    "budget.usd": "say --budget AMOUNT instead, which changes the run's cap",
    "people.kind": "answers of real and of simulated people must not be mixed",
    "people.gold": "answers that were given came from another column",
    "people.audit": "what is measured on was set aside before anything was selected",
    "loop.seed": "what was drawn so far was drawn with it",
}
"""Keys, or tables of them, that stay as they were when the run was made, with the reason."""


_BETWEEN_ROUNDS = {"relabel", "label_add", "label_rename", "label_merge"}
"""What waits for a round's end: a batch under way is of the labels that it began with."""


def apply_commands(context: Context, *, between_rounds: bool = False) -> None:
    """Do what people asked for since the last look; `stop` stays queued until the loop ended.

    What changes labels that stand is done `between_rounds` only.
    """
    for command in context.mailbox.queued():
        if command.name == "stop" or (command.name in _BETWEEN_ROUNDS and not between_rounds):
            continue
        try:
            result, status = _apply(context, command), "done"
        except (QueristError, ValueError, KeyError, InvalidOperation) as error:
            result, status = str(error), "refused"
        context.mailbox.close(command, status=status, result=result, lease=context.lease)
        cap = context.ledger.balance().cap
        context.emit(
            CommandClosed(
                command.name,
                command.who,
                status=status,
                result=result,
                cap=cap,
                command=command.id,
                round=max(context.labelling.last_round(), 0),
            )
        )


def refuse_fixed(key: str) -> None:
    """Refuse keys that a run cannot change once it was made, and say why."""
    for beginning, why in _FIXED.items():
        if f"{key}.".startswith(f"{beginning}.") or beginning.startswith(f"{key}."):
            raise InvalidInput(
                f"{key} cannot be changed in a run that was made: {why}. Start another run with: "
                f"querist run TASK.TOML --set {key}=..."
            )


def _apply(context: Context, command: Command) -> str:
    arguments = command.arguments
    match command.name:
        case "pause":
            if context.control is not None:
                context.control.request_drain("pause")
            return "pausing at the next step"
        case "proceed":
            context.emit(Proceeded(context.labelling.last_round(), who=command.who))
            return "going on without the answers that are missing"
        case "set":
            key, value = str(arguments["key"]), arguments["value"]
            refuse_fixed(key)
            version = context.config.task.version + (key == "task.instructions")
            change(context, {key: value, "task.version": version})
            return f"{key} is {value} now"
        case "budget":
            usd = Decimal(str(arguments["usd"]))
            if not usd.is_finite() or not 0 < usd <= MOST_USD:
                raise ValueError(f"a budget of {usd} makes no sense")
            context.ledger.set_cap(usd)
            return f"the budget is {usd} USD now"
        case "strategy":
            name = str(arguments["name"])
            strategy(name)
            change(context, {"loop.strategy": name})
            return f"selecting by {name} from the next round on"
    if (carry_out := _WORK.get(command.name)) is not None:
        return carry_out(context, command)
    raise ValueError(f"unknown command {command.name!r}")


_WORK: Mapping[str, Callable[[Context, Command], str]] = {
    "guideline": change_guidelines,
    "relabel": relabel,
    "ask": ask_now,
    "correct": correct,
    "label_add": add_label,
    "label_rename": rename_label,
    "label_merge": merge_labels,
}
"""Commands that are more than a word with the run's settings."""
