"""Commands from the mailbox, applied between chunks."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from querist.graph.config import RunConfig, make_config, put
from querist.graph.sections import MOST_USD
from querist.graph.workplace.context import Context
from querist.memory.errors import InvalidInput, QueristError
from querist.memory.events import CommandClosed, Proceeded
from querist.memory.mailbox import Mailbox
from querist.memory.records import Command
from querist.tools.strategies import get as strategy

_FIXED = {
    "task.labels": "labels that stand would mean something else",
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


def apply_commands(context: Context) -> None:
    """Do what people asked for since the last look; `stop` stays queued until the loop ended."""
    for command in context.mailbox.queued():
        if command.name == "stop":
            continue
        try:
            result, status = _apply(context, command), "done"
        except (QueristError, ValueError, KeyError, InvalidOperation) as error:
            result, status = str(error), "refused"
        context.mailbox.close(command, status=status, result=result, lease=context.lease)
        cap = context.ledger.balance().cap
        context.emit(
            CommandClosed(command.name, command.who, status=status, result=result, cap=cap)
        )


def refuse_fixed(key: str) -> None:
    """Refuse keys that a run cannot change once it was made, and say why."""
    for beginning, why in _FIXED.items():
        if key == beginning or key.startswith(f"{beginning}."):
            raise InvalidInput(
                f"{key} cannot be changed in a run that was made: {why}. Start another run with: "
                f"querist run TASK.TOML --set {key}=..."
            )


def stop_command(mailbox: Mailbox) -> Command | None:
    """Find a person's wish to stop."""
    return next((command for command in mailbox.queued() if command.name == "stop"), None)


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
            _change(context, key, value)
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
            _change(context, "loop.strategy", name)
            return f"selecting by {name} from the next round on"
        case "guideline":
            text = str(arguments["text"]).strip()
            old = context.config.task.instructions
            _change(context, "task.instructions", f"{old}\n{text}".strip())
            return "the guideline is in the prompts from the next chunk on"
    raise ValueError(f"unknown command {command.name!r}")


def _change(context: Context, key: str, value: Any) -> None:
    body = context.config.model_dump(mode="json")
    put(body, key, value)
    config: RunConfig = make_config(body, source=f"run {context.run.id}")
    context.runs.set_config(context.lease, config.model_dump(mode="json"))
    context.configure(config)
