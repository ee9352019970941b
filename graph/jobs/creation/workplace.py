"""What the steps of a create job work with, in one process; it holds nothing the store does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from querist.graph.config import RunConfig
from querist.graph.jobs.cells import cells_of
from querist.graph.jobs.creation.checking import Checks
from querist.graph.jobs.creation.planning import Planner
from querist.graph.jobs.creation.progress import Progress
from querist.graph.jobs.creation.writing import Drafts
from querist.graph.jobs.thresholds import thresholds_of
from querist.graph.jobs.workbench import Workbench
from querist.graph.workplace.context import Deliberations
from querist.graph.workplace.models import Models
from querist.memory.events import EventBody
from querist.memory.records import Round
from querist.memory.run.journal import Journal
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import RunRow, Runs
from querist.memory.store import Store
from querist.tools.arms.thompson import Choose, choose_by_yield

Listener = Callable[[Round], None]


# LangGraph takes dataclasses for contexts; nothing else of a dataclass is wanted here.
@dataclass(init=False, eq=False, repr=False)
class Creation:
    """One create job in one process: the desk at which its agents decide."""

    def __init__(
        self,
        workbench: Workbench,
        *,
        deadline: datetime | None = None,
        wish: Callable[[], str] = lambda: "",
        listener: Listener = lambda _: None,
        choose: Choose = choose_by_yield,
        deliberations: Deliberations | None = None,
    ) -> None:
        """`wish` tells what a person wants (pause, cancel); it is asked between steps."""
        self.bench, self.request = workbench, workbench.request
        self.deadline, self.wish, self.listener = deadline, wish, listener
        self.deliberations = deliberations or Deliberations()
        self.checks = Checks(workbench)
        self.planner = Planner(
            self.request, workbench.task, workbench.seeds, choose=choose, embed=workbench.embed
        )
        self.thresholds = thresholds_of(self.request.gates, self.request.bounds)
        self.drafts: Drafts | None = None
        """What the wave's calls brought, while its gates have not looked at it."""

    @cached_property
    def progress(self) -> Progress:
        """How far the job is, as the store has it."""
        request = self.request
        cells = cells_of(request.labels, request.shares, request.attributes, request.never)
        progress = Progress.of(cells, request.rows)
        for row in self.bench.creations.all():
            progress.take(row)
        for account in self.journal.rounds():
            progress.note(account)
        return progress

    def read_again(self) -> None:
        """Forget how far the job is, where rows of earlier waves have changed."""
        self.__dict__.pop("progress", None)

    @cached_property
    def run(self) -> RunRow:
        """The job's run."""
        return Runs(self.store).get(self.bench.lease.run)

    @property
    def store(self) -> Store:
        """The workspace."""
        return self.bench.store

    @property
    def journal(self) -> Journal:
        """Decisions, events and the accounts of waves."""
        return self.bench.journal

    @property
    def ledger(self) -> Ledger:
        """What the job may spend, and has."""
        return self.bench.ledger

    @property
    def models(self) -> Models:
        """The models by name."""
        return self.bench.models

    @property
    def config(self) -> RunConfig:
        """The job in a run's words."""
        return self.bench.config

    def emit(self, body: EventBody) -> None:
        """Note an event."""
        self.bench.emit(body)
