"""What deciding needs of whatever is driven: a run of the loop, or a job that creates rows."""

from __future__ import annotations

from typing import Protocol

from querist.graph.config import RunConfig
from querist.graph.workplace.context import Deliberations
from querist.graph.workplace.models import Models
from querist.memory.events import EventBody
from querist.memory.run.journal import Journal
from querist.memory.run.ledger import Ledger
from querist.memory.store import Store


class Desk(Protocol):
    """The part of a workplace that decisions are taken at, paid from and written down in."""

    @property
    def store(self) -> Store:
        """The workspace: its folder has the results of exams."""

    @property
    def journal(self) -> Journal:
        """Where decisions are kept."""

    @property
    def ledger(self) -> Ledger:
        """What minds are paid from."""

    @property
    def models(self) -> Models:
        """The models by name."""

    @property
    def config(self) -> RunConfig:
        """Who decides (`minds`), by which model (`mind_model`)."""

    @property
    def deliberations(self) -> Deliberations:
        """Minds that were given by hand (tests, embedding in other programs)."""

    def emit(self, body: EventBody) -> None:
        """Note an event."""
