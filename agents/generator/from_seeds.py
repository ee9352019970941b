"""Writing from a seed, in the loop as in jobs: say it otherwise, or turn its class around."""

from __future__ import annotations

from querist.agents.generator.conditioned import Conditioned
from querist.agents.generator.methods.port import METHODS, Brief
from querist.agents.generator.port import Wanted, generator
from querist.agents.models.metered import MeteredModel
from querist.memory.answers import name_of
from querist.memory.errors import ModelError
from querist.memory.records import Example

_PER_CALL = 4


class _BySeed:
    """Shows one seed a call, each in its turn, as a job's method of that name does."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def write(self, wanted: Wanted, /, *, sample: int, model: MeteredModel) -> list[str]:
        """Ask for four texts."""
        brief = Brief(
            wanted.task,
            name_of(wanted.answer),
            attributes={},
            shown=_turn(wanted.shown, sample),
            count=_PER_CALL,
            sample=sample,
            other="" if wanted.rival is None else name_of(wanted.rival),
            others=_turn(wanted.rivals, sample),
        )
        ask = METHODS.read(self.name).ask(brief)
        reply = await model.complete(ask.request)
        try:
            drafts = ask.read(reply.reply.text)
        except ValueError as error:
            raise ModelError(f"what {model.name} wrote cannot be used: {error}") from error
        return [str(draft.record[wanted.task.fields[0]]) for draft in drafts]


@generator(
    "paraphrase",
    summary="Labelled texts in other words; their labels stay.",
    cost="a call for four texts",
    citation="Dai et al., AugGPT, 2023",
)
class Paraphrased(_BySeed):
    """Safe labels, little news: many come back as copies."""

    def __init__(self) -> None:
        """Make it."""
        super().__init__("paraphrase")


@generator(
    "contrast",
    summary="Texts of the class that it is mixed up with, changed as little as makes them its own.",
    cost="a call for four texts",
    citation="Kaushik et al., Learning the Difference That Makes a Difference, 2020",
    needs=["rival"],
)
class Contrasted(_BySeed):
    """Counterfactuals; without a text of another class it writes as `conditioned` does."""

    def __init__(self) -> None:
        """Make it."""
        super().__init__("contrast")

    async def write(self, wanted: Wanted, /, *, sample: int, model: MeteredModel) -> list[str]:
        """Ask for four texts."""
        if not wanted.rivals:
            return await Conditioned().write(wanted, sample=sample, model=model)
        return await super().write(wanted, sample=sample, model=model)


def _turn(examples: tuple[Example, ...], sample: int) -> tuple[Example, ...]:
    """Take one of them, another with every try."""
    return (examples[sample % len(examples)],) if examples else ()
