"""Where an example's label comes from: who chose it, who said what, and for how much.

Read by the example's id alone, so that it is cheap in a pool of any size.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from querist.agents.mind import Agent
from querist.graph.config import make_config
from querist.graph.supervision.guidelines import guidelines_under
from querist.memory.asking.inbox import Inbox
from querist.memory.errors import InvalidInput
from querist.memory.records import (
    Annotation,
    Decision,
    Example,
    ExampleId,
    Label,
    Question,
    Verdict,
)
from querist.memory.run.history import Aside, History, Place
from querist.memory.run.journal import Journal
from querist.memory.run.pool import Pool
from querist.memory.run.runs import RunRow, Runs
from querist.memory.store import Store


@dataclass(frozen=True, slots=True)
class Chosen:
    """How an example got into a batch."""

    place: Place
    strategy: str
    """Empty where no strategy chose it: it was written, or is annotated anew."""
    decision: Decision | None
    """The selector's, or the generator's."""

    @property
    def words(self) -> str:
        """Say it in a sentence."""
        place = self.place
        where = f"round {place.round}, place {place.rank + 1} of its batch"
        if self.decision is None:
            return f"annotated anew in {where}"
        if not self.strategy:
            return f"written in {where}"
        return f"chosen in {where} by {self.strategy}: {self.decision.reason}"


@dataclass(frozen=True, slots=True)
class Said:
    """An annotation, and the guidelines that it was made under."""

    annotation: Annotation
    guidelines: tuple[tuple[int, str], ...]
    """Number and text of those that people had added by then."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """All that is known of where a label comes from. Texts in it are the pool's or a model's."""

    example: Example
    chosen: tuple[Chosen, ...]
    said: tuple[Said, ...]
    verdicts: tuple[Verdict, ...]
    questions: tuple[Question, ...]
    label: Label | None
    aside: tuple[Aside, ...]

    @property
    def is_disputed(self) -> bool:
        """Whether two people differ on it, and nobody settled that yet."""
        return any(q.checks == "adjudication" and q.status == "open" for q in self.questions)

    @property
    def usd(self) -> Decimal:
        """What all annotations of it cost."""
        return sum((said.annotation.usd for said in self.said), Decimal(0))


def gather_provenance(store: Store, run: str, example: ExampleId) -> Provenance:
    """Read an example's provenance; raises `InvalidInput` for an example that is not there."""
    row: RunRow = Runs(store).get(run)
    history = History(store, row.id, example)
    try:
        found = Pool(store, dataset=row.dataset, run=row.id).get([example])[0]
    except KeyError as error:
        raise InvalidInput(f"there is no example {example!r} in {row.id}") from error
    config = make_config(row.config, source=f"run {row.id}")
    journal = Journal(store, row.id)
    aside = history.aside()
    again = {put.round for put in aside}
    return Provenance(
        example=found,
        chosen=tuple(
            _chosen(journal, place, found, again=place.round in again) for place in history.places()
        ),
        said=tuple(
            Said(annotation, guidelines_under(config, annotation.guideline))
            for annotation in history.annotations()
        ),
        verdicts=tuple(history.verdicts()),
        # Nobody is told which open questions only try them.
        questions=tuple(
            question
            for question in Inbox(store, row.id).about(example)
            if question.checks != "gold" or question.status != "open"
        ),
        label=history.label(),
        aside=tuple(aside),
    )


def _chosen(journal: Journal, place: Place, example: Example, *, again: bool) -> Chosen:
    if again:
        return Chosen(place, "", None)
    is_written = example.written_as is not None
    agent = Agent.GENERATOR if is_written else Agent.SELECTOR
    decisions = journal.decisions(number=place.round, agent=agent)
    last = decisions[-1] if decisions else None
    strategy = "" if last is None or is_written else str(last.action.get("strategy", ""))
    return Chosen(place, strategy, last)
