"""Guidelines that people add to a running loop: numbered, dated, and taken back by their number.

Each change makes a new version of what annotators are told, and every annotation names the version
that it was made under (`Annotation.guideline`).
"""

from __future__ import annotations

from querist.graph.config import RunConfig
from querist.graph.sections import LONGEST_INSTRUCTIONS, GuidelineSection
from querist.graph.supervision.changing import change
from querist.graph.workplace.context import Context
from querist.memory.errors import InvalidInput
from querist.memory.records import Command, utc_now
from querist.tools.wording import counted


def change_guidelines(context: Context, command: Command) -> str:
    """Add the guideline `text`, or take back the one with the number `remove`."""
    task = context.config.task
    version = task.version + 1
    if "remove" in command.arguments:
        number = int(str(command.arguments["remove"]))
        kept = _without(task.guidelines, number, until=version)
        _keep(context, kept, version)
        return (
            f"guideline {number} is out of the prompts from the next chunk on, which makes version "
            f"{version} of the guidelines; what was annotated under it stands "
            "(relabel has it annotated anew)"
        )
    text = str(command.arguments["text"]).strip()
    if not text:
        raise InvalidInput("a guideline needs words")
    if any(said.command == command.id for said in task.guidelines):
        return "the guideline is in the prompts"  # taken once more after a crash
    added = GuidelineSection(
        text=text, who=command.who, at=utc_now(), since=version, command=command.id
    )
    _keep(context, (*task.guidelines, added), version)
    return (
        f"the guideline is in the prompts from the next chunk on, as number "
        f"{len(context.config.task.guidelines)}; that makes version {version} of the guidelines"
    )


def guidelines_under(config: RunConfig, version: int) -> tuple[tuple[int, str], ...]:
    """Give number and text of the added guidelines that stood in a version of them."""
    return tuple(
        (place, said.text)
        for place, said in enumerate(config.task.guidelines, start=1)
        if said.since <= version and (said.until is None or version < said.until)
    )


def _without(
    said: tuple[GuidelineSection, ...], number: int, *, until: int
) -> tuple[GuidelineSection, ...]:
    if not 1 <= number <= len(said):
        raise InvalidInput(
            f"there is no guideline {number}; {counted(len(said), 'guideline')} "
            f"{'was' if len(said) == 1 else 'were'} added"
        )
    gone = said[number - 1]
    if gone.until is not None:
        raise InvalidInput(f"guideline {number} was taken back before")
    taken_back = gone.model_copy(update={"until": until})
    return (*said[: number - 1], taken_back, *said[number:])


def _keep(context: Context, said: tuple[GuidelineSection, ...], version: int) -> None:
    told = "\n".join(
        [
            context.config.task.instructions,
            *(guideline.text for guideline in said if guideline.until is None),
        ]
    )
    if len(told) > LONGEST_INSTRUCTIONS:
        raise InvalidInput(
            f"all guidelines together would be {len(told):,} characters long, and at most "
            f"{LONGEST_INSTRUCTIONS:,} go into a prompt; take one back first"
        )
    body = [guideline.model_dump(mode="json") for guideline in said]
    change(context, {"task.guidelines": body, "task.version": version})
