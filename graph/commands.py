"""Commands from the mailbox, applied between chunks."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from querist.graph.config import RunConfig, make_config, put
from querist.graph.context import Context
from querist.memory.errors import QueristError
from querist.memory.records import Command
from querist.tools.strategies import get as strategy


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
        context.emit("command", name=command.name, who=command.who, status=status, result=result)


def stop_command(context: Context) -> Command | None:
    """Find a person's wish to stop."""
    return next((one for one in context.mailbox.queued() if one.name == "stop"), None)


def _apply(context: Context, command: Command) -> str:
    arguments = command.arguments
    match command.name:
        case "pause":
            if context.control is not None:
                context.control.request_drain("pause")
            return "pausing at the next step"
        case "budget":
            usd = Decimal(str(arguments["usd"]))
            if not usd.is_finite() or usd <= 0:
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
    context.config = config
    context.task = config.as_task()
